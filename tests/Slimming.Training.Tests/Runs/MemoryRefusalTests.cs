using System.Text.RegularExpressions;
using Slimming.Gguf;
using Slimming.TestSupport;
using Slimming.Training.Tests.Data;

namespace Slimming.Training.Tests.Runs;

/// <summary>Runs on machines that are too small for them.</summary>
public sealed class MemoryRefusalTests : DataFolder
{
    private const long MiB = 1 << 20;
    private const string Name = "a toy machine";

    [Fact]
    public void What_does_not_fit_is_refused_before_a_weight_is_read()
    {
        var broken = WithNaN();
        Should
            .Throw<GgufException>(() => Trainer.Run(Options() with { Model = broken }))
            .Message.ShouldContain("a finite number");
        var error = Refusal(Options() with { Model = broken, Machine = Toy(Needed(Options()) - 1) });
        error.ShouldContain($"{Name} has");
        error.ShouldContain("model file");
        Directory.Exists(InFolder("run")).ShouldBeFalse("nothing was written");
    }

    [Fact]
    public void The_setting_that_is_named_fits()
    {
        var limit = (Needed(Options()) + Needed(Options() with { MicroBatchTokens = 1 })) / 2;
        var error = Refusal(Options() with { Machine = Toy(limit) });
        var tokens = int.Parse(Regex.Match(error, "--micro-batch-tokens ([0-9]+) would fit").Groups[1].Value);
        Needed(Options() with { MicroBatchTokens = tokens }).ShouldBeLessThanOrEqualTo(limit);
        Needed(Options() with { MicroBatchTokens = 2 * tokens }).ShouldBeGreaterThan(limit);
        Trainer.Run(Options() with { MicroBatchTokens = tokens, Machine = Toy(limit) }).Steps.ShouldBe(1);
    }

    [Fact]
    public void Shorter_samples_come_after_all_else()
    {
        var least = Options() with { MicroBatchTokens = 1, Compute = "bf16" };
        var error = Refusal(least with { Machine = Toy(Needed(least) - 1) });
        var length = int.Parse(Regex.Match(error, "--max-length ([0-9]+) would fit").Groups[1].Value);
        Needed(least with { MaxLength = length }).ShouldBeLessThan(Needed(least));
    }

    [Fact]
    public void Memory_that_no_micro_batch_fits_is_refused_with_what_is_enough()
    {
        var least = Options() with { MicroBatchTokens = 1 };
        var error = Refusal(Options() with { Memory = Needed(least) - 1 });
        error.ShouldStartWith("--memory ");
        var enough = Regex.Match(error, "--memory ([0-9]+)MiB is enough").Groups[1].Value;
        Trainer.Run(Options() with { Memory = long.Parse(enough) * MiB }).Steps.ShouldBe(1);
    }

    [Fact]
    public void Lora_is_named_where_full_training_does_not_fit()
    {
        var full = Options() with { Method = "full", MicroBatchTokens = 1 };
        var lora = Options() with { MicroBatchTokens = 1, Rank = 1 };
        Refusal(full with { Rank = 1, Machine = Toy(Needed(lora)) }).ShouldContain("--method lora would fit");
    }

    [Fact]
    public void What_no_data_would_make_fit_is_refused_before_they_are_read()
    {
        var absent = InFolder("absent.jsonl");
        var error = Refusal(Options() with { Data = [absent], Machine = Toy(8 * MiB) });
        error.ShouldContain("the smallest plan needs");
        error.ShouldContain("no setting makes it fit");
    }

    [Fact]
    public void Memory_in_use_elsewhere_is_refused_unless_memory_says_otherwise()
    {
        var needed = Needed(Options());
        MachineMemory busy = new(4 * needed, Name, needed - 1, "control group /x");
        var error = Refusal(Options() with { Machine = () => busy });
        error.ShouldContain("control group /x has");
        error.ShouldContain("of memory free");
        var given = Regex.Match(error, "--memory ([0-9]+)MiB").Groups[1].Value;
        var memory = long.Parse(given) * MiB;
        memory.ShouldBeGreaterThanOrEqualTo(needed);
        Trainer.Run(Options() with { Memory = memory, Machine = () => busy }).Steps.ShouldBe(1);
        Refusal(Options() with { Memory = memory, Force = true, Machine = Toy(needed - 1) })
            .ShouldContain($"{Name} has", customMessage: "what a machine never has cannot be given");
    }

    [Fact]
    public void A_plan_tells_it_and_is_not_refused()
    {
        var forecast = Trainer.Forecast(Options() with { Machine = Toy(Needed(Options()) - 1) });
        forecast.Refused.ShouldNotBeNull().ShouldContain("--micro-batch-tokens");
        forecast.NotCalibrated.ShouldBe(forecast.Refused);
        forecast.AvailableBytes.ShouldBe(Needed(Options()) - 1);
        Trainer.Forecast(Options(), calibrate: false).Refused.ShouldBeNull();
    }

    private static Func<MachineMemory> Toy(long bytes) => () => new MachineMemory(bytes, Name, bytes, Name);

    private static string Refusal(TrainOptions options)
    {
        var error = Should.Throw<SlimmingException>(() => Trainer.Run(options));
        error.Code.ShouldBe(ExitCode.Refused);
        return error.Message;
    }

    private static long Needed(TrainOptions options) => Trainer.Plan(options with { Force = true }).NeededBytes;

    private TrainOptions Options() =>
        new()
        {
            Model = SharedFiles.RepoRoot + "/tests/fixtures/arch-llama/model-q4_0.gguf",
            Data = [Write("a.jsonl", [.. Enumerable.Range(0, 8).Select(i => Row(200, i))])],
            Out = InFolder("run"),
            Steps = 1,
            BatchSize = 8,
        };

    private static string Row(int length, int seed)
    {
        var ids = string.Join(',', Enumerable.Range(0, length).Select(i => (i * 7 + seed) % 312));
        return $"{{\"input_ids\":[{ids}],\"labels\":[{ids}]}}";
    }

    /// <summary>The model with one weight that is not finite.</summary>
    private string WithNaN()
    {
        var path = InFolder("nan.gguf");
        File.Copy(Options().Model, path, overwrite: true);
        long at;
        using (var file = GgufFile.Open(path))
        {
            at = file.DataOffset + (long)file.Find("output_norm.weight")!.Offset;
        }
        using var stream = File.OpenWrite(path);
        stream.Position = at;
        stream.Write(BitConverter.GetBytes(float.NaN));
        return path;
    }
}
