using System.Globalization;
using Slimming.Results;

namespace Slimming.Cli.Tests.Reliability;

/// <summary>SIGKILL at random moments: what goes on afterwards ends with the bits of a run that nothing stopped.</summary>
public sealed class KillTests : IDisposable
{
    private const int Seed = 20261126;
    private readonly TempFolder _temp = new();
    private readonly Installation _installation = new();
    private readonly KillHarness _harness;

    public KillTests()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "signals are sent with kill");
        _harness = new KillHarness(_installation, Seed);
    }

    public void Dispose()
    {
        _installation.Dispose();
        _temp.Dispose();
    }

    [Fact]
    public void Train_survives() => Train(kills: 5);

    [Theory]
    [InlineData("libllama")]
    [InlineData("native")]
    public void Bench_survives(string engine) => Bench(kills: 3, engine);

    [Fact]
    public void Bench_loses_at_most_the_batch_in_flight()
    {
        string[] Parts(string pattern) =>
            Directory.Exists(_temp["b"]) ? Directory.GetFiles(_temp["b"], pattern, SearchOption.AllDirectories) : [];
        using (var process = _installation.Start(new LetterTask(_temp).Bench(_temp["b"])))
        {
            while (!process.HasExited && Parts("items-00003.parquet").Length == 0)
            {
                Thread.Sleep(1);
            }
            process.Kill();
            process.WaitForExit();
        }
        Parts("DONE").ShouldBeEmpty("it ended before it could be killed");
        Parts("items-*.parquet").Length.ShouldBeGreaterThanOrEqualTo(4);
        using var db = DuckDb.Open();
        foreach (var part in Parts("items-*.parquet"))
        {
            var count = db.Query("SELECT count(*) FROM read_parquet(?, hive_partitioning = false)", part);
            count.Single()[0].ShouldBe(32L, part);
        }
    }

    [Fact]
    public void Export_survives() => Export(kills: 3);

    [Fact]
    [Trait("Category", "Slow")]
    public void Train_survives_200_kills_under_load()
    {
        using BusyMachine busy = new(_temp.Path);
        Train(kills: 200);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void Bench_survives_200_kills_under_load()
    {
        using BusyMachine busy = new(_temp.Path);
        Bench(kills: 200);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void Export_survives_200_kills_under_load()
    {
        using BusyMachine busy = new(_temp.Path);
        Export(kills: 200);
    }

    private void Train(int kills)
    {
        TinyRun run = new(_temp);
        string[] args(string name) =>
            run.Lora(
                name,
                "--steps",
                "60",
                "--checkpoint-every",
                "2",
                "--eval-every",
                "7",
                "--threads",
                "2",
                "--resume"
            );
        _harness.Undisturbed(args("a"));
        var expected = Cli.Metrics(_temp["a"]);
        var (duringCheckpoint, rounds) = (0, 0);
        for (var last = false; !last; rounds++)
        {
            var name = $"b{rounds}";
            while (_harness.Kills < kills && _harness.Kill(args(name), () => HalfCheckpoint(name)))
            {
                duringCheckpoint += HalfCheckpoint(name) ? 1 : 0;
            }
            last = _harness.Kills == kills;
            _harness.Undisturbed(args(name));
            Cli.Metrics(_temp[name]).ShouldBe(expected, Told(kills));
            foreach (var file in new[] { "adapter.gguf", "adapter-best.gguf" })
            {
                SameBytes(_temp[$"a/{file}"], _temp[$"{name}/{file}"]).ShouldBeTrue($"{name}/{file}, {Told(kills)}");
            }
        }
        Say(
            $"train: {_harness.Kills} kills, {duringCheckpoint} while a checkpoint was written, {rounds} runs, all bit-equal"
        );
    }

    private void Bench(int kills, string engine = "libllama")
    {
        LetterTask task = new(_temp);
        string[] args(string name) => task.Bench(_temp[name], "--engine", engine);
        _harness.Undisturbed(args("a"));
        var expected = LetterTask.Results(_temp["a"]);
        var (duringPart, rounds) = (0, 0);
        for (var last = false; !last; rounds++)
        {
            var name = $"b{rounds}";
            bool HalfPart() => Partial(_temp[name]);
            // A kill may come after the last write: the run is whole then, and the same command again is refused.
            while (_harness.Kills < kills && !Done(name) && _harness.Kill(args(name), HalfPart))
            {
                duringPart += HalfPart() ? 1 : 0;
            }
            last = _harness.Kills == kills;
            if (!Done(name))
            {
                _harness.Undisturbed(args(name));
            }
            LetterTask.Results(_temp[name]).ShouldBe(expected, Told(kills));
            Directory.Delete(_temp[name], recursive: true);
        }
        Say($"bench: {_harness.Kills} kills, {duringPart} while a file was written, {rounds} runs, all equal");
    }

    private void Export(int kills)
    {
        TinyRun run = new(_temp);
        Cli.Done(run.Lora("run"));
        string[] args(string name) =>
            ["export", _temp["run"], "--to", "merged", "--type", "q8_0", "--threads", "1", "--out", _temp[name]];
        _harness.Undisturbed(args("a.gguf"));
        var (half, whole) = (0, 0);
        while (_harness.Kills < kills)
        {
            _harness.Kill(args("b.gguf"), () => File.Exists(_temp["b.gguf.partial"]));
            half += File.Exists(_temp["b.gguf.partial"]) ? 1 : 0;
            if (File.Exists(_temp["b.gguf"]))
            {
                whole++;
                SameBytes(_temp["a.gguf"], _temp["b.gguf"]).ShouldBeTrue(Told(kills));
                File.Delete(_temp["b.gguf"]);
            }
        }
        _harness.Undisturbed(args("b.gguf"));
        SameBytes(_temp["a.gguf"], _temp["b.gguf"]).ShouldBeTrue(Told(kills));
        File.Exists(_temp["b.gguf.partial"]).ShouldBeFalse();
        Say(
            $"export: {_harness.Kills} kills, {half} left a .partial, {whole} runs left the whole file, none a part of it"
        );
    }

    private bool HalfCheckpoint(string name)
    {
        var folder = _temp[$"{name}/checkpoints"];
        return Directory.Exists(folder) && Directory.EnumerateDirectories(folder, "*.partial").Any();
    }

    private static bool Partial(string folder) =>
        Directory.Exists(folder) && Directory.EnumerateFiles(folder, "*.partial", SearchOption.AllDirectories).Any();

    private bool Done(string name) =>
        Directory.Exists(_temp[name])
        && Directory.EnumerateFiles(_temp[name], "DONE", SearchOption.AllDirectories).Any();

    private static bool SameBytes(string one, string other) =>
        File.ReadAllBytes(one).AsSpan().SequenceEqual(File.ReadAllBytes(other));

    private string Told(int kills) =>
        string.Create(CultureInfo.InvariantCulture, $"seed {Seed}, kill {_harness.Kills} of {kills}");

    private static void Say(string text) => TestContext.Current.TestOutputHelper?.WriteLine($"{text}; seed {Seed}");
}
