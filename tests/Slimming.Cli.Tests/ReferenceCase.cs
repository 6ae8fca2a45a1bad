using System.Text;
using System.Text.Json.Nodes;
using Slimming.Gguf;

namespace Slimming.Cli.Tests;

/// <summary>One reference training run (case.json) and its batches as a file that <c>train</c> reads.</summary>
internal sealed class ReferenceCase
{
    private readonly JsonObject _case;

    public ReferenceCase(string folder)
    {
        Folder = folder;
        _case = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "case.json")))!.AsObject();
    }

    public string Folder { get; }

    public IReadOnlyList<JsonObject> Steps => [.. _case["steps"]!.AsArray().Select(step => step!.AsObject())];

    public double EvalBefore => _case["eval_before"]!.GetValue<double>();

    public double EvalAfter => _case["eval_after"]!.GetValue<double>();

    /// <summary>All sequences of all steps in order.</summary>
    public string WriteData(string path) => Write(path, Steps.SelectMany(step => step["sequences"]!.AsArray()));

    public string WriteEvalData(string path) => Write(path, _case["eval_sequences"]!.AsArray());

    /// <summary>Checks every row against the reference, within the tolerances of its README.</summary>
    public void ShouldMatch(string run, double lossTolerance = 5e-5, double normTolerance = 1e-3)
    {
        var rows = File.ReadLines(Path.Combine(run, "metrics.jsonl")).Select(line => JsonNode.Parse(line)!).ToList();
        var steps = rows.Where(row => row["loss"] is not null).ToList();
        steps.Count.ShouldBe(Steps.Count);
        foreach (var (expected, found) in Steps.Zip(steps))
        {
            var where = $"step {found["step"]}";
            found["step"]!.GetValue<int>().ShouldBe(expected["index"]!.GetValue<int>() + 1);
            Near(found["lr"]!, expected["lr"]!, 1e-18, where);
            Near(found["loss"]!, expected["loss"]!, lossTolerance, where);
            Near(
                found["grad_norm"]!,
                expected["grad_norm"]!,
                normTolerance * expected["grad_norm"]!.GetValue<double>(),
                where
            );
            found["target_tokens"]!.GetValue<long>().ShouldBe(expected["n_targets"]!.GetValue<long>(), where);
        }
        var evals = rows.Where(row => row["eval_loss"] is not null).ToList();
        evals.Select(row => row["step"]!.GetValue<int>()).ShouldBe([0, Steps.Count]);
        Near(evals[0]["eval_loss"]!, EvalBefore, lossTolerance, "eval before");
        Near(evals[1]["eval_loss"]!, EvalAfter, lossTolerance, "eval after");
    }

    /// <summary>Checks the trained tensors: L2 of the difference by L2 of the whole update.</summary>
    public static void ShouldEndAt(string initPath, string finalPath, string foundPath, double tolerance = 1e-2)
    {
        using var init = GgufFile.Open(initPath);
        using var final = GgufFile.Open(finalPath);
        using var found = GgufFile.Open(foundPath);
        double difference = 0;
        double update = 0;
        foreach (var tensor in final.Tensors)
        {
            var start = Values(init, tensor.Name);
            var expected = Values(final, tensor.Name);
            var actual = Values(found, tensor.Name);
            actual.Length.ShouldBe(expected.Length, tensor.Name);
            for (var i = 0; i < expected.Length; i++)
            {
                difference += Math.Pow(actual[i] - expected[i], 2);
                update += Math.Pow((double)expected[i] - start[i], 2);
            }
        }
        update.ShouldBeGreaterThan(0);
        (Math.Sqrt(difference) <= tolerance * Math.Sqrt(update)).ShouldBeTrue(
            $"difference {Math.Sqrt(difference):g3}, update {Math.Sqrt(update):g3}"
        );
    }

    private static ReadOnlySpan<float> Values(GgufFile file, string name)
    {
        var tensor = file.Find(name).ShouldNotBeNull(name);
        tensor.Type.ShouldBe(GgmlType.F32, name);
        return System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(file.Data(tensor));
    }

    private static void Near(JsonNode found, JsonNode expected, double tolerance, string where)
    {
        var (a, b) = (found.GetValue<double>(), expected.GetValue<double>());
        (Math.Abs(a - b) <= tolerance).ShouldBeTrue($"{where}: expected {b:R} within {tolerance:g2}, found {a:R}");
    }

    private static string Write(string path, IEnumerable<JsonNode?> sequences)
    {
        StringBuilder text = new();
        foreach (var sequence in sequences)
        {
            var tokens = sequence!["tokens"]!.AsArray().Select(id => id!.GetValue<int>()).ToArray();
            var targets = sequence["targets"]!.AsArray().Select(id => id!.GetValue<int>()).ToArray();
            // Targets are shifted there; labels are not: labels[t + 1] = targets[t].
            targets[^1].ShouldBe(-1);
            var labels = targets[..^1].Select(id => id < 0 ? -100 : id).Prepend(-100);
            text.AppendLine($"{{\"input_ids\":[{string.Join(',', tokens)}],\"labels\":[{string.Join(',', labels)}]}}");
        }
        File.WriteAllText(path, text.ToString());
        return path;
    }
}
