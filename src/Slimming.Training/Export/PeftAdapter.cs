using System.Text.RegularExpressions;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Models;

namespace Slimming.Training.Export;

/// <summary>
/// An adapter that Hugging Face PEFT saved: LoRA, rsLoRA, DoRA, (IA)3 and biases of the linears, brought into GGUF names
/// and row order and checked against the base.
/// </summary>
internal sealed partial class PeftAdapter
{
    private readonly string _folder;
    private readonly BaseModel _model;
    private readonly PeftConfig _config;
    private readonly Dictionary<string, PeftModule> _modules = new(StringComparer.Ordinal);

    private PeftAdapter(string folder, BaseModel model)
    {
        _folder = folder;
        _model = model;
        _config = PeftConfig.Read(Path.Combine(folder, PeftFolder.ConfigName));
        using var tensors = SafetensorsFile.Open(Path.Combine(folder, PeftFolder.TensorsName));
        foreach (var tensor in tensors.Tensors.OrderBy(t => t.Name, StringComparer.Ordinal))
        {
            Add(tensors, tensor);
        }
        if (_modules.Count == 0)
        {
            throw tensors.Wrong("header", "tensors of an adapter", "none");
        }
        CheckComplete(tensors);
    }

    /// <summary>By name of the base's weight.</summary>
    public IReadOnlyDictionary<string, PeftModule> Modules => _modules;

    /// <summary>Why a LoRA adapter file cannot hold it; null where it can.</summary>
    public string? ReasonToMerge =>
        _config.IsIa3 ? "(IA)3 scales activations, which has no place in a LoRA adapter file"
        : _config.UsesDora ? "DoRA scales the rows of the merged weight, which has no place in a LoRA adapter file"
        : _modules.Values.FirstOrDefault(m => m.Bias != null) is { } module
            ? $"it holds biases ('{module.BiasName}'), which have no place in a LoRA adapter file"
        : null;

    public static bool IsFolder(string path) => File.Exists(Path.Combine(path, PeftFolder.ConfigName));

    /// <exception cref="SlimmingException">A file is unsound, of another base, or uses what is not supported.</exception>
    public static PeftAdapter Read(string folder, BaseModel model) => new(folder, model);

    /// <summary>Its LoRA as a native adapter; modules of other ranks and scales are brought to the largest rank exactly.</summary>
    /// <param name="scale">Extra factor on the contribution.</param>
    public NativeAdapter ToNative(double scale = 1)
    {
        if (ReasonToMerge is { } reason)
        {
            throw new SlimmingException(ExitCode.Usage, $"{_folder}: {reason}; use --to merged");
        }
        var largest = _modules.Values.MaxBy(m => m.Rank)!;
        var adapter = new NativeAdapter(
            _model.Native,
            new AdapterParams
            {
                Method = TrainMethod.Lora,
                Targets = _modules.Keys.Aggregate(LoraTargets.None, (all, name) => all | LoraModules.TargetOf(name)),
                Rank = largest.Rank,
                Scale = (float)(largest.Scale * scale),
            }
        );
        adapter.Parameters.Clear();
        foreach (var module in _modules.Values)
        {
            module.A.CopyTo(adapter.ValuesOf(adapter.Find(module.Weight + LoraModules.SuffixA)!));
            var to = adapter.ValuesOf(adapter.Find(module.Weight + LoraModules.SuffixB)!);
            var factor = module.Scale / largest.Scale;
            for (var i = 0; i < module.B!.Length; i++)
            {
                to[i / module.Rank * largest.Rank + i % module.Rank] = factor * module.B[i];
            }
        }
        return adapter;
    }

    private void Add(SafetensorsFile file, SafeTensor tensor)
    {
        var match = TensorName().Match(tensor.Name);
        var linear = match.Success ? PeftFolder.LinearOf(match.Groups["module"].Value) : null;
        if (linear == null || !int.TryParse(match.Groups["layer"].Value, out var layer))
        {
            throw file.Wrong(
                $"tensor '{tensor.Name}'",
                "LoRA, DoRA, (IA)3 or a bias of a layer's linears ('base_model.model.model.layers.N.self_attn.q_proj.lora_A.weight')",
                "another tensor"
            );
        }
        var weightName = $"blk.{layer}.{linear}";
        var weight =
            _model.File.Find(weightName)
            ?? throw file.Wrong(
                $"tensor '{tensor.Name}'",
                $"a linear of {_model.File.Path}",
                $"'{weightName}', which it does not have; is it another base?"
            );
        if (!_modules.TryGetValue(weightName, out var module))
        {
            _modules[weightName] = module = new PeftModule(weightName);
        }
        var name = $"model.layers.{layer}.{match.Groups["module"].Value}";
        Set(file, tensor, module, weight, name, match.Groups["part"].Value);
    }

    private void Set(
        SafetensorsFile file,
        SafeTensor tensor,
        PeftModule module,
        GgufTensor weight,
        string name,
        string part
    )
    {
        var (columns, rows) = (weight.Shape[0], weight.Shape[1]);
        if (_config.IsIa3 != (part == "ia3_l"))
        {
            throw file.Wrong($"tensor '{tensor.Name}'", "what peft_type in adapter_config.json says", $"'{part}'");
        }
        switch (part)
        {
            case "lora_A.weight":
                module.Rank = _config.RankOf(name);
                module.Scale = _config.ScaleOf(name);
                if (!float.IsFinite(module.Scale) || module.Scale == 0)
                {
                    throw file.Wrong($"scale of '{name}'", "alpha that is not 0", $"a scale of {module.Scale}");
                }
                module.A = Values(file, tensor, [module.Rank, columns]);
                break;
            case "lora_B.weight":
                var rank = _config.RankOf(name);
                module.B = InGgufOrder(Values(file, tensor, [rows, rank]), weight, rank);
                break;
            case "lora_magnitude_vector" or "lora_magnitude_vector.weight" when _config.UsesDora:
                module.Magnitude = InGgufOrder(Values(file, tensor, [rows]), weight, 1);
                break;
            case "base_layer.bias" or "bias":
                module.Bias = InGgufOrder(Values(file, tensor, [rows]), weight, 1);
                break;
            case "ia3_l" when tensor.Shape is [1, _]:
                module.InputFactors = Values(file, tensor, [1, columns]);
                break;
            case "ia3_l":
                module.OutputFactors = InGgufOrder(Values(file, tensor, [rows, 1]), weight, 1);
                break;
            default:
                throw file.Wrong($"tensor '{tensor.Name}'", "no magnitude without use_dora", "one");
        }
    }

    private static float[] Values(SafetensorsFile file, SafeTensor tensor, long[] shape) =>
        tensor.Shape.SequenceEqual(shape)
            ? file.Read(tensor)
            : throw file.Wrong(
                $"tensor '{tensor.Name}'",
                $"shape [{string.Join(", ", shape)}]",
                $"{tensor.ShapeText}; is it another base or rank?"
            );

    private float[] InGgufOrder(float[] values, GgufTensor weight, int width)
    {
        if (!PeftFolder.IsInterleaved(_model, weight.Name))
        {
            return values;
        }
        var ordered = new float[values.Length];
        for (var row = 0; row < weight.Shape[1]; row++)
        {
            var source = PeftFolder.HuggingFaceRow(row, _model.Parameters.NEmbdHead);
            values.AsSpan(source * width, width).CopyTo(ordered.AsSpan(row * width, width));
        }
        return ordered;
    }

    private void CheckComplete(SafetensorsFile file)
    {
        foreach (var module in _modules.Values.Where(_ => !_config.IsIa3))
        {
            if ((module.A == null) != (module.B == null))
            {
                throw file.Wrong($"tensors of '{module.Weight}'", "lora_A and lora_B", "one of them");
            }
            if (_config.UsesDora && module.A != null && module.Magnitude == null)
            {
                throw file.Wrong($"tensors of '{module.Weight}'", "lora_magnitude_vector (use_dora)", "none");
            }
            if (module.A == null && module.Magnitude != null)
            {
                throw file.Wrong($"tensors of '{module.Weight}'", "lora_A and lora_B beside the magnitude", "none");
            }
        }
        var found = _modules
            .Keys.Select(k => PeftFolder.ModuleOf(k.Split('.', 3)[2]))
            .ToHashSet(StringComparer.Ordinal);
        foreach (var target in _config.TargetModules)
        {
            var last = target.Split('.')[^1];
            if (!found.Any(f => f.EndsWith("." + last, StringComparison.Ordinal)))
            {
                throw file.Wrong("tensors", $"some of target module '{target}'", "none");
            }
        }
    }

    [GeneratedRegex(
        @"^base_model\.model\.model\.layers\.(?<layer>[0-9]+)\.(?<module>(self_attn|mlp)\.[a-z]+_proj)\.(?<part>lora_A\.weight|lora_B\.weight|lora_magnitude_vector(\.weight)?|base_layer\.bias|bias|ia3_l)$",
        RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture
    )]
    private static partial Regex TensorName();
}
