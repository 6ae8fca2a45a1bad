namespace Slimming.Training.Tests.Runs;

public sealed class StepPlannerTests
{
    [Theory]
    [InlineData(10, 4, 1, 1.0, 3)]
    [InlineData(10, 2, 2, 1.0, 3)]
    [InlineData(10, 5, 1, 2.0, 4)]
    [InlineData(10, 4, 1, 0.5, 2)]
    [InlineData(10, 4, 1, 1.5, 5)]
    [InlineData(3, 8, 4, 1.0, 1)]
    public void Steps_are_counted_by_epoch(int samples, int batch, int accumulation, double epochs, int expected) =>
        Planner(samples, Options() with { BatchSize = batch, Accumulation = accumulation, Epochs = epochs })
            .TotalSteps.ShouldBe(expected);

    [Fact]
    public void Each_epoch_takes_every_sample_once_in_another_order()
    {
        var planner = Planner(50, Options());
        var first = planner.Epoch(0).SelectMany(step => step).ToArray();
        var second = planner.Epoch(1).SelectMany(step => step).ToArray();
        first.Order().ShouldBe(Enumerable.Range(0, 50));
        second.Order().ShouldBe(Enumerable.Range(0, 50));
        first.ShouldNotBe(second);
        planner.Epoch(0).SelectMany(step => step).ShouldBe(first);
        Planner(50, Options() with { Seed = 7 }).Epoch(0).SelectMany(step => step).ShouldNotBe(first);
        Planner(50, Options() with { Shuffle = false })
            .Epoch(3)
            .SelectMany(step => step)
            .ShouldBe(Enumerable.Range(0, 50));
    }

    [Fact]
    public void Accumulation_and_batch_size_only_matter_as_their_product()
    {
        var wide = Planner(23, Options() with { BatchSize = 4, Accumulation = 1 });
        var long_ = Planner(23, Options() with { BatchSize = 1, Accumulation = 4 });
        wide.Epoch(0)
            .Select(step => string.Join(',', step))
            .ShouldBe(long_.Epoch(0).Select(step => string.Join(',', step)));
    }

    [Fact]
    public void Packed_epochs_are_counted_as_they_fill()
    {
        int[] lengths = [5, 5, 5, 6, 4, 9, 1, 3];
        var options = Options() with { Packing = true, MaxLength = 10, BatchSize = 1, Epochs = 3 };
        StepPlanner planner = new(lengths, options);
        planner.TotalSteps.ShouldBe(Enumerable.Range(0, 3).Sum(epoch => planner.Epoch(epoch).Count));
        new StepPlanner(lengths, options with { Shuffle = false })
            .Epoch(0)
            .Select(step => string.Join(',', step))
            .ShouldBe(["0,1", "2", "3,4", "5,6", "7"]);
    }

    private static TrainOptions Options() =>
        new()
        {
            Model = "m",
            Data = ["d"],
            Out = "o",
        };

    private static StepPlanner Planner(int samples, TrainOptions options) =>
        new([.. Enumerable.Repeat(8, samples)], options);
}
