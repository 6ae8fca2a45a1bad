using System.Text.Json.Nodes;
using Slimming.Gguf;

namespace Slimming.Cli.Tests;

/// <summary>From a run folder to files that llama.cpp loads.</summary>
public sealed class ExportVerbTests : IDisposable
{
    private readonly TempFolder _temp = new();

    public void Dispose() => _temp.Dispose();

    private string Train(bool full = false)
    {
        TinyRun run = new(_temp);
        Cli.Done(full ? run.Full("run", "--steps", "3") : run.Lora("run", "--steps", "3"));
        return _temp["run"];
    }

    [Fact]
    public void A_run_becomes_an_adapter_and_a_merged_file()
    {
        var run = Train();
        var answer = Cli.Done("export", run, "--out", _temp["a.gguf"], "--threads", "1");
        answer.Output.ShouldContain("adapter, llama.cpp against native");
        answer.Output.ShouldContain(TinyRun.Model);
        File.ReadAllBytes(_temp["a.gguf"]).ShouldBe(File.ReadAllBytes(Path.Combine(run, "adapter.gguf")));

        var merged = Cli.Done([
            "export",
            run,
            "--to",
            "merged",
            "--type",
            "q4_k",
            "--out",
            _temp["m.gguf"],
            "--threads",
            "1",
            "--json",
        ]);
        var json = JsonNode.Parse(merged.Output)!;
        ((string)json["kind"]!, (int)json["adapted"]!).ShouldBe(("merged", 14));
        json["fallbacks"]!.AsArray().Count.ShouldBe(16);
        ((string)json["fallbacks"]![0]!["used"]!).ShouldBe("q5_0");
        ((double)json["verification"]!["exported"]!["distance"]!["mean_kl"]!).ShouldBeInRange(0, 1e-2);
        merged.Error.ShouldContain("blk.*.attn_q.weight (2 tensors): rows of 64 values");

        Cli.Run("export", run, "--out", _temp["a.gguf"]).Code.ShouldBe(ExitCode.Refused);
        Cli.Done("export", run, "--out", _temp["a.gguf"], "--force", "--scale", "0.5", "--threads", "1");
    }

    [Fact]
    public void A_full_parameter_run_becomes_a_model_in_its_base_s_types()
    {
        var run = Train(full: true);
        Cli.Run("export", run, "--to", "adapter", "--out", _temp["a.gguf"]).Error.ShouldContain("full-parameter run");
        Cli.Done("export", run, "--out", _temp["m.gguf"], "--threads", "1").Output.ShouldContain("merged");
        using var model = GgufFile.Open(TinyRun.Model);
        using var merged = GgufFile.Open(_temp["m.gguf"]);
        merged.Tensors.Select(t => (t.Name, t.Type)).ShouldBe(model.Tensors.Select(t => (t.Name, t.Type)));
    }

    [Fact]
    public void An_unfinished_run_is_refused_with_what_to_do()
    {
        var run = Train();
        File.Delete(Path.Combine(run, "DONE"));
        var answer = Cli.Run("export", run, "--out", _temp["a.gguf"]);
        answer.Code.ShouldBe(ExitCode.Usage);
        answer.Error.ShouldContain("--resume");
        File.Exists(_temp["a.gguf"]).ShouldBeFalse();
    }

    [Fact]
    public void A_run_and_another_base_do_not_go_together()
    {
        var run = Train();
        var answer = Cli.Run([
            "export",
            run,
            "--model",
            Cli.Fixture("arch-llama/model-f32.gguf"),
            "--out",
            _temp["a.gguf"],
        ]);
        answer.Code.ShouldBe(ExitCode.Usage);
        answer.Error.ShouldContain("SHA-256");
    }

    [Fact]
    public void Words_that_the_options_do_not_know_are_usage_errors()
    {
        foreach (var args in new[] { "--to nothing", "--type q9_k", "--scale x" })
        {
            string[] all = ["export", "--model", TinyRun.Model, "--out", _temp["x.gguf"], .. args.Split(' ')];
            Cli.Run(all).Code.ShouldBe(ExitCode.Usage, args);
        }
        Cli.Run("export", "--model", TinyRun.Model).Error.ShouldContain("--out");
    }

    [Fact]
    public void Inspect_shows_keys_types_and_tensors()
    {
        var answer = Cli.Done("inspect", TinyRun.Model, "--tensors");
        foreach (var word in new[] { "general.architecture", "llama", "q4_0", "blk.1.ffn_down.weight", "[96, 64]" })
        {
            answer.Output.ShouldContain(word);
        }
        Cli.Done("inspect", TinyRun.Model).Output.ShouldNotContain("blk.1.ffn_down.weight");

        var json = JsonNode.Parse(Cli.Done("inspect", TinyRun.Model, "--json").Output)!;
        ((int)json["metadata"]!["llama.block_count"]!).ShouldBe(2);
        json["metadata"]!["tokenizer.ggml.tokens"]!.AsArray().Count.ShouldBe(320);
        var tensor = json["tensors"]!.AsArray().Single(t => (string)t!["name"]! == "blk.0.attn_k.weight")!;
        (tensor["shape"]!.ToJsonString().Replace("\n", "").Replace(" ", ""), (string)tensor["type"]!).ShouldBe(
            ("[64,32]", "q4_0")
        );

        var absent = Cli.Run("inspect", _temp["absent.gguf"]);
        absent.Code.ShouldBe(ExitCode.Usage);
        absent.Error.ShouldContain("no such file");
    }
}
