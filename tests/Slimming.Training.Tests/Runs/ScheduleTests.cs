using System.Text.Json.Nodes;
using Slimming.TestSupport;

namespace Slimming.Training.Tests.Runs;

public sealed class ScheduleTests
{
    // transformers 5.23: get_scheduler(kind, optimizer with lr 1, num_warmup_steps=2, num_training_steps=6), by its formulas.
    [Theory]
    [InlineData("linear", new[] { 0, 0.5, 1, 0.75, 0.5, 0.25 })]
    [InlineData("cosine", new[] { 0, 0.5, 1, 0.85355339059327378, 0.5, 0.14644660940672627 })]
    [InlineData("constant", new[] { 0, 0.5, 1, 1, 1, 1 })]
    public void Factors_are_those_of_transformers(string kind, double[] expected)
    {
        Schedule schedule = new(kind, 1, WarmupSteps: 2, TotalSteps: 6);
        for (var step = 0; step < expected.Length; step++)
        {
            schedule.At(step).ShouldBe(expected[step], 1e-15, $"step {step}");
        }
    }

    [Fact]
    public void Without_warm_up_the_first_step_has_the_peak()
    {
        foreach (var kind in new[] { "linear", "cosine", "constant" })
        {
            new Schedule(kind, 3e-4, 0, 10).At(0).ShouldBe(3e-4);
        }
    }

    [Fact]
    public void A_warm_up_longer_than_the_run_never_divides_by_zero()
    {
        foreach (var kind in new[] { "linear", "cosine", "constant" })
        {
            double.IsFinite(new Schedule(kind, 1, 6, 6).At(5)).ShouldBeTrue();
            double.IsFinite(new Schedule(kind, 1, 9, 6).At(5)).ShouldBeTrue();
        }
    }

    [Theory]
    [InlineData("lora", "linear", 2e-4, 2, 20)]
    [InlineData("lora_accum", "constant", 2e-4, 0, 5)]
    [InlineData("full", "linear", 1e-2, 0, 10)]
    [InlineData("full_untied", "cosine", 1e-2, 0, 10)]
    public void Rates_are_those_of_the_reference_runs(string name, string kind, double peak, int warmup, int total)
    {
        var reference = JsonNode.Parse(File.ReadAllText(SharedFiles.Require($"fixtures/peft/{name}/case.json")))!;
        Schedule schedule = new(kind, peak, warmup, total);
        foreach (var step in reference["steps"]!.AsArray())
        {
            var index = step!["index"]!.GetValue<int>();
            schedule.At(index).ShouldBe(step["lr"]!.GetValue<double>(), 1e-18, $"step {index}");
        }
    }
}
