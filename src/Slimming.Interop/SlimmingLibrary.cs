using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Slimming.Gguf;
using Slimming.Shared;

namespace Slimming.Interop;

/// <summary>Loads libslimming once, from the program's own native folder, and refuses one whose ABI is another.</summary>
public static unsafe class SlimmingLibrary
{
    private static readonly Lazy<nint> Handle = new(Load);

    /// <summary>The library's name on this operating system.</summary>
    public static string FileName =>
        OperatingSystem.IsWindows() ? "slimming.dll"
        : OperatingSystem.IsMacOS() ? "libslimming.dylib"
        : "libslimming.so";

    public static string Path => System.IO.Path.Combine(NativeFiles.Directory, FileName);

    /// <exception cref="SlimmingException">It is absent, not loadable, or was built from another header.</exception>
    public static void EnsureLoaded() => _ = Handle.Value;

    private static nint Load()
    {
        var library = LoadChecked(Path);
        NativeLibrary.SetDllImportResolver(
            Assembly.GetExecutingAssembly(),
            (name, _, _) => name == "slimming" ? library : 0
        );
        SlimmingNative.slm_guard_mappings();
        return library;
    }

    internal static nint LoadChecked(string path)
    {
        if (!File.Exists(path))
        {
            throw new SlimmingException(
                ExitCode.Failed,
                $"{path}: the native library is not there; build it with `dotnet cake --target=Build`"
            );
        }
        nint library;
        try
        {
            library = NativeLibrary.Load(path);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            throw new SlimmingException(ExitCode.Failed, $"{path}: cannot load the native library: {e.Message}", e);
        }
        if (
            !NativeLibrary.TryGetExport(library, nameof(SlimmingNative.slm_abi_version), out var version)
            || !NativeLibrary.TryGetExport(library, nameof(SlimmingNative.slm_sizeof), out var size)
        )
        {
            throw new SlimmingException(
                ExitCode.Failed,
                $"{path}: expected libslimming, found a library without slm_abi_version and slm_sizeof"
            );
        }
        var abiVersion = (delegate* unmanaged[Cdecl]<uint>)version;
        var sizeOf = (delegate* unmanaged[Cdecl]<uint, ulong>)size;
        CheckAbi(path, abiVersion(), id => sizeOf((uint)id));
        return library;
    }

    /// <summary>The version first: sizes of another version mean nothing.</summary>
    internal static void CheckAbi(string path, uint version, Func<slm_struct, ulong> sizeOf)
    {
        if (version != SlimmingNative.SLM_ABI_VERSION)
        {
            throw new SlimmingException(
                ExitCode.Failed,
                $"{path}: expected ABI version {SlimmingNative.SLM_ABI_VERSION}, found {version}; rebuild program and library together"
            );
        }
        foreach (var (id, expected) in Sizes)
        {
            if (sizeOf(id) != (ulong)expected)
            {
                throw new SlimmingException(
                    ExitCode.Failed,
                    $"{path}: {id}: expected {expected} bytes, found {sizeOf(id)}; rebuild program and library together"
                );
            }
        }
    }

    internal static IReadOnlyDictionary<slm_struct, int> Sizes { get; } =
        new Dictionary<slm_struct, int>
        {
            [slm_struct.SLM_STRUCT_RUNTIME_PARAMS] = Unsafe.SizeOf<slm_runtime_params>(),
            [slm_struct.SLM_STRUCT_RUNTIME_INFO] = Unsafe.SizeOf<slm_runtime_info>(),
            [slm_struct.SLM_STRUCT_TENSOR] = Unsafe.SizeOf<slm_tensor>(),
            [slm_struct.SLM_STRUCT_MODEL_PARAMS] = Unsafe.SizeOf<slm_model_params>(),
            [slm_struct.SLM_STRUCT_ADAPTER_PARAMS] = Unsafe.SizeOf<slm_adapter_params>(),
            [slm_struct.SLM_STRUCT_TRAINABLE] = Unsafe.SizeOf<slm_trainable>(),
            [slm_struct.SLM_STRUCT_CONTEXT_PARAMS] = Unsafe.SizeOf<slm_context_params>(),
            [slm_struct.SLM_STRUCT_PLAN] = Unsafe.SizeOf<slm_plan>(),
            [slm_struct.SLM_STRUCT_BATCH] = Unsafe.SizeOf<slm_batch>(),
            [slm_struct.SLM_STRUCT_STEP_PARAMS] = Unsafe.SizeOf<slm_step_params>(),
            [slm_struct.SLM_STRUCT_STEP_RESULT] = Unsafe.SizeOf<slm_step_result>(),
            [slm_struct.SLM_STRUCT_SELF_CHECK] = Unsafe.SizeOf<slm_self_check>(),
            [slm_struct.SLM_STRUCT_PROFILE] = Unsafe.SizeOf<slm_profile>(),
            [slm_struct.SLM_STRUCT_TRACE_EVENT] = Unsafe.SizeOf<slm_trace_event>(),
        };
}
