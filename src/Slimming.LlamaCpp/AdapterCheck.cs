using Slimming.Gguf;

namespace Slimming.LlamaCpp;

/// <summary>What llama.cpp v0.5.0 takes for granted in an adapter file: where it does not hold, llama.cpp ends the process or does not end.</summary>
internal static class AdapterCheck
{
    private const string AlphaKey = "adapter.lora.alpha";
    private const string InvocationKey = "adapter.alora.invocation_tokens";

    /// <summary>Several times what the largest models have; llama.cpp compares the name of each with all others.</summary>
    private const int MostTensors = 20_000;
    private const int MostPairs = 2_000;

    /// <exception cref="GgufException">Names the key or the tensor, what was expected and what was found.</exception>
    public static void Require(GgufFile file)
    {
        var type = file.Metadata.GetString("general.type", "");
        if (!string.Equals(type, "adapter", StringComparison.Ordinal))
        {
            throw new GgufException(
                file.Path,
                "key 'general.type'",
                "\"adapter\"",
                $"\"{type}\"; a model file is given by --model"
            );
        }
        RequireType(file, "general.architecture", GgufValueType.String);
        RequireType(file, "adapter.type", GgufValueType.String);
        RequireType(file, AlphaKey, GgufValueType.Float32);
        if (
            file.Metadata.TryGet(InvocationKey, out var invocation)
            && invocation.ElementType is not GgufValueType.UInt32
        )
        {
            throw new GgufException(file.Path, $"key '{InvocationKey}'", "a list of UInt32", $"{invocation.Type}");
        }
        var alpha = file.Metadata.GetFloat(AlphaKey, 0);
        if (!double.IsFinite(alpha))
        {
            throw new GgufException(file.Path, $"key '{AlphaKey}'", "a finite number", $"{alpha}");
        }
        RequireCount(file, "keys", file.Metadata.Count, MostPairs);
        RequireCount(file, "tensors", file.Tensors.Count, MostTensors);
        foreach (var tensor in file.Tensors)
        {
            if (tensor.Type is GgmlType.I8 or GgmlType.I16 or GgmlType.I32 or GgmlType.I64 or GgmlType.F64)
            {
                throw new GgufException(
                    file.Path,
                    $"tensor '{tensor.Name}'",
                    "type f32, f16, bf16 or a quantized one",
                    GgmlTypes.Name(tensor.Type)
                );
            }
        }
    }

    private static void RequireType(GgufFile file, string key, GgufValueType type)
    {
        if (file.Metadata.TryGet(key, out var value) && value.Type != type)
        {
            throw new GgufException(file.Path, $"key '{key}'", $"{type}", $"{value.Type} {value.ToText(40)}");
        }
    }

    private static void RequireCount(GgufFile file, string what, int count, int most)
    {
        if (count > most)
        {
            throw new GgufException(file.Path, what, $"at most {most} in an adapter", $"{count}");
        }
    }
}
