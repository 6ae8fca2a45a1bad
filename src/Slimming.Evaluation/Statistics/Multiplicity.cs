namespace Slimming.Evaluation.Statistics;

/// <summary>p values adjusted for how many tests were made, in the order given, at most 1; reject at adjusted p &lt;= alpha.</summary>
public static class Multiplicity
{
    /// <summary>Holm's step-down (1979): keeps the chance of any false finding below alpha.</summary>
    public static double[] Holm(IReadOnlyList<double> p)
    {
        var order = Order(p);
        var adjusted = new double[order.Length];
        var running = 0.0;
        for (var i = 0; i < order.Length; i++)
        {
            running = Math.Max(running, Math.Min(1, (order.Length - i) * p[order[i]]));
            adjusted[order[i]] = running;
        }
        return adjusted;
    }

    public static double[] Bonferroni(IReadOnlyList<double> p)
    {
        ArgumentNullException.ThrowIfNull(p);
        return [.. p.Select(value => Math.Min(1, p.Count * value))];
    }

    /// <summary>Benjamini and Hochberg (1995): keeps the expected share of false findings below alpha.</summary>
    public static double[] BenjaminiHochberg(IReadOnlyList<double> p)
    {
        var order = Order(p);
        var adjusted = new double[order.Length];
        var running = 1.0;
        for (var i = order.Length - 1; i >= 0; i--)
        {
            running = Math.Min(running, order.Length * p[order[i]] / (i + 1));
            adjusted[order[i]] = running;
        }
        return adjusted;
    }

    private static int[] Order(IReadOnlyList<double> p)
    {
        ArgumentNullException.ThrowIfNull(p);
        return [.. Enumerable.Range(0, p.Count).OrderBy(i => p[i])];
    }
}
