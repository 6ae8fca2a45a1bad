namespace Slimming.Training.Data;

/// <summary>Which samples each step of an epoch takes; a function of its arguments alone.</summary>
/// <param name="lengths">Tokens of each sample.</param>
/// <param name="batchSize">Samples of a batch; with packing, rows of <paramref name="maxLength"/> tokens.</param>
/// <param name="accumulation">Batches of a step.</param>
/// <param name="shuffle">Another order in each epoch; otherwise the order of the files.</param>
/// <param name="seed">Of the shuffle.</param>
/// <param name="packing">Fill rows in order; a sample that does not fit begins the next one.</param>
/// <param name="maxLength">Tokens of a packed row; no sample is longer.</param>
/// <param name="mixture">Which samples an epoch takes; null: each of them once.</param>
public sealed class EpochPlan(
    IReadOnlyList<int> lengths,
    int batchSize,
    int accumulation,
    bool shuffle,
    ulong seed,
    bool packing,
    int maxLength,
    Mixture? mixture = null
)
{
    /// <summary>Sample indices of each step, in training order; the last step may be smaller.</summary>
    /// <param name="epoch">From 0.</param>
    public IReadOnlyList<IReadOnlyList<int>> Steps(int epoch)
    {
        var order =
            mixture is not null ? mixture.Epoch(epoch, seed, shuffle)
            : shuffle ? CounterRandom.Permutation(lengths.Count, seed, epoch)
            : Enumerable.Range(0, lengths.Count).ToArray();
        var rowsPerStep = checked(batchSize * accumulation);
        var rows = packing ? FillRows(order) : order.Select(i => new List<int> { i });
        return rows.Chunk(rowsPerStep)
            .Select(step => (IReadOnlyList<int>)step.SelectMany(row => row).ToArray())
            .ToArray();
    }

    private IEnumerable<List<int>> FillRows(int[] order)
    {
        var row = new List<int>();
        var filled = 0;
        foreach (var i in order)
        {
            if (filled + lengths[i] > maxLength && row.Count > 0)
            {
                yield return row;
                row = [];
                filled = 0;
            }
            row.Add(i);
            filled += lengths[i];
        }
        if (row.Count > 0)
        {
            yield return row;
        }
    }
}
