using System.Runtime.CompilerServices;
using Xunit;

namespace Slimming.TestSupport;

/// <summary>Finds reference files that stay out of the repository; a test that needs an absent one is skipped with its path.</summary>
public static class SharedFiles
{
    /// <summary>Root of the checkout, from this source file's own place.</summary>
    public static string RepoRoot { get; } = FindRepoRoot();

    private static string Root { get; } =
        Environment.GetEnvironmentVariable("SLIMMING_SHARED") is { Length: > 0 } set
            ? set
            : Path.GetFullPath(Path.Combine(RepoRoot, "..", "shared"));

    /// <summary>The path of a file or folder below the shared root; skips the calling test where it is absent.</summary>
    public static string Require(string relativePath)
    {
        var path = Path.Combine(Root, relativePath);
        if (!Path.Exists(path))
        {
            Assert.Skip($"reference file not at hand: {path} (set SLIMMING_SHARED)");
        }
        return path;
    }

    private static string FindRepoRoot([CallerFilePath] string path = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "..", ".."));
}
