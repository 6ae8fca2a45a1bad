namespace Slimming.Interop;

/// <summary>The trainable tensors of one method on one model; their values lie in one contiguous f32 block.</summary>
public sealed unsafe class NativeAdapter : NativeObject
{
    private readonly Dictionary<string, Trainable> _byName;

    public NativeAdapter(NativeModel model, in AdapterParams parameters)
    {
        Options = parameters;
        using var parent = new Lease(model);
        var native = new slm_adapter_params
        {
            size = (ulong)sizeof(slm_adapter_params),
            method = (uint)parameters.Method,
            targets = (uint)parameters.Targets,
            rank = parameters.Rank,
            scale = parameters.Scale,
            dropout = parameters.Dropout,
            seed = parameters.Seed,
        };
        slm_adapter* created = null;
        var error = stackalloc sbyte[Status.ErrorBytes];
        Status.Check(
            SlimmingNative.slm_adapter_create((slm_model*)parent.Pointer, &native, &created, error, Status.ErrorBytes),
            error
        );
        Adopt((nint)created, model);
        Trainables = ReadTrainables();
        _byName = Trainables.ToDictionary(t => t.Name, StringComparer.Ordinal);
    }

    /// <summary>What it was created with.</summary>
    public AdapterParams Options { get; }

    /// <summary>In the order of the blocks.</summary>
    public IReadOnlyList<Trainable> Trainables { get; }

    /// <summary>The whole parameter block, readable and writable, valid while the adapter lives.</summary>
    public Span<float> Parameters
    {
        get
        {
            using var adapter = new Lease(this);
            float* data = null;
            ulong count = 0;
            var error = stackalloc sbyte[Status.ErrorBytes];
            Status.Check(
                SlimmingNative.slm_adapter_get_parameters(
                    (slm_adapter*)adapter.Pointer,
                    &data,
                    &count,
                    error,
                    Status.ErrorBytes
                ),
                error
            );
            return Blocks.ToSpan(data, count);
        }
    }

    public Trainable? Find(string name) => _byName.GetValueOrDefault(name);

    /// <summary>The values of one trainable.</summary>
    public Span<float> ValuesOf(Trainable trainable) => Parameters.Slice((int)trainable.Offset, (int)trainable.Count);

    /// <summary>Base weight <paramref name="name"/> with the adapter folded in, dequantized, in the file's row order.</summary>
    public void MergeWeight(string name, Span<float> values)
    {
        using var adapter = new Lease(this);
        using var texts = new Utf8Text();
        var error = stackalloc sbyte[Status.ErrorBytes];
        fixed (float* to = values)
        {
            Status.Check(
                SlimmingNative.slm_adapter_merge_weight(
                    (slm_adapter*)adapter.Pointer,
                    texts.Add(name),
                    to,
                    values.Length,
                    error,
                    Status.ErrorBytes
                ),
                error
            );
        }
    }

    private protected override void Free(nint pointer) => SlimmingNative.slm_adapter_free((slm_adapter*)pointer);

    private List<Trainable> ReadTrainables()
    {
        using var adapter = new Lease(this);
        long count = 0;
        ulong values = 0;
        var error = stackalloc sbyte[Status.ErrorBytes];
        var pointer = (slm_adapter*)adapter.Pointer;
        Status.Check(SlimmingNative.slm_adapter_get_count(pointer, &count, &values, error, Status.ErrorBytes), error);
        var trainables = new List<Trainable>();
        for (long i = 0; i < count; i++)
        {
            var native = new slm_trainable { size = (ulong)sizeof(slm_trainable) };
            Status.Check(
                SlimmingNative.slm_adapter_get_trainable(pointer, i, &native, error, Status.ErrorBytes),
                error
            );
            long[] ne = native.n_dims == 1 ? [native.ne[0]] : [native.ne[0], native.ne[1]];
            trainables.Add(
                new Trainable(
                    Utf8Text.Read(native.name),
                    ne,
                    native.is_norm_or_bias != 0,
                    (long)native.offset,
                    (long)native.n_values
                )
            );
        }
        return trainables;
    }
}
