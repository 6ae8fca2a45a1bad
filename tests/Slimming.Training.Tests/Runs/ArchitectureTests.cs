using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Models;
using Slimming.TestSupport;

namespace Slimming.Training.Tests.Runs;

/// <summary>Small random models whose logits, loss and gradients transformers computed in f64.</summary>
public sealed class ArchitectureTests
{
    private const double LogitTolerance = 5e-5;
    private const double LossTolerance = 5e-6;

    /// <summary>Of the tensor's largest gradient.</summary>
    private const double GradientTolerance = 2e-5;

    public static TheoryData<string, string> Files
    {
        get
        {
            TheoryData<string, string> data = [];
            foreach (var name in new[] { "llama", "llama3", "mistral" })
            {
                foreach (var kind in new[] { "f32", "q8_0", "q4_0" })
                {
                    data.Add(name, kind);
                }
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Logits_and_loss_equal_transformers(string name, string kind)
    {
        Reference reference = new(name);
        using var runtime = NativeRuntime.Create(2);
        using var model = BaseModel.Open(reference.Path($"model-{kind}.gguf"), runtime);
        using NativeContext context = new(model.Native, null, Parameters(training: false));
        using var expected = GgufFile.Open(reference.Path("logits.gguf"));

        // Both sequences in one batch: nothing may leak from one into the other.
        var batch = reference.Batch;
        var rows = Enumerable.Range(0, batch.Tokens.Length).Select(row => (long)row).ToArray();
        var logits = new float[rows.Length * context.VocabularySize];
        context.Logits(batch, rows, logits);

        var at = 0;
        for (var sequence = 0; sequence < batch.SequenceCount; sequence++)
        {
            var tensor = expected.Find($"{kind}.seq{sequence}").ShouldNotBeNull();
            foreach (var value in MemoryMarshal.Cast<byte, float>(expected.Data(tensor)))
            {
                Near(logits[at++], value, LogitTolerance, $"logit {at} of sequence {sequence}");
            }
        }
        at.ShouldBe(logits.Length);

        var losses = new double[batch.SequenceCount];
        var counts = new long[batch.SequenceCount];
        context.Evaluate(batch, losses, counts);
        counts.Sum().ShouldBe(reference.TargetCount);
        Near(losses.Sum() / counts.Sum(), reference.Loss(kind), LossTolerance, "loss");
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("llama3")]
    [InlineData("mistral")]
    public void Gradients_of_every_tensor_equal_transformers(string name)
    {
        Reference reference = new(name);
        using var runtime = NativeRuntime.Create(2);
        using var model = BaseModel.Open(reference.Path("model-f32.gguf"), runtime);
        using NativeAdapter adapter = new(model.Native, new AdapterParams { Method = TrainMethod.Full });
        using NativeContext context = new(model.Native, adapter, Parameters(training: true));
        using var expected = GgufFile.Open(reference.Path("grads.gguf"));

        var losses = new double[2];
        var counts = new long[2];
        context.Accumulate(reference.Batch, losses, counts);

        Near(losses.Sum() / counts.Sum(), reference.Loss("f32"), LossTolerance, "loss");
        adapter
            .Trainables.Select(trainable => trainable.Name)
            .ShouldBe(expected.Tensors.Select(tensor => tensor.Name), ignoreOrder: true);
        foreach (var trainable in adapter.Trainables)
        {
            var values = MemoryMarshal.Cast<byte, float>(expected.Data(expected.Find(trainable.Name)!));
            var found = context.Block(NativeBlock.Gradients).Slice((int)trainable.Offset, (int)trainable.Count);
            found.Length.ShouldBe(values.Length, trainable.Name);
            double largest = 0;
            foreach (var value in values)
            {
                largest = Math.Max(largest, Math.Abs(value));
            }
            largest.ShouldBeGreaterThan(0, trainable.Name);
            for (var i = 0; i < values.Length; i++)
            {
                Near(found[i] / (double)counts.Sum(), values[i], GradientTolerance * largest, $"{trainable.Name}[{i}]");
            }
        }
    }

    /// <summary>A fresh LoRA adapter (B = 0) leaves the base as it is, bit for bit.</summary>
    [Fact]
    public void A_fresh_adapter_changes_no_bit()
    {
        Reference reference = new("llama");
        using var runtime = NativeRuntime.Create(2);
        using var model = BaseModel.Open(reference.Path("model-q4_0.gguf"), runtime);
        using NativeAdapter adapter = new(
            model.Native,
            new AdapterParams
            {
                Method = TrainMethod.Lora,
                Targets = LoraTargets.All,
                Rank = 4,
                Seed = 1,
            }
        );
        using NativeContext alone = new(model.Native, null, Parameters(training: false));
        using NativeContext adapted = new(model.Native, adapter, Parameters(training: false));
        long[] rows = [0, 7, 39, 40, 62];
        var expected = new float[rows.Length * alone.VocabularySize];
        var found = new float[expected.Length];
        alone.Logits(reference.Batch, rows, expected);
        adapted.Logits(reference.Batch, rows, found);
        found.ShouldBe(expected);
        adapter.Parameters.ToArray().Any(value => value != 0).ShouldBeTrue();
    }

    private static ContextParams Parameters(bool training) =>
        new()
        {
            MicroBatchTokens = 64,
            MaxSequenceTokens = 64,
            Training = training,
        };

    private static void Near(double found, double expected, double tolerance, string what) =>
        (Math.Abs(found - expected) <= tolerance).ShouldBeTrue(
            $"{what}: expected {expected:R} within {tolerance:g2}, found {found:R}"
        );

    private sealed class Reference
    {
        private readonly string _folder;
        private readonly JsonNode _case;

        public Reference(string name)
        {
            _folder =
                name == "llama"
                    ? System.IO.Path.Combine(SharedFiles.RepoRoot, "tests", "fixtures", "arch-llama")
                    : SharedFiles.Require($"fixtures/arch/{name}");
            _case = JsonNode.Parse(File.ReadAllText(Path("case.json")))!;
            var sequences = _case["sequences"]!.AsArray();
            var tokens = sequences.Select(sequence => Ids(sequence!["tokens"]!)).ToArray();
            Batch = new Batch
            {
                Tokens = [.. tokens.SelectMany(ids => ids)],
                Offsets = [0, tokens[0].Length, tokens[0].Length + tokens[1].Length],
                Targets = [.. sequences.SelectMany(sequence => Ids(sequence!["targets"]!))],
                SampleKeys = [0, 1],
            };
        }

        public Batch Batch { get; }

        public long TargetCount => _case["target_count"]!.GetValue<long>();

        public string Path(string file) => System.IO.Path.Combine(_folder, file);

        public double Loss(string kind) => _case["files"]![kind]!["loss"]!.GetValue<double>();

        private static int[] Ids(JsonNode node) => [.. node.AsArray().Select(id => id!.GetValue<int>())];
    }
}
