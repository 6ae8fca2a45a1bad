namespace Slimming.Training.Data;

/// <summary>
/// Steps over rows: each takes as many rows as the options say, and their samples, be they none, one or several. So the
/// number of steps follows from the number of rows.
/// </summary>
internal sealed class StreamedSteps : ITrainSteps
{
    private const ulong PieceStream = 0x5049454345303031;
    private const ulong PartStream = 0x504152544F524452;

    private readonly StreamedDataSet _set;
    private readonly RowStream[] _streams;
    private readonly MixOrder? _mix;
    private readonly long _epochRows;
    private readonly int _stepRows;
    private readonly SampleCollector _taken;
    private readonly SampleCollector _again;

    public StreamedSteps(TrainOptions options, StreamedDataSet set)
    {
        _set = set;
        (_taken, _again) = (set.Collector(), set.Collector());
        ulong? seed = options.Shuffle ? (ulong)options.Seed : null;
        if (set.Mix is { } mix)
        {
            _mix = new MixOrder(mix.Drawn, alternate: options.Shuffle);
            _streams =
            [
                .. mix.Drawn.Select(
                    (_, part) =>
                        set.TrainRows(
                            part,
                            seed is { } value ? CounterRandom.Bits(value, PartStream, (ulong)part) : null
                        )
                ),
            ];
            _epochRows = mix.Drawn.Sum();
        }
        else
        {
            _streams = [set.TrainRows(null, seed)];
            _epochRows = _streams[0].Count;
        }
        _stepRows = options.StepSize;
        TotalSteps = options.Steps ?? CountSteps(options.Epochs!.Value);
    }

    public int TotalSteps { get; }

    public DataCounts? Taken
    {
        get => _taken.Counts;
        set => _taken.Restore(value ?? new DataCounts());
    }

    public DataCounts Counts => _set.CompleteTrain(_taken.Counts, _taken.Counts.Rows);

    public int StepsIn(int epoch) => StepPlanner.Checked((_epochRows + _stepRows - 1) / _stepRows);

    public BatchSize? Largest(int fillTokens) => null;

    public IReadOnlyList<KeyedSample> Samples(int epoch, int step)
    {
        List<KeyedSample> samples = [];
        var end = Math.Min((step + 1L) * _stepRows, _epochRows);
        for (var position = (long)step * _stepRows; position < end; position++)
        {
            AddRow(epoch, position, samples);
        }
        return samples;
    }

    private int CountSteps(double epochs)
    {
        var whole = (long)Math.Floor(epochs);
        return StepPlanner.Checked((whole * StepsIn(0)) + (long)Math.Ceiling((epochs - whole) * StepsIn(0)));
    }

    private void AddRow(int epoch, long position, List<KeyedSample> samples)
    {
        var (part, place, order) = (0, position, epoch);
        if (_mix is not null)
        {
            // One order for all epochs, gone through round and round: what an epoch leaves over comes next.
            (part, var index) = _mix.At(position);
            place = ((long)epoch * _set.Mix!.Drawn[part]) + index;
            order = 0;
        }
        var stream = _streams[part];
        var isFirst = _mix is null ? epoch == 0 : place < stream.Count;
        var (rank, file, row) = stream.At(order, place % stream.Count);
        var collector = isFirst ? _taken : _again;
        collector.CountRow(filtered: false);
        _set.Read(file, row, collector);
        var key = BatchPlanner.SampleKey(epoch, unchecked((int)rank));
        foreach (var (piece, sample) in collector.Take().Index())
        {
            samples.Add(new KeyedSample(sample, piece == 0 ? key : CounterRandom.Bits(key, PieceStream, (ulong)piece)));
        }
    }
}
