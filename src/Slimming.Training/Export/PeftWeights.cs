using Slimming.Gguf;
using Slimming.Interop;

namespace Slimming.Training.Export;

/// <summary>LoRA, DoRA, (IA)3 and biases of a PEFT folder folded into the dequantized base, summed in f64.</summary>
internal sealed class PeftWeights : IWeightSource
{
    private readonly GgufFile _model;
    private readonly Dictionary<string, PeftModule> _byTensor = new(StringComparer.Ordinal);

    public PeftWeights(PeftAdapter adapter, GgufFile model)
    {
        _model = model;
        var added = new List<AddedTensor>();
        foreach (var module in adapter.Modules.Values)
        {
            if (module.A != null || module.InputFactors != null || module.OutputFactors != null)
            {
                _byTensor[module.Weight] = module;
            }
            var hasBias = model.Find(module.BiasName) != null;
            if (hasBias && (module.Bias != null || module.OutputFactors != null))
            {
                _byTensor[module.BiasName] = module;
            }
            else if (module.Bias != null)
            {
                added.Add(new AddedTensor(module.BiasName, module.Bias));
            }
        }
        Added = added;
    }

    public IReadOnlyList<AddedTensor> Added { get; }

    public bool Changes(string name) => _byTensor.ContainsKey(name);

    public void Read(GgufTensor tensor, Span<float> values)
    {
        var module = _byTensor[tensor.Name];
        if (tensor.Name == module.BiasName && module.Bias != null)
        {
            module.Bias.CopyTo(values);
            return;
        }
        for (long row = 0, rowBytes = GgmlTypes.RowBytes(tensor.Type, tensor.RowLength); row < tensor.RowCount; row++)
        {
            var part = values.Slice(checked((int)(row * tensor.RowLength)), (int)tensor.RowLength);
            NativeRuntime.Dequantize(tensor.Type, _model.Slice(tensor, row * rowBytes, rowBytes), part);
        }
        if (tensor.Name == module.BiasName)
        {
            Scale(values, module.OutputFactors!, 1);
            return;
        }
        var columns = (int)tensor.RowLength;
        if (module.OutputFactors != null)
        {
            Scale(values, module.OutputFactors, columns);
        }
        if (module.InputFactors != null)
        {
            for (var i = 0; i < values.Length; i++)
            {
                values[i] *= module.InputFactors[i % columns];
            }
        }
        if (module.A != null)
        {
            MergeLowRank(module, values, columns);
        }
    }

    private static void MergeLowRank(PeftModule module, Span<float> values, int columns)
    {
        var sum = new double[columns];
        for (var row = 0; row < values.Length / columns; row++)
        {
            var weights = values.Slice(row * columns, columns);
            for (var c = 0; c < columns; c++)
            {
                sum[c] = weights[c];
            }
            for (var r = 0; r < module.Rank; r++)
            {
                var factor = (double)module.Scale * module.B![row * module.Rank + r];
                for (var c = 0; c < columns; c++)
                {
                    sum[c] += factor * module.A![r * columns + c];
                }
            }
            var scale = 1.0;
            if (module.Magnitude != null)
            {
                var square = 0.0;
                foreach (var value in sum)
                {
                    square += value * value;
                }
                // A row of zeros has no direction; the division shows it as a value that is not finite.
                scale = module.Magnitude[row] / Math.Sqrt(square);
            }
            for (var c = 0; c < columns; c++)
            {
                weights[c] = (float)(scale * sum[c]);
            }
        }
    }

    private static void Scale(Span<float> values, float[] factors, int columns)
    {
        for (var i = 0; i < values.Length; i++)
        {
            values[i] *= factors[i / columns];
        }
    }
}
