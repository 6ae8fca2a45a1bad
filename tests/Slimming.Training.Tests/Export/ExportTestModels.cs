using Slimming.Interop;
using Slimming.Models;

namespace Slimming.Training.Tests.Export;

/// <summary>Adapters with seeded values far from zero.</summary>
internal static class ExportTestModels
{
    public static NativeAdapter RandomAdapter(
        BaseModel model,
        int rank = 4,
        float scale = 2,
        LoraTargets targets = LoraTargets.All,
        float size = 0.1f
    )
    {
        var adapter = new NativeAdapter(
            model.Native,
            new AdapterParams
            {
                Method = TrainMethod.Lora,
                Targets = targets,
                Rank = rank,
                Scale = scale,
            }
        );
        var random = new Random(rank);
        foreach (ref var value in adapter.Parameters)
        {
            value = size * (random.NextSingle() - 0.5f);
        }
        return adapter;
    }

    /// <summary>An adapter file for a base, beside it.</summary>
    public static string WriteAdapter(string modelPath, NativeRuntime runtime, LoraTargets targets = LoraTargets.All)
    {
        using var model = BaseModel.Open(modelPath, runtime);
        using var adapter = RandomAdapter(model, targets: targets);
        var path = Path.Combine(Tests.Models.TinyGguf.NewFolder(), "adapter.gguf");
        AdapterFile.Write(path, model, adapter);
        return path;
    }

    public static float[] Logits(BaseModel model, NativeAdapter? adapter)
    {
        int[] tokens = [3, 1, 40, 7, 7, 22, 9];
        using var context = new NativeContext(
            model.Native,
            adapter,
            new ContextParams { MicroBatchTokens = 16, MaxSequenceTokens = 16 }
        );
        var logits = new float[tokens.Length * context.VocabularySize];
        context.Logits(Batch.Single(tokens), [0, 1, 2, 3, 4, 5, 6], logits);
        return logits;
    }

    public static double MaxDifference(float[] a, float[] b) => a.Zip(b).Max(p => Math.Abs((double)p.First - p.Second));
}
