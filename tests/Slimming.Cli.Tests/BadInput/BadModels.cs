using Slimming.Gguf;
using Slimming.TestSupport;
using static Slimming.Cli.Tests.BadInput.BadCase;

namespace Slimming.Cli.Tests.BadInput;

/// <summary>Sound GGUF files that are no model this program can tune.</summary>
internal static class BadModels
{
    private const string Weight = "blk.0.attn_q.weight";
    private const string Tokens = "tokenizer.ggml.tokens";
    private static readonly byte[] NaN = BitConverter.GetBytes(float.NaN);

    public static IEnumerable<BadCase> Cases { get; } =
    [
        Model(
            "more merges than any vocabulary has",
            m => m.Set("tokenizer.ggml.merges", GgufValue.Of([.. Enumerable.Repeat("a b", (1 << 20) + 1)])),
            "key 'tokenizer.ggml.merges'",
            "expected at most 1048576 elements, found 1048577"
        ),
        Model(
            "unknown architecture",
            m => m.Set("general.architecture", GgufValue.Of("mamba")),
            "key 'general.architecture'",
            "expected one of llama, gemma, gemma2, gemma3, qwen2, qwen3, found 'mamba'"
        ),
        Model(
            "no architecture",
            m => m.Remove("general.architecture"),
            "key 'general.architecture'",
            "does not have it"
        ),
        Model(
            "architecture that is a number",
            m => m.Set("general.architecture", GgufValue.Of(5u)),
            "key 'general.architecture': expected a string, found UInt32 5"
        ),
        Model(
            "no layer count",
            m => m.Remove("llama.block_count"),
            "key 'llama.block_count': the file does not have it"
        ),
        Model(
            "layer count of 0",
            m => m.Set("llama.block_count", GgufValue.Of(0u)),
            "key 'llama.block_count': expected an integer from 1",
            "found 0"
        ),
        Model(
            "layer count of billions",
            m => m.Set("llama.block_count", GgufValue.Of(2_000_000_000u)),
            "tensor 'blk.2.attn_norm.weight': the file does not have it"
        ),
        Model(
            "a number as text",
            m => m.Set("llama.embedding_length", GgufValue.Of("64")),
            "key 'llama.embedding_length': expected an integer, found String 64"
        ),
        Model(
            "heads that do not divide",
            m => m.Set("llama.attention.head_count_kv", GgufValue.Of(3u)),
            "key 'llama.attention.head_count_kv': expected a divisor of head_count 4, found 3"
        ),
        Model(
            "epsilon that is no number",
            m => m.Set("llama.attention.layer_norm_rms_epsilon", GgufValue.Of(float.NaN)),
            "key 'llama.attention.layer_norm_rms_epsilon': expected a number above 0, found NaN"
        ),
        Model(
            "mixture of experts",
            m => m.Set("llama.expert_count", GgufValue.Of(8u)),
            "key 'llama.expert_count': expected no mixture of experts, found 8"
        ),
        Model(
            "rope scaling of an unknown kind",
            m => m.Set("llama.rope.scaling.type", GgufValue.Of("yarn")),
            "key 'llama.rope.scaling.type': expected 'none' or 'linear', found 'yarn'"
        ),
        Model(
            "a tensor is missing",
            m => m.RemoveTensor("blk.1.ffn_up.weight"),
            "tensor 'blk.1.ffn_up.weight': the file does not have it"
        ),
        Model(
            "a tensor of another shape",
            m => m.Change(Weight, t => t with { Shape = [32, 64] }),
            $"tensor '{Weight}': expected shape [64, 64], found [32, 64]"
        ),
        Model(
            "a weight of integers",
            m => m.Change("output_norm.weight", t => t with { Type = (uint)GgmlType.I32 }),
            "tensor 'output_norm.weight': expected a type out of f32, found i32"
        ),
        Model(
            "a weight of an unknown type",
            m => m.Change(Weight, t => t with { Type = 999 }),
            $"tensor '{Weight}': expected a type out of f32, f16",
            "found type_999"
        ),
        Model(
            "a tensor that nothing uses",
            m => m.Add("blk.0.attn_x.weight", GgmlType.F32, 64),
            "'blk.0.attn_x.weight'"
        ),
        Usage(
            "a weight that is NaN",
            w =>
                w.Train(
                    w.Spoilt("m.gguf", m => m.Poke("blk.1.ffn_up.weight", (64 * 3 + 7) * 4, NaN), Workshop.F32Model)
                ),
            "m.gguf: tensor 'blk.1.ffn_up.weight', row 3, value 7: expected a finite number, found NaN"
        ),
        Model(
            "a block scale that is infinite",
            m => m.Poke(Weight, 34 * 2, 0x00, 0x7C),
            $"m.gguf: tensor '{Weight}', row 1, value 0: expected a finite number, found"
        ),
        Usage(
            "a norm that is NaN, on export",
            w =>
                w.Export(
                    "--model",
                    w.Spoilt("m.gguf", m => m.Poke("output_norm.weight", 8, NaN), Workshop.F32Model),
                    "--type",
                    "q8_0"
                ),
            "m.gguf: tensor 'output_norm.weight', row 0, value 2: expected a finite number, found NaN"
        ),
        Model("no vocabulary", m => m.Remove(Tokens), $"key '{Tokens}': the file does not have it"),
        Model(
            "fewer token types than tokens",
            m => m.Set("tokenizer.ggml.token_type", GgufValue.Of([1, 1, 1])),
            "key 'tokenizer.ggml.token_type': expected 320 elements of Int32 or UInt32",
            "found 3 of Int32"
        ),
        Model(
            "more scores than tokens",
            m => m.Set("tokenizer.ggml.scores", GgufValue.Of(new float[321])),
            "key 'tokenizer.ggml.scores': expected 320 elements of Float32",
            "found 321 of Float32"
        ),
        Model(
            "scores that are texts",
            m => m.Set("tokenizer.ggml.scores", GgufValue.Of(["a"])),
            "key 'tokenizer.ggml.scores': expected 320 elements of Float32",
            "found 1 of String"
        ),
        Model(
            "tokens that are numbers",
            m => m.Set(Tokens, GgufValue.Of([.. Enumerable.Range(0, 320)])),
            $"key '{Tokens}': expected an array of strings, found Array"
        ),
        Model(
            "a token twice",
            m => m.Set(Tokens, GgufValue.Of([.. Enumerable.Range(0, 320).Select(i => $"t{i % 319}")])),
            $"key '{Tokens}', element 319: expected every token once, found 't0', which is element 0 too"
        ),
        Model(
            "tokens alike up to a NUL",
            m => m.Set(Tokens, GgufValue.Of([.. Enumerable.Range(0, 320).Select(i => $"t{i % 319}\0{i}")])),
            $"key '{Tokens}', element 319: expected every token once"
        ),
        Model(
            "another vocabulary size than embeddings",
            m =>
            {
                m.Set(Tokens, GgufValue.Of([.. Enumerable.Range(0, 400).Select(i => $"t{i}")]));
                m.Set("tokenizer.ggml.token_type", GgufValue.Of([.. Enumerable.Repeat(1, 400)]));
            },
            $"key '{Tokens}': expected 320 tokens, the rows of 'token_embd.weight', found 400"
        ),
        Model(
            "a vocabulary of an unknown kind",
            m => m.Set("tokenizer.ggml.model", GgufValue.Of("t5")),
            "key 'tokenizer.ggml.model': expected 'llama' or 'gpt2', found 't5'"
        ),
        Model(
            "SentencePiece without byte tokens",
            m =>
                m.Set("tokenizer.ggml.model", GgufValue.Of("llama"))
                    .Set("tokenizer.ggml.scores", GgufValue.Of(new float[320])),
            $"key '{Tokens}': expected a token '<0x",
            "as a vocabulary of the kind 'llama' needs, found none"
        ),
        Usage(
            "model is an adapter",
            w => w.Train(w.Adapter("a.gguf")),
            "a.gguf: key 'general.type': expected 'model', found 'adapter'; give the base model's file here"
        ),
        Usage(
            "unknown architecture, on export",
            w =>
                w.Export(
                    "--model",
                    w.Spoilt("m.gguf", m => m.Set("general.architecture", GgufValue.Of("mamba"))),
                    "--type",
                    "f32"
                ),
            "m.gguf: key 'general.architecture'",
            "found 'mamba'"
        ),
        Usage(
            "inspect of text",
            w => ["inspect", w.Text("m.gguf", new string('x', 99))],
            "m.gguf: byte 0",
            "the magic"
        ),
        Usage(
            "generate with torn vocabulary",
            w =>
                [
                    "generate",
                    "--prompt",
                    "a",
                    "--model",
                    w.Spoilt("m.gguf", m => m.Set("tokenizer.ggml.token_type", GgufValue.Of([1]))),
                ],
            "m.gguf: key 'tokenizer.ggml.token_type': expected 320 elements"
        ),
    ];

    private static BadCase Model(string name, Action<RawGguf> change, params string[] texts) =>
        Usage(name, w => w.Train(w.Spoilt("m.gguf", change)), ["m.gguf: ", .. texts]);
}
