namespace Slimming.Training.Tests.Runs;

/// <summary>50,000 steps without drift: what a step is follows from its number alone, never from the steps before it.</summary>
public sealed class LongScheduleTests
{
    private const int Steps = 50_000;
    private const double Peak = 2e-4;

    /// <summary>Against exact fractions of whole numbers; the rate may differ in the last bits of a double.</summary>
    [Theory]
    [InlineData("linear", 0)]
    [InlineData("linear", 777)]
    [InlineData("cosine", 777)]
    [InlineData("constant", 777)]
    public void Learning_rates_are_the_closed_form_at_every_step(string kind, int warmup)
    {
        Schedule schedule = new(kind, Peak, warmup, Steps);
        for (var step = 0; step < Steps; step++)
        {
            var left = (decimal)(Steps - step) / (Steps - warmup);
            var expected =
                step < warmup ? (double)((decimal)step / warmup)
                : kind == "linear" ? (double)left
                : kind == "constant" ? 1
                // cos^2 of half the angle: not the formula that the schedule uses
                : Math.Pow(Math.Sin(Math.PI / 2 * (double)left), 2);
            var found = schedule.At(step) / Peak;
            Math.Abs(found - expected).ShouldBeLessThan(1e-15, $"step {step}: {found} and {expected}");
        }
        schedule.At(Steps).ShouldBe(kind == "constant" ? Peak : 0, Peak * 1e-15);
    }

    /// <summary>Each epoch takes every sample once, in an order that its number gives, whatever was asked before.</summary>
    [Theory]
    [InlineData(7, 3, 1)]
    [InlineData(101, 4, 2)]
    [InlineData(64, 8, 1)]
    public void Steps_of_an_epoch_do_not_depend_on_the_ones_before(int samples, int batch, int accumulation)
    {
        TrainOptions options = new()
        {
            Model = "m",
            Data = ["d"],
            Out = "o",
            Steps = Steps,
            BatchSize = batch,
            Accumulation = accumulation,
            Seed = 5,
        };
        int[] lengths = [.. Enumerable.Range(0, samples).Select(i => 1 + (i % 9))];
        StepPlanner straight = new(lengths, options);
        var inEpoch = (samples + (batch * accumulation) - 1) / (batch * accumulation);
        Random random = new(9);
        var (step, epoch, at, tokens) = (0, 0, 0, 0L);
        while (step < Steps)
        {
            var plan = straight.Epoch(epoch);
            plan.Count.ShouldBe(inEpoch);
            plan.SelectMany(s => s).Order().ShouldBe(Enumerable.Range(0, samples));
            (epoch, at).ShouldBe((step / inEpoch, step % inEpoch));
            // Somebody who begins here, as a resumed run does, takes the same samples.
            if (random.Next(50) == 0)
            {
                var resumed = new StepPlanner(lengths, options).Epoch(epoch);
                resumed.Zip(plan).ShouldAllBe(pair => pair.First.SequenceEqual(pair.Second));
            }
            for (; at < inEpoch && step < Steps; at++, step++)
            {
                tokens += plan[at].Sum(i => (long)lengths[i]);
            }
            if (at == inEpoch)
            {
                (epoch, at) = (epoch + 1, 0);
            }
        }
        var rest =
            Steps % inEpoch == 0
                ? 0
                : straight.Epoch(Steps / inEpoch).Take(Steps % inEpoch).Sum(s => s.Sum(i => lengths[i]));
        tokens.ShouldBe((Steps / inEpoch * (long)lengths.Sum()) + rest);
    }
}
