using System.Globalization;
using Slimming.Training.Data;

namespace Slimming.Training;

/// <summary>Lines on the data that are worth reading before step 1.</summary>
public static class DataNotes
{
    internal static void Write(TrainOptions options, DataSet set, ITrainSink sink)
    {
        sink.Note($"data: {Counts(set.Counts, set.TemplateName)}");
        if (set.IsStreamed)
        {
            sink.Note(
                $"rows are read as they are needed; memory is planned for samples of {set.Longest} tokens, the most they "
                    + "can have"
            );
            if (set.Longest < options.MaxLength)
            {
                sink.Warning(
                    $"the model was trained for {set.Longest} tokens: longer rows are treated as --overlong "
                        + $"{options.Overlong} says (--max-length sets another limit)"
                );
            }
        }
        if (set.HeldOutCounts is { } heldOut)
        {
            sink.Note($"held out for evaluation: {Counts(heldOut, set.TemplateName)}");
        }
        for (var part = 0; set.Mix is { } mix && part < options.Data.Count; part++)
        {
            sink.Note(MixLine(mix, part, options.Data[part], set.IsStreamed));
        }
    }

    /// <summary>One source's part of an epoch.</summary>
    public static string MixLine(MixShares mix, int part, string argument, bool streamed) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"mix: {100 * mix.Shares[part]:0.##} % {argument}, {mix.Drawn[part]} of {mix.Available[part]} "
        ) + (streamed ? "rows an epoch" : "samples an epoch");

    /// <summary>What became of the rows; what did not happen is left out where few ask for it.</summary>
    public static string Counts(DataCounts counts, string? template)
    {
        static string Some(long rows, string what) => rows == 0 ? "" : $", {rows} {what}";
        var about = counts.Estimated ? "about " : "";
        var seen =
            counts.Estimated ? $"; estimated from {counts.Examined} of them: "
            : counts.Examined is { } examined ? $"; {examined} of them were read: "
            : ", ";
        return $"{counts.Rows} rows{Some(counts.Filtered, "left out by --where")}"
            + $"{Some(counts.NotDrawn, "not drawn by --sample")}{Some(counts.HeldOut, "held out")}{seen}{about}"
            + $"{counts.Kept} samples kept, {counts.Truncated} truncated, {counts.Split} split, {counts.Dropped} dropped, "
            + $"{counts.WithoutTarget} without target{Some(counts.EmptyAnswer, "with an empty answer")}; "
            + $"{about}{counts.Tokens} tokens, {counts.Targets} targets, template {template ?? "none"}";
    }
}
