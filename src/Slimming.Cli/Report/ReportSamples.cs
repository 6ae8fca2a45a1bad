using System.Text;
using Slimming.Evaluation.Scoring;
using Slimming.Results;

namespace Slimming.Cli.Report;

/// <summary>What each run wrote to the same prompts, side by side.</summary>
internal static class ReportSamples
{
    public static void Write(StringBuilder html, IReadOnlyList<ScoredRun> runs)
    {
        var items = runs.SelectMany(r => r.Samples).Select(s => (s.Task, s.Doc)).Distinct().ToArray();
        if (items.Length == 0)
        {
            return;
        }
        html.Append(
            "<section>\n<h2>Generated answers</h2>\n<p class=\"muted\">The first items of each task, as they came.</p>\n"
        );
        foreach (var (task, doc) in items)
        {
            var rows = runs.Select(r => (r, Row: r.Samples.FirstOrDefault(s => s.Task == task && s.Doc == doc)))
                .Where(x => x.Row is not null)
                .ToArray();
            html.Append($"<div class=\"sample\">\n<h3>{ReportPage.Text(task)}, item {doc}</h3>\n");
            var first = rows[0].Row!;
            Part(html, "asked", First(first.Questions ?? first.Contexts));
            Part(html, "expected", First(first.Continuations));
            html.Append("<div class=\"answers\">\n");
            foreach (var (run, row) in rows)
            {
                html.Append("<div>");
                Part(html, ReportPage.Text(run.Label) + Outcome(run, row!), row!.Generated ?? "");
                html.Append("</div>\n");
            }
            html.Append("</div>\n</div>\n");
        }
        html.Append("</section>\n");
    }

    private static string? First(IReadOnlyList<string>? texts) => texts is { Count: > 0 } ? texts[0] : null;

    private static string Outcome(ScoredRun run, ItemRow row)
    {
        var metrics = run.Metrics.Where(metric => metric.Task == row.Task).Select(metric => metric.Metric).ToList();
        var score = ItemMetrics.Score(ItemMetrics.Primary(metrics), row);
        return score switch
        {
            1 => ", right",
            0 => ", wrong",
            _ => FormattableString.Invariant($", {score:0.00}"),
        };
    }

    /// <param name="html">Where to.</param>
    /// <param name="who">Markup.</param>
    /// <param name="text">Text of data or models.</param>
    private static void Part(StringBuilder html, string who, string? text)
    {
        if (text is not null)
        {
            html.Append($"<div class=\"who\">{who}</div><pre>{ReportPage.Text(text)}</pre>\n");
        }
    }
}
