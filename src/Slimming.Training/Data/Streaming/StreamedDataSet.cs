using Slimming.Gguf;

namespace Slimming.Training.Data;

/// <summary>Rows that are read and tokenized as they are needed; counts before that are estimated from some of them.</summary>
internal sealed class StreamedDataSet : DataSet
{
    /// <summary>Neighbours among the rows looked at: a stretch costs about as much as a row.</summary>
    private const int StretchRows = 16;

    private readonly DataOptions _options;
    private readonly ITokenizer _tokenizer;
    private readonly RowSource _source;
    private readonly RowReader _reader;
    private readonly List<int> _lengths = [];

    private StreamedDataSet(
        DataOptions options,
        IReadOnlyList<DataSource> sources,
        RowSource source,
        ITokenizer tokenizer,
        string? modelTemplate
    )
    {
        // Nothing is known of the lengths yet: rows beyond the model's context are cut, not refused in mid-run.
        var longest = Math.Min(options.MaxLength, options.ContextLength ?? int.MaxValue);
        _options = options with { MaxLength = longest, ContextLength = null };
        (_tokenizer, _source) = (tokenizer, source);
        _reader = new RowReader(_options, tokenizer, modelTemplate);
        Files = [.. source.Files];
        UsesDuckDb = DatasetReader.NeedsDuckDb(sources, options.Where);
        try
        {
            (Counts, Remarks) = Estimate(source.Train, _lengths);
            HeldOutCounts = source.HeldOut.Count > 0 ? Estimate(source.HeldOut, []).Counts : null;
            Mix = sources[0].Weight is null ? null : Shares(sources);
        }
        catch
        {
            _reader.Dispose();
            throw;
        }
    }

    public override bool IsStreamed => true;
    public override bool UsesDuckDb { get; }
    public override IReadOnlyList<string> Files { get; }
    public override DataCounts Counts { get; }
    public override DataCounts? HeldOutCounts { get; }
    public override MixShares? Mix { get; }
    public override IReadOnlyList<RowRemark> Remarks { get; }
    public override IReadOnlyList<int> Lengths => _lengths;
    public override string? TemplateName => _reader.TemplateName;
    public override string? TemplateSha256 => _reader.TemplateSha256;
    public override DateOnly? TemplateDate => _reader.TemplateDate;
    public override int Longest => _options.MaxLength;

    public static StreamedDataSet Open(
        DataOptions options,
        IReadOnlyList<DataSource> sources,
        RowSource source,
        ITokenizer tokenizer,
        string? modelTemplate
    )
    {
        try
        {
            return new StreamedDataSet(options, sources, source, tokenizer, modelTemplate);
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    public override IEnumerable<Sample> First(int count)
    {
        SampleCollector collector = new(_options, _tokenizer);
        var rows = Math.Min(_source.Train.Count, _options.Limits.LookedAtRows);
        foreach (var (file, place) in _source.Locate(_source.Train.Take(0, rows)))
        {
            if (collector.Samples.Count >= count)
            {
                break;
            }
            Read(file, place, collector);
        }
        return collector.Samples.Take(count);
    }

    internal override ITrainSteps Steps(TrainOptions options)
    {
        if (options.Packing)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"--packing: the data has {_source.Train.Count} rows; beyond {StreamLimits.MostHeldRows} they are read as "
                    + "they are needed, and how they fill rows is not known before. Leave it out (samples are never "
                    + "padded, so nothing is computed for less) and give a larger --batch-size, or take fewer rows with "
                    + "--sample"
            );
        }
        return new StreamedSteps(options, this);
    }

    internal override IEvalPass All() => new StreamedPass(this, _source.Train, Counts);

    internal override IEvalPass? HeldOut() =>
        HeldOutCounts is { } counts ? new StreamedPass(this, _source.HeldOut, counts) : null;

    /// <summary>Counts nothing yet.</summary>
    internal SampleCollector Collector() => new(_options, _tokenizer);

    /// <summary>The rows to train on of a source, or of all; <paramref name="seed"/> null: in file order.</summary>
    internal RowStream TrainRows(int? part, ulong? seed) =>
        new(
            _source,
            _source.Train,
            part is { } one ? _source.RanksOf(one, _source.Train) : (0, _source.Train.Count),
            _options.Limits,
            seed
        );

    internal RowStream Rows(RowSelection selection) =>
        new(_source, selection, (0, selection.Count), _options.Limits, null);

    /// <summary>Reads, tokenizes and counts one row.</summary>
    internal void Read(RowFile file, RowPlace place, SampleCollector collector)
    {
        if (!_reader.Knows(file.Path))
        {
            _reader.Read(_source.FirstRow(file), Collector());
        }
        _reader.Read(file.Read(place), collector);
    }

    /// <summary>What is known of all rows, with the fates of those that were taken to train on.</summary>
    internal DataCounts CompleteTrain(DataCounts seen, long examined) => Complete(_source.Train, seen, examined);

    /// <summary>What is known of all rows, with the fates of those that a collector saw.</summary>
    /// <param name="selection">The rows that were to be seen.</param>
    /// <param name="seen">Counts of those seen.</param>
    /// <param name="examined">How many that were.</param>
    internal DataCounts Complete(RowSelection selection, DataCounts seen, long examined)
    {
        var held = ReferenceEquals(selection, _source.HeldOut);
        return seen with
        {
            Rows = held ? selection.Count : _source.Rows,
            Filtered = held ? 0 : _source.Rows - _source.Candidates.Count,
            NotDrawn = held ? 0 : _source.Candidates.Count - _source.Train.Count - _source.HeldOut.Count,
            HeldOut = held ? 0 : _source.HeldOut.Count,
            Examined = examined == selection.Count ? null : examined,
        };
    }

    protected override void Dispose(bool disposing)
    {
        _reader.Dispose();
        _source.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>Counts of all rows of a selection, from stretches of rows spread evenly over it.</summary>
    private (DataCounts Counts, IReadOnlyList<RowRemark> Remarks) Estimate(RowSelection selection, List<int> lengths)
    {
        var collector = Collector();
        var places = _source.Locate(LookedAt(selection));
        foreach (var (file, place) in places)
        {
            Read(file, place, collector);
        }
        lengths.AddRange(collector.Samples.Select(sample => sample.Tokens.Length));
        if (collector.Counts.Kept == 0)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"{string.Join(", ", _options.Files)}: no sample is left of {places.Count} rows spread over "
                    + $"{selection.Count} ({collector.Counts.WithoutTarget} without a target, {collector.Counts.Dropped} "
                    + $"longer than {_options.MaxLength} tokens and dropped)"
            );
        }
        var counts = Scale(collector.Counts, (double)selection.Count / places.Count);
        counts = Complete(selection, counts, places.Count);
        return (counts with { Estimated = counts.Examined is not null }, collector.Remarks);
    }

    /// <summary>Rows of a selection in stretches that are spread evenly over it; all of them where they are few.</summary>
    private IEnumerable<long> LookedAt(RowSelection selection)
    {
        var most = _options.Limits.LookedAtRows;
        if (selection.Count <= most)
        {
            return selection.Take(0, selection.Count);
        }
        var stretches = Math.Max(2, most / StretchRows);
        var rows = most / stretches;
        return Enumerable
            .Range(0, stretches)
            .SelectMany(i => selection.Take((long)((Int128)(selection.Count - rows) * i / (stretches - 1)), rows));
    }

    private static DataCounts Scale(DataCounts counts, double factor)
    {
        long Of(long count) => (long)Math.Round(count * factor);
        return counts with
        {
            Kept = Of(counts.Kept),
            Truncated = Of(counts.Truncated),
            Dropped = Of(counts.Dropped),
            Split = Of(counts.Split),
            WithoutTarget = Of(counts.WithoutTarget),
            WithoutEnd = Of(counts.WithoutEnd),
            EmptyAnswer = Of(counts.EmptyAnswer),
            Tokens = Of(counts.Tokens),
            Targets = Of(counts.Targets),
        };
    }

    private MixShares Shares(IReadOnlyList<DataSource> sources)
    {
        var rows = sources.Select((_, part) => _source.RanksOf(part, _source.Train).Count).ToArray();
        var empty = Array.IndexOf(rows, 0);
        return empty < 0
            ? new MixShares([.. sources.Select(source => source.Weight!.Value)], rows)
            : throw new SlimmingException(
                ExitCode.Usage,
                $"{sources[empty].Pattern}: no row is left of it, so it cannot have a share of the mix"
            );
    }
}
