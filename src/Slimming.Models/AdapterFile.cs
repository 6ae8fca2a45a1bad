using System.Runtime.InteropServices;
using Slimming.Gguf;
using Slimming.Interop;

namespace Slimming.Models;

/// <summary>LoRA adapters as GGUF files that stock llama.cpp loads. Equal parameters give equal bytes.</summary>
public static class AdapterFile
{
    /// <summary>Writes a LoRA adapter; llama.cpp computes the same function, rsLoRA included, because alpha is stored as scale times rank.</summary>
    /// <param name="path">The file to make.</param>
    /// <param name="model">The base it was trained on.</param>
    /// <param name="adapter">A LoRA adapter.</param>
    /// <param name="overwrite">Replace an existing file.</param>
    /// <param name="templateSha256">Of the template that the training text was rendered with; by default the base file's own.</param>
    /// <param name="template">A chat template to carry in place of the base's; the rest of the tokenizer is the base's, byte for byte.</param>
    public static void Write(
        string path,
        BaseModel model,
        NativeAdapter adapter,
        bool overwrite = false,
        string? templateSha256 = null,
        string? template = null
    )
    {
        if (adapter.Options.Method != TrainMethod.Lora)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"an adapter file holds LoRA, found method {adapter.Options.Method}; write a merged model instead"
            );
        }
        var alpha = (float)((double)adapter.Options.Scale * adapter.Options.Rank);
        if (!float.IsFinite(alpha) || alpha == 0)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"adapter: expected a scale that is not 0 (llama.cpp reads alpha 0 as a scale of 1), found {adapter.Options.Scale}"
            );
        }
        var metadata = new GgufMetadata(path);
        metadata.Set(AdapterKeys.Type, GgufValue.Of("adapter"));
        metadata.Set(AdapterKeys.Architecture, GgufValue.Of(model.Architecture));
        metadata.Set(AdapterKeys.AdapterType, GgufValue.Of("lora"));
        metadata.Set(AdapterKeys.Alpha, GgufValue.Of(alpha));
        metadata.Set(AdapterKeys.BaseSha256, GgufValue.Of(model.Sha256));
        if ((templateSha256 ?? model.ChatTemplateSha256) is { } sha256)
        {
            metadata.Set(AdapterKeys.TemplateSha256, GgufValue.Of(sha256));
        }
        Tokenizer.Copy(model.File.Metadata, metadata);
        if (template != null)
        {
            metadata.Set(Tokenizer.TemplateKey, GgufValue.Of(template));
        }
        WriteTrainables(path, metadata, adapter, overwrite);
    }

    /// <summary>Reads what the file says of itself; it need not fit any base.</summary>
    public static AdapterInfo Describe(string path)
    {
        using var file = GgufFile.Open(path);
        return Describe(file, LoraModules.Read(file));
    }

    /// <summary>
    /// Makes a native adapter with the file's rank, scale and targets. A file that does not adapt every layer alike can
    /// be applied exactly (absent parts are zero) but not trained on as it is.
    /// </summary>
    /// <param name="path">An adapter of this base.</param>
    /// <param name="model">The base.</param>
    /// <param name="dropout">For training.</param>
    /// <param name="forTraining">Refuse a file with several ranks or with layers left out.</param>
    /// <param name="scale">Extra factor on the adapter's contribution.</param>
    /// <exception cref="GgufException">Another base or architecture, an unknown tensor, a wrong shape, a value that is not finite.</exception>
    public static NativeAdapter Read(
        string path,
        BaseModel model,
        float dropout = 0,
        bool forTraining = true,
        double scale = 1
    )
    {
        using var file = GgufFile.Open(path);
        var modules = LoraModules.Read(file);
        var info = Describe(file, modules);
        CheckBase(info, model);
        foreach (var module in modules)
        {
            CheckShapes(file, module, model);
        }
        if (forTraining && !info.HasOneRank)
        {
            throw new GgufException(path, "tensors", "one rank for all", "several; it can be exported, not trained on");
        }
        var adapter = new NativeAdapter(
            model.Native,
            new AdapterParams
            {
                Method = TrainMethod.Lora,
                Targets = info.Targets,
                Rank = info.Rank,
                Scale = (float)(info.Scale * scale),
                Dropout = dropout,
            }
        );
        try
        {
            Fill(file, modules, info, adapter, forTraining);
            return adapter;
        }
        catch
        {
            adapter.Dispose();
            throw;
        }
    }

    /// <summary>Copies the file's values into an adapter that has exactly its tensors, as a checkpoint has.</summary>
    public static void Load(string path, NativeAdapter adapter)
    {
        using var file = GgufFile.Open(path);
        if (file.Tensors.Count != adapter.Trainables.Count)
        {
            throw new GgufException(path, "tensors", $"{adapter.Trainables.Count}", $"{file.Tensors.Count}");
        }
        TensorCopy.Read(file, adapter);
    }

    /// <summary>Refuses an adapter of another base.</summary>
    internal static void CheckBase(AdapterInfo info, BaseModel model)
    {
        if (info.Architecture != model.Architecture)
        {
            throw new GgufException(
                info.Path,
                $"key '{AdapterKeys.Architecture}'",
                $"'{model.Architecture}', the architecture of {model.File.Path}",
                $"'{info.Architecture}'"
            );
        }
        if (info.BaseSha256 != null && info.BaseSha256 != model.Sha256)
        {
            throw new GgufException(
                info.Path,
                $"key '{AdapterKeys.BaseSha256}'",
                $"{model.Sha256}, the SHA-256 of {model.File.Path}",
                $"{info.BaseSha256}; give the base that the adapter was trained on"
            );
        }
    }

    private static AdapterInfo Describe(GgufFile file, List<LoraModule> modules)
    {
        Expect(file, AdapterKeys.Type, "adapter");
        Expect(file, AdapterKeys.AdapterType, "lora");
        var alpha = (float)file.Metadata.GetFloat(AdapterKeys.Alpha);
        if (!float.IsFinite(alpha))
        {
            throw new GgufException(file.Path, $"key '{AdapterKeys.Alpha}'", "a finite number", $"{alpha}");
        }
        var rank = modules.Max(m => m.Rank);
        return new AdapterInfo(
            file.Path,
            file.Metadata.GetString(AdapterKeys.Architecture),
            alpha,
            checked((int)rank),
            modules.TrueForAll(m => m.Rank == rank),
            modules.Aggregate(LoraTargets.None, (targets, m) => targets | m.Target),
            file.Metadata.GetString(AdapterKeys.BaseSha256, null),
            file.Metadata.GetString(AdapterKeys.TemplateSha256, null),
            file.Metadata.GetString(Tokenizer.TemplateKey, null)
        );
    }

    private static void Expect(GgufFile file, string key, string value)
    {
        var found = file.Metadata.GetString(key, "");
        if (found != value)
        {
            throw new GgufException(
                file.Path,
                $"key '{key}'",
                $"'{value}'",
                $"'{found}'; expected a LoRA adapter file"
            );
        }
    }

    private static void CheckShapes(GgufFile file, LoraModule module, BaseModel model)
    {
        var weight =
            model.File.Find(module.BaseName)
            ?? throw new GgufException(
                file.Path,
                $"tensor '{module.A.Name}'",
                $"a tensor of {model.File.Path}",
                $"'{module.BaseName}', which it does not have; is it another base?"
            );
        if (module.A.Shape[0] != weight.Shape[0] || module.B.Shape[1] != weight.Shape[1])
        {
            throw new GgufException(
                file.Path,
                $"tensors of '{module.BaseName}'",
                $"lora_a [{weight.Shape[0]}, r] and lora_b [r, {weight.Shape[1]}]",
                $"{module.A.ShapeText} and {module.B.ShapeText}; is it another base?"
            );
        }
    }

    private static void Fill(
        GgufFile file,
        List<LoraModule> modules,
        AdapterInfo info,
        NativeAdapter adapter,
        bool complete
    )
    {
        if (complete)
        {
            foreach (var trainable in adapter.Trainables.Where(t => file.Find(t.Name) == null))
            {
                throw new GgufException(
                    file.Path,
                    $"tensor '{trainable.Name}'",
                    "every layer adapted alike",
                    "nothing; it can be exported, not trained on"
                );
            }
        }
        adapter.Parameters.Clear();
        foreach (var module in modules)
        {
            // A module of lower rank fills the first rows of A and columns of B; its own alpha/r goes into B.
            var a = ReadFinite(file, module.A);
            var b = ReadFinite(file, module.B);
            var factor = AdapterInfo.ScaleOf(info.Alpha, module.Rank) / info.Scale;
            a.CopyTo(Values(adapter, module.BaseName + LoraModules.SuffixA));
            var to = Values(adapter, module.BaseName + LoraModules.SuffixB);
            var rank = (int)module.Rank;
            for (var row = 0; row < module.B.Shape[1]; row++)
            {
                for (var r = 0; r < rank; r++)
                {
                    to[row * info.Rank + r] = factor * b[row * rank + r];
                }
            }
        }
    }

    private static Span<float> Values(NativeAdapter adapter, string name) =>
        adapter.ValuesOf(adapter.Find(name) ?? throw new InvalidOperationException($"no trainable '{name}'"));

    private static float[] ReadFinite(GgufFile file, GgufTensor tensor)
    {
        var values = new float[tensor.ValueCount];
        NativeRuntime.Dequantize(tensor.Type, file.Data(tensor), values);
        for (var i = 0; i < values.Length; i++)
        {
            if (!float.IsFinite(values[i]))
            {
                throw new GgufException(
                    file.Path,
                    $"tensor '{tensor.Name}', value {i}",
                    "a finite number",
                    $"{values[i]}"
                );
            }
        }
        return values;
    }

    private static void WriteTrainables(string path, GgufMetadata metadata, NativeAdapter adapter, bool overwrite)
    {
        using var writer = new GgufWriter(path, metadata, overwrite);
        foreach (var trainable in adapter.Trainables)
        {
            writer.AddTensor(trainable.Name, GgmlType.F32, trainable.Ne);
        }
        foreach (var trainable in adapter.Trainables)
        {
            writer.Write(trainable.Name, MemoryMarshal.AsBytes(adapter.ValuesOf(trainable)));
        }
        writer.Complete();
    }
}
