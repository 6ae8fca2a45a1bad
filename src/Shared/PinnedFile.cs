using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace Slimming.Shared;

/// <summary>Native libraries whose SHA-256 the program knows: another file is not loaded unless the user says so.</summary>
internal static class PinnedFile
{
    /// <summary>Set to 1 in the environment, it lets libraries with another digest be loaded.</summary>
    public const string AllowOthers = "SLIMMING_ALLOW_OTHER_LIBRARIES";

    private static readonly ConcurrentDictionary<(string Path, long Size, DateTime Changed), string> s_known = new();

    public static bool OthersAllowed => Environment.GetEnvironmentVariable(AllowOthers) == "1";

    /// <summary>Lower-case hex digest, empty where the file is absent; computed once for each state of the file.</summary>
    public static string Sha256(string path)
    {
        FileInfo file = new(path);
        if (!file.Exists)
        {
            return "";
        }
        // A link's own length and time say nothing about what it leads to.
        file = file.ResolveLinkTarget(returnFinalTarget: true) as FileInfo ?? file;
        return s_known.GetOrAdd(
            (file.FullName, file.Length, file.LastWriteTimeUtc),
            key =>
            {
                using var stream = File.OpenRead(key.Path);
                return Convert.ToHexStringLower(SHA256.HashData(stream));
            }
        );
    }

    /// <summary>Why a file must not be loaded; null where it may.</summary>
    /// <param name="path">Named in the message.</param>
    /// <param name="found">Its digest.</param>
    /// <param name="expected">The pinned digest; null for a file that is not part of the release.</param>
    public static string? Problem(string path, string found, string? expected)
    {
        if (found == expected || OthersAllowed)
        {
            return null;
        }
        var what = expected is null
            ? $"not part of the pinned release (SHA-256 {found}), but it would be loaded; remove it"
            : $"SHA-256 expected {expected}, found {found}; put the pinned file back ('npm ci' in native/runtimes and build again)";
        return $"{path}: {what}, or set {AllowOthers}=1 to load it all the same";
    }
}
