namespace Slimming.Cli.Tests;

/// <summary>What must not change one bit of a run.</summary>
public sealed class DeterminismTests : IDisposable
{
    private readonly TempFolder _temp = new();
    private readonly TinyRun _run;

    public DeterminismTests() => _run = new TinyRun(_temp);

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void Threads_micro_batches_and_accumulation_move_no_bit_of_lora()
    {
        Cli.Done(_run.Lora("a", "--threads", "2", "--batch-size", "4"));
        string[][] others =
        [
            ["--threads", "1"],
            ["--threads", "7"],
            ["--batch-size", "1", "--accumulation", "4"],
            ["--batch-size", "2", "--accumulation", "2"],
            ["--micro-batch-tokens", "1"],
            ["--micro-batch-tokens", "17"],
            ["--micro-batch-tokens", "64"],
            ["--micro-batch-tokens", "4096"],
        ];
        foreach (var other in others)
        {
            Cli.Done(_run.Lora("b", [.. other, "--force"]));
            ShouldBeEqual("a", "b", "adapter.gguf", string.Join(' ', other));
        }
    }

    [Fact]
    public void Threads_move_no_bit_of_full_training()
    {
        Cli.Done(_run.Full("a", "--threads", "2"));
        foreach (var threads in new[] { "1", "7" })
        {
            Cli.Done(_run.Full("b", "--threads", threads, "--force"));
            ShouldBeEqual("a", "b", "model.gguf", threads);
        }
    }

    [Fact]
    public void The_seed_and_the_order_do_move_bits()
    {
        Cli.Done(_run.Lora("a"));
        foreach (var other in new[] { new[] { "--seed", "43" }, ["--no-shuffle"], ["--dropout", "0.2"] })
        {
            Cli.Done(_run.Lora("b", [.. other, "--force"]));
            Cli.Metrics(_temp["a"]).ShouldNotBe(Cli.Metrics(_temp["b"]), string.Join(' ', other));
        }
    }

    [Fact]
    public void Packing_fills_rows_and_is_the_same_in_any_micro_batch()
    {
        Cli.Done(_run.Lora("a", "--packing", "--max-length", "64", "--batch-size", "2"));
        Cli.Done(_run.Lora("b", "--packing", "--max-length", "64", "--batch-size", "2", "--micro-batch-tokens", "1"));
        ShouldBeEqual("a", "b", "adapter.gguf", "packing");
        Cli.Done(_run.Lora("c", "--batch-size", "2"));
        Cli.Metrics(_temp["a"]).ShouldNotBe(Cli.Metrics(_temp["c"]));
    }

    private void ShouldBeEqual(string a, string b, string file, string what)
    {
        Cli.Metrics(_temp[b]).ShouldBe(Cli.Metrics(_temp[a]), what);
        foreach (var name in new[] { file, file.Replace(".", "-best.", StringComparison.Ordinal) })
        {
            File.ReadAllBytes(_temp[$"{b}/{name}"])
                .AsSpan()
                .SequenceEqual(File.ReadAllBytes(_temp[$"{a}/{name}"]))
                .ShouldBeTrue($"{name} differs: {what}");
        }
    }
}
