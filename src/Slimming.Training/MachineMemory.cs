using System.Globalization;

namespace Slimming.Training;

/// <summary>
/// Memory that this process can have, in bytes: RAM, or less where a control group (v1 or v2) or one above it allows
/// less. Swap is not counted.
/// </summary>
/// <param name="Total">Never more than this.</param>
/// <param name="TotalName">What sets it.</param>
/// <param name="Available">Free at the moment, or held by caches that give way, or by this process already.</param>
/// <param name="AvailableName">What sets it.</param>
public sealed record MachineMemory(long Total, string TotalName, long Available, string AvailableName)
{
    private const string Machine = "this machine";

    /// <summary>Of this process on this machine.</summary>
    public static MachineMemory Read() => Read("/");

    /// <param name="root">Folder that holds <c>proc</c> and <c>sys</c>.</param>
    internal static MachineMemory Read(string root)
    {
        var info = Path.Combine(root, "proc/meminfo");
        if (!File.Exists(info))
        {
            var all = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
            return new MachineMemory(all, Machine, all, Machine);
        }
        var total = Kilobytes(info, "MemTotal:") ?? long.MaxValue;
        // Without the line (Linux before 3.14) nothing is known of what is free.
        var available = Kilobytes(info, "MemAvailable:") ?? total;
        var own = Own(Path.Combine(root, "proc/self/status"));
        MachineMemory found = new(total, Machine, Math.Min(total, available + own), Machine);
        return Groups(root).Aggregate(found, (least, group) => least.Within(group, own));
    }

    private MachineMemory Within(Group group, long own)
    {
        var name = $"control group {group.Folder}";
        var free = Math.Clamp(group.Limit - group.Used + own, 0, group.Limit);
        return new MachineMemory(
            Math.Min(Total, group.Limit),
            group.Limit < Total ? name : TotalName,
            Math.Min(Available, free),
            free < Available ? name : AvailableName
        );
    }

    /// <summary>A group with a limit. Used: without file pages, which give way.</summary>
    private sealed record Group(string Folder, long Limit, long Used);

    /// <summary>The groups of this process and those above them that set a limit.</summary>
    private static IEnumerable<Group> Groups(string root)
    {
        var own = Path.Combine(root, "proc/self/cgroup");
        if (!File.Exists(own))
        {
            yield break;
        }
        foreach (var line in File.ReadLines(own))
        {
            // hierarchy:controllers:path; v2 has number 0 and no controllers.
            if (line.Split(':', 3) is not [_, var controllers, var path])
            {
                continue;
            }
            var isV1 = controllers.Split(',').Contains("memory");
            if (!isV1 && controllers.Length > 0)
            {
                continue;
            }
            foreach (var mount in isV1 ? ["sys/fs/cgroup/memory"] : new[] { "sys/fs/cgroup", "sys/fs/cgroup/unified" })
            {
                foreach (var folder in Upwards(path))
                {
                    var full = Path.Combine(root, mount, folder);
                    if ((isV1 ? ReadV1(full) : ReadV2(full)) is { } group)
                    {
                        yield return group;
                    }
                }
            }
        }
    }

    /// <summary>a/b, a, and the mount itself, which in a container is the group's own folder.</summary>
    private static IEnumerable<string> Upwards(string path)
    {
        for (var left = path.Trim('/'); left.Length > 0; left = left.Contains('/') ? left[..left.LastIndexOf('/')] : "")
        {
            yield return left;
        }
        yield return "";
    }

    private static Group? ReadV2(string folder) =>
        Number(folder, "memory.max") is { } limit
            ? new Group(
                folder,
                limit,
                (Number(folder, "memory.current") ?? 0) - Stat(folder, "inactive_file", "active_file")
            )
            : null;

    private static Group? ReadV1(string folder) =>
        Number(folder, "memory.limit_in_bytes") is { } limit
            ? new Group(
                folder,
                limit,
                (Number(folder, "memory.usage_in_bytes") ?? 0)
                    - Stat(folder, "total_inactive_file", "total_active_file")
            )
            : null;

    /// <summary>Null where the file is absent or says "max".</summary>
    private static long? Number(string folder, string name)
    {
        var path = Path.Combine(folder, name);
        return File.Exists(path) && long.TryParse(File.ReadAllText(path), CultureInfo.InvariantCulture, out var number)
            ? number
            : null;
    }

    private static long Stat(string folder, params string[] names)
    {
        var path = Path.Combine(folder, "memory.stat");
        return !File.Exists(path)
            ? 0
            : File.ReadLines(path)
                .Select(line => line.Split(' '))
                .Where(line => line.Length == 2 && names.Contains(line[0]))
                .Sum(line => long.Parse(line[1], CultureInfo.InvariantCulture));
    }

    /// <summary>What this process holds that is no file; 0 where the kernel does not say.</summary>
    private static long Own(string status) =>
        File.Exists(status) ? (Kilobytes(status, "RssAnon:") ?? 0) + (Kilobytes(status, "RssShmem:") ?? 0) : 0;

    private static long? Kilobytes(string file, string key) =>
        File.ReadLines(file).FirstOrDefault(text => text.StartsWith(key, StringComparison.Ordinal)) is { } line
            ? long.Parse(line[key.Length..^2].Trim(), CultureInfo.InvariantCulture) * 1024
            : null;
}
