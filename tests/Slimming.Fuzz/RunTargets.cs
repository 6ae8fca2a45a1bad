using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace Slimming.Fuzz;

/// <summary>A training run of a tiny model of which a file is broken.</summary>
internal abstract class RunFolderTarget : FolderTarget
{
    private const string Rows =
        "{\"text\":\"abc abd\"}\n{\"text\":\"the cat\"}\n{\"text\":\"a longer one of more words\"}\n{\"text\":\"z\"}\n";

    protected const string Record = "run.json";
    protected const string Metrics = "metrics.jsonl";

    private static readonly string[] s_json =
    [
        .. JsonMutator.Words,
        "-1",
        "1e999",
        "1e308",
        "2147483648",
        "9223372036854775807",
        "99999999999999999999",
        "0",
        "true",
        "\"\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\n",
        "[]",
        "{}",
        "\"../x\"",
        "\"/\"",
        "NaN",
    ];

    private static readonly string[] s_sums =
    [
        "\n",
        "  ",
        "..",
        "/",
        "\0",
        "state.json",
        "DONE",
        "*",
        "\r",
        "a",
        "  .\n",
    ];

    protected override void MakeSound()
    {
        File.WriteAllBytes(Beside("model.gguf"), Seeds.Model());
        File.WriteAllText(Beside("data.jsonl"), Rows);
        Call(Train());
    }

    protected string[] Train(params string[] more) =>
        [
            "train",
            "--model",
            Beside("model.gguf"),
            "--data",
            Beside("data.jsonl"),
            "--eval-data",
            Beside("data.jsonl"),
            "--where",
            "length(text) > 1",
            "--out",
            Work,
            "--rank",
            "2",
            "--targets",
            "q,v",
            "--batch-size",
            "1",
            "--steps",
            "4",
            "--eval-every",
            "2",
            "--checkpoint-every",
            "1",
            "--compute",
            "f32",
            "--threads",
            "1",
            .. more,
        ];

    protected override byte[] Break(string file, Random random, out string kind) =>
        Path.GetExtension(file) switch
        {
            ".json" or ".jsonl" when random.Next(2) == 0 => JsonMutator.Mutate(
                Text(file),
                lines: Path.GetExtension(file) == ".jsonl",
                random,
                out kind
            ),
            ".json" or ".jsonl" => Raw.MutateText(Text(file), s_json, random, out kind),
            ".f32" or ".gguf" => Raw.Mutate((byte[])SoundFile(file).Clone(), random, out kind),
            _ => Raw.MutateText(Text(file), s_sums, random, out kind),
        };

    private string Text(string file) => Encoding.UTF8.GetString(SoundFile(file));
}

/// <summary>What a run goes on from, broken: read by <c>train --resume</c> and <c>--replay-batch</c>.</summary>
internal sealed class CheckpointTarget : RunFolderTarget
{
    private const string Newest = "checkpoints/000003";
    private const string Sums = $"{Newest}/SHA256SUMS";
    private const string Batch = "nonfinite/step-000004.jsonl";

    /// <summary>The sum of the broken file is put into SHA256SUMS: what it says is believed.</summary>
    private const string Sealed = "sealed";

    private static readonly string[] s_both = ["resume", "replay"];

    protected override IReadOnlyList<(string File, string[] Verbs)> Files { get; } =
    [
        ($"{Newest}/state.json", s_both),
        ($"{Newest}/state.json", s_both),
        (Sums, s_both),
        ($"{Newest}/parameters.f32", s_both),
        ($"{Newest}/moment1.f32", s_both),
        ($"{Newest}/moment2.f32", s_both),
        ($"{Newest}/adapter.gguf", s_both),
        (Record, s_both),
        (Metrics, ["resume"]),
        (Batch, ["replay"]),
    ];

    public override string Name => "checkpoint";

    public override int RoundCases => 150;

    protected override void MakeSound()
    {
        base.MakeSound();
        File.Delete(Path.Combine(Work, "DONE"));
        Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(Work, Batch))!);
        File.WriteAllText(
            Path.Combine(Work, Batch),
            "{\"input_ids\":[260,261,262],\"labels\":[-100,261,262],\"source\":\"data.jsonl\",\"row\":0,\"key\":5}\n"
                + "{\"input_ids\":[263,264],\"labels\":[-100,264],\"source\":\"data.jsonl\",\"row\":1,\"key\":6}\n"
        );
    }

    protected override string[] Args(string verb) =>
        verb == "resume" ? Train("--resume") : ["train", "--replay-batch", Path.Combine(Work, Batch), "--json"];

    protected override string How(string file, Random random) =>
        file.StartsWith(Newest, StringComparison.Ordinal) && file != Sums && random.Next(4) > 0 ? Sealed : Head.Plain;

    protected override void Placed(Head head)
    {
        if (head.How != Sealed)
        {
            return;
        }
        var (path, sums) = (Path.Combine(Work, head.File), Path.Combine(Work, Sums));
        var sum = Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)));
        var line = new Regex($"(?m)^[0-9a-f]+  {Regex.Escape(Path.GetFileName(path))}$");
        File.WriteAllText(sums, line.Replace(File.ReadAllText(sums), $"{sum}  {Path.GetFileName(path)}"));
    }
}

/// <summary>A finished run, broken: read by <c>report</c>, <c>compare</c>, <c>export</c> and <c>train --resume</c>.</summary>
internal sealed class RunTarget : RunFolderTarget
{
    private static readonly string[] s_all = ["report", "compare", "export", "resume"];

    protected override IReadOnlyList<(string File, string[] Verbs)> Files { get; } =
    [(Record, s_all), (Record, s_all), (Metrics, ["report", "resume"]), ("adapter.gguf", ["export"])];

    public override string Name => "run";

    /// <summary>DuckDB takes the record's condition, llama.cpp the adapter.</summary>
    public override bool IsForeign => true;

    public override int RoundCases => 70;

    protected override void MakeSound()
    {
        base.MakeSound();
        ScoredSeed.Write(Beside("base"), "aaaa", shift: 0);
        ScoredSeed.Write(Beside("tuned"), "bbbb", shift: 1);
    }

    protected override string[] Args(string verb) =>
        verb switch
        {
            "report" => ["report", Work, Beside("base"), Beside("tuned"), "--out", Beside("r.html"), "--force"],
            "compare" =>
            [
                "compare",
                Beside("base"),
                Beside("tuned"),
                "--train-run",
                Work,
                "--resamples",
                "100",
                "--json",
            ],
            "export" => ["export", Work, "--out", Beside("out.gguf"), "--force", "--threads", "1"],
            _ => Train("--resume"),
        };
}
