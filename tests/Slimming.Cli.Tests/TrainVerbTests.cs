using System.Text.Json.Nodes;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Models;

namespace Slimming.Cli.Tests;

public sealed class TrainVerbTests : IDisposable
{
    private readonly TempFolder _temp = new();
    private readonly TinyRun _run;

    public TrainVerbTests() => _run = new TinyRun(_temp);

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void A_run_folder_holds_what_is_promised()
    {
        var answer = Cli.Done(_run.Lora("a", "--checkpoint-every", "3", "--json"));

        Directory
            .EnumerateFileSystemEntries(_temp["a"])
            .Select(Path.GetFileName)
            .ShouldBe(
                ["run.json", "metrics.jsonl", "adapter.gguf", "adapter-best.gguf", "checkpoints", "DONE"],
                ignoreOrder: true
            );
        Directory
            .GetDirectories(_temp["a/checkpoints"])
            .Select(Path.GetFileName)
            .ShouldBe(["000006", "000009"], ignoreOrder: true);
        var record = JsonNode.Parse(File.ReadAllText(_temp["a/run.json"]))!;
        record["options"]!["rank"]!.GetValue<int>().ShouldBe(3);
        record["options"]!["learning-rate"]!.GetValue<double>().ShouldBe(5e-3);
        record["seed"]!.GetValue<int>().ShouldBe(42);
        record["commit"]!.GetValue<string>().ShouldNotBeEmpty();
        record["resolved"]!["compute"]!.GetValue<string>().ShouldBe("f32");
        record["resolved"]!["trainable_values"]!.GetValue<long>().ShouldBe(LoraValues(rank: 3));
        foreach (
            var hash in new[]
            {
                record["model"]!,
                record["data"]![0]!,
                record["eval_data"]![0]!,
                record["libraries"]![0]!,
            }
        )
        {
            hash["sha256"]!.GetValue<string>().Length.ShouldBe(64);
        }
        record["counts"]!["train"]!["kept"]!.GetValue<int>().ShouldBe(18);
        var result = JsonNode.Parse(answer.Output)!;
        result["steps"]!.GetValue<int>().ShouldBe(TinyRun.Steps);
        result["best_eval_loss"]!.GetValue<double>().ShouldBeLessThan(7);
        answer.Error.ShouldContain("data: 18 rows, 18 samples kept");
        answer.Error.ShouldContain("step 10/10  loss");
    }

    [Fact]
    public void Rows_say_when_and_how_much()
    {
        Cli.Done(_run.Lora("a"));
        var rows = File.ReadLines(_temp["a/metrics.jsonl"]).Select(line => JsonNode.Parse(line)!.AsObject()).ToList();
        rows.Where(row => row.ContainsKey("eval_loss"))
            .Select(row => row["step"]!.GetValue<int>())
            .ShouldBe([0, 4, 8, 10]);
        var steps = rows.Where(row => row.ContainsKey("loss")).ToList();
        steps.Select(row => row["step"]!.GetValue<int>()).ShouldBe(Enumerable.Range(1, 10));
        steps[0]
            .Select(pair => pair.Key)
            .ShouldBe([
                "step",
                "epoch",
                "loss",
                "lr",
                "grad_norm",
                "tokens",
                "target_tokens",
                "tokens_per_s",
                "seconds",
            ]);
        // 18 samples by 4: the fifth step of an epoch has the last two.
        steps[4]["epoch"]!.GetValue<double>().ShouldBe(1);
        steps[5]["epoch"]!.GetValue<double>().ShouldBe(1.2);
        steps
            .Take(5)
            .Sum(row => row["tokens"]!.GetValue<long>())
            .ShouldBe(steps.Skip(5).Sum(row => row["tokens"]!.GetValue<long>()));
    }

    [Fact]
    public void Training_lowers_the_loss()
    {
        Cli.Done(_run.Lora("a", "--rank", "8", "--alpha", "16", "--dropout", "0", "--schedule", "constant"));
        var rows = File.ReadLines(_temp["a/metrics.jsonl"])
            .Select(line => JsonNode.Parse(line)!.AsObject())
            .Where(row => row.ContainsKey("loss"))
            .ToList();
        rows.Skip(5)
            .Average(row => row["loss"]!.GetValue<double>())
            .ShouldBeLessThan(rows.Take(5).Average(row => row["loss"]!.GetValue<double>()) - 0.05);
    }

    [Fact]
    public void A_loss_that_is_not_finite_ends_with_1_and_keeps_the_checkpoint()
    {
        var answer = Cli.Run(
            _run.Full(
                "a",
                "--learning-rate",
                "1e30",
                "--max-grad-norm",
                "0",
                "--warmup-steps",
                "3",
                "--checkpoint-every",
                "1"
            )
        );
        answer.Code.ShouldBe(ExitCode.Failed, answer.Error);
        answer.Error.ShouldContain("error: step 3:");
        answer.Error.ShouldContain(Path.Combine("checkpoints", "00000"));
        File.Exists(_temp["a/DONE"]).ShouldBeFalse();
        File.Exists(_temp["a/model.gguf"]).ShouldBeFalse();
    }

    [Fact]
    public void Patience_ends_a_run_that_gains_nothing()
    {
        var answer = Cli.Done(_run.Lora("a", "--patience", "1", "--learning-rate", "0", "--json"));
        var result = JsonNode.Parse(answer.Output)!;
        result["steps"]!.GetValue<int>().ShouldBe(4);
        result["stopped_early"]!.GetValue<bool>().ShouldBeTrue();
        result["best_step"]!.GetValue<int>().ShouldBe(0);
        File.Exists(_temp["a/DONE"]).ShouldBeTrue();
    }

    [Fact]
    public void Memory_makes_micro_batches_smaller_and_changes_no_bit()
    {
        long Needed(string microBatch) =>
            JsonNode.Parse(
                Cli.Done([
                    "plan",
                    .. _run.Lora("a", "--micro-batch-tokens", microBatch, "--json", "--no-calibration")[1..],
                ]).Output
            )!["needed_bytes"]!.GetValue<long>();
        var limit = (Needed("512") + Needed("1")) / 2;
        Needed("1").ShouldBeLessThan(limit);
        Directory.Exists(_temp["a"]).ShouldBeFalse("a plan writes nothing");

        Cli.Done(_run.Lora("a"));
        Cli.Done(_run.Lora("b", "--memory", $"{limit}"));

        var resolved = JsonNode.Parse(File.ReadAllText(_temp["b/run.json"]))!["resolved"]!;
        resolved["micro_batch_tokens"]!.GetValue<int>().ShouldBeLessThan(512);
        resolved["needed_bytes"]!.GetValue<long>().ShouldBeLessThanOrEqualTo(limit);
        Cli.Metrics(_temp["b"]).ShouldBe(Cli.Metrics(_temp["a"]));
    }

    [Fact]
    public void Auto_is_the_measured_mode_but_f32_for_all_parameters()
    {
        Cli.Done(_run.Full("full", "--compute", "auto", "--steps", "1"));
        Compute("full").ShouldBe("f32");
        Cli.Done(_run.Lora("lora", "--compute", "auto", "--steps", "1"));
        using var runtime = NativeRuntime.Create(1);
        Compute("lora").ShouldBe($"{ComputeChoice.Fastest(runtime.Info.Isa, "q4_0")}".ToLowerInvariant());

        string Compute(string run) =>
            JsonNode.Parse(File.ReadAllText(_temp[$"{run}/run.json"]))!["resolved"]!["compute"]!.GetValue<string>();
    }

    [Fact]
    public void Bf16_is_near_f32_and_as_deterministic()
    {
        Cli.Done(_run.Lora("a"));
        Cli.Done(_run.Lora("b", "--compute", "bf16", "--threads", "1"));
        Cli.Done(_run.Lora("c", "--compute", "bf16", "--threads", "7", "--micro-batch-tokens", "33"));
        Cli.Metrics(_temp["c"]).ShouldBe(Cli.Metrics(_temp["b"]));
        Cli.Metrics(_temp["b"]).ShouldNotBe(Cli.Metrics(_temp["a"]));
        Loss("b").ShouldBe(Loss("a"), 0.02);
        JsonNode.Parse(File.ReadAllText(_temp["b/run.json"]))!["resolved"]!["compute"]!
            .GetValue<string>()
            .ShouldBe("bf16");

        double Loss(string run) =>
            JsonNode.Parse(File.ReadLines(_temp[$"{run}/metrics.jsonl"]).Last())!["eval_loss"]!.GetValue<double>();
    }

    [Fact]
    public void Alpaca_rows_train_through_the_files_own_template()
    {
        var data = _temp.Write(
            "alpaca.json",
            "[{\"instruction\":\"Say hi\",\"input\":\"\",\"output\":\"hi there\"},{\"instruction\":\"Add\",\"input\":\"1 2\",\"output\":\"3\"}]"
        );
        foreach (var template in new[] { "auto", "alpaca" })
        {
            Cli.Done(
                "train",
                "--model",
                TinyRun.Model,
                "--data",
                data,
                "--out",
                _temp[template],
                "--template",
                template,
                "--epochs",
                "2"
            );
            var record = JsonNode.Parse(File.ReadAllText(_temp[$"{template}/run.json"]))!;
            record["template"]!.GetValue<string>().ShouldBe(template == "auto" ? "model" : "alpaca");
        }
    }

    [Fact]
    public void A_force_run_replaces_the_old_one()
    {
        Cli.Done(_run.Lora("a"));
        Cli.Run(_run.Lora("a")).Code.ShouldBe(ExitCode.Refused);
        Cli.Done(_run.Full("a", "--force"));
        File.Exists(_temp["a/adapter.gguf"]).ShouldBeFalse();
        File.Exists(_temp["a/model.gguf"]).ShouldBeTrue();
    }

    [Fact]
    public void A_full_model_trains_on_and_keeps_its_metadata()
    {
        Cli.Done(_run.Full("a"));
        using var before = GgufFile.Open(TinyRun.Model);
        using var after = GgufFile.Open(_temp["a/model.gguf"]);
        after.Metadata.Select(pair => pair.Key).ShouldBe(before.Metadata.Select(pair => pair.Key));
        after.Tensors.ShouldAllBe(tensor => tensor.Type == GgmlType.F32);
        Cli.Done("train", "--model", _temp["a/model.gguf"], "--data", _run.Data, "--out", _temp["b"], "--steps", "1");
    }

    // q, k, v, o of [64 -> 64, 32, 32, 64] and gate, up, down of 64 <-> 96, in two layers.
    private static long LoraValues(int rank) =>
        2 * rank * ((64 + 64) + (64 + 32) + (64 + 32) + (64 + 64) + 3 * (64 + 96));
}
