using System.Globalization;
using Slimming.Cli.CommandLine;
using Slimming.Evaluation.Comparing;
using Slimming.Evaluation.Statistics;
using Spectre.Console;

namespace Slimming.Cli.Compare;

/// <summary>Tables of <c>compare</c>.</summary>
internal static class CompareDisplay
{
    /// <summary>Characters of a question's end and of an answer that a printed item shows.</summary>
    private const int ShownText = 160;

    public static void Write(VerbContext context, Comparison comparison, int items)
    {
        var console = context.OutputConsole();
        foreach (var run in comparison.Runs)
        {
            context.Say($"{run.Tuned} ({run.Label}) against {comparison.Base}");
            if (run.Tasks.Count > 0)
            {
                Scores(run, comparison.Options).Write(console);
                Differences(run, comparison.Options).Write(console);
            }
            WriteStudy(console, run);
            WriteDivergence(console, run, comparison.Options);
            WriteTransitions(console, context, run, items);
            OverlapCheck.Write(context, run, items);
        }
        if (comparison.Spread.Count > 0)
        {
            Spread(comparison).Write(console);
        }
        WriteNotes(context.Output, comparison.Options);
    }

    private static FitTable Scores(RunComparison run, ComparisonOptions options)
    {
        var level = Level(options);
        var table = Start("task", "metric", "n", "base", "stderr", level, "tuned", "stderr", level);
        foreach (var (task, metric) in Rows(run))
        {
            table.AddRow(
                task.Task,
                Name(metric),
                Count(metric),
                Number(metric.Base.Value),
                Number(metric.Base.Stderr),
                Bounds(metric.Base.Interval),
                Number(metric.Tuned.Value),
                Number(metric.Tuned.Stderr),
                Bounds(metric.Tuned.Interval)
            );
        }
        return table;
    }

    private static FitTable Differences(RunComparison run, ComparisonOptions options)
    {
        var level = Level(options);
        var table = Start(
            "task",
            "metric",
            "tuned - base",
            "stderr",
            $"{level} bootstrap",
            $"{level} t",
            "b / c",
            "p",
            "p Holm",
            "detectable",
            "p equivalence",
            "verdict"
        );
        foreach (var (task, metric) in Rows(run))
        {
            table.AddRow(
                task.Task,
                Name(metric),
                Signed(metric.Difference),
                Number(metric.Stderr),
                Bounds(metric.Bootstrap),
                Bounds(metric.Interval),
                metric.McNemar is { } counts ? $"{counts.B} / {counts.C}" : "-",
                Probability(metric.P) + (metric.Test == "exact McNemar" || metric.P is null ? "" : $" ({metric.Test})"),
                Probability(metric.PHolm),
                Number(metric.Mde),
                Probability(metric.PEquivalence),
                metric.Verdict ?? ""
            );
        }
        return table;
    }

    private static void WriteStudy(IAnsiConsole console, RunComparison run)
    {
        FitTable table = new(
            3,
            "task",
            "metric",
            "measure",
            "value",
            "SE",
            "95% interval",
            "SE unpaired",
            "95% unpaired"
        );
        foreach (var task in run.Tasks)
        {
            foreach (var measure in task.Study)
            {
                table.AddRow(
                    task.Task,
                    measure.Metric,
                    $"{measure.Name} = {measure.Definition}",
                    Two(measure.Value),
                    measure.Stderr is { } error ? Two(error) : "-",
                    measure.Interval is { } near ? $"{Two(near.Low)} to {Two(near.High)}" : "-",
                    measure.StderrUnpaired is { } far ? Two(far) : "-",
                    measure.IntervalUnpaired is { } wide ? $"{Two(wide.Low)} to {Two(wide.High)}" : "-"
                );
            }
        }
        if (!table.IsEmpty)
        {
            table.Write(console);
        }
    }

    private static void WriteDivergence(IAnsiConsole console, RunComparison run, ComparisonOptions options)
    {
        if (run.Divergence.Count == 0)
        {
            return;
        }
        FitTable table = new(3, "task", "distance", "metric", "value", "stderr", Level(options), "tokens", "windows");
        foreach (var found in run.Divergence)
        {
            foreach (
                var (name, score) in new[]
                {
                    ("mean KL", found.MeanKl),
                    ("KL, 99th percentile", found.KlP99),
                    ("same top-1", found.SameTop1),
                }
            )
            {
                table.AddRow(
                    found.Task,
                    $"{found.Run} from {(found.Reference == "other" ? found.ReferenceName : found.Reference)}",
                    name,
                    Significant(score.Value),
                    score.Stderr is { } error ? Significant(error) : "-",
                    score.Interval is { } near ? $"{Significant(near.Low)} to {Significant(near.High)}" : "-",
                    Whole(found.Tokens),
                    Whole(found.Windows)
                );
            }
        }
        table.Write(console);
    }

    private static void WriteTransitions(IAnsiConsole console, VerbContext context, RunComparison run, int items)
    {
        var table = Start("task", "metric", "stayed right", "right to wrong", "wrong to right", "stayed wrong");
        foreach (var (task, moves) in run.Tasks.Select(task => (task, task.Transitions)))
        {
            if (moves is not null)
            {
                table.AddRow(
                    task.Task,
                    moves.Metric,
                    Whole(moves.RightRight),
                    Whole(moves.RightWrong),
                    Whole(moves.WrongRight),
                    Whole(moves.WrongWrong)
                );
            }
        }
        if (!table.IsEmpty)
        {
            table.Write(console);
        }
        foreach (var task in run.Tasks.Where(task => task.Transitions is not null))
        {
            foreach (
                var item in task.Transitions!.Items.GroupBy(item => item.Kind).SelectMany(kind => kind.Take(items))
            )
            {
                context.Say($"{task.Task}, doc {item.Doc}, {item.Kind.Replace('_', ' ')}");
                context.Say($"  asked    {Short(item.Question, fromEnd: true)}");
                context.Say($"  expected {Short(item.Expected)}");
                context.Say($"  base     {Short(item.BaseAnswer)}");
                context.Say($"  tuned    {Short(item.TunedAnswer)}");
            }
        }
    }

    private static FitTable Spread(Comparison comparison)
    {
        var level = Level(comparison.Options);
        var table = Start(
            "task",
            "metric",
            "runs",
            "base",
            "mean tuned",
            "mean difference",
            "deviation over runs",
            "lowest",
            "highest",
            $"{level} t over runs"
        );
        foreach (var task in comparison.Spread)
        {
            table.AddRow(
                task.Task,
                task.Metric,
                Whole(task.Runs),
                Number(task.Base),
                Number(task.MeanTuned),
                Signed(task.MeanDifference),
                Number(task.Deviation),
                Signed(task.Lowest),
                Signed(task.Highest),
                Bounds(task.Interval)
            );
        }
        return table;
    }

    private static void WriteNotes(TextWriter output, ComparisonOptions options)
    {
        output.WriteLine(
            FormattableString.Invariant(
                $"* primary metric: p Holm and verdict are about it, and where a group of tasks is compared about the group. b / c: right in base alone / in tuned alone. Detectable: at power {options.Power}, alpha {options.Alpha}, normal approximation (the exact test has power 0.75 to 0.80 there)."
            )
        );
        output.WriteLine(
            FormattableString.Invariant(
                $"Equivalent: p equivalence <= {options.Alpha} against a margin of +-{options.Margin} (share of items, or nats). Perplexities: differences are of log perplexity, less is better. Bootstrap: BCa, {options.Resamples} draws, seed {options.Seed}."
            )
        );
    }

    private static IEnumerable<(TaskComparison Task, MetricComparison Metric)> Rows(RunComparison run) =>
        run.Tasks.SelectMany(task => task.Metrics, (task, metric) => (task, metric));

    /// <summary>Task and metric name a row.</summary>
    private static FitTable Start(params string[] columns) => new(2, columns);

    private static string Name(MetricComparison metric) => metric.Primary ? metric.Metric + " *" : metric.Metric;

    private static string Count(MetricComparison metric) =>
        Whole(metric.N) + (metric.Clusters is { } texts ? $" in {Whole(texts)} texts" : "");

    private static string Level(ComparisonOptions options) =>
        (100 * options.Level).ToString("0.##", CultureInfo.InvariantCulture) + "%";

    private static string Whole(long value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Number(double? value) => value?.ToString("0.0000", CultureInfo.InvariantCulture) ?? "-";

    private static string Signed(double value) =>
        value.ToString("+0.0000;-0.0000;0.0000", CultureInfo.InvariantCulture);

    /// <summary>Divergences may be far below the fourth decimal.</summary>
    private static string Significant(double value) => value.ToString("G4", CultureInfo.InvariantCulture);

    private static string Two(double value) => value.ToString("0.00", CultureInfo.InvariantCulture);

    private static string Probability(double? p) =>
        p switch
        {
            null => "-",
            < 0.0001 => "< 0.0001",
            { } value => value.ToString("0.0000", CultureInfo.InvariantCulture),
        };

    private static string Bounds(Interval? interval) =>
        interval is { } known ? $"{Number(known.Low)} to {Number(known.High)}" : "-";

    private static string Short(string? text, bool fromEnd = false)
    {
        var line = (text ?? "-").ReplaceLineEndings(" ");
        if (line.Length <= ShownText)
        {
            return line;
        }
        return fromEnd ? "..." + line[^ShownText..] : line[..ShownText] + "...";
    }
}
