using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Slimming.Gguf;
using Slimming.Shared;

namespace Slimming.Cli.Report;

/// <summary>One row of metrics.jsonl as the report needs it: a step, or an evaluation after it.</summary>
internal sealed record CurvePoint(int Step, double? Loss, double? EvalLoss, long Tokens, double Seconds);

/// <summary>A training run's curve and record.</summary>
internal sealed record TrainCurve(string Folder, bool Done, JsonObject Record, IReadOnlyList<CurvePoint> Points)
{
    private const int FewestForMean = 60;
    private static readonly JsonDocumentOptions s_strict = new() { AllowDuplicateProperties = false };

    /// <summary>Steps that had a loss.</summary>
    public IEnumerable<CurvePoint> Steps => Points.Where(p => p.Loss is not null);

    public IEnumerable<CurvePoint> Evals => Points.Where(p => p.EvalLoss is not null);

    /// <summary>A value of the record; null where there is no such thing.</summary>
    public string? Told(string part, string name) =>
        Record[part] is JsonObject fields && fields[name] is JsonValue value ? value.ToString() : null;

    /// <summary>Reads run.json and metrics.jsonl of a run folder.</summary>
    /// <exception cref="SlimmingException">A file is missing or not what a run writes; the row is named.</exception>
    public static TrainCurve Read(string folder)
    {
        var path = Path.Combine(folder, "metrics.jsonl");
        var recordPath = Path.Combine(folder, "run.json");
        RegularFile.Require(recordPath);
        RegularFile.Require(path);
        var record = ParseObject(recordPath, File.ReadAllBytes(recordPath));
        var points = new List<CurvePoint>();
        foreach (var line in File.ReadLines(path))
        {
            var place = $"{path}, row {points.Count} (from 0)";
            var row = ParseObject(place, Encoding.UTF8.GetBytes(line));
            points.Add(ReadPoint(place, row));
        }
        return new TrainCurve(folder, File.Exists(Path.Combine(folder, "DONE")), record, points);
    }

    /// <summary>The series of the chart: one x for every step that has a value; null where a series has none there.</summary>
    public object Series()
    {
        var steps = Points.Select(p => p.Step).Distinct().Order().ToArray();
        var loss = Steps.GroupBy(p => p.Step).ToDictionary(g => g.Key, g => g.Last().Loss);
        var eval = Evals.GroupBy(p => p.Step).ToDictionary(g => g.Key, g => g.Last().EvalLoss);
        var window = Math.Max(5, loss.Count / 20);
        return new
        {
            steps,
            loss = steps.Select(s => loss.GetValueOrDefault(s)),
            evalLoss = steps.Select(s => eval.GetValueOrDefault(s)),
            mean = loss.Count < FewestForMean ? null : RunningMean(steps, loss, window),
            window,
        };
    }

    private static double?[] RunningMean(int[] steps, Dictionary<int, double?> loss, int window)
    {
        var recent = new Queue<double>();
        var means = new double?[steps.Length];
        for (var i = 0; i < steps.Length; i++)
        {
            if (loss.GetValueOrDefault(steps[i]) is not { } value)
            {
                continue;
            }
            recent.Enqueue(value);
            if (recent.Count > window)
            {
                recent.Dequeue();
            }
            means[i] = recent.Count == window ? recent.Average() : null;
        }
        return means;
    }

    private static CurvePoint ReadPoint(string place, JsonObject row)
    {
        try
        {
            var point = new CurvePoint(
                row["step"]?.GetValue<int>() ?? throw new SlimmingException(ExitCode.Usage, $"{place}: no 'step'"),
                Finite(row["loss"]),
                Finite(row["eval_loss"]),
                row["tokens"]?.GetValue<long>() ?? 0,
                Finite(row["seconds"]) ?? 0
            );
            // A step whose rows had no sample has a loss of null.
            return row.ContainsKey("loss") || point.EvalLoss is not null
                ? point
                : throw new SlimmingException(ExitCode.Usage, $"{place}: expected 'loss' or 'eval_loss'");
        }
        catch (Exception e) when (e is InvalidOperationException or FormatException)
        {
            throw new SlimmingException(ExitCode.Usage, $"{place}: a number was expected: {e.Message}", e);
        }
    }

    private static double? Finite(JsonNode? node)
    {
        var value = node?.GetValue<double>();
        return value is null || double.IsFinite(value.Value) ? value : throw new FormatException($"found {value}");
    }

    private static JsonObject ParseObject(string place, byte[] text)
    {
        try
        {
            // Half a surrogate pair would come to light only where the text is used.
            return (StrictText.NotUtf8(text) ?? StrictText.NotJson(text)) is { } fault
                ? throw new JsonException(fault)
                : JsonNode.Parse(text, documentOptions: s_strict) as JsonObject
                    ?? throw new SlimmingException(ExitCode.Usage, $"{place}: expected a JSON object");
        }
        catch (JsonException e)
        {
            throw new SlimmingException(ExitCode.Usage, $"{place}: expected the JSON of a run: {e.Message}", e);
        }
    }
}
