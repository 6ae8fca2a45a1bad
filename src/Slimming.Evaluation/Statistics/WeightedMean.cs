namespace Slimming.Evaluation.Statistics;

/// <summary>
/// sum(values) / sum(weights) over independent units, with its standard error. Items are units of weight 1; texts are
/// units whose value is a sum over their tokens; clusters are units that sum values and weights of their items.
/// </summary>
/// <remarks>se = sqrt(m/(m-1) sum (v - r w)^2) / sum(w) over m units: the usual s/sqrt(n) where all weights are 1.</remarks>
public sealed class WeightedMean
{
    public WeightedMean(IReadOnlyList<double> values, IReadOnlyList<double> weights)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(weights);
        if (values.Count != weights.Count || values.Count == 0)
        {
            throw new ArgumentException($"{values.Count} values, {weights.Count} weights", nameof(weights));
        }
        (Values, Weights) = (values, weights);
        var total = weights.Sum();
        Value = values.Sum() / total;
        if (values.Count > 1)
        {
            var squares = 0.0;
            for (var i = 0; i < values.Count; i++)
            {
                var rest = values[i] - (Value * weights[i]);
                squares += rest * rest;
            }
            StandardError = Math.Sqrt(squares * values.Count / (values.Count - 1)) / total;
        }
    }

    public IReadOnlyList<double> Values { get; }

    public IReadOnlyList<double> Weights { get; }

    public double Value { get; }

    /// <summary>Null with a single unit.</summary>
    public double? StandardError { get; }

    public int Units => Values.Count;

    /// <summary>
    /// A mean of items: weight 1 unless given; items with equal cluster keys become one unit, in the order in which keys
    /// first come.
    /// </summary>
    public static WeightedMean Of(
        IReadOnlyList<double> values,
        IReadOnlyList<double>? weights = null,
        IReadOnlyList<string>? clusters = null
    )
    {
        ArgumentNullException.ThrowIfNull(values);
        weights ??= [.. Enumerable.Repeat(1.0, values.Count)];
        if (clusters is null)
        {
            return new WeightedMean(values, weights);
        }
        var index = new Dictionary<string, int>(StringComparer.Ordinal);
        var (sums, totals) = (new List<double>(), new List<double>());
        for (var i = 0; i < values.Count; i++)
        {
            if (index.TryAdd(clusters[i], sums.Count))
            {
                sums.Add(0);
                totals.Add(0);
            }
            var unit = index[clusters[i]];
            sums[unit] += values[i];
            totals[unit] += weights[i];
        }
        return new WeightedMean(sums, totals);
    }

    /// <summary>Student's t test that the mean is zero, and its interval.</summary>
    public TTest Test() => new(Value, StandardError, Units - 1);
}
