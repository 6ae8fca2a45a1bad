using Slimming.Gguf;
using Slimming.Shared;

namespace Slimming.Training.Tests.Runs;

public sealed class RunFolderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("slimming-run-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Run => Path.Combine(_folder, "run");

    [Fact]
    public void A_new_folder_is_made_only_by_begin()
    {
        using var folder = RunFolder.Claim(Options());
        Directory.Exists(Run).ShouldBeFalse();
        folder.Begin();
        FolderLock.OwnerOf(Run).ShouldBe($"{Environment.ProcessId}");
    }

    [Fact]
    public void A_filled_folder_is_refused_without_a_word_on_it()
    {
        Fill();
        Refusal(Options()).ShouldContain("--resume goes on with its run, --force replaces it");
        using var resumed = RunFolder.Claim(Options() with { Resume = true });
        resumed.Resuming.ShouldBeTrue();
    }

    [Fact]
    public void Resume_into_foreign_files_is_refused()
    {
        Directory.CreateDirectory(Run);
        File.WriteAllText(Path.Combine(Run, "thesis.txt"), "");
        Refusal(Options() with { Resume = true }).ShouldContain("no run.json");
    }

    [Fact]
    public void Resume_without_a_run_begins_one()
    {
        using var folder = RunFolder.Claim(Options() with { Resume = true });
        folder.Resuming.ShouldBeFalse();
        folder.Begin();
    }

    [Fact]
    public void Force_clears_the_run_and_nothing_else()
    {
        Fill();
        File.WriteAllText(Path.Combine(Run, "thesis.txt"), "kept");
        using var folder = RunFolder.Claim(Options() with { Force = true });
        File.Exists(Path.Combine(Run, "run.json")).ShouldBeTrue("nothing goes before the new run begins");
        folder.Begin();
        Directory
            .EnumerateFileSystemEntries(Run)
            .Select(Path.GetFileName)
            .ShouldBe(["thesis.txt", "lock"], ignoreOrder: true);
    }

    [Fact]
    public void A_second_owner_is_refused_by_process_id()
    {
        using (var first = RunFolder.Claim(Options()))
        {
            first.Begin();
            Fill();
            Refusal(Options() with { Resume = true }).ShouldContain($"in use by process {Environment.ProcessId}");
        }
        using var second = RunFolder.Claim(Options() with { Resume = true });
        second.Resuming.ShouldBeTrue();
    }

    [Fact]
    public void A_folder_filled_after_the_check_is_not_cleared()
    {
        using var folder = RunFolder.Claim(Options());
        Fill();
        Should.Throw<SlimmingException>(folder.Begin).Code.ShouldBe(ExitCode.Refused);
        File.Exists(Path.Combine(Run, "adapter.gguf")).ShouldBeTrue();
    }

    [Fact]
    public void A_lock_left_by_a_crash_keeps_nobody_out()
    {
        Directory.CreateDirectory(Run);
        File.WriteAllText(Path.Combine(Run, "lock"), "12345\n");
        File.WriteAllText(Path.Combine(Run, "run.json.partial"), "{");
        using var folder = RunFolder.Claim(Options() with { Resume = true });
        folder.Begin();
        FolderLock.OwnerOf(Run).ShouldBe($"{Environment.ProcessId}");
    }

    [Fact]
    public void A_place_that_cannot_be_written_is_named()
    {
        var options = Options() with { Out = "/proc/slimming/run" };
        using var folder = RunFolder.Claim(options);
        var error = Should.Throw<SlimmingException>(folder.Begin);
        error.Code.ShouldBe(ExitCode.Failed);
        error.Message.ShouldContain("/proc/slimming/run");
    }

    [Fact]
    public void A_file_in_the_folders_place_is_refused()
    {
        File.WriteAllText(Run, "");
        Refusal(Options()).ShouldContain("expected a folder, found a file");
    }

    [Fact]
    public void Metrics_behind_the_checkpoint_are_cut_off()
    {
        var path = Path.Combine(_folder, "metrics.jsonl");
        long kept;
        using (MetricsFile metrics = new(path, 0))
        {
            metrics.Add(new { Loss = 0.1 + 0.2 });
            kept = metrics.Sync();
            metrics.Add(new { Loss = 1.0 });
        }
        using (MetricsFile metrics = new(path, kept))
        {
            metrics.Add(new { Loss = 2.0 });
        }
        File.ReadAllLines(path).ShouldBe(["{\"loss\":0.30000000000000004}", "{\"loss\":2}"]);
        Should
            .Throw<SlimmingException>(() => new MetricsFile(path, 1000))
            .Message.ShouldContain("expected at least 1000 bytes");
    }

    private static string Refusal(TrainOptions options)
    {
        var error = Should.Throw<SlimmingException>(() => RunFolder.Claim(options));
        error.Code.ShouldBe(ExitCode.Refused);
        return error.Message;
    }

    private void Fill()
    {
        Directory.CreateDirectory(Path.Combine(Run, "checkpoints", "000001"));
        foreach (var name in new[] { "run.json", "metrics.jsonl", "adapter.gguf", "DONE" })
        {
            File.WriteAllText(Path.Combine(Run, name), "");
        }
    }

    private TrainOptions Options() =>
        new()
        {
            Model = "m",
            Data = ["d"],
            Out = Run,
        };
}
