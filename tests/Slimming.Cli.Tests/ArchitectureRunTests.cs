using System.Text.Json.Nodes;
using Slimming.Gguf;
using Slimming.TestSupport;

namespace Slimming.Cli.Tests;

/// <summary>A model of each architecture, tuned a few steps and exported: llama.cpp computes what the native forward does.</summary>
public sealed class ArchitectureRunTests : IDisposable
{
    private readonly TempFolder _temp = new();

    public void Dispose() => _temp.Dispose();

    /// <summary>llama.cpp v0.5.0 looks tanh-GELU up in a table of f16 values; everything else is f32 on both sides.</summary>
    public static TheoryData<string, double> Models =>
        new()
        {
            { "llama", 5e-5 },
            { "llama3", 5e-5 },
            { "mistral", 5e-5 },
            { "qwen2", 5e-5 },
            { "qwen3", 5e-5 },
            { "gemma", 5e-3 },
            { "gemma2", 5e-3 },
            { "gemma3", 5e-3 },
            { "gemma3-linear", 5e-3 },
        };

    [Theory]
    [MemberData(nameof(Models))]
    public void Adapter_and_merged_file_of_a_tuned_model_agree_with_llama_cpp(string name, double logitTolerance)
    {
        var model = Model(name, "f32");
        var run = Train(model, "run");

        var adapter = Export(run, "a.gguf");
        Comparison(adapter, "exported").MaxAbs.ShouldBeLessThan(logitTolerance);
        Carried(_temp["a.gguf"], model).ShouldBeGreaterThan(5);

        var merged = Export(run, "m.gguf", "--to", "merged");
        ((int)merged["adapted"]!).ShouldBeGreaterThan(0);
        Comparison(merged, "exported").MaxAbs.ShouldBeLessThan(logitTolerance);
        Comparison(merged, "stored").MaxAbs.ShouldBeLessThan(5e-5);
        Carried(_temp["m.gguf"], model).ShouldBeGreaterThan(5);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_quantized_base_keeps_its_types_or_becomes_f32(string name, double logitTolerance)
    {
        var model = Model(name, "q4_0");
        var run = Train(model, "run");

        var same = Export(run, "same.gguf", "--to", "merged");
        using (
            GgufFile before = GgufFile.Open(model),
                after = GgufFile.Open(_temp["same.gguf"])
        )
        {
            after.Tensors.Select(t => (t.Name, t.Type)).ShouldBe(before.Tensors.Select(t => (t.Name, t.Type)));
        }
        Comparison(same, "exported").MeanKl.ShouldBeLessThan(1e-2);

        var f32 = Export(run, "f32.gguf", "--to", "merged", "--type", "f32");
        Comparison(f32, "exported").MaxAbs.ShouldBeLessThan(logitTolerance);
        Carried(_temp["f32.gguf"], model).ShouldBeGreaterThan(5);
    }

    private static string Model(string name, string kind) =>
        name == "llama"
            ? Cli.Fixture($"arch-llama/model-{kind}.gguf")
            : SharedFiles.Require($"fixtures/arch/{name}/model-{kind}.gguf");

    /// <summary>Conversations through the file's own template, with a rate that moves the weights.</summary>
    private string Train(string model, string name)
    {
        string[] rows =
        [
            .. Enumerable
                .Range(0, 6)
                .Select(i =>
                    $$"""{"messages":[{"role":"user","content":"{{i}} plus"},{"role":"assistant","content":"one is {{i + 1}}"}]}"""
                ),
        ];
        var data = _temp.Write("data.jsonl", string.Join('\n', rows));
        string[] options =
        [
            "--rank",
            "4",
            "--alpha",
            "16",
            "--learning-rate",
            "1e-2",
            "--epochs",
            "2",
            "--threads",
            "1",
            "--compute",
            "f32",
        ];
        Cli.Done(["train", "--model", model, "--data", data, "--out", _temp[name], .. options]);
        return _temp[name];
    }

    private JsonNode Export(string run, string name, params string[] more)
    {
        var answer = Cli.Done(["export", run, "--out", _temp[name], "--threads", "1", "--json", .. more]);
        answer.Error.ShouldBeEmpty();
        return JsonNode.Parse(answer.Output)!;
    }

    private static (double MaxAbs, double MeanKl) Comparison(JsonNode answer, string which)
    {
        var distance = answer["verification"]![which]!["distance"]!;
        return ((double)distance["max_abs"]!, (double)distance["mean_kl"]!);
    }

    /// <summary>Number of tokenizer keys, template among them, which must all be the base's byte for byte.</summary>
    private static int Carried(string path, string model)
    {
        using var file = GgufFile.Open(path);
        using var original = GgufFile.Open(model);
        var keys = Tokenizer(original);
        keys.ShouldContain(k => k.Key == "tokenizer.chat_template");
        Tokenizer(file).ShouldBe(keys);
        return keys.Count;
    }

    private static List<(string Key, string Bytes)> Tokenizer(GgufFile file) =>
        [
            .. file
                .Metadata.Where(p => p.Key.StartsWith("tokenizer.", StringComparison.Ordinal))
                .Select(p => (p.Key, $"{p.Value.Type} {Convert.ToHexString(p.Value.Raw.Span)}")),
        ];
}
