using Slimming.TestSupport;

namespace Slimming.Cli.Tests;

/// <summary>Reference trajectories of PEFT and PyTorch, replayed through the command line.</summary>
public sealed class ReplayTests : IDisposable
{
    private const string BaseModel = "models/SmolLM2-135M-Instruct.Q4_1.gguf";
    private readonly TempFolder _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void Full_parameter_training_with_a_tied_head_follows_pytorch()
    {
        ReferenceCase reference = new(Cli.Fixture("peft-full"));
        Train(
            reference,
            [.. Full(reference), "--weight-decay", "0.1", "--decay-norms", "--schedule", "linear", "--batch-size", "2"]
        );
        ReferenceCase.ShouldEndAt(InitOf(reference), FinalOf(reference), _temp["run/model.gguf"]);
    }

    [Fact]
    public void Full_parameter_training_with_a_separate_head_follows_pytorch()
    {
        ReferenceCase reference = new(SharedFiles.Require("fixtures/peft/full_untied"));
        Train(reference, [.. Full(reference), "--weight-decay", "0.1", "--schedule", "cosine", "--batch-size", "2"]);
        ReferenceCase.ShouldEndAt(InitOf(reference), FinalOf(reference), _temp["run/model.gguf"]);
    }

    [Fact]
    public void Lora_on_all_linears_follows_peft()
    {
        ReferenceCase reference = new(SharedFiles.Require("fixtures/peft/lora"));
        Train(reference, [.. Lora(reference), "--warmup-steps", "2", "--batch-size", "2"]);
    }

    [Fact]
    public void Accumulated_rslora_on_q_and_v_follows_peft()
    {
        ReferenceCase reference = new(SharedFiles.Require("fixtures/peft/lora_accum"));
        // Rank, scale and targets could come from the file alone; given and equal, they are accepted.
        Train(
            reference,
            [
                .. Lora(reference),
                "--schedule",
                "constant",
                "--weight-decay",
                "0.01",
                "--batch-size",
                "1",
                "--accumulation",
                "4",
                "--rank",
                "8",
                "--alpha",
                "16",
                "--rslora",
                "--targets",
                "q,v",
            ]
        );
        ReferenceCase.ShouldEndAt(InitOf(reference), FinalOf(reference), _temp["run/adapter.gguf"]);
    }

    private static string InitOf(ReferenceCase reference) => Path.Combine(reference.Folder, "init.gguf");

    private static string FinalOf(ReferenceCase reference) => Path.Combine(reference.Folder, "final.gguf");

    private static string[] Full(ReferenceCase reference) =>
        ["--model", InitOf(reference), "--method", "full", "--learning-rate", "1e-2"];

    private static string[] Lora(ReferenceCase reference) =>
        ["--model", SharedFiles.Require(BaseModel), "--init-adapter", InitOf(reference), "--learning-rate", "2e-4"];

    private void Train(ReferenceCase reference, string[] options)
    {
        Cli.Done([
            "train",
            .. options,
            "--data",
            reference.WriteData(_temp["data.jsonl"]),
            "--eval-data",
            reference.WriteEvalData(_temp["eval.jsonl"]),
            "--no-shuffle",
            "--compute",
            "f32",
            "--out",
            _temp["run"],
        ]);
        reference.ShouldMatch(_temp["run"]);
        File.Exists(_temp["run/DONE"]).ShouldBeTrue();
    }
}
