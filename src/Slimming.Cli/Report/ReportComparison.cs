using System.Globalization;
using System.Text;
using Slimming.Cli.Compare;
using Slimming.Evaluation.Comparing;
using Slimming.Evaluation.Statistics;
using Slimming.Gguf;

namespace Slimming.Cli.Report;

/// <summary>The part of the page that compares every scored run with the first: differences as a forest plot, items that changed.</summary>
/// <remarks>Drawn with boxes placed by per cent, so that it fits any width, follows light and dark, and needs no script.</remarks>
internal sealed class ReportComparison(StringBuilder html)
{
    /// <summary>Changed items shown of each task and kind; <c>compare --json</c> has all.</summary>
    private const int ShownItems = 30;

    private readonly ComparisonOptions _options = new();

    /// <param name="runs">The base first.</param>
    /// <param name="training">Runs on the page: their data are searched for benchmark items.</param>
    public void Write(IReadOnlyList<ScoredRun> runs, IReadOnlyList<TrainCurve> training)
    {
        if (runs.Count < 2)
        {
            return;
        }
        var start = runs[0];
        var all = new List<RunComparison>();
        html.Append($"<section>\n<h2>Differences from {ReportPage.Text(start.Label)}</h2>\n");
        foreach (var run in runs.Skip(1))
        {
            html.Append($"<h3>{ReportPage.Text(run.Label)}</h3>\n");
            try
            {
                var notes = new List<string>();
                var found = WithOverlap(RunComparer.Compare(start.Folder, [run.Folder], _options), training, notes);
                all.Add(found);
                Forest(found);
                Study(found);
                Distances(found);
                foreach (var note in found.Warnings.Concat(notes))
                {
                    html.Append($"<p class=\"note\">{ReportPage.Text(note)}</p>\n");
                }
                Overlaps(found);
                Transitions(found);
            }
            catch (SlimmingException error) when (error.Code == ExitCode.Usage)
            {
                html.Append($"<p class=\"note\">Not compared: {ReportPage.Text(error.Message)}</p>\n");
            }
        }
        Spread(RunComparer.Spread(all, _options));
        html.Append(
            FormattableString.Invariant(
                $"<p class=\"muted\">Dot: tuned minus base; bar: 95 % interval by paired bootstrap (BCa), or Student's t; grey band: a margin of &plusmn;{_options.Margin} within which a difference counts as none. p after Holm over the tasks of a run; equivalent: two one-sided tests against the margin. Perplexities: difference of the logarithm, less is better.</p>\n</section>\n"
            )
        );
    }

    /// <summary>What was trained on may be elsewhere by now; the comparison stands all the same.</summary>
    private static RunComparison WithOverlap(
        Comparison compared,
        IReadOnlyList<TrainCurve> training,
        List<string> notes
    )
    {
        try
        {
            return OverlapCheck.Add(compared, [.. training.Select(curve => curve.Folder)], [], notes.Add).Runs[0];
        }
        catch (SlimmingException error) when (error.Code == ExitCode.Usage)
        {
            notes.Add($"Overlap with training data was not looked for: {error.Message}");
            return compared.Runs[0];
        }
    }

    private void Forest(RunComparison run)
    {
        foreach (
            var unit in run.Tasks.Select(task => (task.Task, Metric: task.Primary)).GroupBy(row => row.Metric.Unit)
        )
        {
            var widest = unit.Max(row => Math.Max(Math.Abs(Bar(row.Metric).Low), Math.Abs(Bar(row.Metric).High)));
            var scale = 1.05 * Math.Max(widest, _options.Margin);
            html.Append(
                $"<table class=\"forest\"><thead><tr><th>task</th><th class=\"plot\">difference, {ReportPage.Text(unit.Key)}"
                    + "</th><th class=\"n\">verdict</th></tr></thead>\n<tbody>\n"
            );
            foreach (var (task, metric) in unit)
            {
                Row(task, metric, scale);
            }
            html.Append("</tbody></table>\n");
        }
    }

    /// <summary>What several runs of one recipe (seeds) have in common; folded, for the runs of a page may be different things.</summary>
    private void Spread(IReadOnlyList<TaskSpread> tasks)
    {
        if (tasks.Count == 0)
        {
            return;
        }
        html.Append(
            $"<details><summary>Mean and spread over the {tasks.Max(task => task.Runs)} runs, where they differ in their seed alone</summary>\n"
                + "<table class=\"scores\"><thead><tr><th>task</th><th class=\"n\">mean difference<span class=\"under\">deviation over runs</span></th>"
                + "<th class=\"n\">95 % interval<span class=\"under\">lowest to highest</span></th></tr></thead>\n<tbody>\n"
        );
        foreach (var task in tasks)
        {
            var interval = task.Interval is { } near ? $"[{Signed(near.Low)}, {Signed(near.High)}]" : "&ndash;";
            html.Append(
                $"<tr><td>{ReportPage.Name(task.Task)}<span class=\"under\">{ReportPage.Name(task.Metric)}, {task.Runs} runs</span></td>"
                    + $"<td class=\"n\">{Signed(task.MeanDifference)}<span class=\"under\">{Signed(task.Deviation ?? 0)[1..]}</span></td>"
                    + $"<td class=\"n\">{interval}<span class=\"under\">{Signed(task.Lowest)} to {Signed(task.Highest)}</span></td></tr>\n"
            );
        }
        html.Append("</tbody></table></details>\n");
    }

    private void Row(string task, MetricComparison metric, double scale)
    {
        var bar = Bar(metric);
        var known = metric.Bootstrap is not null || metric.Interval is not null;
        var interval =
            known ? $" [{Signed(bar.Low)}, {Signed(bar.High)}]"
            : metric.Difference == 0 ? ", no item changed"
            : ", no interval: all items moved alike";
        var p = metric.PHolm is { } holm ? $"p {(holm < 0.0001 ? "&lt; 0.0001" : Number(holm))}" : "";
        html.Append(
            $"""
            <tr><td>{ReportPage.Name(task)}<span class="under">{ReportPage.Name(
                metric.Metric
            )}, n = {metric.N}</span></td>
            <td class="plot"><div class="track"><i class="margin" style="{Span(
                -_options.Margin,
                _options.Margin,
                scale
            )}"></i><i class="zero"></i><i class="bar" style="{Span(
                bar.Low,
                bar.High,
                scale
            )}"></i><i class="dot" style="left:{Percent(metric.Difference, scale)}"></i></div>
            <span class="under">{Signed(metric.Difference)}{interval}</span></td>
            <td class="n">{metric.Verdict}<span class="under">{p}</span></td></tr>

            """
        );
    }

    private void Study(RunComparison run)
    {
        if (run.Tasks.All(task => task.Study.Count == 0))
        {
            return;
        }
        html.Append(
            "<details><summary>FR, delta A, delta K</summary>\n<table class=\"scores\"><thead><tr><th>measure</th><th class=\"n\">value"
                + "<span class=\"under\">&plusmn; 1 standard error</span></th><th class=\"n\">95 % interval<span class=\"under\">of unpaired errors</span></th></tr></thead>\n<tbody>\n"
        );
        foreach (var (task, row) in run.Tasks.SelectMany(task => task.Study, (task, row) => (task.Task, row)))
        {
            html.Append(
                $"<tr><td>{ReportPage.Name(row.Name)}, {ReportPage.Name(task)}<span class=\"under\">{ReportPage.Name(row.Metric)}: {ReportPage.Text(row.Definition)}</span></td>"
                    + $"<td class=\"n\">{Two(row.Value)}<span class=\"under\">&plusmn; {Two(row.Stderr)}</span></td>"
                    + $"<td class=\"n\">{Two(row.Interval)}<span class=\"under\">{Two(row.IntervalUnpaired)}</span></td></tr>\n"
            );
        }
        html.Append("</tbody></table></details>\n");
    }

    private void Distances(RunComparison run)
    {
        foreach (var found in run.Divergence)
        {
            var reference = found.Reference == "other" ? found.ReferenceName : found.Reference;
            html.Append(
                $"<p>{ReportPage.Text(found.Task)}, {found.Run} from {ReportPage.Text(reference)}: mean KL {Distance(found.MeanKl)} nats, 99th percentile "
                    + $"{Distance(found.KlP99)}, same most likely token {Distance(found.SameTop1)}; {found.Tokens} tokens in {found.Windows} windows.</p>\n"
            );
        }
    }

    private void Overlaps(RunComparison run)
    {
        foreach (var task in run.Overlap?.Found ?? [])
        {
            html.Append(
                $"<details class=\"items\"><summary>{ReportPage.Name(task.Task)}: {task.Found.Count} of {task.Items} items share {run.Overlap!.Words} words in a row with training rows</summary>\n"
                    + "<table class=\"settings\"><tbody>\n"
            );
            foreach (var item in task.Found.Take(ShownItems))
            {
                html.Append(
                    $"<tr><th>item {item.Doc}, {item.Shared} of {item.Of}; {ReportPage.Text(item.Source)}, row {item.Row}</th><td>{ReportPage.Text(item.Text)}</td></tr>\n"
                );
            }
            html.Append("</tbody></table></details>\n");
        }
    }

    private void Transitions(RunComparison run)
    {
        foreach (var task in run.Tasks)
        {
            if (task.Transitions is not { Items.Count: > 0 } moves)
            {
                continue;
            }
            html.Append(
                $"<details class=\"items\"><summary>{ReportPage.Name(task.Task)}: {moves.RightWrong} right to wrong, {moves.WrongRight} wrong to "
                    + $"right, {moves.RightRight} stayed right, {moves.WrongWrong} stayed wrong</summary>\n"
            );
            foreach (var kind in moves.Items.GroupBy(item => item.Kind))
            {
                foreach (var item in kind.Take(ShownItems))
                {
                    Item(item);
                }
                if (kind.Count() > ShownItems)
                {
                    html.Append(
                        $"<p class=\"muted\">{kind.Count() - ShownItems} more {kind.Key.Replace('_', ' ')}; slimming compare --json has all.</p>\n"
                    );
                }
            }
            html.Append("</details>\n");
        }
    }

    private void Item(Transition item)
    {
        html.Append($"<div class=\"sample\">\n<h3>item {item.Doc}, {item.Kind.Replace('_', ' ')}</h3>\n");
        foreach (
            var (who, text) in new[]
            {
                ("asked", item.Question),
                ("expected", item.Expected),
                ("base", item.BaseAnswer),
                ("tuned", item.TunedAnswer),
            }
        )
        {
            if (text is not null)
            {
                html.Append($"<div class=\"who\">{who}</div><pre>{ReportPage.Text(text)}</pre>\n");
            }
        }
        html.Append("</div>\n");
    }

    /// <summary>Without an interval the bar is the dot's own place.</summary>
    private static Interval Bar(MetricComparison metric) =>
        metric.Bootstrap ?? metric.Interval ?? new Interval(metric.Difference, metric.Difference);

    private static string Span(double low, double high, double scale) =>
        $"left:{Percent(low, scale)};right:{Percent(-high, scale)}";

    /// <summary>Place of a value between -scale (0 %) and scale (100 %).</summary>
    private static string Percent(double value, double scale) =>
        (50 + (50 * value / scale)).ToString("0.##", CultureInfo.InvariantCulture) + "%";

    private static string Two(double? value) => value?.ToString("0.00", CultureInfo.InvariantCulture) ?? "&ndash;";

    private static string Two(Interval? interval) =>
        interval is { } known ? $"[{Two(known.Low)}, {Two(known.High)}]" : "&ndash;";

    private static string Distance(Score score) =>
        score.Interval is { } near
            ? FormattableString.Invariant($"{score.Value:G3} [{near.Low:G3}, {near.High:G3}]")
            : FormattableString.Invariant($"{score.Value:G3}");

    private static string Number(double value) => value.ToString("0.0000", CultureInfo.InvariantCulture);

    private static string Signed(double value) => value.ToString("+0.000;-0.000;0.000", CultureInfo.InvariantCulture);
}
