using Slimming.Models;

namespace Slimming.Training;

/// <summary>Every option of <c>train</c> and <c>plan</c>.</summary>
public static class TrainOptionTable
{
    public const string Config = "config";

    /// <summary>Methods this build trains.</summary>
    public static IReadOnlyList<string> Methods { get; } = ["lora", "full"];

    public static IReadOnlyList<OptionSpec> All { get; } =
    [
        new("model", OptionKind.Text, null, "GGUF file to fine-tune.") { Placeholder = "F", Required = true },
        new(
            "data",
            OptionKind.Text,
            null,
            "Training data: JSON, JSONL, CSV or Parquet files; F:WEIGHT after each mixes them."
        )
        {
            Placeholder = "F...",
            Many = true,
            Required = true,
        },
        new("where", OptionKind.Text, null, "SQL condition on the columns of --data; other rows are left out.")
        {
            Placeholder = "SQL",
        },
        new("sample", OptionKind.Whole, null, "Rows of --data drawn at random (after --where).")
        {
            Placeholder = "N",
            Minimum = 1,
        },
        new("eval-data", OptionKind.Text, null, "Data for the evaluation loss.") { Placeholder = "F...", Many = true },
        new("eval-fraction", OptionKind.Real, null, "Share of the rows of --data kept for the evaluation loss.")
        {
            Placeholder = "X",
            Minimum = 0,
            AboveMinimum = true,
            Below = 1,
        },
        new("out", OptionKind.Text, null, "Folder of the run.") { Placeholder = "DIR", Required = true },
        new(Config, OptionKind.Text, null, "YAML file of options; a flag wins over it.")
        {
            Placeholder = "F.yaml",
            InFile = false,
        },
        new("method", OptionKind.Text, "lora", "What is trained.") { Choices = Methods },
        Whole("rank", 16, "LoRA: rank r.", minimum: 1),
        Real("alpha", "16", "LoRA: the scale is alpha / rank.", above: true),
        Flag("rslora", "LoRA: the scale is alpha / sqrt(rank)."),
        Real("dropout", "0", "LoRA: share of the inputs dropped.", below: 1),
        new("targets", OptionKind.Text, "all", "LoRA: linears adapted: all, or some of q,k,v,o,gate,up,down.")
        {
            Placeholder = "LIST",
        },
        new(
            "init-adapter",
            OptionKind.Text,
            null,
            "Start from this adapter; method, rank, scale and targets come from it."
        )
        {
            Placeholder = "F.gguf",
        },
        Real("epochs", "1", "Passes over the data; not together with --steps.", above: true, below: 1e6),
        new("steps", OptionKind.Whole, null, "Steps to train, over as many epochs as it takes.")
        {
            Placeholder = "N",
            Minimum = 1,
        },
        Whole("batch-size", 4, "Samples (rows with --packing) of one batch.", minimum: 1),
        Whole("accumulation", 1, "Batches added up in one step.", minimum: 1),
        Whole("max-length", 1024, "Longest sample in tokens.", minimum: 2),
        new("overlong", OptionKind.Text, "truncate", "What happens to longer samples.")
        {
            Choices = ["truncate", "drop", "split"],
        },
        Flag("packing", "Fill rows of max-length tokens with several samples."),
        new("learning-rate", OptionKind.Real, null, "Peak learning rate (default: 2e-4; 2e-5 with --method full).")
        {
            Placeholder = "X",
            Minimum = 0,
        },
        new("schedule", OptionKind.Text, "linear", "Course of the learning rate after warm-up.")
        {
            Choices = ["linear", "cosine", "constant"],
        },
        Whole("warmup-steps", 0, "Steps of linear warm-up from 0."),
        Real("weight-decay", "0", "AdamW's decoupled weight decay."),
        Flag("decay-norms", "Decay norms and biases too."),
        Real("max-grad-norm", "1", "Clip gradients to this global norm; 0: never."),
        Real("adam-beta1", "0.9", "AdamW's beta1.", below: 1),
        Real("adam-beta2", "0.999", "AdamW's beta2.", below: 1),
        Real("adam-epsilon", "1e-8", "AdamW's epsilon.", above: true),
        new(
            "shuffle",
            OptionKind.Flag,
            "true",
            "Draw the samples in a new order each epoch (default); --no-shuffle keeps file order."
        ),
        Whole("seed", 42, "Seed of every random draw."),
        new("loss-on", OptionKind.Text, "answer", "Tokens that the loss covers.") { Choices = ["answer", "all"] },
        new(
            "template",
            OptionKind.Text,
            "auto",
            "Prompt format: auto (the file's own, else alpaca), alpaca, a name, or a .jinja file."
        )
        {
            Placeholder = "T",
        },
        new(
            "compute",
            OptionKind.Text,
            "auto",
            "Arithmetic of the products; auto is the fastest measured for this processor and the weights."
        )
        {
            Choices = ComputeChoice.Names,
        },
        Whole("threads", 0, "Threads; 0 for every usable core."),
        new("memory", OptionKind.Size, null, "Bytes the run may use, e.g. 600MiB or 2GiB.") { Placeholder = "SIZE" },
        Whole("micro-batch-tokens", 512, "Tokens computed together.", minimum: 1),
        Whole("checkpoint-every", 100, "Steps between checkpoints; 0: only when stopped."),
        Whole("keep", 2, "Checkpoints kept.", minimum: 1),
        new("resume", OptionKind.Flag, "false", "Go on from the newest sound checkpoint.") { InFile = false },
        Whole("eval-every", 0, "Steps between evaluations; 0: before the first step and at the end."),
        Whole("patience", 0, "Stop after this many evaluations without a lower loss; 0: never."),
        new(
            "on-nonfinite",
            OptionKind.Text,
            "stop",
            "What a NaN or infinite loss or gradient does: end the run, or leave the batch out."
        )
        {
            Choices = ["stop", "skip"],
        },
        Flag(
            "profile",
            "Show time and bytes by phase, and write them with a trace of the first steps to profile.json."
        ),
        new("force", OptionKind.Flag, "false", "Replace the run that --out holds.") { InFile = false },
    ];

    private static OptionSpec Whole(string name, int value, string help, int minimum = 0) =>
        new(name, OptionKind.Whole, $"{value}", help) { Placeholder = "N", Minimum = minimum };

    private static OptionSpec Real(
        string name,
        string value,
        string help,
        bool above = false,
        double below = double.PositiveInfinity
    ) =>
        new(name, OptionKind.Real, value, help)
        {
            Placeholder = "X",
            Minimum = 0,
            AboveMinimum = above,
            Below = below,
        };

    private static OptionSpec Flag(string name, string help) => new(name, OptionKind.Flag, "false", help);
}
