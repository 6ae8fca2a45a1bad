using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Models;
using Slimming.TestSupport;

namespace Slimming.Training.Tests.Runs;

/// <summary>What a faster compute mode may change on a real model: the bars of a reference run.</summary>
public sealed class ComputeModeTests
{
    private const int GradientStep = 3;

    private sealed record Run(double FinalLoss, float[] Gradients);

    private static readonly Lazy<Run> Exact = new(() => Train(ComputeMode.F32));

    [Theory]
    [InlineData(ComputeMode.Bf16, 0.995)]
    [InlineData(ComputeMode.Int8, 0.995)]
    [Trait("Category", "Slow")]
    public void A_mode_stays_near_f32_on_a_reference_run(ComputeMode compute, double cosine)
    {
        var run = Train(compute);
        (run.FinalLoss / Exact.Value.FinalLoss).ShouldBe(1, 0.005);
        Cosine(Exact.Value.Gradients, run.Gradients).ShouldBeInRange(cosine, 1 - 1e-9, "1 would mean that f32 ran");
    }

    /// <summary>The reference's samples, rates and start values; its own losses are checked where f32 runs are replayed.</summary>
    private static Run Train(ComputeMode compute)
    {
        var folder = SharedFiles.Require("fixtures/peft/lora");
        var reference = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "case.json")))!;
        var settings = reference["hyperparameters"]!;
        using var runtime = NativeRuntime.Create(0);
        using var model = BaseModel.Open(
            SharedFiles.Require($"models/{reference["base"]!["file"]!.GetValue<string>()}"),
            runtime
        );
        AdapterParams parameters = new()
        {
            Method = TrainMethod.Lora,
            Targets = LoraTargets.All,
            Rank = settings["r"]!.GetValue<int>(),
            Scale = (float)(settings["alpha"]!.GetValue<double>() / settings["r"]!.GetValue<double>()),
        };
        using NativeAdapter adapter = new(model.Native, parameters);
        using (var start = GgufFile.Open(Path.Combine(folder, "init.gguf")))
        {
            foreach (var trainable in adapter.Trainables)
            {
                var values = MemoryMarshal.Cast<byte, float>(start.Data(start.Find(trainable.Name).ShouldNotBeNull()));
                values.CopyTo(adapter.Parameters.Slice((int)trainable.Offset, (int)trainable.Count));
            }
        }
        ContextParams size = new()
        {
            MicroBatchTokens = 512,
            MaxSequenceTokens = 512,
            Compute = compute,
            Training = true,
        };
        using NativeContext context = new(model.Native, adapter, size);
        double loss = 0;
        float[] gradients = [];
        var steps = reference["steps"]!.AsArray();
        for (var step = 0; step < steps.Count; step++)
        {
            long targets = 0;
            loss = 0;
            foreach (var sequence in steps[step]!["sequences"]!.AsArray())
            {
                var losses = new double[1];
                var counts = new long[1];
                context.Accumulate(SampleOf(sequence!), losses, counts);
                loss += losses[0];
                targets += counts[0];
            }
            targets.ShouldBe(steps[step]!["n_targets"]!.GetValue<long>());
            loss /= targets;
            if (step == GradientStep)
            {
                gradients = context.Block(NativeBlock.Gradients).ToArray();
            }
            context.Step(
                new StepParams
                {
                    Step = step + 1,
                    TargetCount = targets,
                    LearningRate = steps[step]!["lr"]!.GetValue<double>(),
                    MaxGradNorm = 1,
                }
            );
        }
        return new Run(loss, gradients);
    }

    private static Batch SampleOf(JsonNode sequence)
    {
        var tokens = sequence["tokens"]!.AsArray().Select(token => token!.GetValue<int>()).ToArray();
        var prompt = sequence["prompt_len"]!.GetValue<int>();
        var targets = new int[tokens.Length];
        for (var i = 0; i < tokens.Length; i++)
        {
            targets[i] = i + 1 < tokens.Length && i + 1 >= prompt ? tokens[i + 1] : -1;
        }
        return Batch.Single(tokens, targets);
    }

    private static double Cosine(float[] a, float[] b)
    {
        double dot = 0,
            first = 0,
            second = 0;
        for (var i = 0; i < a.Length; i++)
        {
            dot += (double)a[i] * b[i];
            first += (double)a[i] * a[i];
            second += (double)b[i] * b[i];
        }
        return dot / Math.Sqrt(first * second);
    }
}
