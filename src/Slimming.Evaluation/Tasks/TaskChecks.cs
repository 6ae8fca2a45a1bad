using System.Text.RegularExpressions;
using Slimming.Evaluation.Items;
using Slimming.Evaluation.Scoring;
using Slimming.Evaluation.Text;
using Slimming.Gguf;

namespace Slimming.Evaluation.Tasks;

/// <summary>Refuses a definition that cannot be run as it stands, before any file is opened; names task and key.</summary>
internal static class TaskChecks
{
    /// <exception cref="SlimmingException">The first thing that is wrong.</exception>
    public static void Check(TaskDefinition task)
    {
        Require(task, task.Name.Length > 0, "name", "is missing");
        Require(
            task,
            task.Kind is not null,
            "kind",
            "is missing; expected multiple_choice, generate_until, perplexity or divergence"
        );
        Require(task, task.Data.Count > 0, "data", "is missing; expected a list of file names");
        Require(task, task.Items >= 0, "items", "is negative");
        Require(task, task.FirstRows >= 0, "first_rows", "is negative");
        Require(task, task.WindowLength >= 0, "window_length", "is negative");
        CheckFiles(task);
        CheckVariants(task);
        CheckTexts(task);
        CheckFewShot(task);
        var known = ItemMetrics.Of(task.Kind!.Value);
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
        Require(task, task.Metrics.Distinct(StringComparer.Ordinal).Count() == task.Metrics.Count, "metrics", "repeat");
        switch (task.Kind)
        {
            case TaskKind.MultipleChoice:
                CheckChoices(task);
                break;
            case TaskKind.GenerateUntil:
                CheckGeneration(task);
                break;
            case TaskKind.Divergence:
                CheckDivergence(task);
                break;
            default:
                CheckPerplexity(task);
                break;
        }
    }

    /// <summary>A task file names data below the data folder or beside itself, never elsewhere.</summary>
    private static void CheckFiles(TaskDefinition task)
    {
        Inside("data", task.Data);
        Inside("stand_ins", task.StandIns);
        Inside("few_shot.data", task.FewShot.Data);
        Inside("variants", task.Variants);

        void Inside(string key, IEnumerable<string> names)
        {
            var outside = names.FirstOrDefault(name =>
                Path.IsPathRooted(name) || name.Split('/', '\\').Contains("..", StringComparer.Ordinal)
            );
            Require(
                task,
                outside is null,
                key,
                $"has \"{outside}\"; expected names below --data-dir or beside the task file, without '..'"
            );
        }
    }

    private static void CheckVariants(TaskDefinition task)
    {
        var starred = task.Name.Contains('*', StringComparison.Ordinal);
        Require(task, starred == (task.Variants.Count > 0), "variants", "go with a * in name");
        Require(task, task.Name.Count(c => c == '*') <= 1, "name", "has more than one *");
        Require(task, starred || task.Group is null, "group", "goes with variants");
        Require(task, starred || task.Subgroups.Count == 0, "subgroups", "go with variants");
        foreach (var (name, variants) in task.Subgroups)
        {
            var stranger = variants.Except(task.Variants, StringComparer.Ordinal).FirstOrDefault();
            Require(task, variants.Count > 0, "subgroups", $"has no variants for {name}");
            Require(task, stranger is null, "subgroups", $"has in {name} the unknown variant \"{stranger}\"");
        }
    }

    /// <summary>Templates and filters, wherever they stand.</summary>
    private static void CheckTexts(TaskDefinition task)
    {
        Templates("description", [task.Description]);
        Templates("prompt", [task.Prompt]);
        Templates("choices", task.Choices);
        Templates("contexts", task.Contexts);
        Templates("continuation", [task.Continuation]);
        Templates("gold", [task.Gold]);
        Templates("target", [task.Target]);
        Templates("cluster", [task.Cluster]);
        Filters("prompt_filters", task.PromptFilters);
        Filters("choice_filters", task.ChoiceFilters);
        Filters("answer.filters", task.Answer.Filters);

        void Templates(string key, IEnumerable<string?> templates)
        {
            foreach (var template in templates.OfType<string>())
            {
                var problem = RowTemplate.Problem(template);
                Require(task, problem is null, key, $"\"{template}\": {problem}");
            }
        }

        void Filters(string key, List<string> filters)
        {
            var problem = filters.Select(TextFilters.Problem).FirstOrDefault(found => found is not null);
            Require(task, problem is null, key, $"has an {problem}");
        }
    }

    private static void CheckFewShot(TaskDefinition task)
    {
        var shots = task.FewShot;
        Require(task, shots.Count >= 0, "few_shot.count", "is negative");
        Require(task, shots.MaxTokens >= 0, "few_shot.max_tokens", "is negative");
        Require(
            task,
            shots.Samples.Count == 0 || shots.Data.Count == 0,
            "few_shot.samples",
            "stand in place of few_shot.data: only one of them"
        );
        Require(
            task,
            shots.Samples.Count == 0 || shots.Count <= shots.Samples.Count,
            "few_shot.count",
            $"is {shots.Count}, and few_shot.samples has {shots.Samples.Count}"
        );
    }

    private static void CheckChoices(TaskDefinition task)
    {
        if (task.Contexts.Count > 0)
        {
            Require(task, task.Continuation is not null, "continuation", "is missing beside contexts");
            Require(
                task,
                task.Prompt is null && task.Choices.Count == 0 && task.ChoicesField is null,
                "contexts",
                "exclude prompt and choices"
            );
            Require(
                task,
                task.Scoring == ChoiceScoring.Continuation,
                "scoring",
                "last_token has no place beside contexts"
            );
        }
        else
        {
            Require(task, task.Prompt is not null, "prompt", "is missing");
            Require(
                task,
                (task.Choices.Count > 0) != (task.ChoicesField is not null),
                "choices",
                "or choices_field: exactly one is needed"
            );
        }
        Require(task, task.Gold is not null, "gold", "is missing");
        Require(task, task.Target is null && task.TargetsField is null, "target", "has no place beside choices");
    }

    private static void CheckGeneration(TaskDefinition task)
    {
        Require(task, task.Prompt is not null, "prompt", "is missing");
        Require(task, task.Target is not null, "target", "is missing");
        Require(task, task.Choices.Count == 0 && task.ChoicesField is null, "choices", "have no place in a generation");
        Require(task, !task.Stops.Contains("", StringComparer.Ordinal), "stops", "has an empty text");
        Require(task, task.MaxGenTokens > 0, "max_gen_tokens", "is not positive");
        foreach (var pattern in task.Answer.Remove)
        {
            CheckRegex(task, "answer.remove", pattern);
        }
        CheckRegex(task, "answer.strict", task.Answer.Strict?.Regex);
        CheckRegex(task, "answer.flexible", task.Answer.Flexible?.Regex);
        var flexible = task.Metrics.Exists(metric => metric is "exact_match_flexible" or "tol_flex");
        Require(
            task,
            !flexible || task.Answer.Flexible is not null,
            "answer.flexible",
            "is missing for the metric that uses it"
        );
    }

    private static void CheckPerplexity(TaskDefinition task)
    {
        Require(task, task.Prompt is not null, "prompt", "is missing");
        Require(
            task,
            task.Windows == WindowRule.Rolling || task.WindowLength > 1,
            "window_length",
            "of disjoint windows and slices must be 2 or more"
        );
        Require(task, task.WindowCount >= 0, "window_count", "is negative");
        Require(
            task,
            task.Windows != WindowRule.Slices || task.WindowCount > 0,
            "window_count",
            "of slices must be 1 or more"
        );
        Require(task, task.FewShot.Count == 0, "few_shot", "has no place in a task over running text");
        var perText = task.Metrics.Find(metric => metric != "token_perplexity");
        Require(
            task,
            task.Windows == WindowRule.Rolling || perText is null,
            "metrics",
            $"has {perText}, which needs windows: rolling"
        );
    }

    private static void CheckDivergence(TaskDefinition task)
    {
        Require(task, task.Prompt is not null, "prompt", "is missing");
        Require(task, task.WindowLength is 0 or > 1, "window_length", "must be 2 or more");
        Require(task, task.WindowCount >= 0, "window_count", "is negative");
        Require(task, task.FewShot.Count == 0, "few_shot", "has no place in a task over running text");
    }

    private static void CheckRegex(TaskDefinition task, string key, string? pattern)
    {
        if (pattern is null)
        {
            return;
        }
        Require(task, pattern.Length > 0, key, "has an empty regular expression");
        try
        {
            _ = new Regex(pattern);
        }
        catch (ArgumentException error)
        {
            Require(task, false, key, $"regular expression {pattern}: {error.Message}");
        }
    }

    private static void Require(TaskDefinition task, bool holds, string key, string problem)
    {
        if (!holds)
        {
            var name = task.Name.Length > 0 ? $"task {task.Name} ({task.Origin})" : task.Origin;
            throw new SlimmingException(ExitCode.Usage, $"{name}: key '{key}' {problem}");
        }
    }
}
