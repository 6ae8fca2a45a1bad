using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Slimming.Gguf;

namespace Slimming.Cli.Tests.Reliability;

/// <summary>50,000 real steps: every number that counts something is the one that arithmetic gives.</summary>
public sealed class LongRunTests : IDisposable
{
    private const int Interruptions = 5;
    private readonly TempFolder _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void Counters_do_not_drift() => Run(steps: 400);

    [Fact]
    [Trait("Category", "Slow")]
    public void Counters_do_not_drift_in_50_000_steps() => Run(steps: 50_000);

    private void Run(int steps)
    {
        // 5 samples of 2 to 6 tokens, all but the first of each a target: 3 steps an epoch.
        int[] lengths = [2, 3, 4, 5, 6];
        var data = _temp.Write(
            "data.jsonl",
            string.Concat(
                lengths.Select(
                    (n, i) =>
                    {
                        var ids = string.Join(',', Enumerable.Range(0, n).Select(at => 7 + (31 * i) + at));
                        return $"{{\"input_ids\":[{ids}],\"labels\":[{ids}]}}\n";
                    }
                )
            )
        );
        string[] args(string name) =>
            [
                "train",
                "--model",
                TinyRun.Model,
                "--data",
                data,
                "--out",
                _temp[name],
                "--steps",
                $"{steps}",
                "--batch-size",
                "2",
                "--rank",
                "1",
                "--targets",
                "q",
                "--no-shuffle",
                "--learning-rate",
                "1e-3",
                "--warmup-steps",
                "50",
                "--schedule",
                "linear",
                "--checkpoint-every",
                $"{steps / 8}",
                "--threads",
                "1",
                "--resume",
            ];
        var clock = Stopwatch.StartNew();
        Cli.Done(args("straight"));
        var whole = clock.Elapsed;
        var rows = Cli.Metrics(_temp["straight"]);
        rows.Count.ShouldBe(steps);
        int[] taken = [5, 9, 6];
        for (var i = 0; i < steps; i++)
        {
            var row = JsonNode.Parse(rows[i])!;
            row["step"]!.GetValue<int>().ShouldBe(i + 1);
            row["tokens"]!.GetValue<int>().ShouldBe(taken[i % 3]);
            row["target_tokens"]!.GetValue<int>().ShouldBe(taken[i % 3] - (i % 3 == 2 ? 1 : 2));
            row["epoch"]!.GetValue<double>().ShouldBe((i / 3) + ((i % 3) + 1) / 3.0);
            var rate = i < 50 ? i / 50.0 : (double)(steps - i) / (steps - 50);
            row["lr"]!.GetValue<double>().ShouldBe(1e-3 * rate, 1e-18);
        }
        Interrupted(args("broken"), steps);
        Cli.Metrics(_temp["broken"]).ShouldBe(rows);
        File.ReadAllBytes(_temp["broken/adapter.gguf"])
            .AsSpan()
            .SequenceEqual(File.ReadAllBytes(_temp["straight/adapter.gguf"]))
            .ShouldBeTrue();
        TestContext.Current.TestOutputHelper?.WriteLine(
            string.Create(CultureInfo.InvariantCulture, $"{steps} steps in {whole.TotalSeconds:0.0} s")
        );
    }

    /// <summary>Presses Ctrl-C at random steps, goes on each time, and brings the run to its end.</summary>
    private static void Interrupted(string[] args, int steps)
    {
        Random random = new(4);
        for (var i = 0; i < Interruptions; i++)
        {
            var at = (int)(steps * (i + random.NextDouble()) / (Interruptions + 1)) + 1;
            using CancelOnLine error = new($"step {at}/");
            Cli.Run(args, error.Token, error).Code.ShouldBe(ExitCode.Cancelled, error.ToString());
        }
        Cli.Done(args);
    }
}
