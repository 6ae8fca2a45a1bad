using Slimming.Gguf;

namespace Slimming.Interop;

/// <summary>Threads and kernels of the library.</summary>
public sealed unsafe class NativeRuntime : NativeObject
{
    private NativeRuntime(int threads)
    {
        SlimmingLibrary.EnsureLoaded();
        var native = new slm_runtime_params { size = (ulong)sizeof(slm_runtime_params), n_threads = threads };
        slm_runtime* created = null;
        var error = stackalloc sbyte[Status.ErrorBytes];
        Status.Check(SlimmingNative.slm_runtime_create(&native, &created, error, Status.ErrorBytes), error);
        Adopt((nint)created);
        Info = ReadInfo();
    }

    public RuntimeInfo Info { get; }

    /// <param name="threads">0: one per usable core.</param>
    public static NativeRuntime Create(int threads = 0) => new(threads);

    /// <summary>Runs the library's own checks, one per element.</summary>
    public IEnumerable<SelfCheck> SelfChecks()
    {
        var count = 1;
        for (var i = 0; i < count; i++)
        {
            yield return RunSelfCheck(i, out count);
        }
    }

    /// <summary>Dequantizes blocks of <paramref name="type"/>; <paramref name="values"/> is a whole number of them.</summary>
    public static void Dequantize(GgmlType type, ReadOnlySpan<byte> data, Span<float> values)
    {
        SlimmingLibrary.EnsureLoaded();
        var error = stackalloc sbyte[Status.ErrorBytes];
        fixed (byte* from = data)
        fixed (float* to = values)
        {
            Status.Check(
                SlimmingNative.slm_dequantize(
                    (uint)type,
                    from,
                    (ulong)data.Length,
                    to,
                    values.Length,
                    error,
                    Status.ErrorBytes
                ),
                error
            );
        }
    }

    private protected override void Free(nint pointer) => SlimmingNative.slm_runtime_free((slm_runtime*)pointer);

    private SelfCheck RunSelfCheck(int index, out int count)
    {
        using var runtime = new Lease(this);
        var native = new slm_self_check { size = (ulong)sizeof(slm_self_check) };
        var n = 0;
        var error = stackalloc sbyte[Status.ErrorBytes];
        Status.Check(
            SlimmingNative.slm_runtime_self_check(
                (slm_runtime*)runtime.Pointer,
                index,
                &native,
                &n,
                error,
                Status.ErrorBytes
            ),
            error
        );
        count = n;
        return new SelfCheck(Utf8Text.Read(native.name), native.passed != 0, native.difference, native.tolerance);
    }

    private RuntimeInfo ReadInfo()
    {
        using var runtime = new Lease(this);
        var native = new slm_runtime_info { size = (ulong)sizeof(slm_runtime_info) };
        var error = stackalloc sbyte[Status.ErrorBytes];
        Status.Check(
            SlimmingNative.slm_runtime_get_info((slm_runtime*)runtime.Pointer, &native, error, Status.ErrorBytes),
            error
        );
        return new RuntimeInfo(
            native.n_threads,
            (Isa)native.isa,
            (CpuFeatures)native.cpu_features,
            Utf8Text.Read(native.cpu_name),
            Utf8Text.Read(native.version),
            LevelsOf(native.levels),
            LevelsOf(native.offered)
        );
    }

    private static IReadOnlyList<Isa> LevelsOf(uint mask) =>
        [.. Enum.GetValues<Isa>().Where(isa => (mask >> (int)isa & 1) != 0)];
}
