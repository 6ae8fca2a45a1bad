using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Slimming.Gguf;
using Slimming.LlamaCpp.Interop;

namespace Slimming.LlamaCpp;

/// <summary>Sizes and kinds of a context. Defaults are those that come closest to a reference in f32.</summary>
public sealed record LlamaContextOptions
{
    /// <summary>Cells of the key/value cache, shared by all sequences.</summary>
    public int ContextTokens { get; init; } = 512;

    /// <summary>Most tokens of one <see cref="LlamaContext.Decode"/> call.</summary>
    public int BatchTokens { get; init; } = 512;

    /// <summary>Tokens computed at once inside a call.</summary>
    public int MicroBatchTokens { get; init; } = 512;

    /// <summary>Number of sequences, ids 0 to Sequences - 1.</summary>
    public int Sequences { get; init; } = 1;

    /// <summary>Threads of a decode.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;

    /// <summary>Type of the key/value cache: F32, F16 or BF16.</summary>
    public GgmlType CacheType { get; init; } = GgmlType.F32;

    public bool FlashAttention { get; init; }

    /// <summary>
    /// One pool of cells for all sequences, so that a shared prefix is stored and computed once. Without it each
    /// sequence has ContextTokens / Sequences cells of its own and attends to no others, which suits long unrelated ones.
    /// </summary>
    public bool UnifiedCache { get; init; } = true;
}

/// <summary>
/// A key/value cache and the buffers of one computation. Holds a reference on its model: either may be disposed first.
/// Not safe for use from several threads at once.
/// </summary>
public sealed unsafe class LlamaContext : IDisposable
{
    /// <summary>llama.cpp's own limit on sequences of a context.</summary>
    public const int MaxSequences = 256;

    private readonly ContextHandle _handle;
    private readonly LlamaModel _model;
    private readonly int _vocabSize;
    private readonly List<AdapterHandle> _adapters = [];
    private int* _cancelled;

    private LlamaContext(ContextHandle handle, LlamaModel model, LlamaContextOptions options, int* cancelled)
    {
        _handle = handle;
        _model = model;
        _vocabSize = model.Vocab.Count;
        _cancelled = cancelled;
        Options = options;
    }

    public LlamaContextOptions Options { get; }

    /// <exception cref="SlimmingException">A size or kind that llama.cpp cannot make.</exception>
    public static LlamaContext Create(LlamaModel model, LlamaContextOptions options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(options);
        if (model.IsVocabOnly)
        {
            throw new ArgumentException($"{model.Path} was opened for its vocabulary only", nameof(model));
        }
        ArgumentOutOfRangeException.ThrowIfLessThan(options.ContextTokens, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BatchTokens, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Threads, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Sequences, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.Sequences, MaxSequences);
        if (options.CacheType is not (GgmlType.F32 or GgmlType.F16 or GgmlType.BF16))
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"cache type {GgmlTypes.Name(options.CacheType)}: expected f32, f16 or bf16"
            );
        }

        var cancelled = (int*)NativeMemory.AllocZeroed(sizeof(int));
        ContextHandle? handle = null;
        try
        {
            LlamaLog.Clear();
            using var lease = new Lease<llama_model>(model.Handle);
            handle = new ContextHandle(
                model.Handle,
                LlamaNative.llama_init_from_model(lease.Pointer, Translate(options, cancelled))
            );
            if (handle.IsInvalid)
            {
                throw new SlimmingException(
                    ExitCode.Failed,
                    $"{model.Path}: no context of {options.ContextTokens} tokens, cache {GgmlTypes.Name(options.CacheType)}, "
                        + $"flash attention {(options.FlashAttention ? "on" : "off")}: {LlamaLog.Last()}"
                );
            }
            return new LlamaContext(handle, model, options, cancelled);
        }
        catch
        {
            handle?.Dispose();
            NativeMemory.Free(cancelled);
            throw;
        }
    }

    /// <summary>Applies adapters with their scales from the next decode on, in place of earlier ones; none takes all away.</summary>
    public void SetAdapters(params ReadOnlySpan<(LlamaAdapter Adapter, float Scale)> adapters)
    {
        var pointers = stackalloc llama_adapter_lora*[Math.Max(1, adapters.Length)];
        var scales = stackalloc float[Math.Max(1, adapters.Length)];
        var held = new List<AdapterHandle>();
        for (var i = 0; i < adapters.Length; i++)
        {
            var added = false;
            adapters[i].Adapter.Handle.DangerousAddRef(ref added);
            held.Add(adapters[i].Adapter.Handle);
            pointers[i] = (llama_adapter_lora*)adapters[i].Adapter.Handle.DangerousGetHandle();
            scales[i] = adapters[i].Scale;
        }
        LlamaLog.Clear();
        using var lease = new Lease<llama_context>(_handle);
        var answer = LlamaNative.llama_set_adapters_lora(lease.Pointer, pointers, (nuint)adapters.Length, scales);
        if (answer != 0)
        {
            Release(held);
            throw new SlimmingException(
                ExitCode.Failed,
                $"{_model.Path}: adapters cannot be set (answer {answer}): {LlamaLog.Last()}"
            );
        }
        Release(_adapters);
        _adapters.AddRange(held);
    }

    /// <summary>Runs a batch through the model; afterwards <see cref="Logits"/> answers for its output tokens.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled; the cache then holds an undefined part of the batch.</exception>
    public void Decode(LlamaBatch batch, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(batch);
        cancellation.ThrowIfCancellationRequested();
        if (batch.Count == 0 || batch.Count > Options.BatchTokens)
        {
            throw new ArgumentException(
                $"a batch of {batch.Count} tokens, expected 1 to {Options.BatchTokens}",
                nameof(batch)
            );
        }
        var flag = _cancelled;
        ObjectDisposedException.ThrowIf(flag == null, this);
        Volatile.Write(ref *flag, 0);
        LlamaLog.Clear();
        int answer;
        using (cancellation.Register(() => Volatile.Write(ref *flag, 1)))
        {
            answer = Call(batch);
        }
        _model.Handle.CheckUnchanged();
        switch (answer)
        {
            case 0:
                return;
            case 1:
                throw new SlimmingException(
                    ExitCode.Failed,
                    $"{_model.Path}: {batch.Count} tokens do not fit into what is left of {Options.ContextTokens} cache cells"
                );
            case 2:
                throw new OperationCanceledException("decoding was cancelled", cancellation);
            default:
                throw new SlimmingException(
                    ExitCode.Failed,
                    $"{_model.Path}: llama_decode answered {answer}: {LlamaLog.Last()}"
                );
        }
    }

    /// <summary>Feeds tokens to a sequence from a position on, in as many decodes as they take.</summary>
    /// <param name="tokens">Ids; none is allowed.</param>
    /// <param name="sequence">The sequence that sees them.</param>
    /// <param name="position">Position of the first.</param>
    /// <param name="output">Compute logits after the last one.</param>
    /// <param name="cancellation">Stops between decodes.</param>
    /// <returns>Index of the last token in the last decode, by which its logits are asked for.</returns>
    public int Feed(
        ReadOnlySpan<int> tokens,
        int sequence,
        int position,
        bool output,
        CancellationToken cancellation = default
    )
    {
        var batch = new LlamaBatch();
        while (!tokens.IsEmpty)
        {
            var count = Math.Min(tokens.Length, Options.BatchTokens);
            batch.Clear();
            for (var t = 0; t < count; t++)
            {
                batch.Add(tokens[t], position++, [sequence], output && t == tokens.Length - 1);
            }
            Decode(batch, cancellation);
            tokens = tokens[count..];
        }
        return batch.Count - 1;
    }

    /// <summary>Logits (n_vocab) after the token at <paramref name="batchIndex"/> of the last batch; valid until the next decode.</summary>
    public ReadOnlySpan<float> Logits(int batchIndex)
    {
        using var lease = new Lease<llama_context>(_handle);
        var row = LlamaNative.llama_get_logits_ith(lease.Pointer, batchIndex);
        if (row == null)
        {
            throw new ArgumentException(
                $"token {batchIndex} of the last batch has no logits: it was not marked as output",
                nameof(batchIndex)
            );
        }
        return new ReadOnlySpan<float>(row, _vocabSize);
    }

    /// <summary>Forgets every sequence.</summary>
    public void Clear()
    {
        using var lease = new Lease<llama_context>(_handle);
        // The data stays: cells are overwritten before they are read again.
        LlamaNative.llama_memory_clear(LlamaNative.llama_get_memory(lease.Pointer), 0);
    }

    /// <summary>Forgets positions <paramref name="from"/> to <paramref name="to"/> (exclusive, -1: to the end) of a sequence (-1: of all).</summary>
    public void Remove(int sequence, int from = 0, int to = -1)
    {
        using var lease = new Lease<llama_context>(_handle);
        if (LlamaNative.llama_memory_seq_rm(LlamaNative.llama_get_memory(lease.Pointer), sequence, from, to) == 0)
        {
            throw new SlimmingException(
                ExitCode.Failed,
                $"{_model.Path}: positions {from} to {to} of sequence {sequence} cannot be removed from this model's cache"
            );
        }
    }

    /// <summary>Makes another sequence share the cached tokens of one: no data is copied.</summary>
    public void Copy(int source, int destination, int from = 0, int to = -1)
    {
        using var lease = new Lease<llama_context>(_handle);
        LlamaNative.llama_memory_seq_cp(LlamaNative.llama_get_memory(lease.Pointer), source, destination, from, to);
    }

    public void Dispose()
    {
        _handle.Dispose();
        Release(_adapters);
        NativeMemory.Free(_cancelled);
        _cancelled = null;
    }

    private static void Release(List<AdapterHandle> handles)
    {
        handles.ForEach(handle => handle.DangerousRelease());
        handles.Clear();
    }

    private static llama_context_params Translate(LlamaContextOptions options, int* cancelled)
    {
        var native = LlamaNative.llama_context_default_params();
        native.n_ctx = (uint)options.ContextTokens;
        native.n_batch = (uint)options.BatchTokens;
        native.n_ubatch = (uint)Math.Min(options.MicroBatchTokens, options.BatchTokens);
        native.n_seq_max = (uint)options.Sequences;
        native.n_threads = options.Threads;
        native.n_threads_batch = options.Threads;
        native.type_k = (ggml_type)options.CacheType;
        native.type_v = (ggml_type)options.CacheType;
        native.flash_attn_type = options.FlashAttention
            ? llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
            : llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED;
        native.abort_callback = &ShouldAbort;
        native.abort_callback_data = cancelled;
        native.kv_unified = options.UnifiedCache ? (byte)1 : (byte)0;
        native.no_perf = 1;
        return native;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static byte ShouldAbort(void* data) => Volatile.Read(ref *(int*)data) != 0 ? (byte)1 : (byte)0;

    private int Call(LlamaBatch batch)
    {
        var sequences = CollectionsMarshal.AsSpan(batch.Sequences);
        var starts = new nint[batch.Count];
        using var lease = new Lease<llama_context>(_handle);
        fixed (int* tokens = CollectionsMarshal.AsSpan(batch.Tokens))
        fixed (int* positions = CollectionsMarshal.AsSpan(batch.Positions))
        fixed (int* counts = CollectionsMarshal.AsSpan(batch.SequenceCounts))
        fixed (int* ids = sequences)
        fixed (sbyte* outputs = CollectionsMarshal.AsSpan(batch.Outputs))
        fixed (nint* rows = starts)
        {
            var next = ids;
            for (var i = 0; i < batch.Count; i++)
            {
                rows[i] = (nint)next;
                next += counts[i];
            }
            var native = new llama_batch
            {
                n_tokens = batch.Count,
                token = tokens,
                pos = positions,
                n_seq_id = counts,
                seq_id = (int**)rows,
                logits = outputs,
            };
            return LlamaNative.llama_decode(lease.Pointer, native);
        }
    }
}
