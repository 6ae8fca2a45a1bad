using System.Reflection;
using Slimming.Gguf;
using Slimming.Shared;
using YamlDotNet.Core;
using YamlDotNet.Serialization;
using YamlDotNet.Serialization.NamingConventions;

namespace Slimming.Evaluation.Tasks;

/// <summary>Finds tasks: the built-in ones by name, a user's own by the path of its YAML file.</summary>
public static class TaskCatalog
{
    private static readonly Lazy<IReadOnlyList<TaskDefinition>> BuiltInTasks = new(ReadBuiltIn);

    /// <summary>The built-in definitions; one with variants stands for a task per variant.</summary>
    public static IReadOnlyList<TaskDefinition> BuiltIn => BuiltInTasks.Value;

    /// <summary>A task by built-in name, or by the path of a YAML file; one with variants stands for all of them.</summary>
    /// <exception cref="SlimmingException">No such task, or the file is wrong; names the key.</exception>
    public static TaskDefinition Find(string nameOrPath) => Resolve(nameOrPath).Task;

    /// <summary>The same, with the part of a group where the name is one of its parts.</summary>
    internal static (TaskDefinition Task, string? Part) Resolve(string nameOrPath)
    {
        ArgumentException.ThrowIfNullOrEmpty(nameOrPath);
        if (
            nameOrPath.EndsWith(".yaml", StringComparison.OrdinalIgnoreCase)
            || nameOrPath.EndsWith(".yml", StringComparison.OrdinalIgnoreCase)
        )
        {
            return File.Exists(nameOrPath)
                ? (Parse(StrictText.Read(nameOrPath), nameOrPath), null)
                : throw new SlimmingException(ExitCode.Usage, $"{nameOrPath}: no such task file");
        }
        foreach (var task in BuiltIn)
        {
            if (task.Name == nameOrPath || task.Group == nameOrPath)
            {
                return (task, null);
            }
            if (task.Subgroups.ContainsKey(nameOrPath))
            {
                return (task, nameOrPath);
            }
            if (task.Variants.Find(variant => task.MemberName(variant) == nameOrPath) is { } found)
            {
                return (task.Member(found), null);
            }
        }
        throw new SlimmingException(
            ExitCode.Usage,
            $"unknown task \"{nameOrPath}\"; expected one of "
                + $"{string.Join(", ", BuiltIn.Select(task => task.Group ?? task.Name))}, "
                + "or the path of a .yaml task file ('slimming bench --list' shows them)"
        );
    }

    /// <summary>Reads and checks one definition.</summary>
    internal static TaskDefinition Parse(string yaml, string origin)
    {
        if (YamlText.Problem(yaml) is var (problem, at))
        {
            throw NotATask(origin, Line(yaml, at), at, problem, null);
        }
        TaskDefinition? task;
        try
        {
            task = new DeserializerBuilder()
                .WithNamingConvention(UnderscoredNamingConvention.Instance)
                .WithEnumNamingConvention(UnderscoredNamingConvention.Instance)
                .WithDuplicateKeyChecking()
                .Build()
                .Deserialize<TaskDefinition?>(yaml);
        }
        catch (YamlException error)
        {
            var line = Line(yaml, error.Start.Line);
            throw NotATask(origin, line, error.Start.Line, TaskShape.Problem(error, line), error);
        }
        task = (task ?? throw new SlimmingException(ExitCode.Usage, $"{origin}: the task file is empty")) with
        {
            Origin = origin,
        };
        TaskShape.Check(task, origin);
        TaskChecks.Check(task);
        return task;
    }

    private static string Line(string yaml, long number) =>
        yaml.Split('\n').ElementAtOrDefault((int)number - 1)?.TrimEnd() ?? "";

    private static SlimmingException NotATask(string origin, string text, long line, string problem, Exception? inner)
    {
        const int most = 100;
        text = text.Trim();
        text = text.Length > most ? text[..most] + "..." : text;
        return new SlimmingException(ExitCode.Usage, $"{origin}: line {line} ({text}): {problem}", inner);
    }

    private static IReadOnlyList<TaskDefinition> ReadBuiltIn()
    {
        var assembly = Assembly.GetExecutingAssembly();
        return
        [
            .. assembly
                .GetManifestResourceNames()
                .Where(name => name.StartsWith("tasks/", StringComparison.Ordinal))
                .Order(StringComparer.Ordinal)
                .Select(name =>
                {
                    using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!);
                    return Parse(reader.ReadToEnd(), $"built-in {name}");
                }),
        ];
    }
}
