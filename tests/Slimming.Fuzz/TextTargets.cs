using System.Text;
using Slimming.Evaluation.Tasks;
using Slimming.Results;
using Slimming.Training;
using Slimming.Training.Data;
using Slimming.Training.Export;
using Slimming.Training.Templates;

namespace Slimming.Fuzz;

/// <summary>Broken forms of one sound text: words of its language put in, bytes changed.</summary>
/// <param name="name">Of the target.</param>
/// <param name="extension">Ending of the files' names.</param>
/// <param name="sound">Read without an error.</param>
/// <param name="words">What the language gives a meaning to.</param>
internal abstract class TextTarget(string name, string extension, string sound, string[] words) : Target
{
    public override byte[] Sound => Encoding.UTF8.GetBytes(sound);

    public override string Name => name;

    public override string Extension => extension;

    public override byte[] Make(Random random, out string kind) => Raw.MutateText(sound, words, random, out kind);
}

internal sealed class SafetensorsTarget : Target
{
    private readonly byte[] _sound = Seeds.Safetensors();

    public override byte[] Sound => _sound;

    public override string Name => "safetensors";

    public override string Extension => ".safetensors";

    public override byte[] Make(Random random, out string kind)
    {
        if (random.Next(3) == 0)
        {
            return Raw.Mutate((byte[])_sound.Clone(), random, out kind);
        }
        var headerBytes = (int)BitConverter.ToInt64(_sound);
        var header = Raw.MutateText(
            Encoding.UTF8.GetString(_sound, 8, headerBytes),
            [
                "\"",
                ",",
                "{",
                "}",
                "[",
                "]",
                "-1",
                "9223372036854775807",
                "1e400",
                "null",
                "F64",
                "0",
                "99999999999999999999",
            ],
            random,
            out kind
        );
        var length = random.Next(4) == 0 ? random.NextInt64() : header.Length;
        return [.. BitConverter.GetBytes(length), .. header, .. _sound[(8 + headerBytes)..]];
    }

    public override void Read(string path)
    {
        using var file = SafetensorsFile.Open(path);
        _ = file.Tensors.Count;
    }
}

internal sealed class PeftConfigTarget() : TextTarget("peft-config", ".json", SoundText, s_words)
{
    private const string SoundText = """
        {"peft_type":"LORA","task_type":"CAUSAL_LM","r":8,"lora_alpha":16.0,"lora_dropout":0.0,"use_rslora":false,"use_dora":false,
        "bias":"none","fan_in_fan_out":false,"target_modules":["q_proj","v_proj"],"rank_pattern":{"^a.*q_proj":4},"alpha_pattern":{},
        "modules_to_save":null,"init_lora_weights":true}
        """;

    private static readonly string[] s_words =
    [
        .. JsonMutator.Words,
        "-1",
        "1e999",
        "(a+)+$",
        "2147483648",
        "\"\\u0000\"",
        "IA3",
        "all-linear",
    ];

    public override void Read(string path) => _ = PeftConfig.Read(path);
}

internal sealed class OptionsTarget() : TextTarget("options", ".yaml", SoundText, s_words)
{
    private const string SoundText =
        "model: a.gguf\ndata: [a.jsonl, b.json]\nmethod: lora\nrank: 16\nlearning-rate: 1e-3\nshuffle: true\ntargets: q,v\nmemory: 2GiB\nsteps: 5\nout: o\n";

    private static readonly string[] s_words =
    [
        ":",
        "-",
        "[",
        "]",
        "{",
        "}",
        "&a",
        "*a",
        "|",
        ">",
        "!!",
        "'",
        "\"",
        "\t",
        "? ",
        "NaN",
        "1e999",
        "<<",
        "---",
        "%",
    ];

    public override void Read(string path) =>
        _ = TrainOptionsReader.Resolve(new Dictionary<string, IReadOnlyList<string>> { ["config"] = [path] });
}

internal sealed class TaskTarget() : TextTarget("task", ".yaml", SoundText, s_words)
{
    private const string SoundText =
        "name: t\nversion: \"1\"\nabout: A task.\nkind: multiple_choice\ndata: [t.jsonl]\nprompt: \"{question}\"\nchoices_field: choices\n"
        + "delimiter: \" \"\ngold: \"{answer}\"\nmetrics: [acc, acc_norm]\n";

    private static readonly string[] s_words =
    [
        ":",
        "-",
        "[",
        "]",
        "{",
        "}",
        "&a",
        "*a",
        "|",
        "!!int",
        "'",
        "\"",
        "generate_until",
        "perplexity",
        "null",
        "---",
        "../../x",
    ];

    public override void Read(string path) => _ = TaskCatalog.Find(path);
}

/// <summary>Chat templates: parsed and rendered in their sandbox.</summary>
internal sealed class TemplateTarget() : TextTarget("template", ".jinja", SoundText, s_words)
{
    private const string SoundText = """
        {%- set ns = namespace(n=0) -%}{%- for message in messages -%}{%- if message['role'] == 'system' and loop.first -%}<|system|>{{ message.content | trim }}
        {%- elif message.role not in ['user', 'assistant'] -%}{{ raise_exception('role ' ~ message.role) }}{%- else -%}
        {%- set ns.n = ns.n + 1 -%}{{ '<|' + message['role'] + '|>' + message['content'] | trim + eos_token }}{%- endif -%}{%- endfor -%}
        {%- macro twice(x) -%}{{ x }}{{ x }}{%- endmacro -%}{{ twice('a') }}{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}
        """;

    public override int RoundCases => 300;

    private static readonly ChatMessage[] Messages = [new("user", "hello"), new("assistant", "hi")];

    private static readonly string[] s_words =
    [
        "{%",
        "%}",
        "{{",
        "}}",
        "for i in range(1000000000)",
        "endfor",
        "if true",
        "endif",
        "__proto__",
        "constructor",
        "messages",
        "*",
        "'a' * 100000000",
        "| join(messages)",
        "twice(twice(x))",
        "namespace(",
        ")",
        "range(9)",
        "[0:999999999:-1]",
        "import",
        "include 'x'",
        "globalThis",
    ];

    public override void Read(string path)
    {
        try
        {
            using ChatTemplate template = new("fuzz", File.ReadAllText(path), "<s>", "</s>", new DateOnly(2026, 1, 1));
            _ = template.Render(Messages, addGenerationPrompt: true);
        }
        catch (TemplateRefusedException)
        {
            // The template's own answer.
        }
    }
}

/// <summary>Training data, which DuckDB reads behind our checks.</summary>
internal sealed class DataTarget(string format) : Target
{
    private const string Rows =
        "{\"instruction\":\"Say a\",\"input\":\"\",\"output\":\"a\"}\n{\"instruction\":\"Say b\",\"input\":\"now\",\"output\":\"b\"}\n"
        + "{\"instruction\":\"Z\\u00e4hle\",\"input\":null,\"output\":\"1, 2\"}\n";

    private const string Table = "instruction,input,output\nSay a,,a\n\"Say, b\",now,\"b \"\"c\"\"\"\n";

    private readonly Lazy<byte[]> _parquet = new(MakeParquet);

    public override byte[] Sound =>
        format switch
        {
            "parquet" => _parquet.Value,
            "csv" => Encoding.UTF8.GetBytes(Table),
            _ => Encoding.UTF8.GetBytes(Rows),
        };

    public override string Name => format;

    public override string Extension => "." + format;

    public override int RoundCases => format == "jsonl" ? 20_000 : 300;

    public override bool IsForeign => true;

    public override byte[] Make(Random random, out string kind) =>
        format switch
        {
            "parquet" => Raw.Mutate((byte[])_parquet.Value.Clone(), random, out kind),
            "csv" => Raw.MutateText(Table, [",", "\"", "\n", "\r", ";", "\t", "\0", "\"\"", "'"], random, out kind),
            _ => Raw.MutateText(
                Rows,
                [
                    "{",
                    "}",
                    "[",
                    "]",
                    "\"",
                    ",",
                    ":",
                    "null",
                    "1e999",
                    "\\u0000",
                    "\\ud800",
                    "\n",
                    "true",
                    "{\"a\":{\"b\":[[[[1]]]]}}",
                ],
                random,
                out kind
            ),
        };

    public override void Read(string path)
    {
        foreach (var row in DatasetReader.Read([new DataSource(path, null)], null))
        {
            using var parsed = row.Parse();
        }
    }

    private static byte[] MakeParquet()
    {
        var path = Path.GetTempFileName();
        try
        {
            using var db = DuckDb.Open(64);
            db.Execute(
                $"COPY (SELECT 'Say ' || i AS instruction, '' AS input, repeat('a', i::INT) AS output FROM range(40) t(i)) TO {DuckDb.Quote(path)} (FORMAT parquet, COMPRESSION zstd)"
            );
            return File.ReadAllBytes(path);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
