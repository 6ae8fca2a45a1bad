using System.Text;

namespace Slimming.Cli.Tests;

/// <summary>A training of seconds on the small reference model: sequences of odd lengths, LoRA with dropout.</summary>
internal sealed class TinyRun
{
    public const int Steps = 10;
    private readonly TempFolder _temp;

    public TinyRun(TempFolder temp)
    {
        _temp = temp;
        Data = temp.Write("data.jsonl", Sequences(seed: 1, count: 18));
        EvalData = temp.Write("eval.jsonl", Sequences(seed: 2, count: 5));
    }

    public static string Model => Cli.Fixture("arch-llama/model-q4_0.gguf");

    public string Data { get; }

    public string EvalData { get; }

    /// <summary>LoRA with everything that draws random numbers, into the folder <paramref name="name"/>.</summary>
    public string[] Lora(string name, params string[] more) =>
        Args(name, [("--rank", "3"), ("--alpha", "6"), ("--dropout", "0.1")], more);

    public string[] Full(string name, params string[] more) => Args(name, [("--method", "full")], more);

    /// <summary>The options of every run; one that <paramref name="more"/> names is taken from there.</summary>
    private string[] Args(string name, (string Name, string Value)[] own, string[] more)
    {
        (string Name, string Value)[] all =
        [
            ("--model", Model),
            ("--data", Data),
            ("--eval-data", EvalData),
            ("--out", _temp[name]),
            ("--steps", $"{Steps}"),
            ("--eval-every", "4"),
            ("--learning-rate", "5e-3"),
            ("--compute", "f32"),
            .. own,
        ];
        return
        [
            "train",
            .. all.Where(option => !more.Contains(option.Name))
                .SelectMany(option => new[] { option.Name, option.Value }),
            .. more,
        ];
    }

    /// <summary>Random ids of the model's vocabulary; the first third of each sequence is no target.</summary>
    private static string Sequences(int seed, int count)
    {
        Random random = new(seed);
        StringBuilder text = new();
        for (var i = 0; i < count; i++)
        {
            var ids = Enumerable.Range(0, 3 + random.Next(38)).Select(_ => random.Next(312)).ToArray();
            var labels = ids.Select((id, at) => at < Math.Max(1, ids.Length / 3) ? -100 : id);
            text.AppendLine($"{{\"input_ids\":[{string.Join(',', ids)}],\"labels\":[{string.Join(',', labels)}]}}");
        }
        return text.ToString();
    }
}
