using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace Slimming.Cli.Tests;

/// <summary>A run.json as a training over these files would have left it, without the training.</summary>
internal static class TrainRecord
{
    public static void Write(
        string folder,
        string data,
        int? sample = null,
        string? where = null,
        string? sha256 = null
    )
    {
        Directory.CreateDirectory(folder);
        var empty = new JsonArray();
        var file = new JsonObject { ["path"] = data, ["sha256"] = sha256 ?? Sha256(data) };
        JsonObject record = new()
        {
            ["options"] = new JsonObject { ["sample"] = sample, ["where"] = where },
            ["seed"] = 42,
            ["resolved"] = new JsonObject
            {
                ["model"] = "m",
                ["architecture"] = "llama",
                ["method"] = "lora",
                ["compute"] = "f32",
                ["isa"] = "avx2",
                ["threads"] = 1,
                ["total_steps"] = 1,
                ["longest_sample"] = 1,
                ["micro_batch_tokens"] = 512,
                ["trainable_tensors"] = 1,
                ["trainable_values"] = 1,
                ["plan"] = new JsonObject(),
                ["needed_bytes"] = 1,
            },
            ["model"] = new JsonObject { ["path"] = "m.gguf", ["sha256"] = "abc" },
            ["data"] = new JsonArray(file),
            ["eval_data"] = empty.DeepClone(),
            ["libraries"] = empty.DeepClone(),
            ["counts"] = new JsonObject(),
            ["cpu_name"] = "a machine",
        };
        File.WriteAllText(Path.Combine(folder, "run.json"), record.ToJsonString());
    }

    private static string Sha256(string path) => Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)));
}
