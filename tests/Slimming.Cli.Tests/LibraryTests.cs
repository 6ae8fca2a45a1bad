using Slimming.Gguf;
using Slimming.TestSupport;
using Slimming.Training;

namespace Slimming.Cli.Tests;

public sealed class LibraryTests
{
    [Fact]
    public void The_page_shows_the_sample_that_is_compiled() =>
        LibrarySample.Text.ShouldBe(
            File.ReadAllText(Path.Combine(SharedFiles.RepoRoot, "tests", "Slimming.LibrarySample", "Program.cs"))
        );

    [Fact]
    public void The_sample_trains_exports_and_scores()
    {
        using TempFolder temp = new();
        var output = ChildProcess.Done(
            "dotnet",
            SharedFiles.RepoRoot,
            [Path.Combine(AppContext.BaseDirectory, "Slimming.LibrarySample.dll"), temp.Path]
        );
        LibrarySample.Check(output, temp.Path);
    }

    public static TheoryData<TrainOptions, string> Refused =>
        new()
        {
            { Options() with { Rank = 0 }, "--rank: expected at least 1, found 0" },
            { Options() with { Dropout = 1 }, "--dropout: expected at least 0 and below 1, found 1" },
            { Options() with { LearningRate = double.NaN }, "--learning-rate: expected a finite number, found NaN" },
            { Options() with { Schedule = "zigzag" }, "--schedule: expected one of" },
            { Options() with { Targets = ["w"] }, "--targets: expected some of q, k, v, o, gate, up, down, found 'w'" },
            { Options() with { Data = [] }, "--data: expected at least one, found none" },
            { Options() with { EvalEvery = 5 }, "--eval-every needs --eval-data" },
        };

    [Theory]
    [MemberData(nameof(Refused), DisableDiscoveryEnumeration = true)]
    public void Options_made_in_code_keep_the_bounds_of_the_command_line(TrainOptions options, string message)
    {
        var exception = Should.Throw<SlimmingException>(() => Trainer.Run(options));
        exception.Message.ShouldContain(message);
        exception.Code.ShouldBe(ExitCode.Usage);
    }

    [Fact]
    public void Defaults_made_in_code_are_those_of_the_command_line()
    {
        Options().Epochs.ShouldBe(1);
        (Options() with { Steps = 3 }).Epochs.ShouldBeNull();
        Options().LearningRate.ShouldBe(2e-4);
        (Options() with { Method = "full" }).LearningRate.ShouldBe(2e-5);
        (Options() with { Method = "full", LearningRate = 2e-4 }).LearningRate.ShouldBe(2e-4);
    }

    private static TrainOptions Options() =>
        new()
        {
            Model = "no.gguf",
            Data = ["no.jsonl"],
            Out = "no-run",
        };
}
