using System.Collections.Concurrent;

namespace Slimming.TestSupport;

/// <summary>Folders for files of a test that nobody else removes: they go when the test process ends.</summary>
public static class ScratchFolder
{
    private static readonly ConcurrentBag<string> s_folders = Begin();

    public static string New()
    {
        var folder = Directory.CreateTempSubdirectory("slimming-test-").FullName;
        s_folders.Add(folder);
        return folder;
    }

    private static ConcurrentBag<string> Begin()
    {
        AppDomain.CurrentDomain.ProcessExit += (_, _) =>
        {
            foreach (var folder in s_folders.Where(Directory.Exists))
            {
                Directory.Delete(folder, recursive: true);
            }
        };
        return [];
    }
}
