using System.Reflection;
using System.Runtime.InteropServices;
using Slimming.Results.Interop;
using Slimming.Shared;

namespace Slimming.Results;

/// <summary>Loads libduckdb from the program's native folder and checks its SHA-256 before and its version after that.</summary>
public static class DuckDbLibrary
{
    /// <summary>The one version whose result layout and functions the bindings were written for.</summary>
    public const string ExpectedVersion = "v1.5.6";

    /// <summary>Of libduckdb.so in npm package @duckdb/node-bindings-linux-x64 1.5.6.</summary>
    public const string ExpectedSha256 = "3f4962cdd266eab2b479a5b5a4a6d063d279b2954ae814ed00385d553b747633";

    private static readonly Lazy<string> s_version = new(Load);

    public static string Path { get; } = System.IO.Path.Combine(NativeFiles.Directory, "libduckdb.so");

    /// <summary>Of the file as it is; empty where it is absent.</summary>
    public static string Sha256 => PinnedFile.Sha256(Path);

    /// <summary>Why the present file is not loaded; null where it is the pinned one or SLIMMING_ALLOW_OTHER_LIBRARIES=1 allows it.</summary>
    public static string? Problem => PinnedFile.Problem(Path, Sha256, ExpectedSha256);

    /// <exception cref="ResultsException">The library is missing, another version, or not the pinned file.</exception>
    public static string Version => s_version.Value;

    private static unsafe string Load()
    {
        if (!File.Exists(Path))
        {
            throw new ResultsException(
                ResultsFault.Failed,
                $"{Path} is missing: DuckDB reads and writes the data files; build with 'dotnet cake --target=Build'"
            );
        }
        if (Problem is { } problem)
        {
            throw new ResultsException(ResultsFault.Refused, problem);
        }
        NativeLibrary.SetDllImportResolver(
            Assembly.GetExecutingAssembly(),
            (name, _, _) => name == "duckdb" ? NativeLibrary.Load(Path) : 0
        );
        var version = Marshal.PtrToStringUTF8((nint)DuckDbNative.duckdb_library_version()) ?? "";
        return version == ExpectedVersion
            ? version
            : throw new ResultsException(
                ResultsFault.Failed,
                $"{Path} is DuckDB {version}; expected {ExpectedVersion} (the version named in native/runtimes/package.json)"
            );
    }
}
