using System.Globalization;
using Slimming.Training.Data;

namespace Slimming.Training;

/// <summary>Lines on the data that are worth reading before step 1.</summary>
internal static class DataNotes
{
    public static void Write(IReadOnlyList<string> arguments, SampleSet set, ITrainSink sink)
    {
        sink.Note($"data: {Counts(set.Counts, set.TemplateName)}");
        if (set.HeldOut.Count > 0)
        {
            sink.Note($"held out for evaluation: {Counts(set.HeldOutCounts, set.TemplateName)}");
        }
        for (var part = 0; set.Mixture is { } mixture && part < arguments.Count; part++)
        {
            sink.Note(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"mix: {100 * mixture.Shares[part]:0.##} % {arguments[part]}, {mixture.Drawn[part]} of "
                ) + $"{mixture.Available[part]} samples an epoch"
            );
        }
    }

    /// <summary>What became of the rows; what did not happen is left out where few ask for it.</summary>
    public static string Counts(DataCounts counts, string? template)
    {
        static string Some(long rows, string what) => rows == 0 ? "" : $", {rows} {what}";
        return $"{counts.Rows} rows{Some(counts.Filtered, "left out by --where")}"
            + $"{Some(counts.NotDrawn, "not drawn by --sample")}{Some(counts.HeldOut, "held out")}, "
            + $"{counts.Kept} samples kept, {counts.Truncated} truncated, {counts.Split} split, {counts.Dropped} dropped, "
            + $"{counts.WithoutTarget} without target{Some(counts.EmptyAnswer, "with an empty answer")}; "
            + $"{counts.Tokens} tokens, {counts.Targets} targets, template {template ?? "none"}";
    }
}
