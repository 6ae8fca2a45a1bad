using Slimming.Training.Data;

namespace Slimming.Training.Tests.Data;

public sealed class PlanTests
{
    private static readonly int[] s_lengths = [4, 4, 3, 9, 2, 8, 1];

    private static EpochPlan Plan(bool shuffle = false, bool packing = false, int batch = 2, int accumulation = 1) =>
        new(s_lengths, batch, accumulation, shuffle, 42, packing, 10);

    private static int[][] Steps(EpochPlan plan, int epoch = 0) => plan.Steps(epoch).Select(s => s.ToArray()).ToArray();

    [Fact]
    public void FileOrderWithASmallerLastStep()
    {
        Steps(Plan())
            .ShouldBe([
                [0, 1],
                [2, 3],
                [4, 5],
                [6],
            ]);
        Steps(Plan(batch: 1, accumulation: 4)).ShouldBe(Steps(Plan(batch: 4, accumulation: 1)));
    }

    [Fact]
    public void PackingFillsRowsInOrder()
    {
        // Rows of at most 10 tokens: 4+4 | 3 | 9 | 2+8 | 1; two rows a step.
        Steps(Plan(packing: true))
            .ShouldBe([
                [0, 1, 2],
                [3, 4, 5],
                [6],
            ]);
    }

    [Fact]
    public void ShufflingIsSeededPerEpochAndLosesNothing()
    {
        var first = Steps(Plan(shuffle: true));
        first.ShouldBe(Steps(Plan(shuffle: true)));
        first.SelectMany(s => s).Order().ShouldBe(Enumerable.Range(0, 7));
        Steps(Plan(shuffle: true), epoch: 1).ShouldNotBe(first);
        CounterRandom.Permutation(1000, 1, 0).ShouldNotBe(CounterRandom.Permutation(1000, 2, 0));
    }

    [Fact]
    public void PermutationsAreUniform()
    {
        // Each of the 6 orders of 3 should come 1000 times in 6000; chi-square with 5 degrees of freedom, p = 1e-4 at 25.7.
        var counts = Enumerable
            .Range(0, 6000)
            .Select(e => string.Concat(CounterRandom.Permutation(3, 7, e)))
            .GroupBy(x => x)
            .Select(g => g.Count())
            .ToArray();
        counts.Length.ShouldBe(6);
        counts.Sum(c => Math.Pow(c - 1000, 2) / 1000).ShouldBeLessThan(25.7);
    }

    private static Sample MakeSample(int id, int length) =>
        new(
            Enumerable.Repeat(id, length).ToArray(),
            Enumerable.Repeat(id, length - 1).Append(-1).ToArray(),
            length - 1,
            "f",
            id
        );

    [Fact]
    public void MicroBatchesHoldWholeSamplesInOrder()
    {
        var samples = s_lengths.Select((length, i) => MakeSample(i, length)).ToArray();
        var keys = samples.Select((_, i) => BatchPlanner.SampleKey(3, i)).ToArray();
        var batches = BatchPlanner.Plan(samples, keys, fillTokens: 8);
        batches
            .Select(b => b.Offsets)
            .ShouldBe([
                [0, 4, 8],
                [0, 3],
                [0, 9],
                [0, 2],
                [0, 8],
                [0, 1],
            ]);
        batches.SelectMany(b => b.Tokens).ShouldBe(samples.SelectMany(s => s.Tokens));
        batches.SelectMany(b => b.Targets).ShouldBe(samples.SelectMany(s => s.Targets));
        batches.SelectMany(b => b.SampleKeys).ShouldBe(keys);
        keys.Distinct().Count().ShouldBe(keys.Length);
        BatchPlanner.SampleKey(0, 3).ShouldNotBe(BatchPlanner.SampleKey(3, 0));
    }
}
