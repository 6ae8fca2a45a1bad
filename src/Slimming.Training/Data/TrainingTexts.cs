using System.Text.Json;
using Slimming.Gguf;

namespace Slimming.Training.Data;

/// <summary>The texts of data files, row by row, without a tokenizer: what a run read, for those who look into it.</summary>
public static class TrainingTexts
{
    /// <param name="files">Values of <c>--data</c>: paths or globs, with or without weights.</param>
    /// <param name="where">The condition of <c>--where</c>; null: every row.</param>
    /// <param name="sample">The number of <c>--sample</c>; null: all rows.</param>
    /// <param name="seed">Of that draw.</param>
    /// <returns>File, row (from 0), and all texts of the row with blanks between; rows of token ids have none and are left out.</returns>
    /// <exception cref="SlimmingException">A file or row cannot be read.</exception>
    public static IEnumerable<(string File, long Row, string Text)> Read(
        IReadOnlyList<string> files,
        string? where = null,
        int? sample = null,
        ulong seed = 42
    )
    {
        var rows = DatasetReader.Read(DataSource.ParseAll(files), where).Where(row => row.Json is not null);
        foreach (var row in sample is { } count ? RowDraw.Sample(rows, count, seed) : rows)
        {
            using var json = row.Parse();
            var text = string.Join(' ', Texts(json.RootElement));
            if (text.Length > 0)
            {
                yield return (row.File, row.Number, text);
            }
        }
    }

    /// <summary>Every string in a row, turns and their parts included.</summary>
    private static IEnumerable<string> Texts(JsonElement value) =>
        value.ValueKind switch
        {
            JsonValueKind.String => [value.GetString()!],
            JsonValueKind.Object => value.EnumerateObject().SelectMany(property => Texts(property.Value)),
            JsonValueKind.Array => value.EnumerateArray().SelectMany(Texts),
            _ => [],
        };
}
