namespace Slimming.Training.Data;

/// <summary>Shifts, cuts and counts sequences on their way into a data set.</summary>
internal sealed class SampleCollector(DataOptions options, ITokenizer tokenizer)
{
    private readonly List<Sample> _samples = [];
    private DataCounts _counts = new();

    public IReadOnlyList<Sample> Samples => _samples;

    public DataCounts Counts => _counts;

    public void Add(Sequence sequence, DataRow row)
    {
        var tokens = sequence.Tokens;
        var targets = Shift(sequence);
        _counts = _counts with { Rows = _counts.Rows + 1 };
        var overlong = tokens.Length > options.MaxLength;
        if (overlong && options.Overlong == Overlong.Drop)
        {
            _counts = _counts with { Dropped = _counts.Dropped + 1 };
            return;
        }
        var kept = 0;
        if (!overlong)
        {
            kept += Keep(tokens, targets, row);
        }
        else if (options.Overlong == Overlong.Truncate)
        {
            // What the last kept token predicts is cut off with the rest.
            targets[options.MaxLength - 1] = -1;
            kept += Keep(tokens[..options.MaxLength], targets[..options.MaxLength], row);
        }
        else
        {
            for (var start = 0; start < tokens.Length; start += options.MaxLength)
            {
                var end = Math.Min(start + options.MaxLength, tokens.Length);
                kept += Keep(tokens[start..end], targets[start..end], row);
            }
        }
        Count(sequence, overlong, kept);
    }

    private static int[] Shift(Sequence sequence) => sequence.Labels.Length == 0 ? [] : [.. sequence.Labels[1..], -1];

    private int Keep(int[] tokens, int[] targets, DataRow row)
    {
        var count = targets.Count(t => t >= 0);
        if (count == 0)
        {
            return 0;
        }
        _samples.Add(new Sample(tokens, targets, count, row.File, row.Number));
        _counts = _counts with
        {
            Kept = _counts.Kept + 1,
            Tokens = _counts.Tokens + tokens.Length,
            Targets = _counts.Targets + count,
        };
        return 1;
    }

    private void Count(Sequence sequence, bool overlong, int kept)
    {
        if (kept == 0)
        {
            _counts = _counts with { WithoutTarget = _counts.WithoutTarget + 1 };
            return;
        }
        var last = Array.FindLastIndex(sequence.Labels, label => label >= 0);
        var cut = overlong && options.Overlong == Overlong.Truncate;
        _counts = _counts with
        {
            Truncated = _counts.Truncated + (cut ? 1 : 0),
            Split = _counts.Split + (overlong && !cut ? 1 : 0),
            WithoutEnd = _counts.WithoutEnd + (!cut && !tokenizer.IsEndOfGeneration(sequence.Labels[last]) ? 1 : 0),
        };
    }
}
