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

    /// <summary>By key what its value must be; keys of one name in several places want the same.</summary>
    private static readonly Dictionary<string, string> Wanted = new[]
    {
        typeof(TaskDefinition),
        typeof(SourceDefinition),
        typeof(SplitDefinition),
        typeof(FewShotDefinition),
        typeof(AnswerDefinition),
        typeof(ExtractDefinition),
    }
        .SelectMany(part => part.GetProperties().Where(IsKey))
        .Select(property =>
            (
                Key: UnderscoredNamingConvention.Instance.Apply(property.Name),
                Type: Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType
            )
        )
        .DistinctBy(key => key.Key)
        .ToDictionary(key => key.Key, key => Describe(key.Key, key.Type), StringComparer.Ordinal);

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
        UnknownKey().Match(error.Message) is { Success: true } unknown
        && typeof(TaskShape).Assembly.GetType(unknown.Groups["type"].Value) is { } type
            ? $"unknown key '{unknown.Groups["key"].Value}'; known are {string.Join(", ", KeysOf(type))}"
        : IsAboutAValue(error) ? Expected(line, (int)error.Start.Column - 1)
        : error.InnerException?.Message ?? error.Message;

    /// <summary>The text is sound YAML, but not what its key wants.</summary>
    private static bool IsAboutAValue(YamlException error) =>
        error.InnerException is ArgumentException or FormatException or OverflowException
        || ClassName().IsMatch((error.InnerException ?? error).Message)
        || error.Message.StartsWith("Expected '", StringComparison.Ordinal);

    /// <summary>What the last known key before a place of a line wants.</summary>
    private static string Expected(string line, int column)
    {
        var key = KeyBefore()
            .Matches(line[..Math.Clamp(column, 0, line.Length)])
            .Select(match => match.Groups["key"].Value)
            .LastOrDefault(Wanted.ContainsKey);
        return key is null
            ? "expected another kind of value (docs/tasks.md lists the keys)"
            : $"{key}: expected {Wanted[key]}";
    }

    private static string Describe(string key, Type type) =>
        type switch
        {
            _ when type == typeof(string) => "a text, in quotes where it has braces, brackets or a colon",
            _ when type == typeof(bool) => "true or false",
            _ when type == typeof(int) || type == typeof(uint) => "a whole number within its bounds",
            { IsEnum: true } => "one of "
                + string.Join(", ", Enum.GetNames(type).Select(UnderscoredNamingConvention.Instance.Apply)),
            _ when type == typeof(List<string>) => $"a list of texts, as in {key}: [one, two]",
            _ when type == typeof(List<Dictionary<string, string>>) => $"a list of rows, as in {key}: [{{name: text}}]",
            _ when type == typeof(Dictionary<string, List<string>>) =>
                $"names with lists, as in {key}: {{name: [one, two]}}",
            _ when type == typeof(Dictionary<string, string>) => $"names with texts, as in {key}: {{name: text}}",
            _ => $"keys of its own, as in {key}: {{...}}, out of {string.Join(", ", KeysOf(type))}",
        };

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

    [GeneratedRegex(@"(?<key>[a-z_]+)\s*:")]
    private static partial Regex KeyBefore();

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
