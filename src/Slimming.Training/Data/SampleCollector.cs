using System.Globalization;

namespace Slimming.Training.Data;

/// <summary>Shifts, cuts and counts sequences on their way into a data set.</summary>
internal sealed class SampleCollector(DataOptions options, ITokenizer tokenizer)
{
    /// <summary>Remarks kept of each kind; the counts are of all rows.</summary>
    private const int MostRemarks = 5;

    private readonly List<Sample> _samples = [];
    private readonly List<RowRemark> _remarks = [];
    private DataCounts _counts = new();

    public IReadOnlyList<Sample> Samples => _samples;

    /// <summary>The first few of each kind, in row order.</summary>
    public IReadOnlyList<RowRemark> Remarks => _remarks;

    public DataCounts Counts => _counts;

    /// <summary>Counts a row of a file, whatever becomes of it.</summary>
    public void CountRow(bool filtered) =>
        _counts = _counts with { Rows = _counts.Rows + 1, Filtered = _counts.Filtered + (filtered ? 1 : 0) };

    /// <summary>The samples so far, which go: those of the next rows come into an empty list.</summary>
    public List<Sample> Take()
    {
        List<Sample> taken = [.. _samples];
        _samples.Clear();
        return taken;
    }

    /// <summary>Goes on counting where an earlier run stopped.</summary>
    public void Restore(DataCounts counts) => _counts = counts;

    /// <summary>Rows that no draw took.</summary>
    public void CountNotDrawn(long rows) => _counts = _counts with { NotDrawn = rows };

    public void Add(Sequence sequence, bool emptyAnswer, DataRow row)
    {
        var tokens = sequence.Tokens;
        var overlong = tokens.Length > options.MaxLength;
        if (overlong && options.Overlong == Overlong.Drop)
        {
            _counts = _counts with { Dropped = _counts.Dropped + 1 };
            Remark(RowFate.Dropped, row, $"{Tokens(tokens.Length)}; --max-length is {Number(options.MaxLength)}");
            return;
        }
        var kept = 0;
        if (!overlong)
        {
            kept += Keep(tokens, Shift(sequence), row);
        }
        else if (options.Overlong == Overlong.Truncate)
        {
            var targets = Shift(sequence)[..options.MaxLength];
            // What the last kept token predicts is cut off with the rest.
            targets[^1] = -1;
            kept += Keep(tokens[..options.MaxLength], targets, row);
        }
        else
        {
            var targets = Shift(sequence);
            for (var start = 0; start < tokens.Length; start += options.MaxLength)
            {
                var end = Math.Min(start + options.MaxLength, tokens.Length);
                kept += Keep(tokens[start..end], targets[start..end], row);
            }
        }
        if (kept == 0)
        {
            _counts = _counts with { WithoutTarget = _counts.WithoutTarget + 1 };
            Remark(RowFate.WithoutTarget, row, WhyWithoutTarget(sequence));
            return;
        }
        CountKept(sequence, overlong, emptyAnswer, kept, row);
    }

    private static int[] Shift(Sequence sequence) => sequence.Labels.Length == 0 ? [] : [.. sequence.Labels[1..], -1];

    private int Keep(int[] tokens, int[] targets, DataRow row)
    {
        var count = targets.Count(t => t >= 0);
        if (count == 0)
        {
            return 0;
        }
        if (tokens.Length > options.ContextLength)
        {
            throw row.Error(
                $"{Tokens(tokens.Length)}, but the model was trained for {Number(options.ContextLength.Value)}; give "
                    + $"--max-length {options.ContextLength} and --overlong to cut, drop or split longer rows (or a "
                    + "larger --max-length to train beyond the model's context)"
            );
        }
        _samples.Add(new Sample(tokens, targets, count, row.File, row.Number, row.Part));
        _counts = _counts with
        {
            Kept = _counts.Kept + 1,
            Tokens = _counts.Tokens + tokens.Length,
            Targets = _counts.Targets + count,
        };
        return 1;
    }

    private void CountKept(Sequence sequence, bool overlong, bool emptyAnswer, int kept, DataRow row)
    {
        var length = sequence.Tokens.Length;
        var cut = overlong && options.Overlong == Overlong.Truncate;
        var split = overlong && !cut;
        var last = Array.FindLastIndex(sequence.Labels, label => label >= 0);
        var withoutEnd = !cut && !tokenizer.IsEndOfGeneration(sequence.Labels[last]);
        _counts = _counts with
        {
            Truncated = _counts.Truncated + (cut ? 1 : 0),
            Split = _counts.Split + (split ? 1 : 0),
            EmptyAnswer = _counts.EmptyAnswer + (emptyAnswer ? 1 : 0),
            WithoutEnd = _counts.WithoutEnd + (withoutEnd ? 1 : 0),
        };
        if (cut)
        {
            var targets = sequence.Labels.Skip(options.MaxLength).Count(label => label >= 0);
            Remark(
                RowFate.Truncated,
                row,
                $"{Tokens(length)}, cut to {Number(options.MaxLength)}; {targets} learnt ones lost"
            );
        }
        if (split)
        {
            Remark(RowFate.Split, row, $"{Tokens(length)} in {kept} samples");
        }
        if (emptyAnswer)
        {
            Remark(RowFate.EmptyAnswer, row, "the answer is an empty text: only its end is learnt");
        }
        if (withoutEnd)
        {
            var text = tokenizer.TokenText(sequence.Labels[last]);
            Remark(RowFate.WithoutEnd, row, $"the last learnt token is '{text}', which ends no generation");
        }
    }

    private string WhyWithoutTarget(Sequence sequence)
    {
        if (sequence.Tokens.Length < 2)
        {
            return $"{Tokens(sequence.Tokens.Length)}; expected at least 2";
        }
        var first = Array.FindIndex(sequence.Labels, 1, label => label >= 0);
        return first < 0
            ? "nothing in it is learnt: it has no answer, or all its labels are -100"
            : $"its first learnt token is number {Number(first + 1)}, --max-length keeps {Number(options.MaxLength)}";
    }

    private void Remark(RowFate fate, DataRow row, string why)
    {
        if (_remarks.Count(remark => remark.Fate == fate) < MostRemarks)
        {
            _remarks.Add(new RowRemark(fate, row.File, row.Number, why));
        }
    }

    private static string Tokens(int count) => count == 1 ? "1 token" : $"{Number(count)} tokens";

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);
}
