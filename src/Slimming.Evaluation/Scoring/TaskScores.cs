using Slimming.Results;

namespace Slimming.Evaluation.Scoring;

/// <summary>What the metrics of one task need of its rows: a large task's rows would take more memory than a small model.</summary>
internal sealed class TaskScores(IReadOnlyList<string> metrics)
{
    private readonly Dictionary<string, List<double>> _scores = metrics
        .Where(ItemMetrics.IsMean)
        .ToDictionary(metric => metric, _ => new List<double>(), StringComparer.Ordinal);
    private readonly Dictionary<string, double> _weights = new(StringComparer.Ordinal);
    private readonly List<ItemRow> _windows = [];

    public long Count { get; private set; }

    /// <summary>Rows whose input lost tokens.</summary>
    public long Truncated { get; private set; }

    /// <summary>The rows themselves where they are windows of a distance: percentiles need every token.</summary>
    public IReadOnlyList<ItemRow> Windows => _windows;

    public void Add(ItemRow row)
    {
        Count++;
        Truncated += row.Truncated ? 1 : 0;
        foreach (var (metric, scores) in _scores)
        {
            scores.Add(ItemMetrics.Score(metric, row));
            _weights[metric] = _weights.GetValueOrDefault(metric) + ItemMetrics.Weight(metric, row);
        }
        if (row.Kl is not null)
        {
            _windows.Add(row);
        }
    }

    /// <summary>Score of each row, in their order.</summary>
    public IReadOnlyList<double> Of(string metric) => _scores[metric];

    /// <summary>Sum of the rows' weights.</summary>
    public double Weight(string metric) => _weights[metric];
}
