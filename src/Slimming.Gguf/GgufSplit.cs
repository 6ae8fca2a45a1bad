using System.Globalization;

namespace Slimming.Gguf;

/// <summary>
/// Models in several files, as llama.cpp splits them: NAME-00001-of-00003.gguf and so on. The first holds the metadata;
/// each says its number, how many there are and how many tensors all have together.
/// </summary>
internal static class GgufSplit
{
    public const string NumberKey = "split.no";
    public const string CountKey = "split.count";
    public const string TensorsKey = "split.tensors.count";

    // Five digits in the name.
    private const int MaxParts = 99_999;

    /// <summary>The other parts of a first file; none of a model in one file.</summary>
    /// <exception cref="GgufException">It is not the first, or a part is missing or of another model.</exception>
    public static List<GgufPart> OpenOthers(GgufPart first)
    {
        var others = new List<GgufPart>();
        var count = first.Header.Metadata.GetInteger(CountKey, 1);
        if (count == 1)
        {
            return others;
        }
        if (count is < 1 or > MaxParts)
        {
            throw new GgufException(first.Path, $"key '{CountKey}'", $"1 to {MaxParts}", $"{count}");
        }
        var number = first.Header.Metadata.GetInteger(NumberKey);
        if (number < 0 || number >= count)
        {
            throw new GgufException(first.Path, $"key '{NumberKey}'", $"0 to {count - 1}", $"{number}");
        }
        var ending = Ending(number, count);
        if (!first.Path.EndsWith(ending, StringComparison.Ordinal))
        {
            throw new GgufException(
                first.Path,
                $"key '{CountKey}'",
                $"a file name ending in {ending}, by which the other parts are found",
                $"'{Path.GetFileName(first.Path)}'"
            );
        }
        var stem = first.Path[..^ending.Length];
        if (number != 0)
        {
            throw new GgufException(
                first.Path,
                $"key '{NumberKey}'",
                $"the first part; give {stem}{Ending(0, count)}",
                $"part {number + 1} of {count}"
            );
        }
        try
        {
            for (var i = 1; i < count; i++)
            {
                others.Add(OpenPart(first, stem + Ending(i, count), i, count));
            }
            CheckTensors([first, .. others]);
            return others;
        }
        catch
        {
            others.ForEach(o => o.Dispose());
            throw;
        }
    }

    private static GgufPart OpenPart(GgufPart first, string path, int number, long count)
    {
        if (!File.Exists(path))
        {
            throw new GgufException(path, "open", $"part {number + 1} of {count} of {first.Path}", "no such file");
        }
        var part = GgufPart.Open(path);
        try
        {
            foreach (
                var (key, expected) in new[]
                {
                    (NumberKey, number),
                    (CountKey, count),
                    (TensorsKey, first.Header.Metadata.GetInteger(TensorsKey)),
                }
            )
            {
                var found = part.Header.Metadata.GetInteger(key);
                if (found != expected)
                {
                    throw new GgufException(
                        path,
                        $"key '{key}'",
                        $"{expected}, as a part of {first.Path}",
                        $"{found}; is it of another model?"
                    );
                }
            }
            return part;
        }
        catch
        {
            part.Dispose();
            throw;
        }
    }

    private static void CheckTensors(IReadOnlyList<GgufPart> parts)
    {
        var owners = new Dictionary<string, GgufPart>(StringComparer.Ordinal);
        foreach (var part in parts)
        {
            foreach (var tensor in part.Header.Tensors)
            {
                if (!owners.TryAdd(tensor.Name, part))
                {
                    throw new GgufException(
                        part.Path,
                        $"tensor '{tensor.Name}'",
                        "every tensor in one part",
                        $"it in {owners[tensor.Name].Path} too"
                    );
                }
            }
        }
        var expected = parts[0].Header.Metadata.GetInteger(TensorsKey);
        if (owners.Count != expected)
        {
            throw new GgufException(
                parts[0].Path,
                $"key '{TensorsKey}'",
                $"{expected} tensors in all {parts.Count} parts",
                $"{owners.Count}"
            );
        }
    }

    private static string Ending(long number, long count) =>
        string.Create(CultureInfo.InvariantCulture, $"-{number + 1:00000}-of-{count:00000}.gguf");
}
