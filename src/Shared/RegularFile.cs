using System.Runtime.InteropServices;

namespace Slimming.Shared;

/// <summary>Files that a record or a folder from elsewhere names: a pipe or a device behind such a name would never end.</summary>
internal static partial class RegularFile
{
    private const int AtCurrentFolder = -100;
    private const uint WantType = 1;
    private const int ModeOffset = 28;
    private const int SizeOfStatx = 256;
    private const int TypeMask = 0xF000;
    private const int OfFile = 0x8000;
    private const int OfFolder = 0x4000;

    /// <summary>Opens a file to read, links followed.</summary>
    /// <exception cref="IOException">It is a pipe, a device or a socket.</exception>
    public static FileStream OpenRead(string path)
    {
        Require(path);
        return File.OpenRead(path);
    }

    /// <exception cref="IOException">It is a pipe, a device or a socket.</exception>
    public static void Require(string path)
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }
        // Asked without opening: opening a pipe waits for who writes to it.
        Span<byte> found = stackalloc byte[SizeOfStatx];
        if (
            Statx(AtCurrentFolder, path, 0, WantType, ref MemoryMarshal.GetReference(found)) == 0
            && (MemoryMarshal.Read<ushort>(found[ModeOffset..]) & TypeMask) is not (OfFile or OfFolder)
        )
        {
            throw new IOException($"{path}: is a pipe, a device or a socket; expected a file");
        }
    }

    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Statx(int folder, string path, int flags, uint mask, ref byte found);
}
