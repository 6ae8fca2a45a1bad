using Slimming.Training.Data;

namespace Slimming.Training;

/// <summary>What a memory plan asks of the data.</summary>
internal sealed record PlannedData(DataSet Train, DataSet? Eval, TrainData Steps)
{
    public int Longest => Steps.Longest;

    /// <summary>Tokens of the samples that are held in memory.</summary>
    public long HeldTokens =>
        All.Where(set => !set.IsStreamed).Sum(set => set.Counts.Tokens + (set.HeldOutCounts?.Tokens ?? 0));

    /// <summary>Whether the vocabulary stays open.</summary>
    public bool IsStreamed => All.Any(set => set.IsStreamed);

    /// <summary>Whether rows were, or are, rendered by a Jinja template.</summary>
    public bool UsesTemplate => All.Any(set => set.TemplateSha256 is not null);

    /// <summary>Whether DuckDB read rows, or reads them.</summary>
    public bool UsesDuckDb => All.Any(set => set.UsesDuckDb);

    private IEnumerable<DataSet> All => Eval is null ? [Train] : [Train, Eval];

    /// <summary>The largest micro-batch of the run, of samples up to <paramref name="longest"/> tokens.</summary>
    public BatchSize Most(int fillTokens, int longest)
    {
        BatchSize any = new(Math.Max(fillTokens, longest), Math.Max(fillTokens, longest));
        if (Steps.Train.Largest(fillTokens) is not { } train)
        {
            return any;
        }
        var most = train.Or(Steps.Eval is null ? default : Steps.Eval.Largest(fillTokens) ?? any);
        // Other lengths than the data have are asked about: such a sample is taken to be all targets.
        return longest == Longest ? most
            : longest > Longest ? most.Or(new BatchSize(longest, longest))
            : new BatchSize(Math.Min(most.Tokens, any.Tokens), Math.Min(most.Targets, any.Targets));
    }
}
