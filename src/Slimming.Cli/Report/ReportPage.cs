using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Slimming.Evaluation.Scoring;
using Slimming.Gguf;
using Slimming.Results;
using Slimming.Shared;

namespace Slimming.Cli.Report;

/// <summary>Writes the report as one HTML file that needs nothing else: no network, no other file.</summary>
/// <remarks>
/// Everything that comes from data, models or paths is text and passes <see cref="Text"/>; the page's own policy allows
/// the two scripts below by their hashes and nothing more, so that a hole there would still run no script.
/// </remarks>
internal sealed class ReportPage
{
    private readonly StringBuilder _html = new();

    private ReportPage() { }

    public static string Write(ReportSources sources)
    {
        var page = new ReportPage();
        page.Head();
        page.Title(sources);
        page.Scores(sources.Scores);
        new ReportComparison(page._html).Write(sources.Scores, sources.Training);
        var calibration = ReportCalibration.Find(sources.Scores);
        ReportCalibration.Write(page._html, calibration);
        for (var i = 0; i < sources.Training.Count; i++)
        {
            page.Training(sources.Training[i], sources.Training.Take(i).Count(HasCurve));
        }
        ReportSamples.Write(page._html, sources.Scores);
        page.Settings(sources);
        page.Foot(sources.Training, calibration);
        return page._html.ToString();
    }

    private static bool HasCurve(TrainCurve run) => run.Points.Count > 0;

    internal static string Text(string? text) => WebUtility.HtmlEncode(text ?? "");

    /// <summary>A name with underscores, which may break after each of them.</summary>
    internal static string Name(string name) => Text(name).Replace("_", "_<wbr>", StringComparison.Ordinal);

    private static string Number(double value) => value.ToString("0.0000", CultureInfo.InvariantCulture);

    /// <summary>Three decimals tell what the items of a benchmark can tell; perplexities need fewer, divergences more.</summary>
    private static string Score(double value) =>
        value.ToString(
            Math.Abs(value) switch
            {
                > 0 and < 0.01 => "G3",
                < 10 => "0.000",
                _ => "0.00",
            },
            CultureInfo.InvariantCulture
        );

    private static string Resource(string name)
    {
        using var stream = typeof(ReportPage).Assembly.GetManifestResourceStream(name)!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }

    private static string PageFile(string name)
    {
        var path = Path.Combine(NativeFiles.Directory, "js", name);
        return File.Exists(path)
            ? File.ReadAllText(path)
            : throw new SlimmingException(
                ExitCode.Failed,
                $"{path} is missing: it draws the plots; build with 'dotnet cake --target=Build'"
            );
    }

    private static string HashOf(string script) =>
        $"'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(script)))}'";

    private void Head()
    {
        var scripts = $"{HashOf(PageFile("uPlot.iife.min.js"))} {HashOf(Resource("report.js"))}";
        _html.Append(
            $"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src {scripts}">
            <title>Slimming report</title>
            <style>{PageFile("uPlot.min.css")}
            {Resource("report.css")}</style>
            </head>
            <body>
            <main>

            """
        );
    }

    private void Title(ReportSources sources)
    {
        var model = sources.Training.Select(t => t.Told("model", "path")).FirstOrDefault(p => p is not null);
        _html.Append("<h1>Slimming report</h1>\n");
        if (model is not null)
        {
            _html.Append($"<p class=\"muted\">base model {Text(Path.GetFileName(model))}</p>\n");
        }
        foreach (var folder in sources.Unfinished)
        {
            _html.Append($"<p class=\"note\">{Text(folder)} is not finished; its scores are left out.</p>\n");
        }
    }

    private void Scores(IReadOnlyList<ScoredRun> runs)
    {
        if (runs.Count == 0)
        {
            return;
        }
        var isMany = runs.Count > 2;
        _html.Append(
            $"<section>\n<h2>Scores</h2>\n<div class=\"scroll\"><table class=\"scores{(isMany ? " many" : "")}\">\n<thead><tr><th>task</th>"
        );
        foreach (var run in runs)
        {
            _html.Append($"<th class=\"n\">{Name(run.Label)}<span class=\"under\">{Name(run.Info.Label)}</span></th>");
        }
        _html.Append("</tr></thead>\n<tbody>\n");
        foreach (var (task, metric) in runs.SelectMany(r => r.Metrics).Select(m => (m.Task, m.Metric)).Distinct())
        {
            var cells = runs.Select(r => r.Metrics.FirstOrDefault(m => m.Task == task && m.Metric == metric)).ToArray();
            var counts = string.Join(" / ", cells.OfType<MetricRow>().Select(c => c.N).Distinct().Order());
            _html.Append(
                $"<tr><td>{Name(task)}<span class=\"under\">{Name(metric)}{(ItemMetrics.IsLoss(metric) ? " &darr;" : "")}, n = {counts}</span></td>"
            );
            foreach (var (cell, run) in cells.Zip(runs))
            {
                // On a narrow screen the head is gone and each run stands on a line of its own.
                var name = isMany ? $"<span class=\"run\">{Name(run.Label)}</span>" : "";
                _html.Append($"<td class=\"n\">{name}{(cell is null ? "&ndash;" : Cell(cell))}</td>");
            }
            _html.Append("</tr>\n");
        }
        _html.Append(
            "</tbody></table></div>\n<p class=\"muted\">Value, standard error, 95 % interval; n items; &darr; lower is better; truncated: "
                + "items that did not fit the model's context and lost their oldest tokens. "
                + "Each interval is of one run alone: runs scored on the same items can differ clearly even where their "
                + "intervals overlap.</p>\n</section>\n"
        );
    }

    private static string Cell(MetricRow row)
    {
        var error = row.Stderr is { } stderr ? $"<span class=\"under\">&plusmn; {Score(stderr)}</span>" : "";
        var interval = row is { IntervalLow: { } low, IntervalHigh: { } high }
            ? $"<span class=\"under\">[{Score(low)}, {Score(high)}]</span>"
            : "";
        var truncated = row.Truncated > 0 ? $"<span class=\"under\">{row.Truncated} truncated</span>" : "";
        return Score(row.Value) + error + interval + truncated;
    }

    private void Training(TrainCurve run, int index)
    {
        var steps = run.Steps.ToArray();
        var evals = run.Evals.ToArray();
        _html.Append($"<section>\n<h2>Training: {Text(run.Folder)}</h2>\n<dl class=\"facts\">\n");
        Fact("method", run.Told("resolved", "method"));
        Fact("compute", run.Told("resolved", "compute"));
        Fact("steps", $"{(steps.Length > 0 ? steps[^1].Step : 0)}{(run.Done ? "" : ", unfinished")}");
        Fact("train loss, last step", steps.Length > 0 ? Number(steps[^1].Loss!.Value) : null);
        Fact("eval loss before", evals.Length > 0 && evals[0].Step == 0 ? Number(evals[0].EvalLoss!.Value) : null);
        Fact("eval loss after", evals.Length > 1 ? Number(evals[^1].EvalLoss!.Value) : null);
        var seconds = steps.Sum(s => s.Seconds);
        Fact("tokens", steps.Sum(s => s.Tokens).ToString("N0", CultureInfo.InvariantCulture));
        Fact(
            "tokens/s",
            seconds > 0 ? (steps.Sum(s => s.Tokens) / seconds).ToString("N0", CultureInfo.InvariantCulture) : null
        );
        _html.Append("</dl>\n");
        if (HasCurve(run))
        {
            _html.Append(
                $"<figure><div class=\"chart\" id=\"curve-{index}\"></div>"
                    + "<figcaption>Cross entropy per target token; evaluations read rows held out from training. Drag to zoom, double-click to "
                    + "go back.</figcaption></figure>\n"
            );
        }
        _html.Append("</section>\n");
    }

    private void Fact(string name, string? value)
    {
        if (value is not null)
        {
            _html.Append($"<div><dt>{Text(name)}</dt><dd>{Text(value)}</dd></div>\n");
        }
    }

    private void Settings(ReportSources sources)
    {
        _html.Append("<section>\n<h2>Settings and hashes</h2>\n");
        foreach (var run in sources.Training)
        {
            Table($"train: {run.Folder}", Flatten(run.Record, ""));
        }
        foreach (var run in sources.Scores)
        {
            var rows = run.Info.Settings.Concat(run.Info.Environment).Select(p => (p.Key, p.Value));
            Table($"bench: {run.Label} ({run.Folder})", rows.Prepend(("id", run.Info.Id)));
        }
        _html.Append("</section>\n");
    }

    private void Table(string title, IEnumerable<(string Key, string Value)> rows)
    {
        _html.Append($"<details><summary>{Text(title)}</summary>\n<table class=\"settings\"><tbody>\n");
        foreach (var (key, value) in rows)
        {
            _html.Append($"<tr><th>{Text(key)}</th><td>{Text(value)}</td></tr>\n");
        }
        _html.Append("</tbody></table></details>\n");
    }

    private static IEnumerable<(string Key, string Value)> Flatten(JsonNode? node, string name) =>
        node switch
        {
            JsonObject fields => fields.SelectMany(f => Flatten(f.Value, name.Length == 0 ? f.Key : $"{name}.{f.Key}")),
            JsonArray items when items.Any(i => i is JsonObject or JsonArray) => items.SelectMany(
                (item, i) => Flatten(item, $"{name}[{i}]")
            ),
            JsonArray items => [(name, string.Join(", ", items.Select(i => i?.ToString() ?? "null")))],
            _ => [(name, node?.ToString() ?? "null")],
        };

    private void Foot(IReadOnlyList<TrainCurve> training, IReadOnlyList<ReportCalibration.Chart> calibration)
    {
        // The default encoder writes <, > and & as \u003c and so on: no text can close the script element.
        var data = JsonSerializer.Serialize(
            new
            {
                curves = training.Where(HasCurve).Select(t => t.Series()),
                calibration = ReportCalibration.Series(calibration),
            }
        );
        _html.Append($"</main>\n<script type=\"application/json\" id=\"data\">{data}</script>\n");
        _html.Append($"<script>{PageFile("uPlot.iife.min.js")}</script>\n<script>{Resource("report.js")}</script>\n");
        _html.Append("</body>\n</html>\n");
    }
}
