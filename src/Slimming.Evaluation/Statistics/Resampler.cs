namespace Slimming.Evaluation.Statistics;

/// <summary>Means of units drawn with replacement, as many as there are.</summary>
internal abstract class Resampler
{
    /// <summary>Up to so many kinds of units, drawing how often each kind comes is quicker than drawing every unit.</summary>
    private const int MostKinds = 8;

    public static Resampler Of(WeightedMean sample)
    {
        var kinds = new Dictionary<(double Value, double Weight), int>();
        for (var i = 0; i < sample.Units; i++)
        {
            var kind = (sample.Values[i], sample.Weights[i]);
            kinds[kind] = kinds.GetValueOrDefault(kind) + 1;
            if (kinds.Count > MostKinds)
            {
                return new ByUnit([.. sample.Values], [.. sample.Weights]);
            }
        }
        return new ByCount(
            [
                .. kinds
                    .Select(kind => (kind.Key.Value, kind.Key.Weight, Count: kind.Value))
                    .OrderBy(kind => kind.Count)
                    .ThenBy(kind => kind.Value)
                    .ThenBy(kind => kind.Weight),
            ],
            sample.Units
        );
    }

    /// <summary>The mean of one resample.</summary>
    public abstract double Next(Random random);

    private sealed class ByUnit(double[] values, double[] weights) : Resampler
    {
        public override double Next(Random random)
        {
            var (sum, total) = (0.0, 0.0);
            for (var i = 0; i < values.Length; i++)
            {
                var unit = random.Next(values.Length);
                sum += values[unit];
                total += weights[unit];
            }
            return sum / total;
        }
    }

    /// <summary>
    /// How often each kind is drawn is multinomial: a binomial count for each in turn, of what the kinds before left over,
    /// and the rest for the last. 0/1 differences have three kinds.
    /// </summary>
    private sealed class ByCount : Resampler
    {
        private readonly (double Value, double Weight, int Count)[] _kinds;
        private readonly int _units;
        private readonly double[] _shares;
        private readonly Dictionary<int, BinomialTable>[] _tables;

        public ByCount((double Value, double Weight, int Count)[] kinds, int units)
        {
            (_kinds, _units) = (kinds, units);
            _shares = new double[kinds.Length];
            var left = units;
            for (var kind = 0; kind < kinds.Length; kind++)
            {
                _shares[kind] = (double)kinds[kind].Count / left;
                left -= kinds[kind].Count;
            }
            _tables = [.. kinds.Select(_ => new Dictionary<int, BinomialTable>())];
        }

        public override double Next(Random random)
        {
            var (sum, total, left) = (0.0, 0.0, _units);
            for (var kind = 0; kind < _kinds.Length; kind++)
            {
                var drawn = left;
                if (kind < _kinds.Length - 1 && left > 0)
                {
                    if (!_tables[kind].TryGetValue(left, out var table))
                    {
                        table = new BinomialTable(left, _shares[kind]);
                        _tables[kind].Add(left, table);
                    }
                    drawn = table.Draw(random.NextDouble());
                }
                sum += drawn * _kinds[kind].Value;
                total += drawn * _kinds[kind].Weight;
                left -= drawn;
            }
            return sum / total;
        }
    }
}

/// <summary>Draws of a binomial variable by inversion of its distribution function.</summary>
internal sealed class BinomialTable
{
    /// <summary>Counts less probable than this, against the most probable one, are never drawn.</summary>
    private const double Negligible = 1e-18;

    private readonly int _first;
    private readonly double[] _cumulative;

    /// <param name="n">Trials.</param>
    /// <param name="p">Chance of each, between 0 and 1, both excluded.</param>
    public BinomialTable(int n, double p)
    {
        var mode = Math.Min(n, (int)((n + 1) * p));
        var odds = p / (1 - p);
        var below = new List<double>();
        for (var (k, mass) = (mode, 1.0); k > 0 && mass > Negligible; k--)
        {
            mass *= k / ((n - k + 1) * odds);
            below.Add(mass);
        }
        var above = new List<double>();
        for (var (k, mass) = (mode, 1.0); k < n && mass > Negligible; k++)
        {
            mass *= (n - k) * odds / (k + 1);
            above.Add(mass);
        }
        _first = mode - below.Count;
        below.Reverse();
        double[] masses = [.. below, 1.0, .. above];
        var total = masses.Sum();
        var sum = 0.0;
        _cumulative = Array.ConvertAll(masses, mass => (sum += mass) / total);
        _cumulative[^1] = 1;
    }

    /// <summary>The count whose step of the distribution function holds a uniform number of [0, 1).</summary>
    public int Draw(double uniform)
    {
        var place = Array.BinarySearch(_cumulative, uniform);
        return _first + (place < 0 ? ~place : place + 1);
    }
}
