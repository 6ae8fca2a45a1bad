using Slimming.Gguf;

namespace Slimming.Interop.Tests;

/// <summary>The wrappers against the library itself.</summary>
public class NativeTests
{
    private static readonly int[] Tokens = [1, 5, 9, 2, 33, 7];

    private static AdapterParams Lora(LoraTargets targets = LoraTargets.All) =>
        new()
        {
            Method = TrainMethod.Lora,
            Targets = targets,
            Rank = 4,
            Scale = 2,
            Seed = 3,
        };

    private static ContextParams Context(bool training) =>
        new()
        {
            MicroBatchTokens = 16,
            MaxSequenceTokens = 16,
            Training = training,
        };

    private static float[] Logits(NativeModel model, NativeAdapter? adapter)
    {
        using var context = new NativeContext(model, adapter, Context(training: false));
        var logits = new float[2 * TinyModel.Vocabulary];
        context.Logits(Batch.Single(Tokens), [0, 5], logits);
        return logits;
    }

    [Fact]
    public void The_runtime_tells_what_it_is_and_passes_its_own_checks()
    {
        using var runtime = NativeRuntime.Create(2);
        runtime.Info.Threads.ShouldBe(2);
        runtime.Info.Version.ShouldNotBeEmpty();
        runtime.Info.CpuName.ShouldNotBeEmpty();
        var checks = runtime.SelfChecks().ToList();
        checks.ShouldNotBeEmpty();
        checks.Where(c => !c.Passed).ShouldBeEmpty();
    }

    [Fact]
    public void A_fresh_adapter_changes_no_bit_of_the_logits()
    {
        using var runtime = NativeRuntime.Create(1);
        using var weights = new TinyModel();
        using var model = new NativeModel(runtime, TinyModel.Parameters, weights.Tensors);
        using var adapter = new NativeAdapter(model, Lora());
        adapter.Trainables.Count.ShouldBe(2 * 7 * 2);
        adapter.Trainables.Sum(t => t.Count).ShouldBe(adapter.Parameters.Length);
        Logits(model, adapter).ShouldBe(Logits(model, null));
        adapter.Parameters.Fill(0.05f);
        Logits(model, adapter).ShouldNotBe(Logits(model, null));
    }

    [Fact]
    public void A_step_moves_parameters_and_clears_gradients()
    {
        using var runtime = NativeRuntime.Create(1);
        using var weights = new TinyModel();
        using var model = new NativeModel(runtime, TinyModel.Parameters, weights.Tensors);
        using var adapter = new NativeAdapter(model, Lora());
        using var context = new NativeContext(model, adapter, Context(training: true));
        var before = adapter.Parameters.ToArray();
        var batch = Batch.Single(Tokens, [5, 9, 2, 33, 7, -1]);
        var losses = new double[1];
        var targets = new long[1];
        context.Evaluate(batch, losses, targets);
        var evaluated = losses[0];
        context.Accumulate(batch, losses, targets);
        targets[0].ShouldBe(5);
        losses[0].ShouldBe(evaluated, 1e-9);
        context.Block(NativeBlock.Gradients).ContainsAnyExcept(0f).ShouldBeTrue();
        var result = context.Step(
            new StepParams
            {
                Step = 1,
                TargetCount = 5,
                LearningRate = 1e-2,
                MaxGradNorm = 1e-3,
            }
        );
        result.GradNorm.ShouldBeGreaterThan(0);
        result.Clip.ShouldBeLessThan(1);
        context.Block(NativeBlock.Gradients).ContainsAnyExcept(0f).ShouldBeFalse();
        adapter.Parameters.ToArray().ShouldNotBe(before);
        context.Evaluate(batch, losses, targets);
        losses[0].ShouldBeLessThan(evaluated);
        context.Profile().ShouldAllBe(total => total.Time > TimeSpan.Zero && total.Bytes > 0 && total.Calls > 0);
    }

    [Fact]
    public void Parents_outlive_children_in_any_order_of_disposing()
    {
        var weights = new TinyModel();
        var runtime = NativeRuntime.Create(1);
        var model = new NativeModel(runtime, TinyModel.Parameters, weights.Tensors, weights);
        var adapter = new NativeAdapter(model, Lora());
        var context = new NativeContext(model, adapter, Context(training: false));
        runtime.Dispose();
        model.Dispose();
        adapter.Dispose();
        weights.IsDisposed.ShouldBeFalse();
        var logits = new float[TinyModel.Vocabulary];
        context.Logits(Batch.Single(Tokens), [0], logits);
        logits.ShouldAllBe(x => float.IsFinite(x));
        context.Dispose();
        weights.IsDisposed.ShouldBeTrue();
        Should.Throw<ObjectDisposedException>(() => context.Logits(Batch.Single(Tokens), [0], logits));
        Should.Throw<ObjectDisposedException>(() => new NativeAdapter(model, Lora()));
    }

    [Fact]
    public void A_cancelled_call_is_an_operation_cancelled_exception()
    {
        using var runtime = NativeRuntime.Create(1);
        using var weights = new TinyModel();
        using var model = new NativeModel(runtime, TinyModel.Parameters, weights.Tensors);
        using var context = new NativeContext(model, null, Context(training: false));
        var losses = new double[1];
        var targets = new long[1];
        var batch = Batch.Single(Tokens, [5, 9, 2, 33, 7, -1]);
        context.Cancel(true);
        Should.Throw<OperationCanceledException>(() => context.Evaluate(batch, losses, targets));
        context.Cancel(false);
        context.Evaluate(batch, losses, targets);
        targets[0].ShouldBe(5);
    }

    [Fact]
    public void Sequences_with_a_parent_score_as_if_they_were_whole()
    {
        using var runtime = NativeRuntime.Create(1);
        using var weights = new TinyModel();
        using var model = new NativeModel(runtime, TinyModel.Parameters, weights.Tensors);
        using var context = new NativeContext(model, null, Context(training: false));
        var tree = new Batch
        {
            Tokens = [.. Tokens, 3, 4, 8],
            Offsets = [0, Tokens.Length, Tokens.Length + 2, Tokens.Length + 3],
            Targets = [.. Enumerable.Repeat(-1, Tokens.Length + 3)],
            SampleKeys = [0, 1, 2],
            Parents = [-1, 0, 0],
        };
        var logits = new float[2 * TinyModel.Vocabulary];
        context.Logits(Batch.Single([.. Tokens, 3, 4]), [Tokens.Length + 1], logits.AsSpan(..TinyModel.Vocabulary));
        context.Logits(Batch.Single([.. Tokens, 8]), [Tokens.Length], logits.AsSpan(TinyModel.Vocabulary..));
        var logProbs = new double[3];
        var tops = new int[3];
        context.Score(tree, [Tokens.Length + 1, Tokens.Length + 2, Tokens.Length + 2], [7, 7, 1], logProbs, tops);
        foreach (var (logit, target, i) in new[] { (0, 7, 0), (1, 7, 1), (1, 1, 2) })
        {
            var row = logits[(logit * TinyModel.Vocabulary)..((logit + 1) * TinyModel.Vocabulary)];
            var sum = Math.Log(row.Sum(x => Math.Exp(x)));
            logProbs[i].ShouldBe(row[target] - sum, 1e-5);
            tops[i].ShouldBe(Array.IndexOf(row, row.Max()));
        }
        context.Score(tree, [], [], [], []);
        Throws(() => context.Score(tree, [0], [1, 2], new double[1], new int[1])).ShouldContain("expected 1 values");
        Throws(() => context.Score(tree, [3, 2], [1, 2], new double[2], new int[2])).ShouldContain("ascend");
        var wrong = new Batch
        {
            Tokens = tree.Tokens,
            Offsets = tree.Offsets,
            Targets = tree.Targets,
            SampleKeys = tree.SampleKeys,
            Parents = [-1, 0],
        };
        Throws(() => context.Score(wrong, [0], [1], new double[1], new int[1])).ShouldContain("3 parents, found 2");
    }

    [Fact]
    public void A_merged_weight_is_the_base_plus_scale_b_a()
    {
        using var runtime = NativeRuntime.Create(1);
        using var weights = new TinyModel();
        using var model = new NativeModel(runtime, TinyModel.Parameters, weights.Tensors);
        using var adapter = new NativeAdapter(model, Lora(LoraTargets.AttnV));
        var random = new Random(1);
        foreach (ref var value in adapter.Parameters)
        {
            value = random.NextSingle() - 0.5f;
        }
        const string name = "blk.1.attn_v.weight";
        var merged = new float[32 * 16];
        adapter.MergeWeight(name, merged);
        var a = adapter.ValuesOf(adapter.Find(name + ".lora_a")!);
        var b = adapter.ValuesOf(adapter.Find(name + ".lora_b")!);
        Span<float> original;
        unsafe
        {
            original = new Span<float>((void*)weights.Tensors.Single(t => t.Name == name).Data, merged.Length);
        }
        for (var row = 0; row < 16; row++)
        {
            for (var column = 0; column < 32; column++)
            {
                double sum = original[row * 32 + column];
                for (var r = 0; r < 4; r++)
                {
                    sum += 2.0 * b[row * 4 + r] * a[r * 32 + column];
                }
                ((double)merged[row * 32 + column]).ShouldBe(sum, 1e-5);
            }
        }
    }

    [Fact]
    public void Wrong_arguments_are_usage_errors_with_the_library_s_words()
    {
        using var runtime = NativeRuntime.Create(1);
        using var weights = new TinyModel();
        var incomplete = weights.Tensors.Where(t => t.Name != "blk.1.ffn_up.weight").ToList();
        Throws(() => _ = new NativeModel(runtime, TinyModel.Parameters, incomplete))
            .ShouldContain("blk.1.ffn_up.weight");
        using var model = new NativeModel(runtime, TinyModel.Parameters, weights.Tensors);
        Throws(() => _ = new NativeAdapter(model, Lora() with { Rank = 0 })).ShouldContain("rank");
        Throws(() => _ = new NativeContext(model, null, Context(training: true))).ShouldNotBeEmpty();
        using var context = new NativeContext(model, null, Context(training: false));
        var logits = new float[TinyModel.Vocabulary];
        Throws(() => context.Logits(Batch.Single([1, 40]), [0], logits)).ShouldContain("40");
        Throws(() => context.Logits(Batch.Single(Tokens), [0, 1], logits)).ShouldContain("expected 80 values");
        Throws(() => context.Logits(Batch.Single(Tokens, [1]), [0], logits)).ShouldContain("one per token");
        Throws(() => NativeRuntime.Dequantize(GgmlType.Q4_0, new byte[18], new float[31])).ShouldNotBeEmpty();
        Throws(() => NativeRuntime.Dequantize((GgmlType)999, new byte[18], new float[32])).ShouldContain("999");
    }

    [Fact]
    public void The_plan_is_what_a_context_takes()
    {
        using var runtime = NativeRuntime.Create(1);
        using var weights = new TinyModel();
        using var model = new NativeModel(runtime, TinyModel.Parameters, weights.Tensors);
        using var adapter = new NativeAdapter(model, Lora());
        var plan = NativeContext.Plan(model, adapter, Context(training: true));
        plan.ParameterBytes.ShouldBe(adapter.Parameters.Length * 4L);
        plan.OptimizerBytes.ShouldBe(adapter.Parameters.Length * 12L);
        plan.TotalBytes.ShouldBe(
            plan.ParameterBytes + plan.OptimizerBytes + plan.ActivationBytes + plan.LogitBytes + plan.PackBytes
        );
        plan.WeightBytes.ShouldBe(weights.Tensors.Sum(t => t.ByteCount));
    }

    private static string Throws(Action action)
    {
        var error = Should.Throw<SlimmingException>(action);
        error.Code.ShouldBe(ExitCode.Usage);
        return error.Message;
    }
}
