using System.Globalization;
using System.Text.RegularExpressions;
using Slimming.Shared;

namespace Slimming.Results;

/// <summary>One part of a run on disk, or the union of the parts numbered first to last.</summary>
internal readonly record struct ResultPart(int First, int Last)
{
    public string Name => First == Last ? $"{First:d5}" : $"{First:d5}-{Last:d5}";

    public bool Covers(ResultPart other) => this != other && First <= other.First && other.Last <= Last;
}

/// <summary>
/// The parts of a run's folder. A part is up to three files, of items, texts and tokens; it counts once its items file
/// stands. Small ones are merged into a file whose name says which it stands for, so that a run killed in between
/// leaves nothing twice: what a merged part covers is ignored, and deleted when it is seen.
/// </summary>
internal sealed partial class ResultParts(DuckDb db, string folder)
{
    /// <summary>Small parts that are merged into one.</summary>
    public const int MergedParts = 24;

    /// <summary>What DuckDB gathers before it writes it: rows with long prompts would else take more memory than a small model.</summary>
    private const string GroupLimits = "ROW_GROUP_SIZE 2048, ROW_GROUP_SIZE_BYTES '4MiB'";

    /// <summary>Written in this order: items make the part count.</summary>
    private static readonly string[] s_kinds = ["texts", "tokens", "items"];

    public string Path(string kind, ResultPart part) => System.IO.Path.Combine(folder, $"{kind}-{part.Name}.parquet");

    /// <summary>The parts that count, in the order they were written.</summary>
    public List<ResultPart> List()
    {
        var all = Standing("items").Select(file => file.Part).ToList();
        return [.. all.Where(part => !all.Any(other => other.Covers(part))).OrderBy(part => part.First)];
    }

    /// <summary>Deletes what a killed run left: half-written files, parts without items, parts that a merged one covers.</summary>
    public void Clean()
    {
        foreach (var partial in Directory.GetFiles(folder, "*.partial"))
        {
            File.Delete(partial);
        }
        var kept = List().ToHashSet();
        // Items last, so that texts never lose the part that says they are covered.
        foreach (var (file, part) in s_kinds.SelectMany(Standing))
        {
            if (!kept.Contains(part))
            {
                File.Delete(file);
            }
        }
    }

    /// <summary>Merges the small parts at the end of the list where there are <paramref name="atLeast"/> of them.</summary>
    public void MergeSmall(int atLeast)
    {
        var small = List().AsEnumerable().Reverse().TakeWhile(part => part.First == part.Last).Reverse().ToList();
        if (small.Count < Math.Max(2, atLeast))
        {
            return;
        }
        ResultPart merged = new(small[0].First, small[^1].Last);
        foreach (var kind in s_kinds)
        {
            Merge(kind, small, merged);
        }
        Clean();
        FreeMemory.GiveBack();
    }

    private void Merge(string kind, List<ResultPart> small, ResultPart merged)
    {
        var files = small.Select(part => Path(kind, part)).Where(File.Exists).ToList();
        if (files.Count == 0)
        {
            return;
        }
        var target = Path(kind, merged);
        var list = string.Join(", ", files.Select(DuckDb.Quote));
        // A limit in bytes is not to be had with this promise; with one thread rows are in order all the same.
        db.Execute("SET preserve_insertion_order = false");
        db.Execute(
            $"COPY (SELECT * FROM read_parquet([{list}], hive_partitioning = false, union_by_name = true)) "
                + $"TO {DuckDb.Quote(target + ".partial")} (FORMAT parquet, COMPRESSION zstd, {GroupLimits})"
        );
        db.Execute("SET preserve_insertion_order = true");
        Durable.Publish(target + ".partial", target);
    }

    private IEnumerable<(string File, ResultPart Part)> Standing(string kind)
    {
        foreach (var file in Directory.GetFiles(folder, $"{kind}-*.parquet"))
        {
            var name = NumbersPattern().Match(System.IO.Path.GetFileNameWithoutExtension(file)[(kind.Length + 1)..]);
            if (name.Success)
            {
                var first = int.Parse(name.Groups["first"].Value, CultureInfo.InvariantCulture);
                var last = name.Groups["last"].Success
                    ? int.Parse(name.Groups["last"].Value, CultureInfo.InvariantCulture)
                    : first;
                yield return (file, new ResultPart(first, last));
            }
        }
    }

    [GeneratedRegex(
        @"^(?<first>[0-9]{1,9})(-(?<last>[0-9]{1,9}))?$",
        RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant
    )]
    private static partial Regex NumbersPattern();
}
