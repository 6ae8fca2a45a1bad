using System.Globalization;
using System.Text;
using Slimming.Evaluation.Statistics;
using Slimming.Results;

namespace Slimming.Cli.Report;

/// <summary>How far the models' confidence in their multiple-choice answers can be believed: diagrams and calibration error.</summary>
internal static class ReportCalibration
{
    /// <summary>A task (the members of a group as one) with the runs that have it.</summary>
    internal sealed record Chart(string Task, IReadOnlyList<(string Run, Calibration Found)> Runs);

    /// <summary>Calibration of every multiple-choice task that a run has.</summary>
    public static IReadOnlyList<Chart> Find(IReadOnlyList<ScoredRun> runs) =>
        [
            .. runs.SelectMany(run => run.Answers.Keys)
                .Distinct(StringComparer.Ordinal)
                .Select(task => new Chart(
                    task,
                    [
                        .. runs.Where(run => run.Answers.ContainsKey(task))
                            .Select(run => (run.Label, Calibration.Of(run.Answers[task]))),
                    ]
                )),
        ];

    /// <summary>Confidence and outcome of an item's answer; null where there were no choices.</summary>
    public static (string Task, Answered Answer)? AnswerOf(ItemRow row)
    {
        if (row.ChoiceLogprobs is not { } choices || row.Acc is not { } right)
        {
            return null;
        }
        // Groups stand from the whole to its parts.
        var task = row.Groups is { Count: > 0 } groups ? groups[0] : row.Task;
        return (task, new Answered(Calibration.ConfidenceOf(choices), right > 0.5, row.Cluster));
    }

    public static void Write(StringBuilder html, IReadOnlyList<Chart> charts)
    {
        if (charts.Count == 0)
        {
            return;
        }
        html.Append("<section>\n<h2>Calibration</h2>\n<div class=\"charts\">\n");
        for (var i = 0; i < charts.Count; i++)
        {
            html.Append(
                $"<figure><div class=\"chart square\" id=\"calibration-{i}\"></div><figcaption>{ReportPage.Text(charts[i].Task)}</figcaption></figure>\n"
            );
        }
        html.Append(
            "</div>\n<table class=\"calibration\"><thead><tr><th>task</th><th class=\"n\">confidence<span class=\"under\">accuracy</span></th>"
                + "<th class=\"n\">calibration error<span class=\"under\">95 % interval</span></th><th class=\"n\">by chance</th></tr></thead>\n<tbody>\n"
        );
        foreach (var (task, run, found) in charts.SelectMany(c => c.Runs, (c, r) => (c.Task, r.Run, r.Found)))
        {
            html.Append(
                $"<tr><td>{ReportPage.Name(task)}<span class=\"under\">{ReportPage.Text(run)}, n = {found.N}</span></td>"
                    + $"<td class=\"n\">{Number(found.Confidence)}<span class=\"under\">{Number(found.Accuracy)}</span></td>"
                    + $"<td class=\"n\">{Number(found.Error)}<span class=\"under\">[{Number(found.Interval.Low)}, {Number(found.Interval.High)}]</span></td>"
                    + $"<td class=\"n\">{Number(found.Chance)}</td></tr>\n"
            );
        }
        html.Append(
            "</tbody></table>\n<p class=\"muted\">Confidence: the chosen answer's probability among the choices. Diagrams: share of right answers "
                + "(with Wilson's 95 % interval) against mean confidence, in ten bins of equal width; on the dashed line confidence is true. "
                + "Calibration error: mean distance from that line, each bin weighted by its answers; interval by bias-corrected bootstrap. "
                + "By chance: what it would be at this n if all confidences were true.</p>\n</section>\n"
        );
    }

    /// <summary>What report.js draws: for each chart its runs, for each run the points.</summary>
    public static object Series(IReadOnlyList<Chart> charts) =>
        charts.Select(chart =>
            chart.Runs.Select(run => new
            {
                run = run.Run,
                points = run.Found.Bins.Select(bin =>
                    new[] { bin.Confidence, bin.Accuracy, bin.Interval.Low, bin.Interval.High }
                ),
            })
        );

    private static string Number(double value) => value.ToString("0.000", CultureInfo.InvariantCulture);
}
