using System.Text.Json.Nodes;
using Slimming.Gguf;

namespace Slimming.Cli.Tests;

/// <summary>A vocabulary of the kind "llama" (SentencePiece with byte fallback) from data to exported files.</summary>
public sealed class SentencePieceTests : IDisposable
{
    private const string Template =
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}";

    private static readonly string[] Pieces =
    [
        "\u2581",
        .. "abcdefghijklmnopqrstuvwxyz[]{}.".Select(c => c.ToString()),
        "th",
        "\u2581t",
        "he",
        "\u2581the",
        "at",
        "\u2581c",
        "\u2581cat",
        "s\u00e4",
    ];

    private readonly TempFolder _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void Text_is_tokenized_with_bytes_where_no_piece_fits_and_exports_load()
    {
        var model = Model();
        var data = _temp.Write("a.jsonl", """{"text":"the cat \u00f6"}""");
        var preview = JsonNode.Parse(
            Cli.Done("data", "preview", "--model", model, "--data", data, "--json", "--limit", "1").Output
        )!["samples"]![0]!;
        // A blank stands before the text; ö has no piece and becomes its two bytes.
        int[] expected = [Id("\u2581the"), Id("\u2581cat"), Id("\u2581"), 3 + 0xC3, 3 + 0xB6];
        var ids = preview["input_ids"]!.AsArray().Select(id => (int)id!).ToArray();
        ids[0].ShouldBe(1);
        ids[1..^1].ShouldBe(expected);
        ids[^1].ShouldBe(2);

        var chat = _temp.Write(
            "b.jsonl",
            """{"messages":[{"role":"user","content":"the"},{"role":"assistant","content":"cat s\u00e4"}]}"""
        );
        string[] options = ["--rank", "2", "--learning-rate", "1e-2", "--epochs", "3", "--threads", "1"];
        Cli.Done(["train", "--model", model, "--data", chat, "--out", _temp["run"], .. options]);
        foreach (var to in new[] { "adapter", "merged" })
        {
            var answer = Cli.Done("export", _temp["run"], "--to", to, "--out", _temp[to], "--threads", "1");
            answer.Error.ShouldBeEmpty();
            answer.Output.ShouldContain($"{to}, llama.cpp against native");
            using var file = GgufFile.Open(_temp[to]);
            using var original = GgufFile.Open(model);
            foreach (
                var (key, value) in original.Metadata.Where(p =>
                    p.Key.StartsWith("tokenizer.", StringComparison.Ordinal)
                )
            )
            {
                file.Metadata.TryGet(key, out var carried).ShouldBeTrue(key);
                carried.Raw.ToArray().ShouldBe(value.Raw.ToArray(), key);
            }
        }
    }

    private static int Id(string piece) => 3 + 256 + Array.IndexOf(Pieces, piece);

    /// <summary>The reference model with another vocabulary; longer pieces have better scores.</summary>
    private string Model()
    {
        using var file = GgufFile.Open(Cli.Fixture("arch-llama/model-f32.gguf"));
        var metadata = file.Metadata.Clone();
        foreach (var (key, _) in file.Metadata.Where(p => p.Key.StartsWith("tokenizer.", StringComparison.Ordinal)))
        {
            metadata.Remove(key);
        }
        string[] named = ["<unk>", "<s>", "</s>", .. Enumerable.Range(0, 256).Select(i => $"<0x{i:X2}>"), .. Pieces];
        string[] tokens = [.. named, .. Enumerable.Range(named.Length, 320 - named.Length).Select(i => $"<unused{i}>")];
        metadata.Set("tokenizer.ggml.model", GgufValue.Of("llama"));
        metadata.Set("tokenizer.ggml.tokens", GgufValue.Of(tokens));
        metadata.Set("tokenizer.ggml.scores", GgufValue.Of([.. tokens.Select(t => (float)t.Length - 10)]));
        // 1 normal, 2 unknown, 3 control, 5 unused, 6 byte.
        int[] types =
        [
            .. tokens.Select(
                (_, i) =>
                    i == 0 ? 2
                    : i < 3 ? 3
                    : i < 259 ? 6
                    : i < named.Length ? 1
                    : 5
            ),
        ];
        metadata.Set("tokenizer.ggml.token_type", GgufValue.Of(types));
        metadata.Set("tokenizer.ggml.bos_token_id", GgufValue.Of(1u));
        metadata.Set("tokenizer.ggml.eos_token_id", GgufValue.Of(2u));
        metadata.Set("tokenizer.ggml.unknown_token_id", GgufValue.Of(0u));
        metadata.Set("tokenizer.ggml.add_bos_token", GgufValue.Of(true));
        metadata.Set("tokenizer.chat_template", GgufValue.Of(Template));
        using GgufWriter writer = new(_temp["spm.gguf"], metadata);
        foreach (var tensor in file.Tensors)
        {
            writer.AddTensor(tensor.Name, tensor.Type, tensor.Shape);
        }
        foreach (var tensor in file.Tensors)
        {
            writer.Write(tensor.Name, file.Data(tensor));
        }
        writer.Complete();
        return _temp["spm.gguf"];
    }
}
