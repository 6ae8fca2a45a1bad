using System.Runtime.InteropServices;

namespace Slimming.Interop;

/// <summary>
/// An object of the library. It holds references on its parents, so that disposing in any order is safe; the pointer is
/// seen only through <see cref="Lease"/>.
/// </summary>
public abstract class NativeObject : SafeHandle
{
    private NativeObject[] _parents = [];

    private protected NativeObject()
        : base(0, ownsHandle: true) { }

    public override bool IsInvalid => handle == 0;

    /// <summary>Takes over a created object; its parents stay until it is freed.</summary>
    private protected void Adopt(nint pointer, params NativeObject[] parents)
    {
        foreach (var parent in parents)
        {
            var added = false;
            parent.DangerousAddRef(ref added);
        }
        _parents = parents;
        SetHandle(pointer);
    }

    private protected abstract void Free(nint pointer);

    protected sealed override bool ReleaseHandle()
    {
        Free(handle);
        foreach (var parent in _parents)
        {
            parent.DangerousRelease();
        }
        return true;
    }

    /// <summary>Keeps an object alive for the length of a call; null gives a null pointer.</summary>
    internal readonly ref struct Lease : IDisposable
    {
        private readonly NativeObject? _target;

        public Lease(NativeObject? target)
        {
            if (target == null)
            {
                return;
            }
            ObjectDisposedException.ThrowIf(target.IsClosed, target);
            var added = false;
            target.DangerousAddRef(ref added);
            _target = target;
        }

        public nint Pointer => _target?.handle ?? 0;

        public void Dispose() => _target?.DangerousRelease();
    }
}
