using System.Runtime.InteropServices;
using System.Text.Json;
using Slimming.Gguf;
using Slimming.TestSupport;

namespace Slimming.LlamaCpp.Tests;

public sealed class ContextTests
{
    [Theory]
    [InlineData("llama")]
    [InlineData("llama3")]
    [InlineData("mistral")]
    public void LogitsEqualTheReference(string name)
    {
        // Table of fixtures/arch: llama.cpp on the f32 file with an F32 cache is within 5e-6; 5e-5 is its suggested bar.
        var folder =
            name == "llama"
                ? Path.Combine(SharedFiles.RepoRoot, "tests/fixtures/arch-llama")
                : SharedFiles.Require($"fixtures/arch/{name}");
        using var model = LlamaModel.Load(Path.Combine(folder, "model-f32.gguf"));
        using var expected = GgufFile.Open(Path.Combine(folder, "logits.gguf"));
        var sequences = Sequences(folder);
        using var context = LlamaContext.Create(
            model,
            new LlamaContextOptions { ContextTokens = 128, Sequences = sequences.Count }
        );
        var batch = Together(sequences);
        context.Decode(batch);
        var index = 0;
        for (var s = 0; s < sequences.Count; s++)
        {
            var reference = MemoryMarshal.Cast<byte, float>(expected.Data(expected.Find($"f32.seq{s}")!));
            for (var t = 0; t < sequences[s].Length; t++)
            {
                var logits = context.Logits(index++);
                logits.Length.ShouldBe(320);
                for (var v = 0; v < logits.Length; v++)
                {
                    var difference = Math.Abs(logits[v] - reference[(t * 320) + v]);
                    (difference <= 5e-5f).ShouldBeTrue(
                        $"{name} sequence {s} position {t} token {v}: off by {difference}"
                    );
                }
            }
        }
    }

    [Fact]
    public void ASharedPrefixGivesTheLogitsOfEachSequenceAlone()
    {
        using var model = LlamaModel.Load(
            Path.Combine(SharedFiles.RepoRoot, "tests/fixtures/arch-llama/model-f32.gguf")
        );
        using var context = LlamaContext.Create(model, new LlamaContextOptions { ContextTokens = 64, Sequences = 2 });
        var batch = new LlamaBatch();
        batch.Add(5, 0, [0, 1], output: false);
        batch.Add(6, 1, [0, 1], output: false);
        var left = batch.Add(7, 2, [0], output: true);
        var right = batch.Add(8, 2, [1], output: true);
        context.Decode(batch);
        var together = (Left: context.Logits(left).ToArray(), Right: context.Logits(right).ToArray());

        Alone(context, [5, 6, 7]).ShouldBe(together.Left, 1e-5);
        Alone(context, [5, 6, 8]).ShouldBe(together.Right, 1e-5);
        Should.Throw<ArgumentException>(() => context.Logits(0)).Message.ShouldContain("not marked");
    }

    [Fact]
    public void WrongUseIsRefused()
    {
        using var model = LlamaModel.Load(
            Path.Combine(SharedFiles.RepoRoot, "tests/fixtures/arch-llama/model-f32.gguf")
        );
        Should.Throw<SlimmingException>(() =>
            LlamaContext.Create(model, new LlamaContextOptions { CacheType = GgmlType.Q4_0 })
        );
        using var context = LlamaContext.Create(model, new LlamaContextOptions { ContextTokens = 64, BatchTokens = 8 });
        Should.Throw<ArgumentException>(() => context.Decode(new LlamaBatch()));
        var unknown = new LlamaBatch();
        unknown.Add(100_000, 0, [0], output: true);
        Should.Throw<SlimmingException>(() => context.Decode(unknown));
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        var one = new LlamaBatch();
        one.Add(5, 0, [0], output: true);
        Should.Throw<OperationCanceledException>(() => context.Decode(one, cancelled.Token));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ModelAndContextMayBeDisposedInAnyOrder(bool modelFirst)
    {
        var model = LlamaModel.Load(Path.Combine(SharedFiles.RepoRoot, "tests/fixtures/arch-llama/model-f32.gguf"));
        var context = LlamaContext.Create(model, new LlamaContextOptions { ContextTokens = 32 });
        if (modelFirst)
        {
            model.Dispose();
            // The context's reference keeps the model alive.
            Alone(context, [5, 6]).Length.ShouldBe(320);
            context.Dispose();
        }
        else
        {
            context.Dispose();
            Should.Throw<ObjectDisposedException>(() => context.Clear());
            model.Dispose();
        }
        Should.Throw<ObjectDisposedException>(() => LlamaContext.Create(model, new LlamaContextOptions()));
    }

    internal static List<int[]> Sequences(string folder)
    {
        using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "case.json")));
        return
        [
            .. json
                .RootElement.GetProperty("sequences")
                .EnumerateArray()
                .Select(s => s.GetProperty("tokens").EnumerateArray().Select(id => id.GetInt32()).ToArray()),
        ];
    }

    private static LlamaBatch Together(List<int[]> sequences)
    {
        var batch = new LlamaBatch();
        for (var s = 0; s < sequences.Count; s++)
        {
            for (var t = 0; t < sequences[s].Length; t++)
            {
                batch.Add(sequences[s][t], t, [s], output: true);
            }
        }
        return batch;
    }

    private static float[] Alone(LlamaContext context, int[] tokens)
    {
        context.Clear();
        var batch = new LlamaBatch();
        for (var t = 0; t < tokens.Length; t++)
        {
            batch.Add(tokens[t], t, [0], output: t == tokens.Length - 1);
        }
        context.Decode(batch);
        return context.Logits(tokens.Length - 1).ToArray();
    }
}
