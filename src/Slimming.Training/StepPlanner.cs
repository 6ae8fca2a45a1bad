namespace Slimming.Training;

/// <summary>
/// Which samples each step trains on: a function of sample lengths, options and epoch alone. An epoch is every sample
/// once; its last step may be smaller. With packing the batch size counts rows of max-length tokens, filled in order.
/// </summary>
public sealed class StepPlanner
{
    private readonly IReadOnlyList<int> _lengths;
    private readonly TrainOptions _options;
    private int _cachedEpoch = -1;
    private List<int[]> _cached = [];

    /// <param name="lengths">Tokens of each sample.</param>
    /// <param name="options">Batch size, accumulation, packing, shuffling, seed, epochs or steps.</param>
    public StepPlanner(IReadOnlyList<int> lengths, TrainOptions options)
    {
        ArgumentNullException.ThrowIfNull(lengths);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfZero(lengths.Count);
        _lengths = lengths;
        _options = options;
        TotalSteps = options.Steps ?? CountSteps(options.Epochs!.Value);
    }

    public int TotalSteps { get; }

    /// <summary>Sample indices of each step of an epoch.</summary>
    public IReadOnlyList<int[]> Epoch(int epoch)
    {
        if (_cachedEpoch != epoch)
        {
            _cached =
            [
                .. Rows(Order(epoch)).Chunk(_options.StepSize).Select(rows => rows.SelectMany(row => row).ToArray()),
            ];
            _cachedEpoch = epoch;
        }
        return _cached;
    }

    /// <summary>Key of a sample's random draws: unique for each epoch and sample.</summary>
    public static ulong SampleKey(int epoch, int sample) => ((ulong)(uint)epoch << 32) | (uint)sample;

    private int CountSteps(double epochs)
    {
        long steps = 0;
        var whole = (int)Math.Floor(epochs);
        // Without packing every epoch has the same number of steps.
        if (!_options.Packing)
        {
            steps = (long)whole * Epoch(0).Count;
        }
        else
        {
            for (var epoch = 0; epoch < whole; epoch++)
            {
                steps += Epoch(epoch).Count;
            }
        }
        if (epochs > whole)
        {
            steps += (long)Math.Ceiling((epochs - whole) * Epoch(whole).Count);
        }
        return checked((int)steps);
    }

    private int[] Order(int epoch)
    {
        var order = Enumerable.Range(0, _lengths.Count).ToArray();
        if (!_options.Shuffle)
        {
            return order;
        }
        // Fisher-Yates over a SplitMix64 stream keyed by (seed, epoch).
        var state = Mix(((ulong)(uint)_options.Seed << 32) | (uint)epoch);
        for (var last = order.Length - 1; last > 0; last--)
        {
            state += 0x9E3779B97F4A7C15;
            var pick = (int)(((UInt128)Mix(state) * (ulong)(last + 1)) >> 64);
            (order[last], order[pick]) = (order[pick], order[last]);
        }
        return order;
    }

    private IEnumerable<IEnumerable<int>> Rows(int[] order)
    {
        if (!_options.Packing)
        {
            foreach (var sample in order)
            {
                yield return [sample];
            }
            yield break;
        }
        List<int> row = [];
        var tokens = 0;
        foreach (var sample in order)
        {
            if (row.Count > 0 && tokens + _lengths[sample] > _options.MaxLength)
            {
                yield return row;
                row = [];
                tokens = 0;
            }
            row.Add(sample);
            tokens += _lengths[sample];
        }
        yield return row;
    }

    // SplitMix64's output function (Steele, Lea, Flood 2014).
    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
