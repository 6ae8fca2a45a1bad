using System.Reflection;
using System.Text.RegularExpressions;
using Slimming.Evaluation.Text;
using Slimming.Gguf;
using YamlDotNet.Core;
using YamlDotNet.Serialization;
using YamlDotNet.Serialization.NamingConventions;

namespace Slimming.Evaluation.Tasks;

/// <summary>Finds tasks: the built-in ones by name, a user's own by the path of its YAML file.</summary>
public static class TaskCatalog
{
    private static readonly string[] MultipleChoiceMetrics = ["acc", "acc_norm"];
    private static readonly string[] GenerationMetrics = ["exact_match_strict", "exact_match_flexible", "tol_flex"];
    private static readonly string[] PerplexityMetrics =
    [
        "word_perplexity",
        "byte_perplexity",
        "bits_per_byte",
        "token_perplexity",
    ];

    private static readonly Lazy<IReadOnlyList<TaskDefinition>> BuiltInTasks = new(ReadBuiltIn);

    /// <summary>The built-in definitions; one with variants stands for a task per variant.</summary>
    public static IReadOnlyList<TaskDefinition> BuiltIn => BuiltInTasks.Value;

    /// <summary>A task by built-in name, or by the path of a YAML file.</summary>
    /// <exception cref="SlimmingException">No such task, or the file is wrong; names the key.</exception>
    public static TaskDefinition Find(string nameOrPath)
    {
        ArgumentException.ThrowIfNullOrEmpty(nameOrPath);
        if (
            nameOrPath.EndsWith(".yaml", StringComparison.OrdinalIgnoreCase)
            || nameOrPath.EndsWith(".yml", StringComparison.OrdinalIgnoreCase)
        )
        {
            return File.Exists(nameOrPath)
                ? Parse(File.ReadAllText(nameOrPath), nameOrPath)
                : throw new SlimmingException(ExitCode.Usage, $"{nameOrPath}: no such task file");
        }
        foreach (var task in BuiltIn)
        {
            if (string.Equals(task.Name, nameOrPath, StringComparison.Ordinal))
            {
                return task;
            }
            foreach (var variant in task.Variants)
            {
                if (
                    string.Equals(
                        task.Name.Replace("*", variant, StringComparison.Ordinal),
                        nameOrPath,
                        StringComparison.Ordinal
                    )
                )
                {
                    return task with { Name = nameOrPath, Variant = variant, Variants = [] };
                }
            }
        }
        throw new SlimmingException(
            ExitCode.Usage,
            $"unknown task \"{nameOrPath}\"; expected one of {string.Join(", ", BuiltIn.Select(task => task.Name))}, "
                + "or the path of a .yaml task file ('slimming bench --list' shows them)"
        );
    }

    /// <summary>Reads and checks one definition.</summary>
    internal static TaskDefinition Parse(string yaml, string origin)
    {
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
            throw new SlimmingException(
                ExitCode.Usage,
                $"{origin}: line {error.Start.Line}: {error.InnerException?.Message ?? error.Message}",
                error
            );
        }
        task = (task ?? throw Wrong(origin, "file", "it is empty")) with { Origin = origin };
        Check(task);
        return task;
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

    private static void Check(TaskDefinition task)
    {
        Require(task, task.Name.Length > 0, "name", "is missing");
        Require(
            task,
            task.Name.Contains('*', StringComparison.Ordinal) == (task.Variants.Count > 0),
            "variants",
            "go with a * in name"
        );
        Require(
            task,
            task.Kind is not null,
            "kind",
            "is missing; expected multiple_choice, generate_until or perplexity"
        );
        Require(task, task.Data.Count > 0, "data", "is missing; expected a list of file names");
        Require(task, task.FewShot.Count >= 0, "few_shot.count", "is negative");
        foreach (var filter in task.PromptFilters.Concat(task.ChoiceFilters))
        {
            Require(
                task,
                TextFilters.Exists(filter),
                "filters",
                $"has unknown \"{filter}\"; expected {TextFilters.Names}"
            );
        }
        var known = task.Kind switch
        {
            TaskKind.MultipleChoice => MultipleChoiceMetrics,
            TaskKind.GenerateUntil => GenerationMetrics,
            _ => PerplexityMetrics,
        };
        Require(task, task.Metrics.Count > 0, "metrics", $"is missing; expected some of {string.Join(", ", known)}");
        foreach (var metric in task.Metrics)
        {
            Require(
                task,
                known.Contains(metric, StringComparer.Ordinal),
                "metrics",
                $"has unknown \"{metric}\"; expected {string.Join(", ", known)}"
            );
        }
        CheckKind(task);
    }

    private static void CheckKind(TaskDefinition task)
    {
        switch (task.Kind)
        {
            case TaskKind.MultipleChoice when task.Contexts.Count > 0:
                Require(task, task.Continuation is not null, "continuation", "is missing beside contexts");
                Require(
                    task,
                    task.Prompt is null && task.Choices.Count == 0 && task.ChoicesField is null,
                    "contexts",
                    "exclude prompt and choices"
                );
                Require(task, task.Gold is not null, "gold", "is missing");
                break;
            case TaskKind.MultipleChoice:
                Require(task, task.Prompt is not null, "prompt", "is missing");
                Require(
                    task,
                    (task.Choices.Count > 0) != (task.ChoicesField is not null),
                    "choices",
                    "or choices_field: exactly one is needed"
                );
                Require(task, task.Gold is not null, "gold", "is missing");
                break;
            case TaskKind.GenerateUntil:
                Require(task, task.Prompt is not null, "prompt", "is missing");
                Require(task, task.Target is not null, "target", "is missing");
                Require(task, !task.Stops.Contains("", StringComparer.Ordinal), "stops", "has an empty text");
                Require(task, task.MaxGenTokens > 0, "max_gen_tokens", "is not positive");
                foreach (
                    var pattern in task
                        .Answer.Remove.Append(task.Answer.Strict?.Regex)
                        .Append(task.Answer.Flexible?.Regex)
                )
                {
                    CheckRegex(task, pattern);
                }
                var flexible = task.Metrics.Exists(metric => metric is "exact_match_flexible" or "tol_flex");
                Require(
                    task,
                    !flexible || task.Answer.Flexible is not null,
                    "answer.flexible",
                    "is missing for the metric that uses it"
                );
                break;
            default:
                Require(task, task.Prompt is not null, "prompt", "is missing");
                Require(
                    task,
                    task.Windows != WindowRule.Disjoint || task.WindowLength > 1,
                    "window_length",
                    "of disjoint windows must be 2 or more"
                );
                Require(task, task.FewShot.Count == 0, "few_shot", "has no place in a perplexity task");
                break;
        }
    }

    private static void CheckRegex(TaskDefinition task, string? pattern)
    {
        try
        {
            _ = pattern is null ? null : new Regex(pattern);
        }
        catch (ArgumentException error)
        {
            throw Wrong(task.Origin, "answer", $"regular expression {pattern}: {error.Message}");
        }
    }

    private static void Require(TaskDefinition task, bool holds, string key, string problem)
    {
        if (!holds)
        {
            throw Wrong(task.Origin, key, problem);
        }
    }

    private static SlimmingException Wrong(string origin, string key, string problem) =>
        new(ExitCode.Usage, $"{origin}: key '{key}' {problem}");
}
