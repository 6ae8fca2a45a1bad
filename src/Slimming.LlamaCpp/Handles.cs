using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Slimming.Gguf;
using Slimming.LlamaCpp.Interop;

namespace Slimming.LlamaCpp;

/// <summary>Owns a llama_model.</summary>
internal sealed unsafe class ModelHandle : SafeHandleZeroOrMinusOneIsInvalid
{
    private readonly IReadOnlyList<FileStamp> _files;

    /// <param name="model">Null where it could not be loaded.</param>
    /// <param name="files">Its files, closed with it.</param>
    public ModelHandle(llama_model* model, IReadOnlyList<FileStamp> files)
        : base(ownsHandle: true)
    {
        _files = files;
        SetHandle((nint)model);
    }

    /// <summary>llama.cpp maps the files: what it computed counts only while they are the same.</summary>
    /// <exception cref="SlimmingException">Exit code 1: somebody wrote to one since it was opened.</exception>
    public void CheckUnchanged()
    {
        foreach (var file in _files)
        {
            file.Check();
        }
    }

    protected override bool ReleaseHandle()
    {
        LlamaNative.llama_model_free((llama_model*)handle);
        foreach (var file in _files)
        {
            file.Dispose();
        }
        return true;
    }
}

/// <summary>Owns an object that lives inside a model and holds a reference on it, so that the model is freed last in any order of disposal.</summary>
internal abstract class ModelChildHandle : SafeHandleZeroOrMinusOneIsInvalid
{
    private readonly ModelHandle _model;

    protected ModelChildHandle(ModelHandle model)
        : base(ownsHandle: true)
    {
        var added = false;
        model.DangerousAddRef(ref added);
        _model = model;
    }

    protected abstract void Free();

    protected override bool ReleaseHandle()
    {
        Free();
        _model.DangerousRelease();
        return true;
    }

    /// <summary>Sets the pointer, or gives the model back at once where the pointer is null (an invalid handle is never released).</summary>
    protected void Adopt(nint pointer)
    {
        SetHandle(pointer);
        if (pointer == 0)
        {
            _model.DangerousRelease();
        }
    }
}

/// <summary>Owns a llama_context.</summary>
internal sealed unsafe class ContextHandle : ModelChildHandle
{
    public ContextHandle(ModelHandle model, llama_context* context)
        : base(model) => Adopt((nint)context);

    protected override void Free() => LlamaNative.llama_free((llama_context*)handle);
}

/// <summary>Owns a llama_adapter_lora.</summary>
internal sealed unsafe class AdapterHandle : ModelChildHandle
{
    public AdapterHandle(ModelHandle model, llama_adapter_lora* adapter)
        : base(model) => Adopt((nint)adapter);

    protected override void Free() => LlamaNative.llama_adapter_lora_free((llama_adapter_lora*)handle);
}

/// <summary>Leases the pointer of a handle for one call: the one place where raw pointers are taken out of handles.</summary>
internal readonly unsafe ref struct Lease<T>
    where T : unmanaged
{
    private readonly SafeHandle _handle;

    public Lease(SafeHandle handle)
    {
        var added = false;
        handle.DangerousAddRef(ref added);
        _handle = handle;
        Pointer = (T*)handle.DangerousGetHandle();
    }

    public T* Pointer { get; }

    public void Dispose() => _handle.DangerousRelease();
}
