namespace Slimming.Training.Data;

/// <summary>The rows of a selection in file order, read anew in each evaluation.</summary>
internal sealed class StreamedPass(StreamedDataSet set, RowSelection selection, DataCounts estimated) : IEvalPass
{
    public DataCounts Counts { get; private set; } = estimated;

    public BatchSize? Largest(int fillTokens) => null;

    public IEnumerable<KeyedSample> Samples()
    {
        var rows = set.Rows(selection);
        var collector = set.Collector();
        ulong key = 0;
        for (long position = 0; position < rows.Count; position++)
        {
            var (_, file, place) = rows.At(0, position);
            set.Read(file, place, collector);
            foreach (var sample in collector.Take())
            {
                yield return new KeyedSample(sample, key++);
            }
        }
        Counts = set.Complete(selection, collector.Counts, rows.Count);
    }
}
