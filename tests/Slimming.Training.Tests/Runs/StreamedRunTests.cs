using System.Text.Json.Nodes;
using Slimming.Gguf;
using Slimming.Results;
using Slimming.TestSupport;
using Slimming.Training.Data;
using Slimming.Training.Tests.Data;

namespace Slimming.Training.Tests.Runs;

/// <summary>Whole runs whose rows are read as they are needed, with few rows in place of many.</summary>
public sealed class StreamedRunTests : DataFolder
{
    private const int Rows = 45;
    private static readonly StreamLimits s_small = new()
    {
        HeldRows = 10,
        BlockRows = 4,
        WindowBlocks = 2,
        LookedAtRows = 16,
    };

    [Fact]
    public void The_same_rows_in_any_kind_of_file_are_the_same_run()
    {
        var lines = Sequences();
        var jsonl = Write("a.jsonl", lines);
        var csv = Write("a.csv", ["input_ids,labels", .. lines.Select(CsvRow)]);
        var parquet = InFolder("a.parquet");
        using (var db = DuckDb.Open())
        {
            db.Execute(
                "COPY (SELECT input_ids::INTEGER[] AS input_ids, labels::INTEGER[] AS labels "
                    + $"FROM read_json({DuckDb.Quote(jsonl)})) TO {DuckDb.Quote(parquet)} (FORMAT parquet)"
            );
        }
        Run("jsonl", jsonl);
        foreach (var file in new[] { Write("a.json", $"[{string.Join(",\n", lines)}]"), csv, parquet })
        {
            Run("other", file, options => options with { Force = true });
            ShouldBeEqual("jsonl", "other");
        }
        Run("held", jsonl, options => options with { Limits = new StreamLimits() });
        Bytes("held", "adapter.gguf").ShouldNotBe(Bytes("jsonl", "adapter.gguf"), "the order is another one");

        static string CsvRow(string line)
        {
            var row = JsonNode.Parse(line)!;
            return $"\"{row["input_ids"]!.ToJsonString()}\",\"{row["labels"]!.ToJsonString()}\"";
        }
    }

    [Theory]
    [InlineData(3)]
    [InlineData(14)]
    [InlineData(21)]
    public void A_resumed_run_goes_on_to_the_same_bits(int at)
    {
        // Two and a half epochs; long rows in pieces, every fifth row without a target.
        var file = Write("a.jsonl", Sequences());
        TrainOptions Options(TrainOptions options) =>
            options with
            {
                Epochs = 2.5,
                Overlong = "split",
                MaxLength = 16,
                EvalFraction = 0.2,
                EvalEvery = 5,
                Dropout = 0.1,
                Given = new HashSet<string> { "max-length" },
            };
        var straight = Run("a", file, Options);
        straight.Steps.ShouldBe(9 + 9 + 5);
        using CancellationTokenSource source = new();
        Should.Throw<OperationCanceledException>(() => Run("b", file, Options, new StopAt(at, source), source.Token));
        Run("b", file, options => Options(options) with { Resume = true });

        ShouldBeEqual("a", "b");
        foreach (var part in new[] { "train", "eval" })
        {
            Counts("b", part).ToJsonString().ShouldBe(Counts("a", part).ToJsonString());
        }
        var counts = Counts("a", "train");
        counts["rows"]!.GetValue<long>().ShouldBe(Rows);
        counts["held_out"]!.GetValue<long>().ShouldBe(9);
        counts["estimated"]!.GetValue<bool>().ShouldBeFalse();
        counts["examined"].ShouldBeNull();
        // What a set that is held in memory counts: there the fates of held-out rows are among those of all.
        var held = Run("c", file, options => Options(options) with { Limits = new StreamLimits() }).Counts;
        foreach (var fate in new[] { "without_target", "split" })
        {
            var sum = counts[fate]!.GetValue<long>() + Counts("a", "eval")[fate]!.GetValue<long>();
            sum.ShouldBe(fate == "split" ? held.Split : held.WithoutTarget);
        }
    }

    [Fact]
    public void A_step_without_a_sample_moves_nothing()
    {
        var file = Write("a.jsonl", Sequences());
        List<StepRow> rows = [];
        Run("a", file, options => options with { BatchSize = 1, Shuffle = false, Steps = 11 }, new Listener(rows));
        rows.Select(row => row.Loss is null).ShouldBe(Enumerable.Range(0, 11).Select(i => i % 5 == 4));
        rows.Where(row => row.Loss is null).ShouldAllBe(row => row.Tokens == 0 && row.GradNorm == 0);
        File.ReadLines(InFolder("a/metrics.jsonl")).Count().ShouldBe(11);
        // Done already: the same again from the rows of the file.
        var again = Run("a", file, o => o with { BatchSize = 1, Shuffle = false, Steps = 11, Resume = true });
        (again.Steps, again.Loss).ShouldBe((11, rows[^1].Loss));
        again.Counts.Examined.ShouldBe(11);
    }

    [Fact]
    public void A_bad_row_ends_the_run_when_it_is_read_and_leaves_the_last_checkpoint()
    {
        var lines = Sequences();
        lines[29] = "{\"input_ids\":[1,2,3],\"labels\":[1,2]}";
        var file = Write("a.jsonl", lines);
        var error = Should.Throw<SlimmingException>(() =>
            Run("a", file, options => options with { Shuffle = false, CheckpointEvery = 3, Epochs = 1 })
        );
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain($"{file}, row 29 (from 0): input_ids has 3 values, labels 2");
        // Four rows a step: the eighth step meets it.
        Directory.Exists(InFolder("a/checkpoints/000006")).ShouldBeTrue();
        File.ReadLines(InFolder("a/metrics.jsonl")).Count().ShouldBe(7);
        File.Exists(InFolder("a/DONE")).ShouldBeFalse();
    }

    [Fact]
    public void A_part_of_an_epoch_counts_what_it_read()
    {
        var file = Write("a.jsonl", Sequences());
        List<string> notes = [];
        var result = Run("a", file, options => options with { Epochs = 0.2 }, new Listener([], notes));
        result.Steps.ShouldBe(3);
        (result.Counts.Rows, result.Counts.Examined, result.Counts.Estimated).ShouldBe((Rows, 12, false));
        notes[0].ShouldContain($"{Rows} rows; estimated from 16 of them: about ");
        notes[1].ShouldContain("memory is planned for samples of 512 tokens");
        notes[^1].ShouldContain($"{Rows} rows; 12 of them were read: {result.Counts.Kept} samples kept");
        Trainer.Plan(Options("p", file)).Streamed.ShouldBeTrue();
    }

    [Fact]
    public void Evaluation_data_may_be_streamed_beside_training_data_in_memory()
    {
        var (many, few) = (Write("a.jsonl", Sequences()), Write("b.jsonl", Sequences()[..8]));
        Run("a", few, options => options with { EvalData = [many] });
        Run("b", few, options => options with { EvalData = [many], Limits = new StreamLimits() });
        ShouldBeEqual("a", "b");
        Counts("a", "eval").ToJsonString().ShouldBe(Counts("b", "eval").ToJsonString());
    }

    private sealed class Listener(List<StepRow> rows, List<string>? notes = null) : ITrainSink
    {
        public void Stepped(StepRow row) => rows.Add(row);

        public void Note(string text) => notes?.Add(text);
    }

    private sealed class StopAt(int step, CancellationTokenSource source) : ITrainSink
    {
        public void Stepped(StepRow row)
        {
            if (row.Step == step)
            {
                source.Cancel();
            }
        }
    }

    private TrainOptions Options(string name, string file) =>
        new()
        {
            Model = Path.Combine(SharedFiles.RepoRoot, "tests", "fixtures", "arch-llama", "model-q4_0.gguf"),
            Data = [file],
            Out = InFolder(name),
            Rank = 2,
            LearningRate = 5e-3,
            Threads = 1,
            Limits = s_small,
        };

    private TrainResult Run(
        string name,
        string file,
        Func<TrainOptions, TrainOptions>? change = null,
        ITrainSink? sink = null,
        CancellationToken token = default
    )
    {
        var options = Options(name, file);
        return Trainer.Run(change is null ? options : change(options), sink, token);
    }

    private byte[] Bytes(string run, string name) => File.ReadAllBytes(InFolder(Path.Combine(run, name)));

    private JsonNode Counts(string run, string part) =>
        JsonNode.Parse(File.ReadAllText(InFolder(Path.Combine(run, "run.json"))))!["counts"]![part]!;

    private void ShouldBeEqual(string a, string b)
    {
        Bytes(b, "adapter.gguf").ShouldBe(Bytes(a, "adapter.gguf"));
        Metrics(b).ShouldBe(Metrics(a));

        IEnumerable<string> Metrics(string run) =>
            File.ReadLines(InFolder(Path.Combine(run, "metrics.jsonl")))
                .Select(line => line.Split("\"tokens_per_s\"")[0]);
    }

    /// <summary>Random ids of the model's vocabulary; every fifth row has no target.</summary>
    private static string[] Sequences()
    {
        Random random = new(3);
        return
        [
            .. Enumerable
                .Range(0, Rows)
                .Select(row =>
                {
                    var ids = Enumerable.Range(0, 3 + random.Next(30)).Select(_ => random.Next(312)).ToArray();
                    var labels = ids.Select((id, at) => at == 0 || row % 5 == 4 ? -100 : id);
                    return $"{{\"input_ids\":[{string.Join(',', ids)}],\"labels\":[{string.Join(',', labels)}]}}";
                }),
        ];
    }
}
