using System.Diagnostics;
using System.Text.RegularExpressions;
using Slimming.Cli.CommandLine;
using Slimming.Gguf;
using Slimming.Training;

namespace Slimming.Cli.Tests.Reliability;

/// <summary>A training in a control group with a limit that the kernel holds it to.</summary>
public sealed class MemoryLimitTests : IDisposable
{
    private const long Limit = 160L << 20;
    private readonly TempFolder _temp = new();
    private readonly string _group = MakeGroup();

    public void Dispose()
    {
        Directory.Delete(_group);
        _temp.Dispose();
    }

    [Fact]
    public void What_is_refused_runs_with_the_setting_that_is_named()
    {
        var ids = string.Join(',', Enumerable.Range(0, 500).Select(i => i * 7 % 312));
        var data = _temp.Write(
            "a.jsonl",
            string.Concat(Enumerable.Repeat($"{{\"input_ids\":[{ids}],\"labels\":[{ids}]}}\n", 64))
        );
        string[] args =
        [
            "train",
            "--model",
            TinyRun.Model,
            "--data",
            data,
            "--out",
            _temp["run"],
            "--batch-size",
            "64",
        ];
        using Installation installation = new();

        var refused = Run(installation, [.. args, "--micro-batch-tokens", "65536"]);
        refused.Code.ShouldBe(3, refused.Error);
        refused.Error.ShouldContain($"control group {_group} has");
        Directory.Exists(_temp["run"]).ShouldBeFalse();

        var named = Regex.Match(refused.Error, "(--micro-batch-tokens [0-9]+) would fit").Groups[1].Value.Split(' ');
        var done = Run(installation, [.. args, .. named]);
        done.Code.ShouldBe(0, done.Error);
    }

    [Theory]
    [InlineData("bench")]
    [InlineData("generate")]
    public void A_model_that_cannot_be_held_is_refused(string verb)
    {
        var error = Should.Throw<SlimmingException>(() =>
            ModelMemory.Require(
                verb,
                new MachineMemory(100 << 20, "this toy", 100 << 20, "this toy"),
                TinyRun.Model,
                null
            )
        );
        error.Code.ShouldBe(ExitCode.Refused);
        error.Message.ShouldContain($"this toy has 100.0 MiB of memory: {verb} needs more than 150");
        error.Message.ShouldContain(TinyRun.Model);
        ModelMemory.Require(verb, MachineMemory.Read(), TinyRun.Model);
    }

    [Fact]
    public void Bench_and_generate_refuse_it_in_a_control_group()
    {
        using Installation installation = new();
        SetLimit(_group, 100L << 20);
        foreach (var verb in new[] { "bench", "generate" })
        {
            string[] rest = verb == "bench" ? ["--tasks", "piqa", "--out", _temp["results"]] : ["--prompt", "a"];
            var (code, error) = Run(installation, [verb, "--model", TinyRun.Model, .. rest]);
            code.ShouldBe(3, error);
            error.ShouldContain($"control group {_group} has 100.0 MiB of memory: {verb} needs more than");
        }
    }

    private (int Code, string Error) Run(Installation installation, string[] args)
    {
        // The group is entered before the program begins; what it allocates is all counted there.
        using var process = Process.Start(
            new ProcessStartInfo(
                "sh",
                ["-c", $"echo $$ > {_group}/cgroup.procs && exec {installation.CommandLine} \"$@\"", "sh", .. args]
            )
            {
                RedirectStandardError = true,
                RedirectStandardOutput = true,
                UseShellExecute = false,
            }
        )!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, error + output.Result);
    }

    private static bool IsV1 => Directory.Exists("/sys/fs/cgroup/memory");

    private static void SetLimit(string group, long bytes) =>
        File.WriteAllText(Path.Combine(group, IsV1 ? "memory.limit_in_bytes" : "memory.max"), $"{bytes}");

    /// <summary>Version 1 or 2, whichever this machine has and lets us use.</summary>
    private static string MakeGroup()
    {
        var folder = Path.Combine(
            IsV1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup",
            $"slimming-test-{Environment.ProcessId}"
        );
        try
        {
            Directory.CreateDirectory(folder);
            SetLimit(folder, Limit);
        }
        catch (Exception reason) when (reason is IOException or UnauthorizedAccessException)
        {
            if (Directory.Exists(folder))
            {
                Directory.Delete(folder);
            }
            Assert.Skip($"no control group with a memory limit can be made here: {reason.Message}");
        }
        return folder;
    }
}
