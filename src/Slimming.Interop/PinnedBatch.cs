using System.Buffers;

namespace Slimming.Interop;

/// <summary>A batch whose arrays stay in place while the library reads them.</summary>
internal readonly unsafe ref struct PinnedBatch
{
    private readonly MemoryHandle _tokens;
    private readonly MemoryHandle _positions;
    private readonly MemoryHandle _offsets;
    private readonly MemoryHandle _targets;
    private readonly MemoryHandle _sampleKeys;
    private readonly MemoryHandle _parents;
    private readonly Batch _batch;

    public PinnedBatch(Batch batch)
    {
        batch.CheckLengths();
        _batch = batch;
        _tokens = batch.Tokens.AsMemory().Pin();
        _positions = batch.Positions is { } positions ? positions.AsMemory().Pin() : default;
        _offsets = batch.Offsets.AsMemory().Pin();
        _targets = batch.Targets.AsMemory().Pin();
        _sampleKeys = batch.SampleKeys.AsMemory().Pin();
        _parents = batch.Parents is { } parents ? parents.AsMemory().Pin() : default;
    }

    public slm_batch Native =>
        new()
        {
            size = (ulong)sizeof(slm_batch),
            n_tokens = _batch.Tokens.Length,
            n_sequences = _batch.SequenceCount,
            tokens = (int*)_tokens.Pointer,
            positions = (int*)_positions.Pointer,
            offsets = (long*)_offsets.Pointer,
            targets = (int*)_targets.Pointer,
            sample_keys = (ulong*)_sampleKeys.Pointer,
            parents = (long*)_parents.Pointer,
        };

    public void Dispose()
    {
        _tokens.Dispose();
        _positions.Dispose();
        _offsets.Dispose();
        _targets.Dispose();
        _sampleKeys.Dispose();
        _parents.Dispose();
    }
}
