using Slimming.Gguf;

namespace Slimming.Cli.Tests;

/// <summary>Everything that can be wrong with what the user gives: one code, one message, nothing left behind.</summary>
public sealed class BadInputTests : IDisposable
{
    private readonly TempFolder _temp = new();

    public void Dispose() => _temp.Dispose();

    /// <summary>Name of the case, exit code, and texts that the message must hold (file, place, expected, found).</summary>
    public static TheoryData<string, ExitCode, string[]> Cases =>
        new()
        {
            { "missing model", ExitCode.Usage, ["absent.gguf"] },
            { "empty model", ExitCode.Usage, ["empty.gguf"] },
            { "truncated model", ExitCode.Usage, ["cut.gguf"] },
            { "model is text", ExitCode.Usage, ["text.gguf", "GGUF"] },
            { "model is a folder", ExitCode.Usage, ["folder.gguf"] },
            { "unknown architecture", ExitCode.Usage, ["other.gguf", "general.architecture", "'mamba'", "llama"] },
            { "model is an adapter", ExitCode.Usage, ["adapter.gguf"] },
            { "adapter of another base", ExitCode.Usage, ["adapter.gguf", "SHA-256", "base"] },
            { "adapter is a model", ExitCode.Usage, ["model-q8_0.gguf", "expected"] },
            { "missing adapter", ExitCode.Usage, ["absent.gguf"] },
            { "missing data", ExitCode.Usage, ["absent.jsonl"] },
            { "empty data", ExitCode.Usage, ["empty.jsonl"] },
            { "torn data", ExitCode.Usage, ["torn.jsonl"] },
            { "rows without target", ExitCode.Usage, ["masked.jsonl", "without a target"] },
            { "unknown columns", ExitCode.Usage, ["columns.jsonl", "question"] },
            { "id outside the vocabulary", ExitCode.Usage, ["ids.jsonl", "9999"] },
            { "rank 0", ExitCode.Usage, ["--rank: expected a whole number of at least 1, found '0'"] },
            { "unknown target", ExitCode.Usage, ["--targets: unknown target 'attn'", "q, k, v, o, gate, up, down"] },
            { "contradicting rank", ExitCode.Usage, ["--rank", "own-adapter.gguf has 2, the option says 4"] },
            { "output exists", ExitCode.Refused, ["filled", "--resume", "--force"] },
            { "output is a file", ExitCode.Refused, ["note.txt", "expected a folder, found a file"] },
            { "read-only folder", ExitCode.Failed, ["/proc/slimming"] },
            { "does not fit", ExitCode.Refused, ["--memory 1.0 MiB", "is enough"] },
            { "unknown option", ExitCode.Usage, ["--rnak"] },
            { "missing option", ExitCode.Usage, ["--model is missing"] },
            { "missing template", ExitCode.Usage, ["--template absent.jinja"] },
        };

    [Theory]
    [MemberData(nameof(Cases))]
    public void Is_answered_with_one_message_and_leaves_nothing(string name, ExitCode code, string[] texts)
    {
        var args = Arrange(name);
        var before = Files();

        var answer = Cli.Run(args);

        answer.Code.ShouldBe(code, answer.Error);
        answer.Output.ShouldBeEmpty();
        foreach (var text in texts)
        {
            answer.Error.ShouldContain(text, Case.Sensitive);
        }
        answer.Error.Split("error:").Length.ShouldBe(2, answer.Error);
        answer.Error.ShouldNotContain("   at ");
        answer.Error.ShouldNotContain("error: unexpected");
        Files().ShouldBe(before);
    }

    private string[] Arrange(string name)
    {
        var model = Cli.Fixture("arch-llama/model-q8_0.gguf");
        var good = _temp.Write("good.jsonl", "{\"input_ids\":[1,2,3,4],\"labels\":[-100,2,3,4]}\n");
        string[] TrainInto(string folder) => ["train", "--model", model, "--data", good, "--out", folder];
        string[] Train(string modelPath, string data, params string[] more) =>
            ["train", "--model", modelPath, "--data", data, "--out", _temp["run"], .. more];
        string[] WithData(string file, string text) => Train(model, _temp.Write(file, text));
        return name switch
        {
            "missing model" => Train(_temp["absent.gguf"], good),
            "empty model" => Train(_temp.Write("empty.gguf", ""), good),
            "truncated model" => Train(Cut(model), good),
            "model is text" => Train(_temp.Write("text.gguf", new string('x', 5000)), good),
            "model is a folder" => Train(Directory.CreateDirectory(_temp["folder.gguf"]).FullName, good),
            "unknown architecture" => Train(OtherArchitecture(model), good),
            "model is an adapter" => Train(Adapter(model, good, "adapter.gguf"), good),
            "adapter of another base" => Train(
                model,
                good,
                "--init-adapter",
                Adapter(Cli.Fixture("arch-llama/model-q4_0.gguf"), good, "adapter.gguf")
            ),
            "adapter is a model" => Train(model, good, "--init-adapter", model),
            "missing adapter" => Train(model, good, "--init-adapter", _temp["absent.gguf"]),
            "missing data" => Train(model, _temp["absent.jsonl"]),
            "empty data" => WithData("empty.jsonl", ""),
            "torn data" => WithData("torn.jsonl", "{\"input_ids\":[1,2],\"labels\":[1,2]}\n{\"input_ids\":[1,"),
            "rows without target" => WithData("masked.jsonl", "{\"input_ids\":[1,2],\"labels\":[-100,-100]}\n"),
            "unknown columns" => WithData("columns.jsonl", "{\"question\":\"a\",\"reply\":\"b\"}\n"),
            "id outside the vocabulary" => WithData("ids.jsonl", "{\"input_ids\":[1,9999],\"labels\":[-100,9999]}\n"),
            "rank 0" => Train(model, good, "--rank", "0"),
            "unknown target" => Train(model, good, "--targets", "q,attn"),
            "contradicting rank" => Train(
                model,
                good,
                "--init-adapter",
                Adapter(model, good, "own-adapter.gguf"),
                "--rank",
                "4"
            ),
            "output exists" => TrainInto(Filled()),
            "output is a file" => TrainInto(_temp.Write("note.txt", "")),
            "read-only folder" => TrainInto("/proc/slimming/run"),
            "does not fit" => Train(model, good, "--memory", "1MiB"),
            "unknown option" => Train(model, good, "--rnak", "3"),
            "missing option" => ["train", "--data", good, "--out", _temp["run"]],
            "missing template" => Train(model, good, "--template", "absent.jinja"),
            _ => throw new ArgumentOutOfRangeException(nameof(name), name, "no such case"),
        };
    }

    private string Filled()
    {
        Directory.CreateDirectory(_temp["filled"]);
        _temp.Write("filled/thesis.txt", "");
        return _temp["filled"];
    }

    private string Cut(string model)
    {
        var bytes = File.ReadAllBytes(model);
        File.WriteAllBytes(_temp["cut.gguf"], bytes[..(bytes.Length / 2)]);
        return _temp["cut.gguf"];
    }

    private string OtherArchitecture(string model)
    {
        using var file = GgufFile.Open(model);
        var metadata = file.Metadata.Clone();
        metadata.Set("general.architecture", GgufValue.Of("mamba"));
        using GgufWriter writer = new(_temp["other.gguf"], metadata);
        foreach (var tensor in file.Tensors)
        {
            writer.AddTensor(tensor.Name, tensor.Type, tensor.Shape, tensor.ByteCount);
        }
        foreach (var tensor in file.Tensors)
        {
            writer.Write(tensor.Name, file.Data(tensor));
        }
        writer.Complete();
        return _temp["other.gguf"];
    }

    private string Adapter(string model, string data, string name)
    {
        Cli.Done("train", "--model", model, "--data", data, "--out", _temp["made"], "--rank", "2", "--steps", "1");
        File.Move(_temp["made/adapter.gguf"], _temp[name]);
        Directory.Delete(_temp["made"], recursive: true);
        return _temp[name];
    }

    private List<string> Files() =>
        [.. Directory.EnumerateFileSystemEntries(_temp.Path, "*", SearchOption.AllDirectories).Order()];
}
