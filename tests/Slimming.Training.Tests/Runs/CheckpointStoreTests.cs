using Slimming.Gguf;

namespace Slimming.Training.Tests.Runs;

public sealed class CheckpointStoreTests : IDisposable
{
    private const int Count = 1000;
    private readonly string _folder = Directory.CreateTempSubdirectory("slimming-checkpoints-").FullName;
    private readonly CheckpointStore _store;
    private readonly List<string> _warnings = [];

    public CheckpointStoreTests() => _store = new CheckpointStore(Path.Combine(_folder, "checkpoints"));

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void What_was_written_comes_back_bit_for_bit()
    {
        var state = State(7) with
        {
            BestEvalLoss = 0.1 + 0.2,
            BestStep = 5,
            LastEvalStep = 7,
            EvalsWithoutGain = 1,
            MetricsBytes = 123,
            TokensSeen = long.MaxValue,
        };
        var blocks = Blocks(7);
        blocks[0][3] = float.NaN;
        blocks[1][4] = -0f;
        Write(state, blocks);

        var (found, read) = Read();

        found.ShouldBe(state);
        for (var i = 0; i < 3; i++)
        {
            read[i].Select(BitConverter.SingleToInt32Bits).ShouldBe(blocks[i].Select(BitConverter.SingleToInt32Bits));
        }
        _warnings.ShouldBeEmpty();
    }

    [Fact]
    public void Only_the_newest_are_kept()
    {
        foreach (var step in new[] { 1, 2, 3, 1_000_000 })
        {
            Write(State(step), Blocks(step));
        }
        _store.Steps.ShouldBe([1_000_000, 3]);
        Directory.GetDirectories(Path.Combine(_folder, "checkpoints")).Length.ShouldBe(2);
    }

    [Fact]
    public void No_checkpoint_is_no_error() => Read().State.ShouldBeNull();

    [Theory]
    [InlineData("parameters.f32")]
    [InlineData("moment1.f32")]
    [InlineData("moment2.f32")]
    [InlineData("state.json")]
    [InlineData("SHA256SUMS")]
    public void A_damaged_newest_gives_the_one_before_and_a_warning(string file)
    {
        foreach (var damage in new Action<string>[] { FlipBit, Truncate, File.Delete })
        {
            Write(State(1), Blocks(1));
            Write(State(2), Blocks(2));
            damage(Path.Combine(_store.PathOf(2), file));

            var (state, blocks) = Read();

            state!.Step.ShouldBe(1);
            blocks[0].ShouldBe(Blocks(1)[0]);
            _warnings.ShouldHaveSingleItem().ShouldContain("000002");
            _warnings.Clear();
            Directory.Delete(_store.PathOf(2), recursive: true);
        }
    }

    [Fact]
    public void All_damaged_ends_with_exit_code_1_naming_each()
    {
        Write(State(1), Blocks(1));
        Write(State(2), Blocks(2));
        FlipBit(Path.Combine(_store.PathOf(1), "moment1.f32"));
        Truncate(Path.Combine(_store.PathOf(2), "parameters.f32"));

        var error = Should.Throw<SlimmingException>(() => Read());

        error.Code.ShouldBe(ExitCode.Failed);
        error.Message.ShouldContain(Path.Combine("000001", "moment1.f32"));
        error.Message.ShouldContain(Path.Combine("000002", "parameters.f32"));
    }

    [Fact]
    public void A_state_that_no_run_writes_is_damage_though_its_sum_is_right()
    {
        var sound = State(2) with
        {
            Skipped = 0,
            LastEvalStep = -1,
            BestStep = -1,
            BestEvalLoss = null,
            MetricsBytes = 0,
        };
        foreach (
            var state in new[]
            {
                sound with
                {
                    Skipped = 3,
                },
                sound with
                {
                    LastEvalStep = 3,
                },
                sound with
                {
                    BestStep = -2,
                },
                sound with
                {
                    MetricsBytes = -1,
                },
                sound with
                {
                    EvalsWithoutGain = -1,
                },
            }
        )
        {
            Write(State(1), Blocks(1));
            Write(state, Blocks(2));
            Read().State!.Step.ShouldBe(1);
            _warnings.ShouldHaveSingleItem().ShouldContain("state.json");
            _warnings.Clear();
        }
        Write(sound, Blocks(2));
        Read().State!.Step.ShouldBe(2);
    }

    [Fact]
    public void A_checkpoint_of_another_size_is_not_used()
    {
        Write(State(1), Blocks(1));
        var error = Should.Throw<SlimmingException>(() =>
            _store.ReadNewest(new TrainBlocks(new float[5], new float[5], new float[5]), _warnings.Add)
        );
        error.Message.ShouldContain($"expected 20 bytes, found {Count * 4}");
    }

    [Fact]
    public void A_write_that_fails_leaves_nothing_and_the_next_one_cleans_up()
    {
        Write(State(1), Blocks(1));
        Should.Throw<IOException>(() => Write(State(2), Blocks(2), _ => throw new IOException("disk full")));
        _store.Steps.ShouldBe([1]);
        Directory.GetDirectories(Path.Combine(_folder, "checkpoints")).ShouldBe([_store.PathOf(1)]);

        // What a killed process leaves.
        Directory.CreateDirectory(_store.PathOf(2) + ".partial");
        Read().State!.Step.ShouldBe(1);
        Write(State(3), Blocks(3));
        Directory.Exists(_store.PathOf(2) + ".partial").ShouldBeFalse();
    }

    private static void FlipBit(string path)
    {
        var bytes = File.ReadAllBytes(path);
        bytes[bytes.Length / 2] ^= 1;
        File.WriteAllBytes(path, bytes);
    }

    private static void Truncate(string path)
    {
        using var stream = File.OpenWrite(path);
        stream.SetLength(stream.Length / 2);
    }

    private static TrainState State(int step) =>
        new()
        {
            Step = step,
            Epoch = 1,
            StepInEpoch = 2,
            Seed = 3,
        };

    private static float[][] Blocks(int seed) =>
        [
            .. Enumerable
                .Range(0, 3)
                .Select(block =>
                    Enumerable.Range(0, Count).Select(i => (float)Math.Sin(i + block + seed * 10)).ToArray()
                ),
        ];

    private void Write(TrainState state, float[][] blocks, Action<string>? extra = null) =>
        _store.Write(state, new TrainBlocks(blocks[0], blocks[1], blocks[2]), keep: 2, extra);

    private (TrainState? State, float[][] Blocks) Read()
    {
        float[][] blocks = [new float[Count], new float[Count], new float[Count]];
        return (_store.ReadNewest(new TrainBlocks(blocks[0], blocks[1], blocks[2]), _warnings.Add), blocks);
    }
}
