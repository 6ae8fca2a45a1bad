using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Slimming.Shared;

/// <summary>
/// Keeps a second process out of a folder. The file <c>lock</c> holds the owner's process id; the operating system
/// drops the lock itself when that process dies, so a crash leaves nothing to clean up.
/// </summary>
internal sealed partial class FolderLock : IDisposable
{
    public const string FileName = "lock";
    private const int O_RDWR = 2;
    private const int O_CREAT = 0x40;
    private const int O_CLOEXEC = 0x80000;
    private const int O_CREAT_APPLE = 0x200;
    private const int LOCK_EX = 2;
    private const int LOCK_NB = 4;

    private readonly string _path;
    private readonly SafeFileHandle _handle;

    private FolderLock(string path, SafeFileHandle handle)
    {
        _path = path;
        _handle = handle;
    }

    /// <exception cref="FolderHeldException">Another process holds the folder.</exception>
    /// <exception cref="IOException">The lock cannot be written.</exception>
    public static FolderLock Take(string folder)
    {
        var path = Path.Combine(folder, FileName);
        // A name that its last owner removed between our open and our lock guards nothing: take the new one.
        while (true)
        {
            if (TryTake(folder, path) is { } taken)
            {
                return taken;
            }
        }
    }

    /// <summary>The process id in a folder's lock file.</summary>
    public static string OwnerOf(string folder)
    {
        var path = Path.Combine(folder, FileName);
        using var handle = OperatingSystem.IsWindows()
            ? File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete)
            : OpenUnix(path);
        return Read(handle);
    }

    private static FolderLock? TryTake(string folder, string path)
    {
        var pid = Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        var handle = OperatingSystem.IsWindows() ? OpenWindows(path) : OpenUnix(path);
        try
        {
            if (!OperatingSystem.IsWindows() && Flock(Descriptor(handle), LOCK_EX | LOCK_NB) != 0)
            {
                throw Held(folder, Read(handle));
            }
            RandomAccess.SetLength(handle, 0);
            RandomAccess.Write(handle, Encoding.ASCII.GetBytes(pid + "\n"), 0);
            if (OperatingSystem.IsWindows())
            {
                return new FolderLock(path, handle);
            }
            using var again = OpenUnix(path);
            if (Read(again) == pid)
            {
                return new FolderLock(path, handle);
            }
            handle.Dispose();
            return null;
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        // Removed while still held: whoever opens the name next makes a new file.
        try
        {
            File.Delete(_path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // A leftover name locks nothing.
        }
        _handle.Dispose();
    }

    private static SafeFileHandle OpenWindows(string path)
    {
        try
        {
            return File.OpenHandle(
                path,
                FileMode.OpenOrCreate,
                FileAccess.ReadWrite,
                FileShare.Read | FileShare.Delete
            );
        }
        catch (IOException) when (File.Exists(path))
        {
            var folder = Path.GetDirectoryName(path)!;
            throw Held(folder, OwnerOf(folder));
        }
    }

    // .NET's own FileShare lock on Unix would also keep others from reading the process id.
    private static SafeFileHandle OpenUnix(string path)
    {
        var flags = OperatingSystem.IsLinux() ? O_CREAT | O_CLOEXEC : O_CREAT_APPLE;
        var descriptor = Open(path, O_RDWR | flags, 0x1A4);
        if (descriptor < 0)
        {
            throw new IOException($"cannot write {path}: {Marshal.GetLastPInvokeErrorMessage()}");
        }
        return new SafeFileHandle(descriptor, ownsHandle: true);
    }

    private static int Descriptor(SafeFileHandle handle) => (int)handle.DangerousGetHandle();

    private static string Read(SafeFileHandle handle)
    {
        var bytes = new byte[32];
        var count = RandomAccess.Read(handle, bytes, 0);
        return Encoding.ASCII.GetString(bytes, 0, count).Trim();
    }

    private static FolderHeldException Held(string folder, string pid) =>
        new($"{folder} is in use by process {pid}; wait for it or give another --out");

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static partial int Flock(int descriptor, int operation);
}

/// <summary>The message names the folder and the process that holds it.</summary>
internal sealed class FolderHeldException(string message) : Exception(message);
