using Slimming.Gguf;
using Slimming.Training.Data;

namespace Slimming.Training;

/// <summary>Which samples each step takes and how many steps a run has: a function of lengths and options alone.</summary>
public sealed class StepPlanner
{
    private readonly EpochPlan _plan;
    private int _cachedEpoch = -1;
    private IReadOnlyList<IReadOnlyList<int>> _cached = [];

    /// <param name="lengths">Tokens of each sample; at least one sample.</param>
    /// <param name="options">Batch size, accumulation, packing, shuffling, seed, epochs or steps.</param>
    /// <param name="mixture">Which samples an epoch takes; null: each of them once.</param>
    public StepPlanner(IReadOnlyList<int> lengths, TrainOptions options, Mixture? mixture = null)
    {
        ArgumentNullException.ThrowIfNull(lengths);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfZero(lengths.Count);
        _plan = new EpochPlan(
            lengths,
            options.BatchSize,
            options.Accumulation,
            options.Shuffle,
            (ulong)options.Seed,
            options.Packing,
            options.MaxLength,
            mixture
        );
        var differ = options.Packing && (options.Shuffle || mixture is not null);
        TotalSteps = options.Steps ?? CountSteps(options.Epochs!.Value, differ);
    }

    public int TotalSteps { get; }

    /// <summary>Sample indices of each step of an epoch.</summary>
    public IReadOnlyList<IReadOnlyList<int>> Epoch(int epoch)
    {
        if (_cachedEpoch != epoch)
        {
            _cached = _plan.Steps(epoch);
            _cachedEpoch = epoch;
        }
        return _cached;
    }

    /// <exception cref="SlimmingException">More steps than a run can count.</exception>
    internal static int Checked(long steps) =>
        steps <= int.MaxValue
            ? (int)steps
            : throw new SlimmingException(
                ExitCode.Usage,
                $"--epochs: makes {steps} steps; expected at most {int.MaxValue} (a larger --batch-size makes fewer)"
            );

    /// <summary>Rows fill differently in each order, so packed epochs of other samples or another order are counted one by one.</summary>
    private int CountSteps(double epochs, bool differ)
    {
        var whole = (int)Math.Floor(epochs);
        long steps = 0;
        for (var epoch = 0; differ && epoch < whole; epoch++)
        {
            steps += Epoch(epoch).Count;
        }
        if (!differ)
        {
            steps = (long)whole * Epoch(0).Count;
        }
        if (epochs > whole)
        {
            steps += (long)Math.Ceiling((epochs - whole) * Epoch(whole).Count);
        }
        return Checked(steps);
    }
}
