using System.Diagnostics;

namespace Slimming.Cli.Tests.Reliability;

/// <summary>A disk of a few pages in memory, mounted on a folder; a test is skipped where mounting is not allowed.</summary>
internal sealed class SmallDisk : IDisposable
{
    public const int PageBytes = 4096;

    private readonly TempFolder _temp = new();

    /// <param name="options">As mount takes them: <c>size=64k</c>, <c>nr_inodes=9</c>.</param>
    public SmallDisk(string options)
    {
        Path = Directory.CreateDirectory(_temp["disk"]).FullName;
        if (Mount("-t", "tmpfs", "-o", options, "tmpfs", Path) is { } reason)
        {
            _temp.Dispose();
            Assert.Skip($"a disk in memory cannot be mounted here: {reason}");
        }
    }

    public string Path { get; }

    public string this[string name] => System.IO.Path.Combine(Path, name);

    /// <summary>Another size, or <c>ro</c>; what is on it stays.</summary>
    public void Remount(string options) => Mount("-o", $"remount,{options}", Path).ShouldBeNull();

    /// <summary>Bytes taken by what is on it.</summary>
    public long Used
    {
        get
        {
            DriveInfo drive = new(Path);
            return drive.TotalSize - drive.TotalFreeSpace;
        }
    }

    /// <summary>Names of all files and folders on it.</summary>
    public List<string> Names =>
        [
            .. Directory
                .EnumerateFileSystemEntries(Path, "*", SearchOption.AllDirectories)
                .Select(name => System.IO.Path.GetRelativePath(Path, name))
                .Order(StringComparer.Ordinal),
        ];

    public void Dispose()
    {
        var open = OpenFiles().ToList();
        // Lazily: a child process of another test may have inherited a file.
        Call("umount", "-l", Path);
        open.ShouldBeEmpty("files that were not closed");
        _temp.Dispose();
    }

    private IEnumerable<string> OpenFiles() =>
        Directory
            .EnumerateFiles("/proc/self/fd")
            .Select(Target)
            .Where(target => target.StartsWith(Path, StringComparison.Ordinal));

    // Other tests close files while these are listed.
    private static string Target(string descriptor)
    {
        try
        {
            return File.ResolveLinkTarget(descriptor, returnFinalTarget: false)?.FullName ?? "";
        }
        catch (FileNotFoundException)
        {
            return "";
        }
    }

    private static string? Mount(params string[] args) => Call("mount", args);

    /// <summary>Null when it went well, else what the program said.</summary>
    private static string? Call(string program, params string[] args)
    {
        try
        {
            using var process = Process.Start(
                new ProcessStartInfo(program, args) { RedirectStandardError = true, UseShellExecute = false }
            )!;
            var error = process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? null : error.Trim();
        }
        catch (System.ComponentModel.Win32Exception missing)
        {
            return missing.Message;
        }
    }
}
