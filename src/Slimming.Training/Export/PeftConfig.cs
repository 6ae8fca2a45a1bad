using System.Text.Json;
using System.Text.RegularExpressions;
using Slimming.Gguf;
using Slimming.Shared;

namespace Slimming.Training.Export;

/// <summary>What adapter_config.json says, reduced to what changes the function. Settings that this reader does not compute are refused by name.</summary>
internal sealed class PeftConfig
{
    // What each changes is not in the tensors alone, or not a low-rank update of one linear.
    private static readonly string[] Refused =
    [
        "alora_invocation_tokens",
        "arrow_config",
        "fan_in_fan_out",
        "kasa_config",
        "layer_replication",
        "lora_bias",
        "megatron_config",
        "modules_to_save",
        "monteclora_config",
        "target_parameters",
        "trainable_token_indices",
        "use_bdlora",
        "use_qalora",
        "velora_config",
    ];

    // Other initializations change the base's weights beside the adapter.
    private static readonly string[] KnownInits = ["gaussian", "orthogonal", "eva"];

    private static readonly TimeSpan PatternLimit = TimeSpan.FromSeconds(1);

    private readonly string _path;
    private readonly bool _isRsLora;
    private readonly int _rank;
    private readonly double _alpha;
    private readonly Dictionary<string, double> _ranks;
    private readonly Dictionary<string, double> _alphas;

    private PeftConfig(string path, JsonElement root)
    {
        _path = path;
        var type = Text(root, "peft_type");
        if (type is not ("LORA" or "IA3"))
        {
            throw Wrong("peft_type", "LORA or IA3", $"'{type}'");
        }
        foreach (var key in Refused)
        {
            if (root.TryGetProperty(key, out var value) && !IsOff(value))
            {
                throw Wrong(key, "it off, which is all that is supported", value.GetRawText());
            }
        }
        IsIa3 = type == "IA3";
        TargetModules = Names(root, "target_modules");
        _ranks = Patterns(root, "rank_pattern");
        _alphas = Patterns(root, "alpha_pattern");
        if (IsIa3)
        {
            return;
        }
        UsesDora = Flag(root, "use_dora");
        _isRsLora = Flag(root, "use_rslora");
        _rank = Rank(Number(root, "r"), "r");
        _alpha = Number(root, "lora_alpha");
        if (Text(root, "bias", "none") is var bias && bias is not ("none" or "lora_only" or "all"))
        {
            throw Wrong("bias", "none, lora_only or all", $"'{bias}'");
        }
        if (
            root.TryGetProperty("init_lora_weights", out var init)
            && init.ValueKind == JsonValueKind.String
            && !KnownInits.Contains(init.GetString())
        )
        {
            throw Wrong(
                "init_lora_weights",
                $"true, false or one of {string.Join(", ", KnownInits)}",
                $"{init.GetRawText()}, which changes the base's weights too; let PEFT convert it to plain LoRA"
            );
        }
    }

    public bool IsIa3 { get; }

    public bool UsesDora { get; }

    /// <summary>Names given as a list; empty where the file gives a pattern.</summary>
    public IReadOnlyList<string> TargetModules { get; }

    public static PeftConfig Read(string path)
    {
        try
        {
            using var json = JsonDocument.Parse(StrictText.Read(path));
            return json.RootElement.ValueKind == JsonValueKind.Object
                ? new PeftConfig(path, json.RootElement)
                : throw new SlimmingException(ExitCode.Usage, $"{path}: expected a JSON object");
        }
        // Text that is no Unicode is told only when it is read.
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new SlimmingException(ExitCode.Usage, $"{path}: expected JSON, found {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlimmingException(ExitCode.Usage, $"{path}: cannot read the file: {e.Message}", e);
        }
    }

    /// <summary>Rank of a module (model.layers.0.self_attn.q_proj): its pattern's, else r.</summary>
    public int RankOf(string module) =>
        Find(_ranks, module, "rank_pattern") is { } rank ? Rank(rank, "rank_pattern") : _rank;

    /// <summary>Factor on B (A x): alpha/r, of rsLoRA alpha/sqrt(r).</summary>
    public float ScaleOf(string module)
    {
        var alpha = Find(_alphas, module, "alpha_pattern") ?? _alpha;
        double rank = RankOf(module);
        return (float)(alpha / (_isRsLora ? Math.Sqrt(rank) : rank));
    }

    private SlimmingException Wrong(string key, string expected, string found) =>
        new(ExitCode.Usage, $"{_path}: key '{key}': expected {expected}, found {found}");

    /// <summary>PEFT matches a pattern with the end of the module's name.</summary>
    private double? Find(Dictionary<string, double> patterns, string module, string key)
    {
        foreach (var (pattern, value) in patterns)
        {
            try
            {
                if (Regex.IsMatch(module, $@"^(?:.*\.)?(?:{pattern})$", RegexOptions.CultureInvariant, PatternLimit))
                {
                    return value;
                }
            }
            catch (Exception e) when (e is ArgumentException or RegexMatchTimeoutException)
            {
                throw Wrong(key, "regular expressions", $"'{pattern}': {e.Message}");
            }
        }
        return null;
    }

    private int Rank(double value, string key) =>
        value is >= 1 and <= int.MaxValue && value == Math.Floor(value)
            ? (int)value
            : throw Wrong(key, "a whole number from 1", $"{value}");

    private string Text(JsonElement root, string key, string? fallback = null) =>
        root.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : fallback ?? throw Wrong(key, "a text", "none");

    private double Number(JsonElement root, string key) =>
        root.TryGetProperty(key, out var value) ? Numeric(value, key) : throw Wrong(key, "a number", "none");

    private double Numeric(JsonElement value, string key) =>
        value.ValueKind == JsonValueKind.Number && value.GetDouble() is var number && double.IsFinite(number)
            ? number
            : throw Wrong(key, "a number", value.GetRawText());

    private bool Flag(JsonElement root, string key)
    {
        if (!root.TryGetProperty(key, out var value) || value.ValueKind == JsonValueKind.Null)
        {
            return false;
        }
        return value.ValueKind is JsonValueKind.True or JsonValueKind.False
            ? value.GetBoolean()
            : throw Wrong(key, "true or false", value.GetRawText());
    }

    private Dictionary<string, double> Patterns(JsonElement root, string key)
    {
        var found = new Dictionary<string, double>(StringComparer.Ordinal);
        if (!root.TryGetProperty(key, out var value) || value.ValueKind == JsonValueKind.Null)
        {
            return found;
        }
        if (value.ValueKind != JsonValueKind.Object)
        {
            throw Wrong(key, "an object", value.GetRawText());
        }
        foreach (var property in value.EnumerateObject())
        {
            found[property.Name] = Numeric(property.Value, key);
        }
        return found;
    }

    private static List<string> Names(JsonElement root, string key) =>
        root.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Array
            ? [.. value.EnumerateArray().Select(v => v.ToString())]
            : [];

    private static bool IsOff(JsonElement value) =>
        value.ValueKind switch
        {
            JsonValueKind.Null or JsonValueKind.False => true,
            JsonValueKind.Array => value.GetArrayLength() == 0,
            JsonValueKind.Object => !value.EnumerateObject().Any(),
            _ => false,
        };
}
