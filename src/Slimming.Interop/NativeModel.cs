using Slimming.Gguf;

namespace Slimming.Interop;

/// <summary>Constant base weights and the decoder that they make.</summary>
public sealed unsafe class NativeModel : NativeObject
{
    private readonly IDisposable? _dataOwner;

    /// <param name="runtime">Kept while the model lives.</param>
    /// <param name="parameters">The decoder.</param>
    /// <param name="tensors">Their data is borrowed and must outlive the model.</param>
    /// <param name="dataOwner">Disposed when the model is freed, that is after its last adapter and context.</param>
    public NativeModel(
        NativeRuntime runtime,
        in ModelParams parameters,
        IReadOnlyList<NativeTensor> tensors,
        IDisposable? dataOwner = null
    )
    {
        Parameters = parameters;
        using var parent = new Lease(runtime);
        using var texts = new Utf8Text();
        var native = ToNative(parameters, texts);
        var list = new slm_tensor[tensors.Count];
        for (var i = 0; i < list.Length; i++)
        {
            list[i] = ToNative(tensors[i], texts);
        }
        slm_model* created = null;
        var error = stackalloc sbyte[Status.ErrorBytes];
        fixed (slm_tensor* first = list)
        {
            Status.Check(
                SlimmingNative.slm_model_create(
                    (slm_runtime*)parent.Pointer,
                    &native,
                    first,
                    list.Length,
                    &created,
                    error,
                    Status.ErrorBytes
                ),
                error
            );
        }
        Adopt((nint)created, runtime);
        _dataOwner = dataOwner;
    }

    public ModelParams Parameters { get; }

    /// <summary>What was computed from the weights counts only while their file is the same.</summary>
    internal void CheckData() => (_dataOwner as GgufFile)?.CheckUnchanged();

    private protected override void Free(nint pointer)
    {
        SlimmingNative.slm_model_free((slm_model*)pointer);
        _dataOwner?.Dispose();
    }

    private static slm_tensor ToNative(in NativeTensor tensor, Utf8Text texts)
    {
        if (tensor.Ne.Count is 0 or > 4)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"tensor '{tensor.Name}': expected 1 to 4 dimensions, found {tensor.Ne.Count}"
            );
        }
        var native = new slm_tensor
        {
            size = (ulong)sizeof(slm_tensor),
            name = texts.Add(tensor.Name),
            type = (uint)tensor.Type,
            n_dims = (uint)tensor.Ne.Count,
            data = (void*)tensor.Data,
            n_bytes = (ulong)tensor.ByteCount,
        };
        for (var d = 0; d < 4; d++)
        {
            native.ne[d] = d < tensor.Ne.Count ? tensor.Ne[d] : 1;
        }
        return native;
    }

    private static slm_model_params ToNative(ModelParams p, Utf8Text texts) =>
        new()
        {
            size = (ulong)sizeof(slm_model_params),
            architecture = texts.Add(p.Architecture),
            n_layer = p.NLayer,
            n_embd = p.NEmbd,
            n_head = p.NHead,
            n_head_kv = p.NHeadKv,
            n_embd_head = p.NEmbdHead,
            n_ff = p.NFf,
            n_vocab = p.NVocab,
            n_rot = p.NRot,
            rope_type = (uint)p.RopeType,
            activation = (uint)p.Activation,
            sliding_window = p.SlidingWindow,
            sliding_pattern = p.SlidingPattern,
            norm_rms_epsilon = p.NormRmsEpsilon,
            rope_freq_base = p.RopeFreqBase,
            rope_freq_base_local = p.RopeFreqBaseLocal,
            rope_freq_scale = p.RopeFreqScale,
            embedding_scale = p.EmbeddingScale,
            attention_scale = p.AttentionScale,
            attn_logit_softcap = p.AttnLogitSoftcap,
            final_logit_softcap = p.FinalLogitSoftcap,
        };
}
