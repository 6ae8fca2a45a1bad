using Slimming.Gguf;

namespace Slimming.Cli.Tests.Reliability;

/// <summary>
/// A disk that is full at every page and at every name that a run writes: exit code 1 and one message, nothing half-written
/// under a final name, and with more room the same command ends with the same bits.
/// </summary>
public sealed class FullDiskTests : IDisposable
{
    private readonly TempFolder _temp = new();
    private readonly TinyRun _run;

    public FullDiskTests() => _run = new TinyRun(_temp);

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void Train_loses_nothing() => TrainFull(pageStep: 9, nameStep: 4);

    [Fact]
    [Trait("Category", "Slow")]
    public void Train_at_every_page_and_name() => TrainFull(pageStep: 1, nameStep: 1);

    [Fact]
    public void Bench_loses_nothing() => BenchFull(pageStep: 5, nameStep: 3);

    [Fact]
    [Trait("Category", "Slow")]
    public void Bench_at_every_page_and_name() => BenchFull(pageStep: 1, nameStep: 1);

    [Theory]
    [InlineData("adapter", 2)]
    [InlineData("merged", 9)]
    [InlineData("peft", 2)]
    public void Export_leaves_nothing(string kind, int pageStep) => ExportFull(kind, pageStep, nameStep: 1);

    [Theory]
    [InlineData("adapter")]
    [InlineData("merged")]
    [InlineData("peft")]
    [Trait("Category", "Slow")]
    public void Export_at_every_page(string kind) => ExportFull(kind, pageStep: 1, nameStep: 1);

    [Fact]
    public void Report_leaves_nothing()
    {
        Cli.Done(_run.Lora("run"));
        FullAt(
            disk => ["report", _temp["run"], "--out", disk["report.html"]],
            disk => disk.Names.ShouldBeEmpty(),
            disk => File.Exists(disk["report.html"]).ShouldBeTrue(),
            pageStep: 4,
            nameStep: 1
        );
    }

    [Theory]
    [InlineData("train")]
    [InlineData("export")]
    [InlineData("bench")]
    [InlineData("report")]
    public void A_read_only_folder_is_told_and_stays_empty(string verb)
    {
        using SmallDisk disk = new("size=1m");
        if (verb is "export" or "report")
        {
            Cli.Done(_run.Lora("run"));
        }
        disk.Remount("ro");
        var answer = Cli.Run(
            verb switch
            {
                "train" => TrainTo(disk),
                "export" => ["export", _temp["run"], "--out", disk["a.gguf"]],
                "bench" => new LetterTask(_temp).Bench(disk["results"], "--limit", "3"),
                _ => ["report", _temp["run"], "--out", disk["report.html"]],
            }
        );
        ShouldFail(answer, ExitCode.Failed);
        answer.Error.ShouldContain(disk.Path);
        answer.Error.ShouldContain("Read-only file system");
        disk.Names.ShouldBeEmpty();
    }

    private void TrainFull(int pageStep, int nameStep)
    {
        Cli.Done([.. _run.Lora("a", "--checkpoint-every", "3"), "--resume"]);
        var expected = Cli.Metrics(_temp["a"]);
        FullAt(
            TrainTo,
            disk =>
            {
                File.Exists(disk["run/DONE"]).ShouldBeFalse();
                disk.Names.ShouldNotContain(name => name.EndsWith(".partial", StringComparison.Ordinal));
            },
            disk =>
            {
                Cli.Metrics(disk["run"]).ShouldBe(expected);
                Same(disk["run/adapter.gguf"], _temp["a/adapter.gguf"]);
                Same(disk["run/adapter-best.gguf"], _temp["a/adapter-best.gguf"]);
            },
            pageStep,
            nameStep
        );
    }

    private void BenchFull(int pageStep, int nameStep)
    {
        LetterTask task = new(_temp);
        Cli.Done(task.Bench(_temp["a"]));
        var expected = LetterTask.Results(_temp["a"]);
        FullAt(
            disk => task.Bench(disk["results"]),
            disk => disk.Names.ShouldNotContain(name => name.EndsWith("DONE", StringComparison.Ordinal)),
            disk => LetterTask.Results(disk["results"]).ShouldBe(expected),
            pageStep,
            nameStep
        );
    }

    private void ExportFull(string kind, int pageStep, int nameStep)
    {
        Cli.Done(_run.Lora("run"));
        string[] to(string path) => ["export", _temp["run"], "--to", kind, "--out", path];
        Cli.Done(to(_temp["a"]));
        FullAt(
            disk => to(disk["a"]),
            disk => disk.Names.ShouldBeEmpty(),
            disk =>
            {
                foreach (var name in kind == "peft" ? disk.Names.Where(name => name != "a") : ["a"])
                {
                    Same(disk[name], _temp[name]);
                }
            },
            pageStep,
            nameStep
        );
    }

    private string[] TrainTo(SmallDisk disk) =>
        [.. _run.Lora("a", "--checkpoint-every", "3", "--out", disk["run"]), "--resume"];

    /// <summary>Runs a command on ever larger disks until it ends well; after each failure once more with room.</summary>
    private static void FullAt(
        Func<SmallDisk, string[]> args,
        Action<SmallDisk> afterFailure,
        Action<SmallDisk> afterSuccess,
        int pageStep,
        int nameStep
    )
    {
        var points = 0;
        foreach (var (unit, first, step) in new[] { ("size", 1, pageStep), ("nr_inodes", 1, nameStep) })
        {
            for (var room = first; ; room += step)
            {
                // tmpfs counts the root folder as a name too; no size at all would mean no limit.
                using SmallDisk disk = new(
                    unit == "size" ? $"size={room * SmallDisk.PageBytes}" : $"size=16m,nr_inodes={room + 1}"
                );
                var answer = Cli.Run(args(disk));
                if (answer.Code == ExitCode.Done)
                {
                    afterSuccess(disk);
                    break;
                }
                points++;
                ShouldFail(answer, ExitCode.Failed, ExitCode.Refused);
                afterFailure(disk);
                disk.Remount("size=16m,nr_inodes=1000");
                Cli.Done(args(disk));
                afterSuccess(disk);
            }
        }
        points.ShouldBeGreaterThanOrEqualTo(2);
        TestContext.Current.TestOutputHelper?.WriteLine($"full at {points} points, nothing lost");
    }

    private static void ShouldFail(CliAnswer answer, params ExitCode[] codes)
    {
        codes.ShouldContain(answer.Code, answer.Error);
        answer.Output.ShouldBeEmpty();
        answer.Error.Split("error:").Length.ShouldBe(2, answer.Error);
        answer.Error.ShouldNotContain("error: unexpected");
    }

    private static void Same(string one, string other) =>
        File.ReadAllBytes(one).AsSpan().SequenceEqual(File.ReadAllBytes(other)).ShouldBeTrue($"{one} and {other}");
}
