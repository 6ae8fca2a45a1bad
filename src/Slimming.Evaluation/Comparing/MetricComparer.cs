using Slimming.Evaluation.Scoring;
using Slimming.Evaluation.Statistics;
using Slimming.Results;

namespace Slimming.Evaluation.Comparing;

/// <summary>One metric over paired items: scores, difference, tests.</summary>
internal sealed class MetricComparer
{
    private const double StudyLevel = 0.95;

    /// <summary>Unit of scores between 0 and 1.</summary>
    private const string Share = "share";
    private readonly string _task;
    private readonly string _metric;
    private readonly ComparisonOptions _options;
    private readonly double[] _base;
    private readonly double[] _tuned;
    private readonly double[] _weights;
    private readonly string[]? _clusters;
    private readonly WeightedMean _difference;

    public MetricComparer(
        string task,
        string metric,
        IReadOnlyList<(ItemRow Base, ItemRow Tuned)> pairs,
        ComparisonOptions options
    )
    {
        (_task, _metric, _options) = (task, metric, options);
        _base = [.. pairs.Select(pair => ItemMetrics.Score(metric, pair.Base))];
        _tuned = [.. pairs.Select(pair => ItemMetrics.Score(metric, pair.Tuned))];
        _weights = [.. pairs.Select(pair => ItemMetrics.Weight(metric, pair.Base))];
        _clusters = ClustersOf(pairs);
        _difference = WeightedMean.Of([.. _tuned.Zip(_base, (now, old) => now - old)], _weights, _clusters);
        IsBinary =
            _base.Concat(_tuned).All(score => score is 0 or 1) && !ItemMetrics.IsPerplexity(metric) && !IsOverTokens;
    }

    /// <summary>Sums over the tokens of a window: a share or a mean of tokens, not of items.</summary>
    private bool IsOverTokens => _metric is "mean_kl" or "same_top_1";

    /// <summary>Every item is right or wrong.</summary>
    public bool IsBinary { get; }

    public MetricComparison Compare(bool primary)
    {
        var test = _difference.Test();
        var changes = IsBinary
            ? new McNemar(Count((old, now) => old > now), Count((old, now) => old < now))
            : (McNemar?)null;
        var (name, p) = Test(test, changes);
        return new MetricComparison
        {
            Metric = _metric,
            Primary = primary,
            Unit = Unit(_metric),
            N = _base.Length,
            Clusters = _clusters is null ? null : _difference.Units,
            Base = ScoreOf(_base),
            Tuned = ScoreOf(_tuned),
            Difference = _difference.Value,
            Stderr = _difference.StandardError,
            Interval = test.Interval(_options.Level),
            Bootstrap =
                _difference.StandardError > 0
                    ? PairedBootstrap.Draw(_difference, _options.Resamples, _options.Seed).Bca(_options.Level)
                    : null,
            McNemar = changes,
            Test = name,
            P = p,
            Mde = Detectable(changes),
            PEquivalence = PEquivalence(test),
        };
    }

    /// <summary>FR of generations, delta K of MMLU, delta A of other choices, as the first study names them.</summary>
    public StudyMeasure? Study()
    {
        if (!IsBinary)
        {
            return null;
        }
        var (start, tuned) = (WeightedMean.Of(_base, null, _clusters), WeightedMean.Of(_tuned, null, _clusters));
        var unpaired =
            start.StandardError is { } first && tuned.StandardError is { } second
                ? Math.Sqrt((first * first) + (second * second))
                : (double?)null;
        if (_metric is not ("acc" or "acc_norm"))
        {
            return Forgetting(start, tuned);
        }
        var mmlu = _task.StartsWith("mmlu", StringComparison.Ordinal);
        var value = 100 * (mmlu ? 0 - _difference.Value : _difference.Value);
        return new StudyMeasure(
            mmlu ? "delta_K" : "delta_A",
            _metric,
            mmlu ? "base - tuned, points; positive is a loss" : "tuned - base, points; positive is a gain",
            value,
            100 * _difference.StandardError,
            Around(value, 100 * _difference.StandardError),
            100 * unpaired,
            Around(value, 100 * unpaired)
        );
    }

    private StudyMeasure? Forgetting(WeightedMean start, WeightedMean tuned)
    {
        if (start.Value == 0)
        {
            return null;
        }
        var paired = Ratio.OfPaired(_tuned, _base, _clusters);
        var unpaired =
            start.StandardError is { } first && tuned.StandardError is { } second
                ? Ratio.Of(tuned.Value, second, start.Value, first)
                : (Ratio?)null;
        return new StudyMeasure(
            "FR",
            _metric,
            "100 (1 - tuned / base), per cent; positive is a loss",
            100 * (1 - (tuned.Value / start.Value)),
            paired?.ForgettingErrorPercent,
            Known(paired),
            unpaired?.ForgettingErrorPercent,
            Known(unpaired)
        );
    }

    private static Interval? Known(Ratio? ratio) =>
        ratio is { StandardError: > 0 } known ? known.ForgettingInterval(StudyLevel) : null;

    /// <summary>None where no item changed: an error of 0 says how few there are, not that there is none.</summary>
    private static Interval? Around(double value, double? error) =>
        error is > 0 and { } known ? Interval.Around(value, Distributions.Z95 * known) : null;

    /// <summary>Exact McNemar supposes independent items; clusters and other scores get Student's t over units.</summary>
    private (string Name, double? P) Test(TTest test, McNemar? changes)
    {
        if (changes is { } counts && _clusters is null)
        {
            return ("exact McNemar", counts.PExact);
        }
        var name = _clusters is null ? "paired t" : "clustered t";
        if (test.P is { } p)
        {
            return (name, p);
        }
        // Without spread t is not defined: all signs equal has probability 2 / 2^units, no change at all is no evidence.
        return _difference.Value == 0 ? (name, 1) : ("sign flip", Math.Min(1, Math.Pow(2, 1 - _difference.Units)));
    }

    private double? Detectable(McNemar? changes)
    {
        if (changes is { } counts && _clusters is null)
        {
            var share = (double)(counts.B + counts.C) / _base.Length;
            return McNemar.MinimumDetectable(_base.Length, share, _options.Alpha, _options.Power);
        }
        var z = Distributions.NormalQuantile(1 - (_options.Alpha / 2)) + Distributions.NormalQuantile(_options.Power);
        return _difference.StandardError is > 0 ? z * _difference.StandardError : null;
    }

    private double? PEquivalence(TTest test) =>
        Unit(_metric) == Share && !IsOverTokens && _difference.Values.All(value => value == 0)
            ? Equivalence.OfUnchanged(_difference.Units, -_options.Margin, _options.Margin).P
            : Equivalence.Of(test, -_options.Margin, _options.Margin)?.P;

    private Score ScoreOf(double[] scores)
    {
        var mean = WeightedMean.Of(scores, _weights, _clusters);
        if (ItemMetrics.IsPerplexity(_metric))
        {
            var shown = ItemMetrics.Shown(_metric, mean.Value);
            // The error of exp(m) is exp(m) times that of m; bits per byte are the mean itself.
            var factor = _metric == "bits_per_byte" ? 1 : shown;
            return new Score(shown, factor * mean.StandardError, null);
        }
        return _metric == "same_top_1"
            ? new Score(mean.Value, mean.StandardError, Proportions.Wilson(mean, _options.Level))
            : new Score(mean.Value, mean.StandardError, IsBinary ? Wilson(mean) : Bounded(mean));
    }

    /// <summary>Clustered items are worth as many independent ones as would have the same error.</summary>
    private Interval Wilson(WeightedMean mean) =>
        _clusters is null
            ? Proportions.Wilson(mean.Value, _base.Length, _options.Level)
            : Proportions.Wilson(mean, _options.Level);

    /// <summary>Scores between 0 and 1 that are neither: Student's t, which must not leave that range. A divergence has no upper end.</summary>
    private Interval? Bounded(WeightedMean mean) =>
        mean.Test().Interval(_options.Level) is { } found
            ? new Interval(Math.Max(0, found.Low), IsOverTokens ? found.High : Math.Min(1, found.High))
            : null;

    private long Count(Func<double, double, bool> predicate) => _base.Zip(_tuned, predicate).LongCount(found => found);

    /// <summary>Null where no two items share a text.</summary>
    private static string[]? ClustersOf(IReadOnlyList<(ItemRow Base, ItemRow Tuned)> pairs)
    {
        string[] keys = [.. pairs.Select(pair => pair.Base.Cluster ?? $"item {pair.Base.Doc} of {pair.Base.Task}")];
        return keys.Distinct(StringComparer.Ordinal).Count() < keys.Length ? keys : null;
    }

    private static string Unit(string metric) =>
        metric switch
        {
            "word_perplexity" => "nats per word",
            "byte_perplexity" => "nats per byte",
            "bits_per_byte" => "bits per byte",
            "token_perplexity" or "mean_kl" => "nats per token",
            _ => Share,
        };
}
