using System.Text.Json.Serialization;
using Slimming.Evaluation.Statistics;

namespace Slimming.Evaluation.Comparing;

/// <summary>A base and the runs compared with it. Rates are fractions, differences tuned minus base.</summary>
public sealed record Comparison(
    ComparisonOptions Options,
    string Base,
    IReadOnlyList<RunComparison> Runs,
    IReadOnlyList<TaskSpread> Spread
);

/// <summary>One tuned run against the base.</summary>
/// <param name="Tuned">Its folder.</param>
/// <param name="Label">What was scored.</param>
/// <param name="Tasks">Tasks that both runs have.</param>
/// <param name="LeftOut">Tasks that only one of them has.</param>
/// <param name="Divergence">Distances between the two models' predictions, where a run measured one.</param>
/// <param name="Warnings">What does not forbid the comparison but may move a last digit.</param>
public sealed record RunComparison(
    string Tuned,
    string Label,
    IReadOnlyList<TaskComparison> Tasks,
    IReadOnlyList<string> LeftOut,
    IReadOnlyList<Divergence> Divergence,
    IReadOnlyList<string> Warnings
)
{
    /// <summary>Items that training rows share words with; null where it is not known what was trained on.</summary>
    public Overlap? Overlap { get; init; }
}

/// <summary>One task or group of both runs; transitions are null where the primary metric is not right or wrong.</summary>
public sealed record TaskComparison(
    string Task,
    string TaskVersion,
    IReadOnlyList<MetricComparison> Metrics,
    IReadOnlyList<StudyMeasure> Study,
    TransitionTable? Transitions
)
{
    /// <summary>The group that this task or part is tested with, as one; null where it is tested for itself.</summary>
    public string? PartOf { get; init; }

    /// <summary>The metric that the corrected p values are about.</summary>
    [JsonIgnore]
    public MetricComparison Primary => Metrics.First(metric => metric.Primary);
}

/// <summary>One model's score. The interval is Wilson's where items are right or wrong, else Student's t; null for a perplexity.</summary>
public sealed record Score(double Value, double? Stderr, Interval? Interval);

/// <summary>One metric of both models on the same items.</summary>
public sealed record MetricComparison
{
    public required string Metric { get; init; }
    public required bool Primary { get; init; }

    /// <summary>What difference, errors and margin are in: share, nats per word, bits per byte...</summary>
    public required string Unit { get; init; }

    public required long N { get; init; }

    /// <summary>Texts that items share; null where every item stands for itself.</summary>
    public int? Clusters { get; init; }

    public required Score Base { get; init; }
    public required Score Tuned { get; init; }

    /// <summary>Tuned minus base.</summary>
    public required double Difference { get; init; }

    /// <summary>Paired; over clusters where there are any.</summary>
    public double? Stderr { get; init; }

    /// <summary>Student's t around the difference.</summary>
    public Interval? Interval { get; init; }

    /// <summary>Paired bootstrap, bias corrected and accelerated; null where all items moved alike: resamples then show nothing.</summary>
    public Interval? Bootstrap { get; init; }

    /// <summary>Exact McNemar of items that are right or wrong.</summary>
    [JsonPropertyName("mcnemar")]
    public McNemar? McNemar { get; init; }

    /// <summary>What <see cref="P"/> comes from: exact McNemar, paired t, clustered t, or sign flip where t is not defined.</summary>
    public required string Test { get; init; }

    public double? P { get; init; }

    /// <summary>Holm over the primary metrics of all tasks; null for other metrics and for parts of a group.</summary>
    public double? PHolm { get; init; }

    /// <summary>Smallest difference found with the asked power at this n; null where none can be.</summary>
    public double? Mde { get; init; }

    /// <summary>Two one-sided tests against the margin.</summary>
    public double? PEquivalence { get; init; }

    /// <summary>better, worse, equivalent, undecided; null for other than primary metrics and for parts of a group.</summary>
    public string? Verdict { get; init; }
}

/// <summary>FR, delta A or delta K of the first study, in per cent or points, with standard error and interval told apart.</summary>
/// <param name="Name">FR, delta_A or delta_K.</param>
/// <param name="Metric">From which metric.</param>
/// <param name="Definition">With its sign.</param>
/// <param name="Value">Per cent (FR) or percentage points.</param>
/// <param name="Stderr">Paired: both models answered the same items.</param>
/// <param name="Interval">Value +- z paired errors.</param>
/// <param name="StderrUnpaired">As the study had it, as if the items were different ones.</param>
/// <param name="IntervalUnpaired">Value +- z of those.</param>
public sealed record StudyMeasure(
    string Name,
    string Metric,
    string Definition,
    double Value,
    double? Stderr,
    Interval? Interval,
    double? StderrUnpaired,
    Interval? IntervalUnpaired
);

/// <summary>Items by what became of them, and those that changed.</summary>
public sealed record TransitionTable(
    string Metric,
    long RightRight,
    long RightWrong,
    long WrongRight,
    long WrongWrong,
    IReadOnlyList<Transition> Items
);

/// <param name="Kind">right_to_wrong or wrong_to_right.</param>
/// <param name="Doc">Row of the data file.</param>
/// <param name="ItemHash">Of its raw data.</param>
/// <param name="Question">What the models were asked; null where the run kept no texts.</param>
/// <param name="Expected">The right choice or the target.</param>
/// <param name="BaseAnswer">What the base chose or wrote.</param>
/// <param name="TunedAnswer">What the tuned model chose or wrote.</param>
public sealed record Transition(
    string Kind,
    long Doc,
    string ItemHash,
    string? Question,
    string? Expected,
    string? BaseAnswer,
    string? TunedAnswer
);

/// <summary>
/// Several tuned runs of one base: their primary differences as mean and spread over runs. The interval is Student's t
/// over runs: where the mean of more seeds would lie on these items, not what other items would show.
/// </summary>
public sealed record TaskSpread(
    string Task,
    string Metric,
    int Runs,
    double Base,
    double MeanTuned,
    double MeanDifference,
    double? Deviation,
    double Lowest,
    double Highest,
    Interval? Interval
);
