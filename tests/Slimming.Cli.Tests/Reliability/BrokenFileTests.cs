using System.Diagnostics;

namespace Slimming.Cli.Tests.Reliability;

/// <summary>Files and pipes that break while the program uses them: a message and an exit code, no signal.</summary>
public sealed class BrokenFileTests : IDisposable
{
    private readonly TempFolder _temp = new();
    private readonly TinyRun _run;

    public BrokenFileTests()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "files in use cannot be cut or removed there");
        _run = new TinyRun(_temp);
    }

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData("cut to nothing", 0)]
    [InlineData("cut to half", 2)]
    public void A_model_that_shrinks_ends_the_training_with_its_name(string how, int divisor)
    {
        var (code, error) = Disturb("--resume", () => Cut(_temp["model.gguf"], divisor));

        code.ShouldBe(1, $"{how}: {error}");
        error.ShouldContain($"error: step ");
        error.ShouldContain($"{_temp["model.gguf"]}: changed while it was in use");
        error.ShouldContain("is kept");
        File.Exists(_temp["run/DONE"]).ShouldBeFalse();

        // With the file put back the run goes on.
        File.Copy(TinyRun.Model, _temp["model.gguf"], overwrite: true);
        var answer = Cli.Run(
            _run.Lora(
                "run",
                "--model",
                _temp["model.gguf"],
                "--steps",
                "100000",
                "--checkpoint-every",
                "2",
                "--resume"
            ),
            new CancellationToken(canceled: true)
        );
        answer.Code.ShouldBe(Gguf.ExitCode.Cancelled, answer.Error);
    }

    [Fact]
    public void A_model_that_is_removed_stays_whole_for_who_has_it_open()
    {
        var (code, error) = Disturb("--steps=60", () => File.Delete(_temp["model.gguf"]));
        code.ShouldBe(0, error);
        File.Exists(_temp["run/DONE"]).ShouldBeTrue();
    }

    [Fact]
    public void A_model_that_shrinks_ends_a_bench_with_its_name()
    {
        using Installation installation = new();
        File.Copy(TinyRun.Model, _temp["model.gguf"]);
        LetterTask task = new(_temp);
        using var process = installation.Start(task.BenchOf(_temp["model.gguf"], _temp["results"]));
        while (!process.HasExited && !Started())
        {
            Thread.Sleep(1);
        }
        Cut(_temp["model.gguf"], 0);
        var error = process.StandardError.ReadToEnd();
        process.WaitForExit();

        process.ExitCode.ShouldBe(1, error);
        error.ShouldContain($"{_temp["model.gguf"]}: changed while it was in use");
        Directory.EnumerateFiles(_temp["results"], "DONE", SearchOption.AllDirectories).ShouldBeEmpty();

        bool Started() =>
            Directory.Exists(_temp["results"])
            && Directory.EnumerateFiles(_temp["results"], "items-*", SearchOption.AllDirectories).Any();
    }

    [Fact]
    public void A_reader_that_leaves_early_ends_nothing_badly()
    {
        using Installation installation = new();
        LetterTask task = new(_temp);
        Cli.Done(task.Bench(_temp["results"]));

        var (code, output, error) = Shell(
            installation,
            $"results {_temp["results"]} --format jsonl | head -n 1; echo ${{PIPESTATUS[0]}}"
        );

        code.ShouldBe(0);
        var lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        lines.Length.ShouldBe(2, output);
        lines[0].ShouldStartWith("{\"task\":");
        lines[1].ShouldBe("0");
        error.ShouldBeEmpty();
    }

    [Fact]
    public void A_full_disk_behind_standard_output_is_told()
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "/dev/full is not there");
        using Installation installation = new();
        var (code, _, error) = Shell(installation, $"inspect {TinyRun.Model} > /dev/full");
        code.ShouldBe(1);
        error.ShouldContain("error: ");
        error.ShouldContain("No space left on device");
        error.ShouldNotContain("Unhandled");
    }

    [Theory]
    [InlineData("> /dev/full")]
    [InlineData(">&-")]
    [InlineData("1< /dev/null")]
    public void Results_without_a_place_are_told(string where)
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "/dev/full is not there");
        using Installation installation = new();
        foreach (var verb in new[] { $"inspect {TinyRun.Model}", $"inspect {TinyRun.Model} --json", "--help" })
        {
            var (code, output, error) = Shell(installation, $"{verb} {where}");
            code.ShouldBe(1, error);
            output.ShouldBeEmpty();
            error.ShouldStartWith("error: standard output: expected a place for the results, found: ");
            error.Trim().Split('\n').Length.ShouldBe(1, error);
        }
    }

    /// <summary>A log on a full disk is no reason to lose a run, and what the runtime opened in its place is not written to.</summary>
    [Theory]
    [InlineData("2> /dev/full", 0)]
    [InlineData("2>&-", 0)]
    [InlineData("<&- 2>&-", 0)]
    [InlineData(">&- 2>&-", 1)]
    [InlineData("<&- >&- 2>&-", 1)]
    [InlineData("> /dev/full 2>&1", 1)]
    public void A_run_goes_on_without_a_place_for_its_progress(string where, int code)
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "/dev/full is not there");
        using Installation installation = new();
        // More lines than a pipe holds that nobody reads.
        var args = _run.Lora("run", "--steps", "1500", "--checkpoint-every", "500", "--eval-every", "500");

        Shell(installation, $"{string.Join(' ', args)} {where}").Code.ShouldBe(code);
        File.Exists(_temp["run/DONE"]).ShouldBeTrue();
        Shell(installation, $"results {_temp["none"]} {where}").Code.ShouldBe(2);
    }

    private static (int Code, string Output, string Error) Shell(Installation installation, string command)
    {
        ProcessStartInfo start = new("bash", ["-c", $"{installation.CommandLine} {command}"])
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.Result);
    }

    /// <summary>Trains on a copy of the model and does something to it after the fifth step.</summary>
    private (int Code, string Error) Disturb(string option, Action disturb)
    {
        using Installation installation = new();
        File.Copy(TinyRun.Model, _temp["model.gguf"]);
        var parts = option.Split('=');
        using var process = installation.Start(
            _run.Lora(
                "run",
                [
                    "--model",
                    _temp["model.gguf"],
                    "--checkpoint-every",
                    "2",
                    .. parts[0] == "--steps" ? parts : ["--steps", "100000", .. parts],
                ]
            )
        );
        var output = process.StandardOutput.ReadToEndAsync();
        var lines = new List<string>();
        while (process.StandardError.ReadLine() is { } line)
        {
            lines.Add(line);
            if (line.StartsWith("step 5/", StringComparison.Ordinal))
            {
                disturb();
            }
        }
        process.WaitForExit();
        output.Wait();
        return (process.ExitCode, string.Join('\n', lines));
    }

    private static void Cut(string path, int divisor)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        stream.SetLength(divisor == 0 ? 0 : stream.Length / divisor);
    }
}
