using System.Runtime.InteropServices;
using Slimming.Gguf;

namespace Slimming.Interop;

/// <summary>Work space, gradients and optimizer state for one model and adapter. Use from one thread, <see cref="Cancel"/> apart.</summary>
public sealed unsafe class NativeContext : NativeObject
{
    private slm_trace_event* _events;
    private ulong _capacity;
    private readonly NativeModel _model;

    /// <param name="model">Kept while the context lives.</param>
    /// <param name="adapter">May be null when not training.</param>
    /// <param name="parameters">Sizes and mode.</param>
    public NativeContext(NativeModel model, NativeAdapter? adapter, in ContextParams parameters)
    {
        _model = model;
        VocabularySize = model.Parameters.NVocab;
        using var modelLease = new Lease(model);
        using var adapterLease = new Lease(adapter);
        var native = ToNative(parameters);
        slm_context* created = null;
        var error = stackalloc sbyte[Status.ErrorBytes];
        Status.Check(
            SlimmingNative.slm_context_create(
                (slm_model*)modelLease.Pointer,
                (slm_adapter*)adapterLease.Pointer,
                &native,
                &created,
                error,
                Status.ErrorBytes
            ),
            error
        );
        Adopt((nint)created, adapter == null ? [model] : [model, adapter]);
    }

    /// <summary>Length of a row of logits.</summary>
    public int VocabularySize { get; }

    /// <summary>Sizes of the context that the same arguments would create.</summary>
    public static Plan Plan(NativeModel model, NativeAdapter? adapter, in ContextParams parameters)
    {
        using var modelLease = new Lease(model);
        using var adapterLease = new Lease(adapter);
        var native = ToNative(parameters);
        var plan = new slm_plan { size = (ulong)sizeof(slm_plan) };
        var error = stackalloc sbyte[Status.ErrorBytes];
        Status.Check(
            SlimmingNative.slm_context_plan(
                (slm_model*)modelLease.Pointer,
                (slm_adapter*)adapterLease.Pointer,
                &native,
                &plan,
                error,
                Status.ErrorBytes
            ),
            error
        );
        return new Plan(
            (long)plan.weight_bytes,
            (long)plan.parameter_bytes,
            (long)plan.optimizer_bytes,
            (long)plan.activation_bytes,
            (long)plan.logit_bytes,
            (long)plan.pack_bytes,
            (long)plan.total_bytes,
            plan.fill_tokens,
            plan.flops_per_token
        );
    }

    /// <summary>One of the blocks, valid while the context lives. Gradients and moments need a training context.</summary>
    public Span<float> Block(NativeBlock block)
    {
        using var context = new Lease(this);
        float* data = null;
        ulong count = 0;
        var error = stackalloc sbyte[Status.ErrorBytes];
        Status.Check(
            SlimmingNative.slm_context_get_block(
                (slm_context*)context.Pointer,
                (uint)block,
                &data,
                &count,
                error,
                Status.ErrorBytes
            ),
            error
        );
        return Blocks.ToSpan(data, count);
    }

    /// <summary>Forward and backward; gradients are added, sequence by sequence in the batch's order.</summary>
    /// <param name="batch">S sequences.</param>
    /// <param name="losses">[S] summed cross entropy of each, in nats.</param>
    /// <param name="targetCounts">[S] targets of each.</param>
    public void Accumulate(Batch batch, Span<double> losses, Span<long> targetCounts) =>
        Run(batch, losses, targetCounts, training: true);

    /// <summary>Forward only, without dropout; outputs as <see cref="Accumulate"/>.</summary>
    public void Evaluate(Batch batch, Span<double> losses, Span<long> targetCounts) =>
        Run(batch, losses, targetCounts, training: false);

    /// <summary>Logits of the given token rows.</summary>
    /// <param name="batch">The tokens.</param>
    /// <param name="rows">Indices into the batch's tokens.</param>
    /// <param name="logits">[rows, n_vocab].</param>
    public void Logits(Batch batch, ReadOnlySpan<long> rows, Span<float> logits)
    {
        CheckLength("logits", logits.Length, (long)rows.Length * VocabularySize);
        using var context = new Lease(this);
        using PinnedBatch pinned = new(batch);
        var error = stackalloc sbyte[Status.ErrorBytes];
        fixed (long* row = rows)
        fixed (float* to = logits)
        {
            var native = pinned.Native;
            var status = SlimmingNative.slm_context_logits(
                (slm_context*)context.Pointer,
                &native,
                row,
                rows.Length,
                to,
                error,
                Status.ErrorBytes
            );
            _model.CheckData();
            Status.Check(status, error);
        }
    }

    /// <summary>Log-probabilities of tokens after rows of a batch, without ever holding the logits of all of them.</summary>
    /// <param name="batch">The tokens; its targets are not looked at.</param>
    /// <param name="rows">[n] indices into the batch's tokens, ascending; a row may repeat.</param>
    /// <param name="targets">[n] ids asked about.</param>
    /// <param name="logProbs">[n] log p(target | the tokens up to the row), in nats; NaN where logits are not finite.</param>
    /// <param name="tops">[n] the likeliest id after the row, the first of equals.</param>
    public void Score(
        Batch batch,
        ReadOnlySpan<long> rows,
        ReadOnlySpan<int> targets,
        Span<double> logProbs,
        Span<int> tops
    )
    {
        using PinnedBatch pinned = new(batch);
        CheckLength("scored targets", targets.Length, rows.Length);
        CheckLength("log-probabilities", logProbs.Length, rows.Length);
        CheckLength("likeliest tokens", tops.Length, rows.Length);
        if (rows.IsEmpty)
        {
            return;
        }
        using var context = new Lease(this);
        var error = stackalloc sbyte[Status.ErrorBytes];
        fixed (long* row = rows)
        fixed (int* target = targets)
        fixed (double* logProb = logProbs)
        fixed (int* top = tops)
        {
            var native = pinned.Native;
            var status = SlimmingNative.slm_context_score(
                (slm_context*)context.Pointer,
                &native,
                row,
                target,
                rows.Length,
                logProb,
                top,
                error,
                Status.ErrorBytes
            );
            _model.CheckData();
            Status.Check(status, error);
        }
    }

    /// <summary>Divides, measures, clips, applies AdamW and zeroes the gradients. A non-finite norm applies nothing.</summary>
    public StepResult Step(in StepParams parameters)
    {
        using var context = new Lease(this);
        var native = new slm_step_params
        {
            size = (ulong)sizeof(slm_step_params),
            step = parameters.Step,
            n_targets = parameters.TargetCount,
            learning_rate = parameters.LearningRate,
            beta1 = parameters.Beta1,
            beta2 = parameters.Beta2,
            epsilon = parameters.Epsilon,
            weight_decay = parameters.WeightDecay,
            max_grad_norm = parameters.MaxGradNorm,
            decay_norms = parameters.DecayNorms ? 1u : 0u,
        };
        var result = new slm_step_result { size = (ulong)sizeof(slm_step_result) };
        var error = stackalloc sbyte[Status.ErrorBytes];
        Status.Check(
            SlimmingNative.slm_context_step((slm_context*)context.Pointer, &native, &result, error, Status.ErrorBytes),
            error
        );
        return new StepResult(result.grad_norm, result.clip);
    }

    /// <summary>Time and bytes by phase so far; they are always counted.</summary>
    public PhaseTotal[] Profile()
    {
        var native = ReadProfile();
        var phases = Enum.GetValues<NativePhase>();
        var totals = new PhaseTotal[phases.Length];
        for (var i = 0; i < phases.Length; i++)
        {
            var time = TimeSpan.FromTicks((long)(native.nanoseconds[i] / (ulong)TimeSpan.NanosecondsPerTick));
            totals[i] = new PhaseTotal(phases[i], time, (long)native.bytes[i], (long)native.calls[i]);
        }
        return totals;
    }

    /// <summary>From now on every stretch of a phase is recorded, up to <paramref name="capacity"/> of them.</summary>
    public void StartTrace(int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        StopTrace();
        _events = (slm_trace_event*)NativeMemory.Alloc((nuint)capacity, (nuint)sizeof(slm_trace_event));
        _capacity = (ulong)capacity;
        Trace(_events, _capacity);
    }

    /// <summary>Ends the recording; what it holds, in the order of their ends, and how many more did not fit.</summary>
    public (IReadOnlyList<TraceEvent> Events, long Lost) StopTrace()
    {
        if (_events == null)
        {
            return ([], 0);
        }
        var count = ReadProfile().n_events;
        Trace(null, 0);
        var events = new TraceEvent[Math.Min(count, _capacity)];
        for (var i = 0; i < events.Length; i++)
        {
            ref var native = ref _events[i];
            events[i] = new TraceEvent(
                (NativePhase)native.phase,
                native.layer,
                (long)native.begin_ns,
                (long)native.end_ns
            );
        }
        NativeMemory.Free(_events);
        _events = null;
        return (events, (long)(count - (ulong)events.Length));
    }

    /// <summary>Sets or clears the flag that running and later calls look at in every layer; from any thread.</summary>
    public void Cancel(bool on)
    {
        using var context = new Lease(this);
        SlimmingNative.slm_context_cancel((slm_context*)context.Pointer, on ? 1 : 0);
    }

    private protected override void Free(nint pointer)
    {
        SlimmingNative.slm_context_free((slm_context*)pointer);
        NativeMemory.Free(_events);
    }

    private slm_profile ReadProfile()
    {
        using var context = new Lease(this);
        var native = new slm_profile { size = (ulong)sizeof(slm_profile) };
        var error = stackalloc sbyte[Status.ErrorBytes];
        Status.Check(
            SlimmingNative.slm_context_get_profile((slm_context*)context.Pointer, &native, error, Status.ErrorBytes),
            error
        );
        return native;
    }

    private void Trace(slm_trace_event* events, ulong capacity)
    {
        using var context = new Lease(this);
        var error = stackalloc sbyte[Status.ErrorBytes];
        Status.Check(
            SlimmingNative.slm_context_trace((slm_context*)context.Pointer, events, capacity, error, Status.ErrorBytes),
            error
        );
    }

    private void Run(Batch batch, Span<double> losses, Span<long> targetCounts, bool training)
    {
        using PinnedBatch pinned = new(batch);
        CheckLength("losses", losses.Length, batch.SequenceCount);
        CheckLength("target counts", targetCounts.Length, batch.SequenceCount);
        using var context = new Lease(this);
        var error = stackalloc sbyte[Status.ErrorBytes];
        fixed (double* loss = losses)
        fixed (long* count = targetCounts)
        {
            var native = pinned.Native;
            var pointer = (slm_context*)context.Pointer;
            var status = training
                ? SlimmingNative.slm_context_accumulate(pointer, &native, loss, count, error, Status.ErrorBytes)
                : SlimmingNative.slm_context_evaluate(pointer, &native, loss, count, error, Status.ErrorBytes);
            _model.CheckData();
            Status.Check(status, error);
        }
    }

    private static slm_context_params ToNative(ContextParams p) =>
        new()
        {
            size = (ulong)sizeof(slm_context_params),
            micro_batch_tokens = p.MicroBatchTokens,
            max_sequence_tokens = p.MaxSequenceTokens,
            compute = (uint)p.Compute,
            training = p.Training ? 1u : 0u,
            logit_rows = p.LogitRows,
            dropout_seed = p.DropoutSeed,
        };

    private static void CheckLength(string what, int found, long expected)
    {
        if (found != expected)
        {
            throw new SlimmingException(ExitCode.Usage, $"{what}: expected {expected} values, found {found}");
        }
    }
}
