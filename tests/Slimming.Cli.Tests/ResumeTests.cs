using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Slimming.Gguf;

namespace Slimming.Cli.Tests;

/// <summary><c>--resume</c>: the same bits as a run that nothing stopped, or a refusal that says why.</summary>
public sealed class ResumeTests : IDisposable
{
    private readonly TempFolder _temp = new();
    private readonly TinyRun _run;

    public ResumeTests() => _run = new TinyRun(_temp);

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData("lora", "adapter.gguf", 5)]
    [InlineData("lora", "adapter.gguf", 4)]
    [InlineData("lora", "adapter.gguf", 1)]
    [InlineData("full", "model.gguf", 5)]
    public void A_cancelled_run_goes_on_to_the_same_bits(string method, string file, int at)
    {
        var straight = method == "full" ? _run.Full("a") : _run.Lora("a");
        var stopped = method == "full" ? _run.Full("b") : _run.Lora("b");
        Cli.Done(straight);

        CancelAt(stopped, at);
        File.Exists(_temp["b/DONE"]).ShouldBeFalse();
        File.Exists(_temp[$"b/checkpoints/{at:D6}/state.json"]).ShouldBeTrue();
        Cli.Done([.. stopped, "--resume"]);

        ShouldBeEqual(file);
        File.Exists(_temp["b/DONE"]).ShouldBeTrue();
    }

    [Fact]
    public void A_killed_run_goes_on_from_its_last_checkpoint()
    {
        Cli.Done(_run.Lora("a", "--checkpoint-every", "4"));
        Cli.Done(_run.Lora("b", "--checkpoint-every", "4"));
        // What a kill in step 9 leaves: rows behind the checkpoint, a torn one, half a checkpoint, no end.
        File.Delete(_temp["b/DONE"]);
        File.Delete(_temp["b/adapter.gguf"]);
        File.AppendAllText(_temp["b/metrics.jsonl"], "{\"step\":9,\"lo");
        Directory.CreateDirectory(_temp["b/checkpoints/000009.partial"]);

        var answer = Cli.Done(_run.Lora("b", "--checkpoint-every", "4", "--resume"));

        answer.Error.ShouldContain("resuming at step 8");
        ShouldBeEqual("adapter.gguf");
    }

    [Fact]
    public void A_damaged_newest_checkpoint_costs_a_warning_only()
    {
        var stopped = _run.Lora("b", "--checkpoint-every", "2");
        Cli.Done(_run.Lora("a", "--checkpoint-every", "2"));
        CancelAt(stopped, 5);
        Flip(_temp["b/checkpoints/000005/moment2.f32"]);

        var answer = Cli.Done([.. stopped, "--resume"]);

        answer.Error.ShouldContain("warning: damaged checkpoint passed over");
        answer.Error.ShouldContain("resuming at step 4");
        ShouldBeEqual("adapter.gguf");
    }

    [Fact]
    public void When_all_are_damaged_the_run_ends_with_1()
    {
        var stopped = _run.Lora("b", "--checkpoint-every", "2");
        CancelAt(stopped, 5);
        Flip(_temp["b/checkpoints/000005/parameters.f32"]);
        Flip(_temp["b/checkpoints/000004/state.json"]);

        var answer = Cli.Run([.. stopped, "--resume"]);

        answer.Code.ShouldBe(ExitCode.Failed);
        answer.Error.ShouldContain("no sound checkpoint");
        answer.Error.ShouldContain("parameters.f32");
    }

    [Theory]
    [InlineData("epoch", 99)]
    [InlineData("epoch", -1)]
    [InlineData("step_in_epoch", 1_000_000)]
    public void A_state_of_no_step_of_the_data_is_told(string name, int value)
    {
        var args = new TinyRun(_temp).Lora("a", "--checkpoint-every", "3", "--resume");
        Cli.Done(args);
        File.Delete(_temp["a/DONE"]);
        var newest = Directory.GetDirectories(_temp["a/checkpoints"]).Order(StringComparer.Ordinal).Last();
        var path = Path.Combine(newest, "state.json");
        var before = Hash(path);
        var state = JsonNode.Parse(File.ReadAllText(path))!;
        state[name] = value;
        File.WriteAllText(path, state.ToJsonString());
        var sums = Path.Combine(newest, "SHA256SUMS");
        File.WriteAllText(sums, File.ReadAllText(sums).Replace(before, Hash(path), StringComparison.Ordinal));

        var answer = Cli.Run(args);

        answer.Code.ShouldBe(ExitCode.Failed, answer.Error);
        answer.Error.ShouldContain("state.json: found step");
    }

    private static string Hash(string path) => Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)));

    [Fact]
    public void Without_a_run_or_a_checkpoint_it_starts_at_step_0()
    {
        Cli.Done(_run.Lora("a"));
        Cli.Done(_run.Lora("b", "--resume"));
        ShouldBeEqual("adapter.gguf");

        File.Delete(_temp["b/DONE"]);
        Cli.Done(_run.Lora("b", "--resume")).Error.ShouldContain("no checkpoint yet: starting at step 0");
        ShouldBeEqual("adapter.gguf");
    }

    [Fact]
    public void A_complete_run_has_nothing_to_resume()
    {
        Cli.Done(_run.Lora("a"));
        var before = File.GetLastWriteTimeUtc(_temp["a/adapter.gguf"]);
        var answer = Cli.Done(_run.Lora("a", "--resume", "--json"));
        answer.Error.ShouldContain("nothing to resume");
        JsonNode.Parse(answer.Output)!["steps"]!.GetValue<int>().ShouldBe(TinyRun.Steps);
        File.GetLastWriteTimeUtc(_temp["a/adapter.gguf"]).ShouldBe(before);
    }

    [Theory]
    [InlineData("--seed", "7", "--seed: the run was begun with 42, this command has 7")]
    [InlineData("--weight-decay", "0.5", "--weight-decay: the run was begun with 0, this command has 0.5")]
    [InlineData("--batch-size", "2", "--batch-size: the run was begun with 4, this command has 2")]
    [InlineData("--targets", "q,v", "--targets: the run was begun with [\"q\",\"k\",\"v\"")]
    [InlineData("--schedule", "cosine", "--schedule: the run was begun with \"linear\"")]
    public void Changed_options_are_refused_by_name(string name, string value, string expected)
    {
        CancelAt(_run.Lora("b"), 5);
        var answer = Cli.Run(_run.Lora("b", name, value, "--resume"));
        answer.Code.ShouldBe(ExitCode.Usage);
        answer.Error.ShouldContain(expected);
    }

    [Fact]
    public void Threads_and_the_number_of_kept_checkpoints_may_change()
    {
        Cli.Done(_run.Lora("a"));
        CancelAt(_run.Lora("b", "--threads", "2"), 5);
        Cli.Done(_run.Lora("b", "--threads", "1", "--keep", "5", "--resume"));
        ShouldBeEqual("adapter.gguf");
    }

    [Fact]
    public void Changed_data_is_refused()
    {
        CancelAt(_run.Lora("b"), 5);
        File.AppendAllText(_run.Data, "{\"input_ids\":[1,2],\"labels\":[-100,2]}\n");
        var answer = Cli.Run(_run.Lora("b", "--resume"));
        answer.Code.ShouldBe(ExitCode.Usage);
        answer.Error.ShouldContain("--data");
        answer.Error.ShouldContain("SHA-256");
    }

    [Fact]
    public void Another_instruction_set_is_refused()
    {
        using Installation installation = new();
        CancelAt(_run.Lora("b"), 5);
        var (code, error) = installation.Run(_run.Lora("b", "--resume"), ("SLM_ISA", "scalar"));
        // A machine that has nothing better began with scalar as well.
        var began = JsonNode.Parse(File.ReadAllText(_temp["b/run.json"]))!["resolved"]!["isa"]!.GetValue<string>();
        Assert.SkipWhen(began == "scalar", "this machine runs the scalar kernels only");
        code.ShouldBe(2, error);
        error.ShouldContain($"instruction set: the run was begun with {began}, this command has scalar");
    }

    [Fact]
    public void Ctrl_C_finishes_the_step_and_leaves_a_checkpoint()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "signals are sent with kill");
        using Installation installation = new();
        // Long enough to be in the middle whenever the signal comes.
        using var process = installation.Start(_run.Lora("b", "--steps", "100000"));
        string? line;
        do
        {
            line = process.StandardError.ReadLine();
            line.ShouldNotBeNull("the run ended before its third step");
        } while (!line.StartsWith("step 3/", StringComparison.Ordinal));
        using (var kill = Process.Start("kill", ["-INT", $"{process.Id}"]))
        {
            kill.WaitForExit();
        }
        process.StandardError.ReadToEnd().ShouldContain("cancelled");
        process.WaitForExit(TimeSpan.FromMinutes(1)).ShouldBeTrue();
        process.ExitCode.ShouldBe(130);
        var checkpoint = Directory.GetDirectories(_temp["b/checkpoints"]).ShouldHaveSingleItem();
        var last = JsonNode.Parse(File.ReadLines(_temp["b/metrics.jsonl"]).Last())!["step"]!.GetValue<int>();
        Path.GetFileName(checkpoint).ShouldBe($"{last:D6}");
    }

    private static void CancelAt(string[] args, int step)
    {
        using CancelOnLine error = new($"step {step}/");
        var answer = Cli.Run(args, error.Token, error);
        answer.Code.ShouldBe(ExitCode.Cancelled, answer.Error);
    }

    private static void Flip(string path)
    {
        var bytes = File.ReadAllBytes(path);
        bytes[bytes.Length / 2] ^= 1;
        File.WriteAllBytes(path, bytes);
    }

    private void ShouldBeEqual(string file)
    {
        Cli.Metrics(_temp["b"]).ShouldBe(Cli.Metrics(_temp["a"]));
        foreach (var name in new[] { file, file.Replace(".", "-best.", StringComparison.Ordinal) })
        {
            File.ReadAllBytes(_temp[$"b/{name}"])
                .AsSpan()
                .SequenceEqual(File.ReadAllBytes(_temp[$"a/{name}"]))
                .ShouldBeTrue(name);
        }
    }
}
