namespace Slimming.Training.Tests.Runs;

/// <summary>What a process may use, from files as the kernel lays them out.</summary>
public sealed class MachineMemoryTests : IDisposable
{
    private const long MiB = 1 << 20;
    private readonly string _root = Directory.CreateTempSubdirectory("slimming-machine-").FullName;

    public MachineMemoryTests()
    {
        // Swap is plenty and does not count.
        Write(
            "proc/meminfo",
            "MemTotal:        4194304 kB\nMemAvailable:    2097152 kB\nSwapFree:       99999999 kB\n"
        );
        Write("proc/self/status", "Name:\tslimming\nRssAnon:\t   65536 kB\nRssShmem:\t    1024 kB\n");
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void Without_groups_it_is_what_the_machine_has()
    {
        var found = MachineMemory.Read(_root);
        found.Total.ShouldBe(4096 * MiB);
        found.Available.ShouldBe((2048 + 64 + 1) * MiB, "what the process holds already counts as its own");
        found.TotalName.ShouldBe("this machine");
    }

    [Fact]
    public void The_least_limit_of_a_v2_group_and_those_above_it_holds()
    {
        Write("proc/self/cgroup", "0::/user/job\n");
        Group("sys/fs/cgroup/user/job", "max", 100 * MiB, 0);
        Group("sys/fs/cgroup/user", $"{600 * MiB}", 500 * MiB, 300 * MiB);
        var found = MachineMemory.Read(_root);
        found.Total.ShouldBe(600 * MiB);
        found.TotalName.ShouldEndWith("sys/fs/cgroup/user");
        found.Available.ShouldBe((600 - (500 - 300) + 65) * MiB, "file pages give way");
    }

    [Fact]
    public void A_container_sees_its_group_at_the_mount()
    {
        Write("proc/self/cgroup", "0::/../../docker/abc\n");
        Group("sys/fs/cgroup", $"{512 * MiB}", 10 * MiB, 0);
        MachineMemory.Read(_root).Total.ShouldBe(512 * MiB);
    }

    [Fact]
    public void Limits_of_v1_hold_too()
    {
        Write("proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/a/b\n1:cpu:/x\n0::/\n");
        Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
        Write("sys/fs/cgroup/memory/memory.usage_in_bytes", $"{3000 * MiB}");
        Write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", $"{800 * MiB}");
        Write("sys/fs/cgroup/memory/a/memory.usage_in_bytes", $"{700 * MiB}");
        Write(
            "sys/fs/cgroup/memory/a/memory.stat",
            $"cache 5\ntotal_inactive_file {50 * MiB}\ntotal_active_file {MiB}\n"
        );
        var found = MachineMemory.Read(_root);
        found.Total.ShouldBe(800 * MiB);
        found.Available.ShouldBe((800 - 700 + 50 + 1 + 65) * MiB);
        found.AvailableName.ShouldEndWith("memory/a");
    }

    [Fact]
    public void A_group_over_its_limit_has_nothing_free()
    {
        Write("proc/self/cgroup", "0::/job\n");
        Group("sys/fs/cgroup/job", $"{100 * MiB}", 400 * MiB, 0);
        MachineMemory.Read(_root).Available.ShouldBe(0);
    }

    [Fact]
    public void This_machine_has_some()
    {
        var found = MachineMemory.Read();
        found.Available.ShouldBeInRange(16 * MiB, found.Total);
    }

    private void Group(string folder, string limit, long used, long files)
    {
        Write($"{folder}/memory.max", limit + "\n");
        Write($"{folder}/memory.current", $"{used}\n");
        Write($"{folder}/memory.stat", $"anon 1\ninactive_file {files}\nactive_file 0\n");
    }

    private void Write(string path, string text)
    {
        var full = Path.Combine(_root, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllText(full, text);
    }
}
