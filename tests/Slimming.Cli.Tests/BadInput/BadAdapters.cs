using System.Buffers.Binary;
using System.Text;
using Slimming.Gguf;
using Slimming.TestSupport;
using static Slimming.Cli.Tests.BadInput.BadCase;

namespace Slimming.Cli.Tests.BadInput;

/// <summary>What is given to export and --init-adapter: adapter files, PEFT folders, importance matrices.</summary>
internal static class BadAdapters
{
    private const string A = "blk.0.attn_q.weight.lora_a";
    private const string B = "blk.0.attn_q.weight.lora_b";
    private static readonly byte[] NaN = BitConverter.GetBytes(float.NaN);

    private const string Config = """{"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":["v_proj"]}""";

    public static IEnumerable<BadCase> Cases { get; } =
    [
        Usage("missing adapter", w => Init(w, w["absent.gguf"]), "absent.gguf: open: no such file"),
        Usage(
            "adapter is a model",
            w => Init(w, Workshop.Model),
            "model-q8_0.gguf: tensor '",
            "expected blk.N.<attn_q.weight"
        ),
        Usage(
            "adapter of another base",
            w => Init(w, w.Adapter("a.gguf", Workshop.F32Model)),
            "a.gguf: key 'slimming.base.sha256': expected",
            "the SHA-256 of",
            "give the base that the adapter was trained on"
        ),
        Usage(
            "contradicting rank",
            w => w.Train(Workshop.Model, null, "--init-adapter", w.Adapter("a.gguf"), "--rank", "4"),
            "--rank: ",
            "a.gguf has 2, the option says 4; leave the option out"
        ),
        Adapter(
            "an adapter of another kind",
            a => a.Set("adapter.type", GgufValue.Of("ia3")),
            "key 'adapter.type': expected 'lora', found 'ia3'"
        ),
        Adapter(
            "an adapter of another architecture",
            a => a.Set("general.architecture", GgufValue.Of("qwen2")),
            "key 'general.architecture': expected 'llama'",
            "found 'qwen2'"
        ),
        Adapter(
            "an adapter without alpha",
            a => a.Remove("adapter.lora.alpha"),
            "key 'adapter.lora.alpha': the file does not have it"
        ),
        Adapter(
            "alpha that is NaN",
            a => a.Set("adapter.lora.alpha", GgufValue.Of(float.NaN)),
            "key 'adapter.lora.alpha': expected a finite number, found NaN"
        ),
        Adapter(
            "an adapter value that is NaN",
            a => a.Poke(A, 12, NaN),
            $"tensor '{A}', value 3: expected a finite number, found NaN"
        ),
        Adapter("A without B", a => a.RemoveTensor(B), $"tensor '{B}': expected it beside '{A}', found nothing"),
        Adapter(
            "A and B of different ranks",
            a => a.Change(B, t => t with { Shape = [1, 128] }),
            $"tensor '{B}': expected rank 2 as in .lora_a, found 1"
        ),
        Adapter(
            "A of another width",
            a => a.Change(A, t => t with { Shape = [32, 2], Data = t.Data[..256] }),
            "tensors of 'blk.0.attn_q.weight': expected lora_a [64, r]",
            "is it another base?"
        ),
        Adapter(
            "a layer that the base lacks",
            a => Rename(a, "blk.0.attn_q", "blk.7.attn_q"),
            "'blk.7.attn_q.weight', which it does not have; is it another base?"
        ),
        Adapter(
            "a tensor that is no linear",
            a => Rename(a, "blk.0.attn_q.weight", "token_embd.weight"),
            "tensor 'token_embd.weight.lora_a': expected blk.N.<attn_q.weight"
        ),
        Adapter(
            "a quantized adapter",
            a => a.Change(A, t => t with { Type = (uint)GgmlType.Q8_0 }),
            $"tensor '{A}': expected type f32, f16 or bf16, found q8_0"
        ),
        Served("an architecture that is a number", a => a.Set("general.architecture", GgufValue.Of(3u)), "UInt32 3"),
        Served("an adapter type that is a list", a => a.Set("adapter.type", GgufValue.Of(["lora"])), "found Array"),
        Served("alpha that is a text", a => a.Set("adapter.lora.alpha", GgufValue.Of("4")), "expected Float32"),
        Served("alpha of 8 bytes", a => a.Set("adapter.lora.alpha", GgufValue.Of(4.0)), "expected Float32"),
        Served("alpha without end", a => a.Set("adapter.lora.alpha", GgufValue.Of(float.NaN)), "a finite number"),
        Served(
            "invocation by text",
            a => a.Set("adapter.alora.invocation_tokens", GgufValue.Of(["a"])),
            "expected a list of UInt32"
        ),
        Served(
            "whole numbers in an adapter",
            a => a.Change(A, t => t with { Type = (uint)GgmlType.I32 }),
            $"tensor '{A}': expected type f32, f16, bf16 or a quantized one, found i32"
        ),
        Served(
            "an adapter of many keys",
            a =>
            {
                for (var i = 0; i < 2001; i++)
                {
                    a.Set($"key.{i}", GgufValue.Of(1u));
                }
            },
            "keys: expected at most 2000 in an adapter"
        ),
        Usage(
            "an adapter with a layer left out, for training",
            w => Init(w, w.SpoiltAdapter("a.gguf", a => a.RemoveTensor(A).RemoveTensor(B))),
            "a.gguf: ",
            "expected every layer adapted alike",
            "it can be exported, not trained on"
        ),
        Usage(
            "an adapter without a base",
            w => w.Export(w.Adapter("a.gguf")),
            "--model: expected the base model's file with an adapter file, found nothing"
        ),
        Usage("a folder that is no run", w => w.Export(Directory.CreateDirectory(w["r"]).FullName), "run.json"),
        Usage(
            "a scale of 0",
            w => w.Export(w.Adapter("a.gguf"), "--model", Workshop.Model, "--scale", "0"),
            "--scale: expected a finite number that is not 0, found 0"
        ),
        Usage(
            "a pattern that finds nothing",
            w => w.Export("--model", Workshop.Model, "--tensor-type", "attn_zz=q8_0"),
            "--tensor-type: expected a pattern that finds a 2-D weight of",
            "found 'attn_zz'"
        ),
        Usage(
            "a pattern that is none",
            w => w.Export("--model", Workshop.Model, "--tensor-type", "(=q8_0"),
            "--tensor-type: expected a regular expression"
        ),
        Usage(
            "a type that is none",
            w => w.Export("--model", Workshop.Model, "--tensor-type", "attn_q=q9"),
            "--tensor-type: expected one of same, f32",
            "found 'q9'"
        ),
        Usage(
            "a type that needs an importance matrix",
            w => w.Export("--model", Wide(w), "--tensor-type", "ffn_down=iq2_xxs"),
            "tensor 'blk.0.ffn_down.weight': type iq2_xxs needs an importance matrix, expected its entry in the file of --imatrix"
        ),
        Usage(
            "an importance matrix for an adapter",
            w => w.Export(w.Adapter("a.gguf"), "--model", Workshop.Model, "--imatrix", "x.gguf"),
            "--imatrix: expected it with --to merged only, found --to adapter"
        ),
        Imatrix("a missing importance matrix", w => w["absent.gguf"], "absent.gguf: open: no such file"),
        Imatrix("a model as importance matrix", _ => Workshop.Model, "key 'general.type': expected 'imatrix', found"),
        Imatrix(
            "text as importance matrix",
            w => w.Text("i.dat", "hello, hello, hello"),
            "i.dat: byte 0, count of entries",
            "expected a file of llama-imatrix"
        ),
        Imatrix(
            "an importance matrix of another model",
            w => Matrix(w, "blk.9.attn_q.weight", 64, 1),
            "i.gguf: entries: expected names of tensors of",
            "'blk.9.attn_q.weight'; is it of another model?"
        ),
        Imatrix(
            "an importance matrix of another width",
            w => Matrix(w, "blk.0.attn_q.weight", 96, 1),
            "i.gguf: entry 'blk.0.attn_q.weight': expected 64 columns",
            "found 96; is it of another model?"
        ),
        Imatrix(
            "an importance that is NaN",
            w => Matrix(w, "blk.0.attn_q.weight", 64, float.NaN),
            "i.gguf: entry 'blk.0.attn_q.weight', value 0: expected a mean square from 0",
            "found NaN"
        ),
        Usage(
            "an importance matrix that nothing uses",
            w =>
                w.Export(
                    "--model",
                    Workshop.Model,
                    "--type",
                    "f16",
                    "--imatrix",
                    Matrix(w, "blk.0.attn_q.weight", 64, 1)
                ),
            "--imatrix ",
            "i.gguf: expected a tensor to quantize",
            "found none in this export"
        ),
        Peft("a PEFT config that is no JSON", "{", null, "adapter_config.json: expected JSON, found"),
        Peft(
            "a PEFT method that is not supported",
            """{"peft_type":"LOHA"}""",
            null,
            "adapter_config.json: key 'peft_type': expected LORA or IA3, found 'LOHA'"
        ),
        Peft(
            "a PEFT rank that is a text",
            """{"peft_type":"LORA","r":"2","lora_alpha":4}""",
            null,
            "key 'r': expected a number, found \"2\""
        ),
        Peft(
            "a PEFT setting that is not supported",
            """{"peft_type":"LORA","r":2,"lora_alpha":4,"modules_to_save":["lm_head"]}""",
            null,
            "key 'modules_to_save': expected it off",
            "lm_head"
        ),
        Peft("PEFT without tensors", Config, null, "adapter_model.safetensors: cannot read the file"),
        Peft(
            "safetensors with a huge header",
            Config,
            [255, 255, 255, 255, 255, 255, 255, 127, 0],
            "adapter_model.safetensors: byte 0, header length: expected at most 1, found 9223372036854775807"
        ),
        Peft(
            "safetensors with a header of more than any adapter's",
            Config,
            [1, 0, 64, 0, 0, 0, 0, 0, .. new byte[(4 << 20) + 1]],
            "adapter_model.safetensors: byte 0, header length: expected at most 4194304, found 4194305"
        ),
        Peft(
            "safetensors that are text",
            Config,
            [.. "not safetensors at all"u8],
            "adapter_model.safetensors: byte 0, header length: expected at most"
        ),
        Peft(
            "safetensors without adapter tensors",
            Config,
            Safetensors("{}", 0),
            "adapter_model.safetensors: header: expected tensors of an adapter, found none"
        ),
        Peft(
            "safetensors with a hole",
            Config,
            Safetensors(Tensor("a", 2, 64, 4), 516),
            "data_offsets: expected begin at 0, found 4"
        ),
        Peft(
            "safetensors longer than their header says",
            Config,
            Safetensors(Tensor("a", 2, 64, 0), 600),
            "data: expected 512 bytes, as the header says, found 600"
        ),
        Peft(
            "a PEFT tensor out of the file",
            Config,
            Safetensors(Tensor("a", 2, 64, 0), 12),
            "tensor 'a': expected data_offsets [begin, end] within 12 bytes, found [0, 512]"
        ),
        Peft(
            "a PEFT tensor of no linear",
            Config,
            Safetensors(Tensor("a", 2, 64, 0), 512),
            "tensor 'a': expected LoRA, DoRA, (IA)3 or a bias of a layer's linears"
        ),
        Peft(
            "a PEFT tensor of another base",
            Config,
            Safetensors(Tensor(Name(0, "v_proj", 'A'), 2, 96, 0), 768),
            "expected shape [2, 64], found [2, 96]; is it another base or rank?"
        ),
        Peft(
            "a PEFT layer that the base lacks",
            Config,
            Safetensors(Tensor(Name(9, "v_proj", 'A'), 2, 64, 0), 512),
            "'blk.9.attn_v.weight', which it does not have; is it another base?"
        ),
        Peft(
            "a PEFT A without B",
            Config,
            Safetensors(Tensor(Name(0, "v_proj", 'A'), 2, 64, 0), 512),
            "tensors of 'blk.0.attn_v.weight': expected lora_A and lora_B, found one of them"
        ),
        Peft(
            "a PEFT value that is NaN",
            Config,
            Safetensors(Tensor(Name(0, "v_proj", 'A'), 2, 64, 0), 512, float.NaN),
            "value 0: expected a finite number, found NaN"
        ),
    ];

    private static string[] Init(Workshop w, string adapter) =>
        w.Train(Workshop.Model, null, "--init-adapter", adapter);

    private static BadCase Adapter(string name, Action<RawGguf> change, params string[] texts) =>
        Usage(
            name,
            w => w.Export(w.SpoiltAdapter("a.gguf", change), "--model", Workshop.Model),
            ["a.gguf: ", .. texts]
        );

    /// <summary>What llama.cpp is given, behind our checks.</summary>
    private static BadCase Served(string name, Action<RawGguf> change, params string[] texts) =>
        Usage(
            name,
            w =>
                [
                    "generate",
                    "--model",
                    Workshop.Model,
                    "--adapter",
                    w.SpoiltAdapter("a.gguf", change),
                    "--prompt",
                    "a",
                    "--threads",
                    "1",
                ],
            ["a.gguf: ", .. texts]
        );

    private static void Rename(RawGguf adapter, string from, string to)
    {
        foreach (var suffix in new[] { "lora_a", "lora_b" })
        {
            var rest = from.EndsWith("weight", StringComparison.Ordinal) ? $".{suffix}" : $".weight.{suffix}";
            adapter.Change(from + rest, t => t with { Name = Encoding.UTF8.GetBytes(to + rest) });
        }
    }

    private static BadCase Imatrix(string name, Func<Workshop, string> file, params string[] texts) =>
        Usage(name, w => w.Export("--model", Workshop.Model, "--type", "q4_0", "--imatrix", file(w)), texts);

    /// <summary>One entry whose values are all <paramref name="value"/>.</summary>
    private static string Matrix(Workshop w, string weight, int columns, float value)
    {
        var metadata = new GgufMetadata("i");
        metadata.Set("general.type", GgufValue.Of("imatrix"));
        using var writer = new GgufWriter(w["i.gguf"], metadata);
        writer.AddTensor(weight + ".in_sum2", GgmlType.F32, [columns, 1]);
        writer.AddTensor(weight + ".counts", GgmlType.F32, [1, 1]);
        writer.Write(weight + ".in_sum2", Floats(columns, value));
        writer.Write(weight + ".counts", Floats(1, 1));
        writer.Complete();
        return w["i.gguf"];
    }

    private static byte[] Floats(int count, float value) =>
        [.. Enumerable.Repeat(BitConverter.GetBytes(value), count).SelectMany(b => b)];

    /// <summary>A model whose feed-forward rows are long enough for blocks of 256.</summary>
    private static string Wide(Workshop w) =>
        w.Spoilt(
            "wide.gguf",
            m =>
            {
                m.Set("llama.feed_forward_length", GgufValue.Of(256u));
                ulong at = 0;
                for (var i = 0; i < m.Tensors.Count; i++)
                {
                    var tensor = m.Tensors[i];
                    ulong[] shape = [.. tensor.Shape.Select(n => n == 96 ? 256 : n)];
                    var values = shape.Aggregate(1UL, (a, b) => a * b);
                    m.Tensors[i] = tensor with { Shape = shape, Offset = at, Data = Floats((int)values, 0.1f) };
                    at += (values * 4 + 31) / 32 * 32;
                }
            },
            Workshop.F32Model
        );

    private static BadCase Peft(string name, string config, byte[]? tensors, params string[] texts) =>
        Usage(
            name,
            w =>
            {
                Directory.CreateDirectory(w["peft"]);
                w.Text("peft/adapter_config.json", config);
                if (tensors != null)
                {
                    w.Bytes("peft/adapter_model.safetensors", tensors);
                }
                return w.Export(w["peft"], "--model", Workshop.Model);
            },
            texts
        );

    private static string Name(int layer, string module, char half) =>
        $"base_model.model.model.layers.{layer}.self_attn.{module}.lora_{half}.weight";

    private static string Tensor(string name, int rows, int columns, int begin) =>
        $$$"""{"{{{name}}}":{"dtype":"F32","shape":[{{{rows}}},{{{columns}}}],"data_offsets":[{{{begin}}},{{{begin + rows * columns * 4}}}]}}""";

    private static byte[] Safetensors(string header, int dataBytes, float value = 1)
    {
        var text = Encoding.UTF8.GetBytes(header);
        var length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, text.Length);
        return [.. length, .. text, .. Floats(dataBytes / 4, value)];
    }
}
