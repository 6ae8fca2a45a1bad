using Slimming.Gguf;
using Slimming.Interop;
using Slimming.LlamaCpp;
using Slimming.Results;
using Slimming.Shared;
using Slimming.Training;

namespace Slimming.Cli.Doctor;

/// <summary>One native library.</summary>
/// <param name="Name">File name.</param>
/// <param name="Version">What it answers; null where it was not loaded.</param>
/// <param name="State">pinned (byte for byte the released file), other, absent or built here.</param>
/// <param name="Path">Where it is.</param>
/// <param name="Sha256">Empty where it is absent.</param>
/// <param name="Problem">Null when it is as it should be.</param>
internal sealed record LibraryState(
    string Name,
    string? Version,
    string State,
    string Path,
    string Sha256,
    string? Problem
);

/// <summary>The processor as the kernels see it.</summary>
internal sealed record CpuState(
    string Name,
    int Threads,
    string Isa,
    IReadOnlyList<string> Features,
    IReadOnlyList<LevelState> Levels
);

/// <summary>What <c>doctor</c> found.</summary>
internal sealed record Diagnosis(
    string Version,
    CpuState? Cpu,
    IReadOnlyList<string> ComputeModes,
    IReadOnlyList<LibraryState> Libraries,
    IReadOnlyList<SelfCheck> Checks
)
{
    public IReadOnlyList<string> Problems =>
        [
            .. Libraries.Where(library => library.Problem is not null).Select(library => library.Problem!),
            .. Checks
                .Where(check => !check.Passed)
                .Select(check =>
                    $"self-check {check.Name}: difference {check.Difference:g3}, allowed {check.Tolerance:g3}"
                ),
        ];

    public bool Ok => Problems.Count == 0;

    public static Diagnosis Make()
    {
        var (own, runtime) = Own();
        using (runtime)
        {
            CpuState? cpu = runtime?.Info is { } info
                ? new CpuState(
                    info.CpuName,
                    info.Threads,
                    info.Isa.ToName(),
                    [
                        .. Enum.GetValues<CpuFeatures>()
                            .Where(bit => bit != CpuFeatures.None && info.CpuFeatures.HasFlag(bit))
                            .Select(bit => bit.ToString().ToLowerInvariant()),
                    ],
                    [.. info.Levels.Select(isa => LevelState.Of(isa, info))]
                )
                : null;
            var (version, commit) = RunRecord.Build();
            return new Diagnosis(
                commit.Length > 0 ? $"{version}+{commit}" : version,
                cpu,
                ["f32", "bf16", "int8"],
                [own, DuckDb(), .. Llama()],
                runtime is null ? [] : [.. runtime.SelfChecks()]
            );
        }
    }

    /// <summary>libslimming has no pin: it is built on each machine. Its ABI and the self-checks vouch for it.</summary>
    private static (LibraryState State, NativeRuntime? Runtime) Own()
    {
        LibraryState state = new(
            SlimmingLibrary.FileName,
            null,
            "built here",
            SlimmingLibrary.Path,
            Sha256(SlimmingLibrary.Path),
            null
        );
        try
        {
            var runtime = NativeRuntime.Create();
            return (state with { Version = runtime.Info.Version }, runtime);
        }
        catch (SlimmingException exception)
        {
            return (state with { Problem = exception.Message }, null);
        }
    }

    private static LibraryState DuckDb()
    {
        var sha256 = DuckDbLibrary.Sha256;
        var problem = sha256.Length == 0 ? Absent(DuckDbLibrary.Path) : DuckDbLibrary.Problem;
        string? version = null;
        try
        {
            // A library that is not the pinned one is never loaded.
            version = problem is null ? DuckDbLibrary.Version : null;
        }
        catch (ResultsException exception)
        {
            problem = exception.Message;
        }
        return new LibraryState(
            Path.GetFileName(DuckDbLibrary.Path),
            version,
            State(sha256, DuckDbLibrary.ExpectedSha256),
            DuckDbLibrary.Path,
            sha256,
            problem
        );
    }

    private static List<LibraryState> Llama()
    {
        var libraries = LlamaRuntime
            .Libraries.Select(library => new LibraryState(
                library.Name,
                null,
                State(library.Sha256, library.Expected),
                library.Path,
                library.Sha256,
                library.Sha256.Length == 0 ? Absent(library.Path) : library.Problem
            ))
            .ToList();
        if (libraries.TrueForAll(library => library.Problem is null))
        {
            string? version = null;
            string? problem = null;
            try
            {
                version = LlamaRuntime.Version;
            }
            catch (SlimmingException exception)
            {
                problem = exception.Message;
            }
            var main = libraries.FindIndex(library => library.Name.StartsWith("libllama", StringComparison.Ordinal));
            libraries[main] = libraries[main] with { Version = version, Problem = problem };
        }
        return libraries;
    }

    private static string State(string found, string? expected) =>
        found.Length == 0 ? "absent"
        : found == expected ? "pinned"
        : "other";

    private static string Absent(string path) => $"{path}: not there; run `npm ci` in native/runtimes and build again";

    private static string Sha256(string path) => File.Exists(path) ? Durable.Sha256(path) : "";
}
