using System.Text.Json.Nodes;

namespace Slimming.Cli.Tests;

/// <summary>What <c>plan</c> says of time and of the sizes that fit.</summary>
public sealed class PlanTests : IDisposable
{
    private readonly TempFolder _temp = new();
    private readonly TinyRun _run;

    public PlanTests() => _run = new TinyRun(_temp);

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void Time_comes_from_micro_batches_of_the_run()
    {
        var plan = Plan();
        var perStep = plan["tokens_per_step"]!.GetValue<double>();
        var speed = plan["tokens_per_s"]!.GetValue<double>();
        perStep.ShouldBeInRange(4 * 3, 4 * 40, "four samples of 3 to 40 tokens");
        speed.ShouldBeGreaterThan(0);
        plan["seconds"]!.GetValue<double>().ShouldBeGreaterThan(TinyRun.Steps * perStep / speed, "with evaluations");
        plan["not_calibrated"].ShouldBeNull();
        var calibration = plan["calibration"]!;
        calibration["micro_batches"]!.GetValue<int>().ShouldBeGreaterThanOrEqualTo(3);
        calibration["eval_tokens"]!.GetValue<long>().ShouldBeGreaterThan(0);
        calibration["peak_bytes"]!.GetValue<long>().ShouldBeGreaterThan(0);
        Directory.Exists(_temp["a"]).ShouldBeFalse("a plan writes nothing");
    }

    [Fact]
    public void Without_calibration_there_are_no_times()
    {
        var plan = Plan("--no-calibration");
        plan["seconds"].ShouldBeNull();
        plan["calibration"].ShouldBeNull();
        plan["not_calibrated"]!.GetValue<string>().ShouldBe("not asked for");
        plan["needed_bytes"]!.GetValue<long>().ShouldBeGreaterThan(0);
        Cli.Done(["plan", .. _run.Lora("a", "--no-calibration")[1..]])
            .Output.ShouldContain("not measured: not asked for");
    }

    [Fact]
    public void The_largest_sizes_are_the_last_that_fit()
    {
        Plan("--no-calibration")["largest"].ShouldBeNull();
        // One step of all rows: micro-batches as large as they are allowed to be.
        string[] wide = ["--batch-size", "18", "--no-calibration"];
        var limit = Needed([.. wide, "--micro-batch-tokens", "200"]) + 4096;
        var largest = Plan([.. wide, "--micro-batch-tokens", "100", "--memory", $"{limit}"])["largest"]!;
        var microBatch = largest["micro_batch_tokens"]!.GetValue<int>();
        microBatch.ShouldBeGreaterThanOrEqualTo(200);
        Needed([.. wide, "--micro-batch-tokens", $"{microBatch}"]).ShouldBeLessThanOrEqualTo(limit);
        Needed([.. wide, "--micro-batch-tokens", $"{2 * microBatch}"]).ShouldBeGreaterThan(limit);
        largest["length"]!.GetValue<int>().ShouldBeGreaterThanOrEqualTo(40);
    }

    [Fact]
    public void It_says_what_is_free_and_whether_that_is_enough()
    {
        var plan = Plan("--no-calibration");
        plan["available_bytes"]!.GetValue<long>().ShouldBeGreaterThan(plan["needed_bytes"]!.GetValue<long>());
        plan["refused"].ShouldBeNull();
    }

    private long Needed(params string[] more) => Plan(more)["needed_bytes"]!.GetValue<long>();

    private JsonNode Plan(params string[] more) =>
        JsonNode.Parse(Cli.Done(["plan", .. _run.Lora("a", ["--json", .. more])[1..]]).Output)!;
}
