using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Slimming.Gguf;

namespace Slimming.Cli.Tests;

/// <summary>
/// Losses that are not finite: the adapter's queries and keys are scaled until the gradients of some sequences
/// overflow and those of others do not.
/// </summary>
public sealed class NonFiniteTests : IDisposable
{
    private const int Steps = 24;

    /// <summary>About half of the sequences overflow with it.</summary>
    private const float Overflowing = 3e13f;
    private readonly TempFolder _temp = new();
    private readonly TinyRun _run;

    public NonFiniteTests()
    {
        _run = new TinyRun(_temp);
        Cli.Done(_run.Lora("start"));
        ScaleQueriesAndKeys(Path.Combine(_temp["start"], "adapter.gguf"), Overflowing);
    }

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void Skipped_steps_are_counted_and_a_resumed_run_has_the_same_bits()
    {
        var answer = Skipping("a", "--json");
        var result = JsonNode.Parse(answer.Output)!;
        var skipped = Skipped("a");
        skipped.Count.ShouldBeInRange(2, Steps - 2);
        result["skipped_steps"]!.GetValue<int>().ShouldBe(skipped.Count);
        result["steps"]!.GetValue<int>().ShouldBe(Steps);
        answer.Error.ShouldContain($"warning: step {skipped[0]} is skipped: the gradient norm is not finite");
        answer.Error.ShouldContain($"done after {Steps} steps, {skipped.Count} of them skipped");
        Directory.GetFiles(_temp["a/nonfinite"]).Length.ShouldBe(Math.Min(10, skipped.Count));

        // As if killed after the first skipped step and one more.
        Skipping("b", "--checkpoint-every", "1", "--keep", "100");
        File.Delete(_temp["b/DONE"]);
        File.Delete(_temp["b/adapter.gguf"]);
        foreach (var step in Enumerable.Range(skipped[0] + 2, Steps))
        {
            var path = Path.Combine(_temp["b/checkpoints"], $"{step:D6}");
            if (Directory.Exists(path))
            {
                Directory.Delete(path, recursive: true);
            }
        }
        var resumed = Skipping("b", "--resume", "--json");
        resumed.Error.ShouldContain($"resuming at step {skipped[0] + 1}");
        JsonNode.Parse(resumed.Output)!["skipped_steps"]!.GetValue<int>().ShouldBe(skipped.Count);
        Cli.Metrics(_temp["b"]).ShouldBe(Cli.Metrics(_temp["a"]));
        File.ReadAllBytes(_temp["b/adapter.gguf"]).ShouldBe(File.ReadAllBytes(_temp["a/adapter.gguf"]));
        // Complete: the same count from the rows.
        JsonNode.Parse(Skipping("b", "--resume", "--json").Output)!["skipped_steps"]!
            .GetValue<int>()
            .ShouldBe(skipped.Count);
    }

    [Fact]
    public void A_stopped_run_keeps_state_and_batch_and_the_replay_names_the_culprit()
    {
        Skipping("a");
        var first = Skipped("a")[0];
        var answer = Train("b");
        answer.Code.ShouldBe(ExitCode.Failed, answer.Error);
        answer.Error.ShouldContain($"error: step {first}: the gradient norm is not finite");
        answer.Error.ShouldContain("--learning-rate");
        File.Exists(_temp["b/adapter.gguf"]).ShouldBeFalse();
        File.Exists(_temp[$"b/checkpoints/{first - 1:D6}/state.json"]).ShouldBeTrue();
        var batch = _temp[$"b/nonfinite/step-{first:D6}.jsonl"];
        File.ReadAllBytes(batch).ShouldBe(File.ReadAllBytes(_temp[$"a/nonfinite/step-{first:D6}.jsonl"]));
        var row = JsonNode.Parse(File.ReadAllText(batch))!;
        var source = JsonNode.Parse(File.ReadLines(_run.Data).ElementAt(row["row"]!.GetValue<int>()))!;
        row["input_ids"]!.ToJsonString().ShouldBe(source["input_ids"]!.ToJsonString());
        row["labels"]!.ToJsonString().ShouldBe(source["labels"]!.ToJsonString());

        var before = Files("b");
        var replay = JsonNode.Parse(Cli.Done("train", "--replay-batch", batch, "--json").Output)!;
        replay["step"]!.GetValue<int>().ShouldBe(first - 1);
        replay["grad_norm"].ShouldBeNull();
        var sample = replay["samples"]!.AsArray().ShouldHaveSingleItem()!;
        sample["source"]!.GetValue<string>().ShouldBe(_run.Data);
        sample["row"]!.ToJsonString().ShouldBe(row["row"]!.ToJsonString());
        sample["loss"]!.GetValue<double>().ShouldBeInRange(1, 20);
        replay["non_finite"]!.AsArray().Count.ShouldBeGreaterThan(0);
        replay["non_finite"]!.AsArray().ShouldAllBe(what => what!.GetValue<string>().Contains("gradient"));
        var options = Cli.Done([.. Args("b"), "--replay-batch", batch]).Output;
        options.ShouldContain("not finite: the gradient");
        Files("b").ShouldBe(before);
        // Going on without it is a choice that a resumed run may make.
        Skipping("b", "--resume");
        Cli.Metrics(_temp["b"]).ShouldBe(Cli.Metrics(_temp["a"]));
    }

    [Fact]
    public void A_loss_that_is_not_finite_is_named_by_its_row()
    {
        ScaleQueriesAndKeys(Path.Combine(_temp["start"], "adapter.gguf"), 1e8f);
        var answer = Train("a", "--accumulation", "3");
        answer.Code.ShouldBe(ExitCode.Failed, answer.Error);
        answer.Error.ShouldContain("error: step 1: the loss of sequence 0");
        var replay = Cli.Done("train", "--replay-batch", _temp["a/nonfinite/step-000001.jsonl"]).Output;
        replay.ShouldContain("sample 0  loss not finite");
        replay.ShouldContain("not finite: the loss of sample 0 (" + _run.Data);
        replay.ShouldContain("blk.0.attn_q.weight.lora_b");
    }

    [Theory]
    [InlineData("none.jsonl", "there is no such file")]
    [InlineData("data.jsonl", "expected the record of a run")]
    public void What_cannot_be_replayed_is_told(string name, string message)
    {
        var answer = Cli.Run("train", "--replay-batch", _temp[name]);
        answer.Code.ShouldBe(ExitCode.Usage);
        answer.Error.ShouldContain(message);
    }

    [Fact]
    public void Adapters_that_do_not_move_are_told()
    {
        // Weights without a sign of life: the values before them are zero, so B's gradient is.
        var start = Path.Combine(_temp["start"], "adapter.gguf");
        Scale(start, 0, "blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b", "blk.0.attn_k.weight.lora_b");
        var answer = Train("a");
        answer.Code.ShouldBe(ExitCode.Done, answer.Error);
        answer.Error.ShouldContain("warning: step 20: blk.0.attn_q.weight.lora_b: still all zero");
    }

    [Fact]
    public void A_loss_far_above_the_last_ones_is_told_once()
    {
        var rows = File.ReadAllLines(_run.Data);
        var learnt = rows.MaxBy(row => row.Length)!;
        var others = rows.Where(row => row != learnt).OrderByDescending(row => row.Length).Take(2);
        var data = _temp.Write("spike.jsonl", string.Join('\n', Enumerable.Repeat(learnt, 60).Concat(others)));
        var error = Cli.Done(
            _run.Lora("a", "--data", data, "--no-shuffle", "--batch-size", "1", "--steps", "62", "--eval-every", "0")
        ).Error;
        error
            .Split('\n')
            .Where(line => line.Contains("is more than 3 times the median"))
            .ShouldHaveSingleItem()
            .ShouldStartWith("warning: step 61: loss ");
    }

    private CliAnswer Skipping(string name, params string[] more)
    {
        var answer = Train(name, ["--on-nonfinite", "skip", .. more]);
        answer.Code.ShouldBe(ExitCode.Done, answer.Error);
        return answer;
    }

    private List<int> Skipped(string name) =>
        [
            .. Cli.Metrics(_temp[name])
                .Select(line => JsonNode.Parse(line)!)
                .Where(row => row["skipped"]?.GetValue<bool>() == true)
                .Select(row => row["step"]!.GetValue<int>()),
        ];

    private string[] Files(string name) =>
        [
            .. Directory
                .EnumerateFiles(_temp[name], "*", SearchOption.AllDirectories)
                .Order(StringComparer.Ordinal)
                .Select(path => $"{path} {File.GetLastWriteTimeUtc(path).Ticks}"),
        ];

    private CliAnswer Train(string name, params string[] more) => Cli.Run([.. Args(name), .. more]);

    private string[] Args(string name) =>
        [
            "train",
            "--model",
            TinyRun.Model,
            "--data",
            _run.Data,
            "--init-adapter",
            Path.Combine(_temp["start"], "adapter.gguf"),
            "--out",
            _temp[name],
            "--steps",
            $"{Steps}",
            "--batch-size",
            "1",
            "--dropout",
            "0.1",
            "--learning-rate",
            "5e-3",
            "--compute",
            "f32",
        ];

    private static void ScaleQueriesAndKeys(string path, float factor) =>
        Scale(path, factor, "blk.0.attn_q.weight.lora_b", "blk.0.attn_k.weight.lora_b");

    private static void Scale(string path, float factor, params string[] names)
    {
        var bytes = File.ReadAllBytes(path);
        using (var file = GgufFile.Open(path))
        {
            foreach (var tensor in names.Select(name => file.Find(name)!))
            {
                var values = MemoryMarshal.Cast<byte, float>(
                    bytes.AsSpan((int)(file.DataOffset + (long)tensor.Offset), (int)tensor.ByteCount)
                );
                foreach (ref var value in values)
                {
                    value *= factor;
                }
            }
        }
        File.WriteAllBytes(path, bytes);
    }
}
