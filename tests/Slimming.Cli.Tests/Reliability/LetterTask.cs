namespace Slimming.Cli.Tests.Reliability;

/// <summary>A benchmark task of 600 items of a few tokens: more than two parts of a results folder hold.</summary>
internal sealed class LetterTask(TempFolder temp)
{
    private const int Items = 600;

    public string[] Bench(string output, params string[] more) => BenchOf(TinyRun.Model, output, more);

    public string[] BenchOf(string model, string output, params string[] more) =>
        [
            "bench",
            "--model",
            model,
            "--tasks",
            Files(),
            "--data-dir",
            temp.Path,
            "--threads",
            "1",
            "--out",
            output,
            .. more,
        ];

    /// <summary>All that a finished run says.</summary>
    public static string Results(string folder) =>
        Cli.Done("results", folder, "--format", "jsonl").Output + Cli.Done("results", folder).Output;

    private string Files()
    {
        if (!File.Exists(temp["letters.yaml"]))
        {
            Random random = new(3);
            string word() => string.Concat(Enumerable.Range(0, 3).Select(_ => (char)('a' + random.Next(26))));
            string row(int i) =>
                $"{{\"question\":\"{word()} {i}\",\"choices\":[\"{word()}\",\"{word()}\"],\"answer\":{i % 2}}}\n";
            temp.Write("letters.jsonl", string.Concat(Enumerable.Range(0, Items).Select(row)));
            temp.Write(
                "letters.yaml",
                """
                name: letters
                version: "1"
                about: Random letters.
                kind: multiple_choice
                data: [letters.jsonl]
                prompt: "{question}"
                choices_field: choices
                delimiter: ""
                gold: "{answer}"
                metrics: [acc, acc_norm]
                """
            );
        }
        return temp["letters.yaml"];
    }
}
