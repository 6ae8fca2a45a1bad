namespace Slimming.Training.Data;

/// <summary>All samples in memory.</summary>
internal sealed class HeldDataSet(SampleSet set, bool usesDuckDb) : DataSet
{
    public override bool IsStreamed => false;
    public override bool UsesDuckDb => usesDuckDb;
    public override IReadOnlyList<string> Files => set.Files;
    public override DataCounts Counts => set.Counts;
    public override DataCounts? HeldOutCounts => set.HeldOut.Count > 0 ? set.HeldOutCounts : null;
    public override MixShares? Mix => set.Mixture?.Mix;
    public override IReadOnlyList<RowRemark> Remarks => set.Remarks;
    public override IReadOnlyList<int> Lengths => [.. set.Samples.Select(sample => sample.Tokens.Length)];
    public override string? TemplateName => set.TemplateName;
    public override string? TemplateSha256 => set.TemplateSha256;
    public override DateOnly? TemplateDate => set.TemplateDate;
    public override int Longest => set.Samples.Concat(set.HeldOut).Max(sample => sample.Tokens.Length);

    public override IEnumerable<Sample> First(int count) => set.Samples.Take(count);

    internal override ITrainSteps Steps(TrainOptions options) => new HeldSteps(set, Lengths, options);

    internal override IEvalPass All() => new HeldPass(set.Samples, set.Counts);

    internal override IEvalPass? HeldOut() =>
        set.HeldOut.Count > 0 ? new HeldPass(set.HeldOut, set.HeldOutCounts) : null;

    private sealed class HeldSteps(SampleSet set, IReadOnlyList<int> lengths, TrainOptions options) : ITrainSteps
    {
        private readonly StepPlanner _planner = new(lengths, options, set.Mixture);

        public int TotalSteps => _planner.TotalSteps;

        public DataCounts? Taken
        {
            get => null;
            set { }
        }

        public DataCounts Counts => set.Counts;

        public int StepsIn(int epoch) => _planner.Epoch(epoch).Count;

        public BatchSize? Largest(int fillTokens) =>
            _planner
                .Epoch(0)
                .Take(TotalSteps)
                .Select(step => BatchPlanner.Largest(step.Select(i => set.Samples[i]), fillTokens))
                .Aggregate((most, size) => most.Or(size));

        public IReadOnlyList<KeyedSample> Samples(int epoch, int step) =>
            [
                .. _planner
                    .Epoch(epoch)[step]
                    .Select(i => new KeyedSample(set.Samples[i], BatchPlanner.SampleKey(epoch, i))),
            ];
    }

    private sealed class HeldPass(IReadOnlyList<Sample> samples, DataCounts counts) : IEvalPass
    {
        public DataCounts Counts => counts;

        public BatchSize? Largest(int fillTokens) => BatchPlanner.Largest(samples, fillTokens);

        public IEnumerable<KeyedSample> Samples() => samples.Select((sample, i) => new KeyedSample(sample, (ulong)i));
    }
}
