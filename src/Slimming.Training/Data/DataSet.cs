using Slimming.Gguf;
using Slimming.LlamaCpp;

namespace Slimming.Training.Data;

/// <summary>
/// The samples of some data files, ready to train or evaluate on: up to 50,000 rows are held in memory, more are read as
/// they are needed.
/// </summary>
public abstract class DataSet : IDisposable
{
    /// <summary>Whether rows are read as they are needed. Counts of samples and tokens are estimates then.</summary>
    public abstract bool IsStreamed { get; }

    /// <summary>Whether libduckdb is needed to read the rows.</summary>
    public abstract bool UsesDuckDb { get; }

    /// <summary>Paths of all files read, in order.</summary>
    public abstract IReadOnlyList<string> Files { get; }

    /// <summary>Of all rows; kept, tokens and targets are of what is trained on.</summary>
    public abstract DataCounts Counts { get; }

    /// <summary>Of the rows that <see cref="DataOptions.EvalFraction"/> keeps for the evaluation; null: none are.</summary>
    public abstract DataCounts? HeldOutCounts { get; }

    /// <summary>How much of each source an epoch takes, where the files have weights.</summary>
    public abstract MixShares? Mix { get; }

    /// <summary>The first few rows of each fate that are not learnt as they stand, of those looked at.</summary>
    public abstract IReadOnlyList<RowRemark> Remarks { get; }

    /// <summary>Tokens of each sample to train on; where rows are streamed, of those looked at.</summary>
    public abstract IReadOnlyList<int> Lengths { get; }

    /// <summary>alpaca, chatml, model or a path; null where the rows need no template (text, prompt/completion, ids).</summary>
    public abstract string? TemplateName { get; }

    /// <summary>Hash of the chat template's text; null without one.</summary>
    public abstract string? TemplateSha256 { get; }

    /// <summary>The day in the rendered text, where the template prints it: repeat a run with the same one.</summary>
    public abstract DateOnly? TemplateDate { get; }

    /// <summary>No sample has more tokens.</summary>
    public abstract int Longest { get; }

    /// <summary>The first samples in file order.</summary>
    public abstract IEnumerable<Sample> First(int count);

    /// <summary>Which samples each step takes.</summary>
    /// <exception cref="SlimmingException">Exit code 2: options that these data do not go with.</exception>
    internal abstract ITrainSteps Steps(TrainOptions options);

    /// <summary>All samples, to evaluate on.</summary>
    internal abstract IEvalPass All();

    /// <summary>The held-out samples, to evaluate on; null: there are none.</summary>
    internal abstract IEvalPass? HeldOut();

    /// <summary>What <see cref="Open(DataOptions, ITokenizer, string?)"/> does with a model's vocabulary; it must stay open as long as the data.</summary>
    public static DataSet Open(DataOptions options, LlamaVocab vocab, string? modelTemplate) =>
        Open(options, new VocabTokenizer(vocab), modelTemplate);

    /// <exception cref="SlimmingException">A file or row cannot be used, or no sample is left.</exception>
    public static DataSet Open(DataOptions options, ITokenizer tokenizer, string? modelTemplate)
    {
        ArgumentNullException.ThrowIfNull(options);
        SampleSet.RefuseLength(options);
        var sources = DataSource.ParseAll(options.Files);
        return RowSource.Open(options, sources) is { } rows
            ? StreamedDataSet.Open(options, sources, rows, tokenizer, modelTemplate)
            : new HeldDataSet(
                SampleSet.Load(options, tokenizer, modelTemplate),
                DatasetReader.NeedsDuckDb(sources, options.Where)
            );
    }

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing) { }
}

/// <summary>A sample and the key of its random draws (dropout).</summary>
internal readonly record struct KeyedSample(Sample Sample, ulong Key);

/// <summary>Tokens of the micro-batch that has most of them, and targets of the one that has most of those.</summary>
internal readonly record struct BatchSize(int Tokens, int Targets)
{
    /// <summary>The larger of each.</summary>
    public BatchSize Or(BatchSize other) => new(Math.Max(Tokens, other.Tokens), Math.Max(Targets, other.Targets));
}

/// <summary>Which samples each step takes: a function of data and options alone.</summary>
internal interface ITrainSteps
{
    int TotalSteps { get; }

    int StepsIn(int epoch);

    /// <summary>The most that a micro-batch of the first epoch has; null where rows are read as they are needed.</summary>
    BatchSize? Largest(int fillTokens);

    /// <summary>In training order. Empty where none of the step's rows has a sample.</summary>
    IReadOnlyList<KeyedSample> Samples(int epoch, int step);

    /// <summary>Of the rows taken so far, each once; null where all were counted before. A resumed run sets it.</summary>
    DataCounts? Taken { get; set; }

    /// <summary>Of all rows; where they are streamed, fates and tokens are of those taken so far.</summary>
    DataCounts Counts { get; }
}

/// <summary>Samples to evaluate on.</summary>
internal interface IEvalPass
{
    /// <summary>All of them in file order.</summary>
    IEnumerable<KeyedSample> Samples();

    /// <summary>The most that a micro-batch has; null where rows are read as they are needed.</summary>
    BatchSize? Largest(int fillTokens);

    /// <summary>Estimated until a whole pass is done.</summary>
    DataCounts Counts { get; }
}
