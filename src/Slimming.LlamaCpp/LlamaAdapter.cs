using Slimming.Gguf;
using Slimming.LlamaCpp.Interop;

namespace Slimming.LlamaCpp;

/// <summary>A LoRA adapter in GGUF form, loaded beside its base model.</summary>
public sealed unsafe class LlamaAdapter : IDisposable
{
    private LlamaAdapter(AdapterHandle handle, string path)
    {
        Handle = handle;
        Path = path;
    }

    public string Path { get; }

    internal AdapterHandle Handle { get; }

    /// <summary>Loads an adapter for <paramref name="model"/>; tensors that the base lacks or whose shapes differ are refused.</summary>
    public static LlamaAdapter Load(LlamaModel model, string path)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentException.ThrowIfNullOrEmpty(path);
        using (var file = GgufFile.Open(path))
        {
            AdapterCheck.Require(file);
        }
        LlamaLog.Clear();
        using var lease = new Lease<llama_model>(model.Handle);
        using var text = new Utf8Text(path);
        var handle = new AdapterHandle(model.Handle, LlamaNative.llama_adapter_lora_init(lease.Pointer, text.Pointer));
        if (handle.IsInvalid)
        {
            handle.Dispose();
            throw new GgufException(
                path,
                "load",
                $"llama.cpp cannot apply this adapter to {model.Path}: {LlamaLog.Last()}"
            );
        }
        return new LlamaAdapter(handle, path);
    }

    public void Dispose() => Handle.Dispose();
}
