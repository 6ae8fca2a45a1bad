using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Slimming.Shared;

/// <summary>Writes that survive a power cut: content first, then the name, then the folder that holds the name.</summary>
internal static partial class Durable
{
    private const int O_RDONLY = 0;
    private const int EINVAL = 22;

    /// <summary>Writes beside <paramref name="path"/>, syncs, and renames onto it.</summary>
    public static void WriteAtomically(string path, Action<Stream> write)
    {
        var partial = path + ".partial";
        try
        {
            using (var stream = File.Create(partial))
            {
                write(stream);
                stream.Flush(flushToDisk: true);
            }
            Rename(partial, path, overwrite: true);
        }
        catch
        {
            File.Delete(partial);
            throw;
        }
    }

    /// <summary>Gives a synced file its name, and makes the name durable.</summary>
    public static void Rename(string partial, string path, bool overwrite)
    {
        File.Move(partial, path, overwrite);
        SyncFolder(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    /// <summary>The same for a file that somebody else wrote and closed.</summary>
    public static void Publish(string partial, string path)
    {
        using (var handle = File.OpenHandle(partial, FileMode.Open, FileAccess.ReadWrite))
        {
            RandomAccess.FlushToDisk(handle);
        }
        Rename(partial, path, overwrite: true);
    }

    /// <summary>Makes renames and new names in a folder durable. Windows has no such call and needs none.</summary>
    public static void SyncFolder(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            return;
        }
        var descriptor = Open(path, O_RDONLY);
        if (descriptor < 0)
        {
            throw new IOException($"cannot open folder {path}: {Marshal.GetLastPInvokeErrorMessage()}");
        }
        // Some network file systems have no such call for folders (EINVAL).
        var failed = FSync(descriptor) < 0 && Marshal.GetLastPInvokeError() != EINVAL;
        var message = Marshal.GetLastPInvokeErrorMessage();
        _ = Close(descriptor);
        if (failed)
        {
            throw new IOException($"cannot sync folder {path}: {message}");
        }
    }

    /// <summary>SHA-256 of a file, lower-case hex.</summary>
    public static string Sha256(string path)
    {
        using var stream = RegularFile.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FSync(int descriptor);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int descriptor);
}
