using System.Reflection;
using System.Runtime.InteropServices;
using Slimming.Gguf;
using Slimming.LlamaCpp.Interop;
using Slimming.Shared;

namespace Slimming.LlamaCpp;

/// <summary>One native library of llama.cpp as found on this machine.</summary>
/// <param name="Name">File name, e.g. <c>libllama.v0.5.0.so</c>.</param>
/// <param name="Path">Full path.</param>
/// <param name="Sha256">Lower-case hex digest of the file; empty where the file is absent.</param>
public sealed record LlamaLibrary(string Name, string Path, string Sha256)
{
    /// <summary>The digest that the pinned release has; null for a file that is not part of it.</summary>
    public string? Expected => PinnedLibraries.Sha256.GetValueOrDefault(Name);

    /// <summary>True where the file is, byte for byte, the one of the pinned release.</summary>
    public bool IsPinned => Expected is not null && string.Equals(Expected, Sha256, StringComparison.Ordinal);

    /// <summary>Why it is not loaded: present, not the pinned file, and not allowed by SLIMMING_ALLOW_OTHER_LIBRARIES=1; null otherwise.</summary>
    public string? Problem => Sha256.Length == 0 ? null : PinnedFile.Problem(Path, Sha256, Expected);
}

/// <summary>
/// Loads the one pinned llama.cpp from <see cref="NativeFiles.Directory"/><c>/llama</c> and proves that it is the one
/// the bindings were generated from: the files' SHA-256 before they are loaded, version string and struct sizes before
/// anything else is called.
/// </summary>
public static unsafe class LlamaRuntime
{
    /// <summary>The release that the bindings were generated from.</summary>
    public const string PinnedVersion = "v0.5.0";

    /// <summary>What <c>llama_version()</c> answers in the pinned prebuilt files.</summary>
    public const string PinnedAnswer = "0.5.0-dev";

    private static readonly Lazy<string> Loaded = new(Load, LazyThreadSafetyMode.ExecutionAndPublication);

    /// <summary>The folder that the libraries are loaded from.</summary>
    public static string Directory { get; } = Path.Combine(NativeFiles.Directory, "llama");

    /// <summary>The version string that the loaded library answers.</summary>
    public static string Version => Loaded.Value;

    /// <summary>Instruction sets that the loaded CPU backend uses, as llama.cpp words them.</summary>
    public static string SystemInfo
    {
        get
        {
            EnsureLoaded();
            return Marshal.PtrToStringUTF8((nint)LlamaNative.llama_print_system_info()) ?? "";
        }
    }

    /// <summary>Every library of the pinned release with its place and digest; nothing is loaded for it.</summary>
    public static IReadOnlyList<LlamaLibrary> Libraries => PinnedLibraries.Inspect(Directory);

    /// <summary>Loads and initialises the library once. Throws <see cref="SlimmingException"/> when it is absent, another version, or not the pinned file.</summary>
    public static void EnsureLoaded() => _ = Loaded.Value;

    /// <summary>Refuses a library whose version string is not the pinned one.</summary>
    internal static void CheckVersion(string answered, string path)
    {
        if (!string.Equals(answered, PinnedAnswer, StringComparison.Ordinal))
        {
            throw new SlimmingException(
                ExitCode.Failed,
                $"{path}: this is llama.cpp {answered}, expected {PinnedAnswer} ({PinnedVersion}); "
                    + "run 'npm ci' in native/runtimes and build again, or put the pinned files back"
            );
        }
    }

    /// <summary>Refuses a struct whose managed size differs from the one the pinned header has (DESIGN.md section 4).</summary>
    internal static void CheckSize(string name, int managed, int pinned)
    {
        if (managed != pinned)
        {
            throw new SlimmingException(
                ExitCode.Failed,
                $"binding of {name}: {managed} bytes, llama.cpp {PinnedVersion} has {pinned}; generate the bindings again from its llama.h"
            );
        }
    }

    private static string Load()
    {
        NativeLibrary.SetDllImportResolver(typeof(LlamaRuntime).Assembly, Resolve);
        CheckSize("llama_model_params", sizeof(llama_model_params), 80);
        CheckSize("llama_context_params", sizeof(llama_context_params), 160);
        CheckSize("llama_batch", sizeof(llama_batch), 56);
        CheckSize("llama_model_quantize_params", sizeof(llama_model_quantize_params), 64);

        PinnedLibraries.Check(Directory);
        // Before the backends: a foreign library may not survive their initialisation.
        var path = FileOf("llama");
        string answered;
        try
        {
            answered = Marshal.PtrToStringUTF8((nint)LlamaNative.llama_version()) ?? "without a version";
        }
        catch (EntryPointNotFoundException missing)
        {
            throw new SlimmingException(
                ExitCode.Failed,
                $"{path}: not llama.cpp {PinnedVersion}, it lacks the function llama_version ({missing.Message})",
                missing
            );
        }
        CheckVersion(answered, path);

        LlamaLog.Install();
        using (var folder = new Utf8Text(Directory))
        {
            GgmlNative.ggml_backend_load_all_from_path(folder.Pointer);
        }
        LlamaNative.llama_backend_init();
        return answered;
    }

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? searchPath)
    {
        if (name is not ("llama" or "ggml" or "ggml-base"))
        {
            return 0;
        }
        var path = FileOf(name);
        if (!File.Exists(path))
        {
            throw new SlimmingException(
                ExitCode.Failed,
                $"{path}: native library of llama.cpp {PinnedVersion} not found; run 'npm ci' in native/runtimes and build again"
            );
        }
        try
        {
            return NativeLibrary.Load(path);
        }
        catch (Exception reason) when (reason is DllNotFoundException or BadImageFormatException)
        {
            throw new SlimmingException(ExitCode.Failed, $"{path}: cannot be loaded: {reason.Message}", reason);
        }
    }

    private static string FileOf(string name) =>
        Path.Combine(
            Directory,
            name switch
            {
                "llama" => $"libllama.{PinnedVersion}.so",
                "ggml" => $"libggml.{PinnedVersion}.so",
                _ => "libggml-base.so",
            }
        );
}

/// <summary>A zero-terminated UTF-8 copy of a string outside the managed heap.</summary>
internal unsafe ref struct Utf8Text
{
    public Utf8Text(string text)
    {
        if (text.Contains('\0', StringComparison.Ordinal))
        {
            throw new ArgumentException("text holds a zero character", nameof(text));
        }
        Pointer = (sbyte*)Marshal.StringToCoTaskMemUTF8(text);
    }

    public sbyte* Pointer { get; private set; }

    public void Dispose()
    {
        Marshal.FreeCoTaskMem((nint)Pointer);
        Pointer = null;
    }
}
