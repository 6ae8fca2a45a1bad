using System.Diagnostics;
using Slimming.Gguf;

namespace Slimming.Cli.Tests.Reliability;

/// <summary>
/// Names inside files from elsewhere: a task file reads below the data folder alone, a run's record leads to nothing but
/// the files that it names and hashes, and no name makes the program wait or write.
/// </summary>
public sealed class HostilePathTests : IDisposable
{
    private const int Seconds = 5;
    private readonly TempFolder _temp = new();

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData("data", "[../secret.jsonl]")]
    [InlineData("data", "[a/../../secret.jsonl]")]
    [InlineData("data", "[\"..\\\\secret.jsonl\"]")]
    [InlineData("data", "[/etc/passwd]")]
    [InlineData("data", "[\"letters.jsonl\", \"/etc/passwd\"]")]
    [InlineData("stand_ins", "[../secret.jsonl]")]
    [InlineData("few_shot", "{count: 1, data: [../secret.jsonl]}")]
    public void A_task_file_reads_nothing_outside(string key, string value)
    {
        var bench = new LetterTask(_temp).Bench(_temp["out"]);
        var yaml = File.ReadAllLines(_temp["letters.yaml"])
            .Where(line => !line.StartsWith(key + ":", StringComparison.Ordinal));
        File.WriteAllLines(_temp["letters.yaml"], [.. yaml, $"{key}: {value}"]);
        var answer = Cli.Run(bench);
        answer.Code.ShouldBe(ExitCode.Usage, answer.Error);
        answer.Error.ShouldContain(key.Split('_')[0]);
        answer.Error.ShouldContain("without '..'");
        Directory.Exists(_temp["out"]).ShouldBeFalse();
    }

    [Fact]
    public void A_variant_cannot_lead_outside()
    {
        var bench = new LetterTask(_temp).Bench(_temp["out"]);
        var yaml = File.ReadAllText(_temp["letters.yaml"])
            .Replace("name: letters", "name: letters_*\nvariants: [../../x]", StringComparison.Ordinal)
            .Replace("[letters.jsonl]", "[\"{variant}/letters.jsonl\"]", StringComparison.Ordinal);
        File.WriteAllText(_temp["letters.yaml"], yaml);
        var answer = Cli.Run(bench);
        answer.Code.ShouldBe(ExitCode.Usage, answer.Error);
        answer.Error.ShouldContain("'variants' has \"../../x\"");
    }

    /// <summary>A link is followed, as by any program; what never ends behind one is told at once.</summary>
    [Theory]
    [InlineData("/dev/zero")]
    [InlineData("pipe")]
    public void What_is_no_file_is_not_read(string target)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "devices and pipes of Linux");
        var bench = new LetterTask(_temp).Bench(_temp["out"]);
        File.Delete(_temp["letters.jsonl"]);
        File.CreateSymbolicLink(_temp["letters.jsonl"], Endless(target));
        var answer = InTime(() => Cli.Run(bench));
        answer.Code.ShouldBeOneOf(ExitCode.Usage, ExitCode.Failed);
        answer.Error.ShouldContain("is a pipe, a device or a socket");
    }

    [Theory]
    [InlineData("/dev/zero")]
    [InlineData("pipe")]
    public void A_record_that_names_what_is_no_file_holds_nobody_up(string target)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "devices and pipes of Linux");
        var (start, tuned) = Runs();
        TrainRecord.Write(_temp["run"], Endless(target), sha256: "abc");
        var answer = InTime(() => Cli.Run("compare", start, tuned, "--train-run", _temp["run"]));
        answer.Code.ShouldBe(ExitCode.Usage, answer.Error);
        answer.Error.ShouldContain("is a pipe, a device or a socket");
    }

    [Theory]
    [InlineData("SHA256SUMS", "/dev/zero")]
    [InlineData("state.json", "pipe")]
    [InlineData("parameters.f32", "/dev/zero")]
    public void A_checkpoint_that_links_to_what_is_no_file_is_damaged(string file, string target)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "devices and pipes of Linux");
        TinyRun run = new(_temp);
        var args = run.Lora("run", "--checkpoint-every", "3", "--resume");
        Cli.Done(args);
        File.Delete(_temp["run/DONE"]);
        var path = Directory.GetDirectories(_temp["run/checkpoints"]).Order(StringComparer.Ordinal).Last();
        File.Delete(Path.Combine(path, file));
        File.CreateSymbolicLink(Path.Combine(path, file), Endless(target));
        var answer = InTime(() => Cli.Run(args));
        answer.Code.ShouldBe(ExitCode.Done, answer.Error);
        answer.Error.ShouldContain("damaged checkpoint passed over");
        answer.Error.ShouldContain("is a pipe, a device or a socket");
    }

    [Theory]
    [InlineData("..")]
    [InlineData("../../../data.jsonl")]
    [InlineData("/etc/hostname")]
    [InlineData("a\0b")]
    public void A_checkpoints_list_names_only_its_own_files(string name)
    {
        TinyRun run = new(_temp);
        var args = run.Lora("run", "--checkpoint-every", "3", "--resume");
        Cli.Done(args);
        File.Delete(_temp["run/DONE"]);
        var path = Directory.GetDirectories(_temp["run/checkpoints"]).Order(StringComparer.Ordinal).Last();
        File.AppendAllText(Path.Combine(path, "SHA256SUMS"), $"{new string('0', 64)}  {name}\n");
        var answer = Cli.Run(args);
        answer.Code.ShouldBe(ExitCode.Done, answer.Error);
        answer.Error.ShouldContain("damaged checkpoint passed over");
    }

    /// <summary>The condition of a run from elsewhere is SQL that the comparison executes.</summary>
    [Theory]
    [InlineData("(SELECT count(*) FROM read_text('{0}')) = 1")]
    [InlineData("(SELECT count(*) FROM glob('{0}')) = 1")]
    [InlineData("(SELECT count(*) FROM read_csv('{0}', all_varchar = true)) = 1")]
    [InlineData("true) IS TRUE FROM (SELECT 1); COPY (SELECT 1) TO '{0}.csv'; SELECT (true")]
    public void A_runs_condition_reads_no_other_file(string where)
    {
        var secret = _temp.Write("secret.txt", "secret");
        var data = _temp.Write("train.jsonl", "{\"text\":\"some words\"}\n");
        var (start, tuned) = Runs();
        TrainRecord.Write(_temp["run"], data, where: "length(text) > 3");
        Cli.Done("compare", start, tuned, "--train-run", _temp["run"]);
        TrainRecord.Write(_temp["run"], data, where: where.Replace("{0}", secret, StringComparison.Ordinal));
        var answer = Cli.Run("compare", start, tuned, "--train-run", _temp["run"]);
        answer.Code.ShouldBe(ExitCode.Usage, answer.Error);
        answer.Error.ShouldContain("--where");
        File.Exists(secret + ".csv").ShouldBeFalse();
    }

    private string Endless(string target)
    {
        if (target != "pipe")
        {
            return target;
        }
        ChildProcess.Done("mkfifo", _temp.Path, [_temp["pipe"]]);
        return _temp["pipe"];
    }

    private (string Start, string Tuned) Runs()
    {
        string run(string name) =>
            ScoredFolder.Write(
                _temp[name],
                ScoredFolder.Settings(name, "piqa"),
                [ScoredFolder.Choice("piqa", 0, true), ScoredFolder.Choice("piqa", 1, false)]
            );
        return (run("before"), run("after"));
    }

    /// <summary>What waits for a pipe cannot be cancelled: it is left behind, and the test fails.</summary>
    private static CliAnswer InTime(Func<CliAnswer> run)
    {
        var clock = Stopwatch.StartNew();
        var answer = Task.Run(run);
        answer
            .Wait(TimeSpan.FromSeconds(4 * Seconds))
            .ShouldBeTrue($"no answer after {clock.Elapsed.TotalSeconds:0} s");
        return answer.Result;
    }
}
