using System.Diagnostics;
using System.Globalization;
using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Items;
using Slimming.Evaluation.Tasks;
using Slimming.LlamaCpp;

namespace Slimming.ScoreBench;

/// <summary>Clock, medians and the reference passes through llama.cpp alone.</summary>
internal static class Measure
{
    public const int PromptTokens = 512;

    /// <summary>Wall time; with SCORE_BENCH_CLOCK=cpu the processor time of all threads, which a busy machine disturbs less.</summary>
    public static double Seconds(Action work)
    {
        var started = Now();
        work();
        return Now() - started;
    }

    private static double Now() =>
        Environment.GetEnvironmentVariable("SCORE_BENCH_CLOCK") == "cpu"
            ? Environment.CpuUsage.TotalTime.TotalSeconds
            : Stopwatch.GetTimestamp() / (double)Stopwatch.Frequency;

    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    public static string Text(double value) => value.ToString("0.00", CultureInfo.InvariantCulture);

    /// <summary>Prints a figure against its bar; the exit code of the program.</summary>
    public static int Verdict(string what, double value, double bar)
    {
        Console.WriteLine($"{what}: {Text(value)} (bar {Text(bar)})");
        return value >= bar ? 0 : 1;
    }

    /// <summary>Token requests of a task's items, item by item.</summary>
    public static List<ScoreRequest[]> Requests(LlamaEngine engine, string task, string dataDir, int? shots, int count)
    {
        var encoder = new PairEncoder(engine.Codec, addBos: false);
        return
        [
            .. new ItemBuilder(TaskCatalog.Find(task), dataDir, shots)
                .Build(0, count)
                .Select(item =>
                    item.Continuations.Select(
                            (text, choice) =>
                            {
                                var (context, continuation) = encoder.Encode(item.ContextOf(choice), text);
                                return new ScoreRequest(context, continuation);
                            }
                        )
                        .ToArray()
                ),
        ];
    }

    /// <summary>One prompt through an empty context, in slices of 512; logits after the rows that are wanted.</summary>
    public static void Prefill(LlamaContext context, ReadOnlySpan<int> prompt, Func<int, bool> wanted)
    {
        context.Clear();
        var batch = new LlamaBatch();
        for (var t = 0; t < prompt.Length; t++)
        {
            var index = batch.Add(prompt[t], t, [0], wanted(t) || t == prompt.Length - 1);
            if (batch.Count == PromptTokens || t == prompt.Length - 1)
            {
                context.Decode(batch);
                if (t == prompt.Length - 1)
                {
                    // llama.cpp computes in the background: asking for a row waits for it.
                    _ = context.Logits(index)[0];
                }
                batch.Clear();
            }
        }
    }
}
