using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;

namespace Slimming.Gguf;

/// <summary>
/// A file that stays open, with the length and time of change that it had: what was read from it counts only while both
/// are the same. A file that is merely removed or replaced by another of its name stays whole for who has it open.
/// </summary>
public sealed class FileStamp : IDisposable
{
    private readonly SafeFileHandle _handle;
    private readonly DateTime _changed;

    private FileStamp(string path, SafeFileHandle handle)
    {
        Path = path;
        _handle = handle;
        Length = RandomAccess.GetLength(handle);
        _changed = File.GetLastWriteTimeUtc(handle);
    }

    public string Path { get; }

    /// <summary>Bytes when it was opened.</summary>
    public long Length { get; }

    public static FileStamp Open(string path)
    {
        var handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        try
        {
            return new FileStamp(path, handle);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Maps it whole, for reading.</summary>
    public MemoryMappedFile Map() =>
        MemoryMappedFile.CreateFromFile(
            _handle,
            null,
            0,
            MemoryMappedFileAccess.Read,
            HandleInheritability.None,
            leaveOpen: true
        );

    /// <exception cref="SlimmingException">Exit code 1: somebody wrote to it since it was opened.</exception>
    public void Check()
    {
        var length = RandomAccess.GetLength(_handle);
        if (length != Length)
        {
            throw Changed($"expected the {Length} bytes it had when it was opened, found {length}");
        }
        if (File.GetLastWriteTimeUtc(_handle) != _changed)
        {
            throw Changed("it was written to after it was opened");
        }
    }

    public void Dispose() => _handle.Dispose();

    private SlimmingException Changed(string how) =>
        new(ExitCode.Failed, $"{Path}: changed while it was in use: {how}; put it back and run the command again");
}
