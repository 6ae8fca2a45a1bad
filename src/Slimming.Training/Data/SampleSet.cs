using Slimming.Gguf;
using Slimming.LlamaCpp;

namespace Slimming.Training.Data;

/// <summary>
/// The samples of some data files, all in memory, in file and row order; <see cref="DataSet"/> reads many rows as they
/// are needed.
/// </summary>
public sealed class SampleSet
{
    private SampleSet(SampleCollector collected, IReadOnlyList<DataSource> sources, DataOptions options)
    {
        Remarks = collected.Remarks;
        (Samples, HeldOut) = Divide(collected.Samples, options);
        var heldOutRows = HeldOut.Select(s => (s.Source, s.Row)).Distinct().LongCount();
        Counts = Of(collected.Counts with { HeldOut = heldOutRows }, Samples);
        HeldOutCounts = Of(new DataCounts { Rows = heldOutRows }, HeldOut);
        if (sources[0].Weight is not null)
        {
            var empty = Enumerable.Range(0, sources.Count).FirstOrDefault(p => Samples.All(s => s.Part != p), -1);
            Mixture =
                empty < 0
                    ? new Mixture([.. sources.Select(s => s.Weight!.Value)], [.. Samples.Select(s => s.Part)])
                    : throw new SlimmingException(
                        ExitCode.Usage,
                        $"{sources[empty].Pattern}: no sample is left of it, so it cannot have a share of the mix"
                    );
        }
    }

    /// <summary>What is trained on.</summary>
    public IReadOnlyList<Sample> Samples { get; }

    /// <summary>What <see cref="DataOptions.EvalFraction"/> keeps for the evaluation: other rows than those of <see cref="Samples"/>.</summary>
    public IReadOnlyList<Sample> HeldOut { get; }

    /// <summary>Of all rows; kept, tokens and targets are those of <see cref="Samples"/>.</summary>
    public DataCounts Counts { get; }

    public DataCounts HeldOutCounts { get; }

    /// <summary>Which samples an epoch takes, where the files have weights.</summary>
    public Mixture? Mixture { get; }

    /// <summary>The first few rows of each fate that are not learnt as they stand.</summary>
    public IReadOnlyList<RowRemark> Remarks { get; }

    /// <summary>Paths of all files read, in order.</summary>
    public required IReadOnlyList<string> Files { get; init; }

    /// <summary>alpaca, chatml, model or a path; null where the rows need no template (text, prompt/completion, ids).</summary>
    public string? TemplateName { get; private init; }

    /// <summary>Hash of the chat template's text; null without one.</summary>
    public string? TemplateSha256 { get; private init; }

    /// <summary>The day in the rendered text, where the template prints it: repeat a run with the same one.</summary>
    public DateOnly? TemplateDate { get; private init; }

    public static SampleSet Load(DataOptions options, LlamaVocab vocab, string? modelTemplate) =>
        Load(options, new VocabTokenizer(vocab), modelTemplate);

    /// <exception cref="SlimmingException">A file or row cannot be used, or no sample is left.</exception>
    public static SampleSet Load(DataOptions options, ITokenizer tokenizer, string? modelTemplate)
    {
        ArgumentNullException.ThrowIfNull(options);
        RefuseLength(options);
        var sources = DataSource.ParseAll(options.Files);
        using RowReader reader = new(options, tokenizer, modelTemplate);
        SampleCollector collector = new(options, tokenizer);
        List<string> files = [];
        foreach (var row in Drawn(options, sources, files, collector))
        {
            reader.Read(row, collector);
        }
        RefuseEmpty(options, collector.Counts);
        return new SampleSet(collector, sources, options)
        {
            Files = files,
            TemplateName = reader.TemplateName,
            TemplateSha256 = reader.TemplateSha256,
            TemplateDate = reader.TemplateDate,
        };
    }

    internal static void RefuseLength(DataOptions options)
    {
        if (options.MaxLength < 2)
        {
            throw new SlimmingException(ExitCode.Usage, $"--max-length {options.MaxLength}: expected at least 2");
        }
    }

    /// <summary>Rows that <c>--where</c> and <c>--sample</c> leave; <paramref name="files"/> fills while they are read.</summary>
    private static IEnumerable<RawRow> Drawn(
        DataOptions options,
        IReadOnlyList<DataSource> sources,
        List<string> files,
        SampleCollector collector
    )
    {
        var rows = Candidates();
        if (options.Sample is not { } count)
        {
            return rows;
        }
        var drawn = RowDraw.Sample(rows, count, options.Seed).ToList();
        collector.CountNotDrawn(collector.Counts.Rows - collector.Counts.Filtered - drawn.Count);
        return drawn;

        IEnumerable<RawRow> Candidates()
        {
            foreach (var row in DatasetReader.Read(sources, options.Where))
            {
                if (row.Number == 0)
                {
                    files.Add(row.File);
                }
                collector.CountRow(filtered: row.Json is null);
                if (row.Json is not null)
                {
                    yield return row;
                }
            }
        }
    }

    private static void RefuseEmpty(DataOptions options, DataCounts counts)
    {
        if (counts.Kept == 0)
        {
            var filtered = options.Where is null ? "" : $", {counts.Filtered} left out by --where \"{options.Where}\"";
            throw new SlimmingException(
                ExitCode.Usage,
                $"{string.Join(", ", options.Files)}: no sample is left of {counts.Rows} rows "
                    + $"({counts.WithoutTarget} without a target, {counts.Dropped} longer than --max-length "
                    + $"{options.MaxLength} tokens and dropped{filtered})"
            );
        }
    }

    /// <summary>Whole rows go to one side or the other, so that no piece of a held-out row is trained on.</summary>
    private static (IReadOnlyList<Sample> Train, IReadOnlyList<Sample> HeldOut) Divide(
        IReadOnlyList<Sample> samples,
        DataOptions options
    )
    {
        if (options.EvalFraction is null)
        {
            return (samples, []);
        }
        var index = new Dictionary<(string, long), int>();
        foreach (var sample in samples)
        {
            index.TryAdd((sample.Source, sample.Row), index.Count);
        }
        var held = RowDraw.HeldOut(index.Count, RowDraw.HeldOutCount(options, index.Count), options.Seed);
        bool IsHeld(Sample sample) => held(index[(sample.Source, sample.Row)]);
        return ([.. samples.Where(s => !IsHeld(s))], [.. samples.Where(IsHeld)]);
    }

    private static DataCounts Of(DataCounts counts, IReadOnlyList<Sample> samples) =>
        counts with
        {
            Kept = samples.Count,
            Tokens = samples.Sum(s => (long)s.Tokens.Length),
            Targets = samples.Sum(s => (long)s.TargetCount),
        };
}
