using System.Runtime.InteropServices;
using Slimming.Gguf;

namespace Slimming.Training.Export;

/// <summary>
/// What llama-imatrix measured: for each weight the mean square of every input column. Read from its GGUF files
/// (general.type imatrix) and from its older binary form.
/// </summary>
internal sealed class ImportanceMatrix
{
    private const string SumSuffix = ".in_sum2";
    private const string CountSuffix = ".counts";

    // A mean square of activations is far below; its product with squared f16 values stays a finite f32.
    private const float Largest = 1e20f;

    private readonly Dictionary<string, Entry> _entries = new(StringComparer.Ordinal);

    private ImportanceMatrix(string path) => Path = path;

    /// <param name="Values">[matrices, columns].</param>
    /// <param name="Matrices">More than 1 for mixtures of experts.</param>
    private sealed record Entry(float[] Values, long Matrices);

    public string Path { get; }

    /// <summary>Weights that it has values for.</summary>
    public int Count => _entries.Count;

    /// <summary>Names of the calibration texts, where the file says them.</summary>
    public IReadOnlyList<string> Datasets { get; private set; } = [];

    /// <summary>Chunks of text it was measured on; null where the file does not say.</summary>
    public long? Chunks { get; private set; }

    /// <exception cref="GgufException">No sound file of either form, or a value that is no importance.</exception>
    public static ImportanceMatrix Read(string path)
    {
        var matrix = new ImportanceMatrix(path);
        if (LegacyImportance.Is(path))
        {
            using var legacy = LegacyImportance.Open(path);
            foreach (var (name, values) in legacy.Entries())
            {
                matrix.Add(name, values, 1);
            }
            (matrix.Chunks, matrix.Datasets) = legacy.Tail();
        }
        else
        {
            using var file = GgufFile.Open(path);
            matrix.ReadGguf(file);
        }
        return matrix._entries.Count > 0
            ? matrix
            : throw new GgufException(path, "tensors", $"pairs of {SumSuffix} and {CountSuffix}", "none");
    }

    /// <summary>Refuses a matrix of another model: none of its weights, or one of another row length.</summary>
    public void CheckModel(GgufFile model)
    {
        var known = 0;
        foreach (var (name, entry) in _entries)
        {
            if (model.Find(name) is not { } tensor)
            {
                continue;
            }
            known++;
            if (entry.Matrices != 1)
            {
                throw new GgufException(
                    Path,
                    $"entry '{name}'",
                    "one matrix, as no mixture of experts is supported",
                    $"{entry.Matrices}"
                );
            }
            if (entry.Values.Length != tensor.RowLength)
            {
                throw new GgufException(
                    Path,
                    $"entry '{name}'",
                    $"{tensor.RowLength} columns, the row length in {model.Path}",
                    $"{entry.Values.Length}; is it of another model?"
                );
            }
        }
        if (known == 0)
        {
            throw new GgufException(
                Path,
                "entries",
                $"names of tensors of {model.Path}",
                $"none of them, but {_entries.Count} like '{_entries.Keys.First()}'; is it of another model?"
            );
        }
    }

    /// <summary>Importance of each column of a weight; null where the file has none.</summary>
    public float[]? Of(string tensor) => _entries.GetValueOrDefault(tensor)?.Values;

    private void ReadGguf(GgufFile file)
    {
        var type = file.Metadata.GetString("general.type", "");
        if (type != "imatrix")
        {
            throw new GgufException(
                file.Path,
                "key 'general.type'",
                "'imatrix'",
                $"'{type}'; expected a file of llama-imatrix"
            );
        }
        foreach (var sums in file.Tensors.Where(t => t.Name.EndsWith(SumSuffix, StringComparison.Ordinal)))
        {
            var name = sums.Name[..^SumSuffix.Length];
            var counts =
                file.Find(name + CountSuffix)
                ?? throw new GgufException(file.Path, $"tensor '{name + CountSuffix}'", "the file does not have it");
            AddMeans(file, name, sums, counts);
        }
        foreach (var counts in file.Tensors.Where(t => t.Name.EndsWith(CountSuffix, StringComparison.Ordinal)))
        {
            var sums = counts.Name[..^CountSuffix.Length] + SumSuffix;
            if (file.Find(sums) == null)
            {
                throw new GgufException(file.Path, $"tensor '{sums}'", "the file does not have it");
            }
        }
        Datasets = file.Metadata.Contains("imatrix.datasets") ? file.Metadata.GetStrings("imatrix.datasets") : [];
        Chunks = file.Metadata.Contains("imatrix.chunk_count") ? file.Metadata.GetInteger("imatrix.chunk_count") : null;
    }

    private void AddMeans(GgufFile file, string name, GgufTensor sums, GgufTensor counts)
    {
        foreach (var tensor in new[] { sums, counts })
        {
            if (tensor.Type != GgmlType.F32)
            {
                throw new GgufException(file.Path, $"tensor '{tensor.Name}'", "type f32", GgmlTypes.Name(tensor.Type));
            }
        }
        if (counts.ValueCount != sums.RowCount)
        {
            throw new GgufException(
                file.Path,
                $"tensor '{counts.Name}'",
                $"{sums.RowCount} values, one for each row of '{sums.Name}'",
                $"{counts.ValueCount}"
            );
        }
        var values = MemoryMarshal.Cast<byte, float>(file.Data(sums)).ToArray();
        var numbers = MemoryMarshal.Cast<byte, float>(file.Data(counts));
        for (var row = 0; row < numbers.Length; row++)
        {
            if (!(numbers[row] >= 0) || !float.IsFinite(numbers[row]))
            {
                throw new GgufException(
                    file.Path,
                    $"tensor '{counts.Name}', value {row}",
                    "a count from 0",
                    $"{numbers[row]}"
                );
            }
            var means = values.AsSpan(checked((int)(row * sums.RowLength)), (int)sums.RowLength);
            if (numbers[row] == 0)
            {
                // Measured on nothing: every column counts alike, as in llama-quantize.
                means.Fill(1);
                continue;
            }
            foreach (ref var value in means)
            {
                value /= numbers[row];
            }
        }
        Add(name, values, sums.RowCount);
    }

    private void Add(string name, float[] values, long matrices)
    {
        for (var i = 0; i < values.Length; i++)
        {
            // Negated, so that NaN fails.
            if (!(values[i] >= 0 && values[i] <= Largest))
            {
                throw new GgufException(
                    Path,
                    $"entry '{name}', value {i}",
                    $"a mean square from 0 to {Largest:g}",
                    $"{values[i]}"
                );
            }
        }
        if (!_entries.TryAdd(name, new Entry(values, matrices)))
        {
            throw new GgufException(Path, $"entry '{name}'", "every weight once", "it a second time");
        }
    }
}
