using System.Collections;
using System.Reflection;
using System.Text.RegularExpressions;
using Slimming.Gguf;
using YamlDotNet.Core;
using YamlDotNet.Serialization;
using YamlDotNet.Serialization.NamingConventions;

namespace Slimming.Evaluation.Tasks;

/// <summary>Looks at all that a task file sets: a value where one is needed, and no text or list so large that a run of it would not end.</summary>
internal static partial class TaskShape
{
    private const int MostEntries = 1000;
    private const int LongestText = 1 << 16;

    /// <summary>Of what stands in names of results, and of what is put between many rows or examples.</summary>
    private const int LongestName = 200;
    private const int LongestJoint = 1000;

    private static readonly Type[] Parts =
    [
        typeof(TaskDefinition),
        typeof(SplitDefinition),
        typeof(FewShotDefinition),
        typeof(ExtractDefinition),
    ];

    private static readonly HashSet<string> Names =
    [
        nameof(TaskDefinition.Name),
        nameof(TaskDefinition.Version),
        nameof(TaskDefinition.Variants),
        nameof(TaskDefinition.Group),
        nameof(TaskDefinition.Subgroups),
    ];

    private static readonly HashSet<string> Joints =
    [
        nameof(TaskDefinition.Delimiter),
        nameof(TaskDefinition.Join),
        nameof(FewShotDefinition.Separator),
    ];

    /// <exception cref="SlimmingException">Names the key.</exception>
    public static void Check(TaskDefinition task, string origin) => CheckRecord(task, origin, "");

    /// <summary>What the reader stumbled over, in words of a task file, not of its classes.</summary>
    /// <param name="error">As the reader has it.</param>
    /// <param name="line">The line of the file that it is about.</param>
    public static string Problem(YamlException error, string line) =>
        error switch
        {
            { InnerException: ArgumentException } when Choices(line) is { } choices => choices,
            { InnerException: FormatException or OverflowException } => "expected a whole number within its bounds",
            _ when UnknownKey().Match(error.Message) is { Success: true } unknown
                    && typeof(TaskShape).Assembly.GetType(unknown.Groups["type"].Value) is { } type =>
                $"unknown key '{unknown.Groups["key"].Value}'; known are {string.Join(", ", KeysOf(type))}",
            _ when ClassName().IsMatch((error.InnerException ?? error).Message) =>
                "expected another kind of value (docs/tasks.md lists the keys); a text with braces or a colon stands in quotes",
            _ => error.InnerException?.Message ?? error.Message,
        };

    /// <summary>What the key on a line may be, where it is one of a few words.</summary>
    private static string? Choices(string line) =>
        Parts
            .SelectMany(part => part.GetProperties())
            .Select(property =>
                (
                    Key: UnderscoredNamingConvention.Instance.Apply(property.Name),
                    Type: Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType
                )
            )
            .Where(key => key.Type.IsEnum && Regex.IsMatch(line, $@"(^|[\s{{,]){key.Key}\s*:"))
            .Select(key =>
                $"{key.Key}: expected one of "
                + string.Join(", ", Enum.GetNames(key.Type).Select(UnderscoredNamingConvention.Instance.Apply))
            )
            .FirstOrDefault();

    private static IEnumerable<string> KeysOf(Type type) =>
        type.GetProperties().Where(IsKey).Select(property => UnderscoredNamingConvention.Instance.Apply(property.Name));

    private static bool IsKey(PropertyInfo property) =>
        property.CanWrite && !property.IsDefined(typeof(YamlIgnoreAttribute));

    [GeneratedRegex(
        @"^Property '(?<key>.*)' not found on type '(?<type>[\w.]+)'",
        RegexOptions.Singleline | RegexOptions.ExplicitCapture
    )]
    private static partial Regex UnknownKey();

    [GeneratedRegex(@"\b(Slimming\.Evaluation|System\.(String|Collections))\b", RegexOptions.ExplicitCapture)]
    private static partial Regex ClassName();

    private static void CheckRecord(object definition, string origin, string prefix)
    {
        NullabilityInfoContext nullability = new();
        foreach (var property in definition.GetType().GetProperties())
        {
            if (!IsKey(property))
            {
                continue;
            }
            var key = prefix + UnderscoredNamingConvention.Instance.Apply(property.Name);
            var value = property.GetValue(definition);
            if (value is not null)
            {
                CheckValue(value, origin, key, LongestOf(property.Name));
            }
            // A key without a value reads as null, whatever the property's type says.
            else if (nullability.Create(property).ReadState == NullabilityState.NotNull)
            {
                throw Fault(origin, key, "has no value");
            }
        }
    }

    private static int LongestOf(string property) =>
        Names.Contains(property) ? LongestName
        : Joints.Contains(property) ? LongestJoint
        : LongestText;

    private static void CheckValue(object? value, string origin, string key, int longest)
    {
        switch (value)
        {
            case null:
                throw Fault(origin, key, "has no value");
            case string text when text.Length > longest:
                throw Fault(origin, key, $"expected at most {longest} characters, found {text.Length}");
            case string text when longest == LongestName && text.Any(char.IsControl):
                throw Fault(origin, key, "expected a name, found a control character");
            case ICollection { Count: > MostEntries } many:
                throw Fault(origin, key, $"expected at most {MostEntries} entries, found {many.Count}");
            case IDictionary entries:
                foreach (DictionaryEntry entry in entries)
                {
                    CheckValue(entry.Key, origin, key, longest);
                    CheckValue(entry.Value, origin, key, longest);
                }
                break;
            case IList items:
                foreach (var item in items)
                {
                    CheckValue(item, origin, key, longest);
                }
                break;
            case Enum one when !Enum.IsDefined(one.GetType(), one):
                throw Fault(origin, key, $"unknown '{one}'");
            case SourceDefinition or SplitDefinition or FewShotDefinition or AnswerDefinition or ExtractDefinition:
                CheckRecord(value, origin, key + ".");
                break;
        }
    }

    private static SlimmingException Fault(string origin, string key, string problem) =>
        new(ExitCode.Usage, $"{origin}: {key}: {problem}");
}
