using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Models;
using Slimming.Shared;

namespace Slimming.Training.Export;

/// <summary>Names and row order of Hugging Face PEFT, and a LoRA adapter written as PEFT saves it.</summary>
internal static class PeftFolder
{
    public const string ConfigName = "adapter_config.json";
    public const string TensorsName = "adapter_model.safetensors";

    private static readonly Dictionary<string, string> Modules = new(StringComparer.Ordinal)
    {
        ["attn_q.weight"] = "self_attn.q_proj",
        ["attn_k.weight"] = "self_attn.k_proj",
        ["attn_v.weight"] = "self_attn.v_proj",
        ["attn_output.weight"] = "self_attn.o_proj",
        ["ffn_gate.weight"] = "mlp.gate_proj",
        ["ffn_up.weight"] = "mlp.up_proj",
        ["ffn_down.weight"] = "mlp.down_proj",
    };

    /// <summary>self_attn.q_proj of attn_q.weight.</summary>
    public static string ModuleOf(string linear) => Modules[linear];

    /// <summary>attn_q.weight of self_attn.q_proj; null for another module.</summary>
    public static string? LinearOf(string module) => Modules.FirstOrDefault(m => m.Value == module).Key;

    /// <summary>Arch llama stores the rows of q and k interleaved within each head.</summary>
    public static bool IsInterleaved(BaseModel model, string weight) =>
        LoraModules.TargetOf(weight) is LoraTargets.AttnQ or LoraTargets.AttnK
        && model.Parameters.RopeType == RopeType.Pairs;

    /// <summary>GGUF row r of a head of d rows is row (r mod 2) d/2 + r div 2 there.</summary>
    public static int HuggingFaceRow(int row, int head)
    {
        var inHead = row % head;
        return row - inHead + inHead % 2 * (head / 2) + inHead / 2;
    }

    public static void Write(string folder, BaseModel model, NativeAdapter adapter, bool overwrite)
    {
        if (File.Exists(folder))
        {
            throw new SlimmingException(ExitCode.Refused, $"--out {folder}: expected a folder, found a file");
        }
        RefuseForeignFiles(folder);
        var partial = folder + ".partial";
        try
        {
            DeleteFolder(partial);
            Directory.CreateDirectory(partial);
            Durable.WriteAtomically(
                Path.Combine(partial, ConfigName),
                stream => stream.Write(Encoding.UTF8.GetBytes(Config(adapter)))
            );
            WriteTensors(Path.Combine(partial, TensorsName), model, adapter);
            Durable.SyncFolder(partial);
            if (overwrite)
            {
                DeleteFolder(folder);
            }
            Directory.Move(partial, folder);
            Durable.SyncFolder(Path.GetDirectoryName(Path.GetFullPath(folder))!);
        }
        catch (Exception e)
        {
            DeleteFolder(partial);
            if (e is IOException or UnauthorizedAccessException)
            {
                throw new SlimmingException(ExitCode.Failed, $"{folder}: cannot write the folder: {e.Message}", e);
            }
            throw;
        }
    }

    /// <summary>Scale is written as alpha/r whatever it was trained as: the function is the same.</summary>
    private static string Config(NativeAdapter adapter)
    {
        var modules = adapter
            .Trainables.Select(t => Modules[Split(t.Name).Linear].Split('.')[1])
            .Distinct(StringComparer.Ordinal)
            .Order(StringComparer.Ordinal);
        var config = new JsonObject
        {
            ["peft_type"] = "LORA",
            ["task_type"] = "CAUSAL_LM",
            ["base_model_name_or_path"] = null,
            ["r"] = adapter.Options.Rank,
            ["lora_alpha"] = (double)adapter.Options.Scale * adapter.Options.Rank,
            ["lora_dropout"] = (double)adapter.Options.Dropout,
            ["use_rslora"] = false,
            ["use_dora"] = false,
            ["bias"] = "none",
            ["fan_in_fan_out"] = false,
            ["inference_mode"] = true,
            ["init_lora_weights"] = true,
            ["modules_to_save"] = null,
            ["target_modules"] = new JsonArray([.. modules.Select(m => (JsonNode)m)]),
        };
        return config.ToJsonString(new JsonSerializerOptions { WriteIndented = true });
    }

    /// <summary>Safetensors: 8 bytes of header length, a JSON header of 8-byte multiple, then the data.</summary>
    private static void WriteTensors(string path, BaseModel model, NativeAdapter adapter)
    {
        var header = new JsonObject { ["__metadata__"] = new JsonObject { ["format"] = "pt" } };
        long at = 0;
        foreach (var trainable in adapter.Trainables)
        {
            header[HuggingFaceName(trainable.Name)] = new JsonObject
            {
                ["dtype"] = "F32",
                ["shape"] = new JsonArray(trainable.Ne[1], trainable.Ne[0]),
                ["data_offsets"] = new JsonArray(at, at + trainable.Count * sizeof(float)),
            };
            at += trainable.Count * sizeof(float);
        }
        var text = JsonSerializer.SerializeToUtf8Bytes(header);
        var padded = (text.Length + 7) / 8 * 8;
        using var stream = File.Create(path);
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)padded);
        stream.Write(length);
        stream.Write(text);
        stream.Write([.. Enumerable.Repeat((byte)' ', padded - text.Length)]);
        foreach (var trainable in adapter.Trainables)
        {
            stream.Write(MemoryMarshal.AsBytes<float>(InHuggingFaceOrder(model, trainable, adapter)));
        }
        stream.Flush(flushToDisk: true);
    }

    private static string HuggingFaceName(string name)
    {
        var (layer, linear, isA) = Split(name);
        return $"base_model.model.model.layers.{layer}.{Modules[linear]}.lora_{(isA ? "A" : "B")}.weight";
    }

    private static (string Layer, string Linear, bool IsA) Split(string name)
    {
        var isA = name.EndsWith(LoraModules.SuffixA, StringComparison.Ordinal);
        var parts = name[..^LoraModules.SuffixA.Length].Split('.', 3);
        return (parts[1], parts[2], isA);
    }

    private static float[] InHuggingFaceOrder(BaseModel model, Trainable trainable, NativeAdapter adapter)
    {
        var values = adapter.ValuesOf(trainable).ToArray();
        var (_, _, isA) = Split(trainable.Name);
        if (isA || !IsInterleaved(model, trainable.Name[..^LoraModules.SuffixB.Length]))
        {
            return values;
        }
        var rank = (int)trainable.Ne[0];
        var ordered = new float[values.Length];
        for (var row = 0; row < trainable.Ne[1]; row++)
        {
            var target = HuggingFaceRow(row, model.Parameters.NEmbdHead);
            values.AsSpan(row * rank, rank).CopyTo(ordered.AsSpan(target * rank, rank));
        }
        return ordered;
    }

    /// <summary>--force replaces an adapter, never a folder that holds something else.</summary>
    private static void RefuseForeignFiles(string folder)
    {
        if (!Directory.Exists(folder))
        {
            return;
        }
        var foreign = Directory
            .EnumerateFileSystemEntries(folder)
            .Select(Path.GetFileName)
            .FirstOrDefault(name => name is not (ConfigName or TensorsName));
        if (foreign != null)
        {
            throw new SlimmingException(
                ExitCode.Refused,
                $"--out {folder}: expected a folder with nothing but {ConfigName} and {TensorsName}, found '{foreign}'"
            );
        }
    }

    private static void DeleteFolder(string path)
    {
        if (Directory.Exists(path))
        {
            Directory.Delete(path, recursive: true);
        }
    }
}
