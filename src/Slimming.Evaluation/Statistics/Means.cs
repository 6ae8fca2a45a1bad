namespace Slimming.Evaluation.Statistics;

/// <summary>Means of item scores and their spread.</summary>
public static class Means
{
    /// <summary>Sample standard deviation (n - 1); null below two values.</summary>
    public static double? Deviation(IReadOnlyList<double> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (values.Count < 2)
        {
            return null;
        }
        var mean = values.Average();
        return Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / (values.Count - 1));
    }

    /// <summary>Standard error of a mean: sample deviation (n - 1) over sqrt(n); null below two values.</summary>
    public static double? StandardError(IReadOnlyList<double> values) => Deviation(values) / Math.Sqrt(values.Count);
}
