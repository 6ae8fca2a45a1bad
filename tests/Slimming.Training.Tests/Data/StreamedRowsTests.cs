using System.Text;
using System.Text.Json;
using Slimming.Gguf;
using Slimming.Results;
using Slimming.Training.Data;

namespace Slimming.Training.Tests.Data;

/// <summary>Rows that are read as they are needed are those that are read in one go.</summary>
public sealed class StreamedRowsTests : DataFolder
{
    private static readonly ByteTokenizer s_bytes = new();
    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true };
    private static readonly StreamLimits s_small = new()
    {
        HeldRows = 3,
        BlockRows = 4,
        WindowBlocks = 3,
        LookedAtRows = 32,
    };

    private static DataOptions Options(params string[] files) =>
        new()
        {
            Files = files,
            Template = "alpaca",
            Limits = s_small,
        };

    private static TrainOptions Train(params string[] files) =>
        new()
        {
            Model = "m",
            Data = files,
            Out = "o",
        };

    /// <summary>Texts that readers like to change.</summary>
    private static string Hard(int i) =>
        (i % 9) switch
        {
            0 => $"say \"hi\", then\nleave {i}",
            1 => $" spaces {i} ",
            2 => "",
            3 => $"{{\"a\": [1, \"]}}\\\"\"]}} {i}",
            4 => $"žluťoučký 🐎 {i}\r\nnext",
            5 => $"tab\tand; bar| {i}",
            6 => "\"",
            7 => $"back\\slash\\ {i}",
            _ => $"{i}",
        };

    private static object[] Rows(int count) =>
        [
            .. Enumerable
                .Range(0, count)
                .Select(i => new
                {
                    instruction = Hard(i),
                    input = Hard(i + 5),
                    output = $"row {i} {Hard(i + 2)}",
                    n = i,
                }),
        ];

    private static string Csv(object[] rows, char delimiter, string newline)
    {
        var elements = rows.Select(row => JsonSerializer.SerializeToElement(row)).ToArray();
        string[] names = [.. elements[0].EnumerateObject().Select(p => p.Name)];
        string Field(JsonElement value)
        {
            var text = value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();
            return text.Any("\"\r\n,;\t|".Contains) ? $"\"{text.Replace("\"", "\"\"")}\"" : text;
        }
        return string.Concat(
            elements
                .Select(row => names.Select(name => Field(row.GetProperty(name))))
                .Prepend(names)
                .Select(fields => string.Join(delimiter, fields) + newline)
        );
    }

    /// <summary>The same 700 rows (more than two strides of a text file's index) in every layout.</summary>
    public static TheoryData<string> Layouts =>
        [
            "a.jsonl",
            "bom.jsonl",
            "list.json",
            "indented.json",
            "one-line.json",
            "values.json",
            "a.csv",
            "crlf.csv",
            "a.tsv",
            "semicolon.csv",
            "a.parquet",
        ];

    private string WriteLayout(string name)
    {
        var rows = Rows(700);
        var lines = rows.Select(row => JsonSerializer.Serialize(row)).ToArray();
        var path = InFolder(name);
        if (name == "a.parquet")
        {
            using var db = DuckDb.Open();
            db.Execute(
                $"COPY (SELECT * FROM read_json({DuckDb.Quote(Write("source.jsonl", lines))}, dateformat = 'none', "
                    + $"timestampformat = 'none', sample_size = -1)) TO {DuckDb.Quote(path)} (FORMAT parquet, ROW_GROUP_SIZE 2048)"
            );
            return path;
        }
        File.WriteAllText(
            path,
            name switch
            {
                "a.jsonl" => string.Join("\n\n", lines),
                "bom.jsonl" => "\uFEFF" + string.Join("\r\n", lines) + "\r\n",
                "list.json" => $"[{string.Join(",\n", lines)}]\n",
                "indented.json" => JsonSerializer.Serialize(rows, s_indented),
                "one-line.json" => $" [ {string.Join(" , ", lines)} ]",
                "values.json" => string.Join("\n", rows.Select(row => JsonSerializer.Serialize(row, s_indented))),
                "a.csv" => Csv(rows, ',', "\n"),
                "crlf.csv" => "\uFEFF" + Csv(rows, ',', "\r\n"),
                "a.tsv" => Csv(rows, '\t', "\n"),
                _ => Csv(rows, ';', "\n"),
            }
        );
        return path;
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Rows_are_the_same_in_any_order(string layout)
    {
        var file = WriteLayout(layout);
        var sources = DataSource.ParseAll([file]);
        var expected = DatasetReader.Read(sources, null).Select(Fields).ToArray();
        expected.Length.ShouldBe(700);
        using var source = RowSource.Open(Options(file), sources).ShouldNotBeNull();
        source.Rows.ShouldBe(700);
        Read(source, Enumerable.Range(0, 700)).ShouldBe(expected);
        var some = Enumerable.Range(0, 700).Where(i => i % 37 == 5 || i is 255 or 256 or 699).ToArray();
        Read(source, some).ShouldBe(some.Select(i => expected[i]));
        Read(source, [699]).ShouldBe([expected[699]]);

        static string[] Read(RowSource source, IEnumerable<int> rows) =>
            [.. source.Locate(rows.Select(row => (long)row)).Select(found => Fields(found.File.Read(found.Place)))];

        static string Fields(RawRow row)
        {
            using var parsed = row.Parse();
            var fields = parsed.RootElement.EnumerateObject().Select(p => $"{p.Name}={p.Value}");
            return $"{row.Number}: {string.Join(" | ", fields)}";
        }
    }

    [Fact]
    public void The_order_of_an_epoch_does_not_depend_on_the_kind_of_file()
    {
        var expected = Epoch(WriteLayout("a.jsonl"));
        expected.Length.ShouldBe(700);
        foreach (var name in new[] { "indented.json", "crlf.csv", "a.parquet" })
        {
            Epoch(WriteLayout(name)).ShouldBe(expected, name);
        }

        static string[] Epoch(string file)
        {
            using var set = DataSet.Open(Options(file), s_bytes, null);
            return
            [
                .. Steps(set, Train(file))
                    .SelectMany(step => step.Select(s => $"{s.Sample.Row} {s.Key} {s.Sample.Tokens.Length}")),
            ];
        }
    }

    [Fact]
    public void Selections_are_those_of_rows_in_memory()
    {
        var file = WriteLayout("a.jsonl");
        var options = Options(file) with { Where = "n % 7 <> 3", Sample = 300, EvalFraction = 0.1 };
        var held = SampleSet.Load(options, s_bytes, null);
        using var set = DataSet.Open(options, s_bytes, null);

        set.IsStreamed.ShouldBeTrue();
        var taken = Steps(set, Train(file)).SelectMany(step => step).Select(s => s.Sample.Row).Order();
        taken.ShouldBe(held.Samples.Select(sample => sample.Row));
        var pass = set.HeldOut().ShouldNotBeNull();
        pass.Samples().Select(s => s.Sample.Row).ShouldBe(held.HeldOut.Select(sample => sample.Row));
        pass.Counts.ShouldBe(held.HeldOutCounts);
    }

    [Fact]
    public void Counts_are_estimated_first_and_exact_at_the_end()
    {
        var file = WriteLayout("a.jsonl");
        var options = Options(file) with { MaxLength = 200, Overlong = Overlong.Drop, Where = "n < 690" };
        var exact = SampleSet.Load(options, s_bytes, null).Counts;
        exact.Dropped.ShouldBeGreaterThan(0);
        using var set = DataSet.Open(options, s_bytes, null);

        set.Counts.Estimated.ShouldBeTrue();
        (set.Counts.Rows, set.Counts.Filtered, set.Counts.Examined).ShouldBe((700, 10, 32));
        ((double)set.Counts.Kept).ShouldBe(exact.Kept, 0.3 * exact.Kept);
        var steps = set.Steps(Train(file));
        for (var step = 0; step < steps.StepsIn(0); step++)
        {
            steps.Samples(0, step);
        }
        steps.Counts.ShouldBe(exact);
        // A second epoch takes the same rows again.
        steps.Samples(1, 0);
        steps.Counts.ShouldBe(exact);
    }

    [Fact]
    public void Steps_take_rows_whatever_becomes_of_them()
    {
        var rows = Enumerable.Range(0, 60).Select(i => new { text = new string('x', i % 3 == 0 ? 50 : 4) }).ToArray();
        var file = WriteRows("a.jsonl", rows);
        var train = Train(file) with { BatchSize = 1, Shuffle = false };

        var dropped = StepsOf(Overlong.Drop);
        dropped.Count.ShouldBe(60);
        dropped.Select(step => step.Count).ShouldBe(Enumerable.Range(0, 60).Select(i => i % 3 == 0 ? 0 : 1));
        var split = StepsOf(Overlong.Split);
        split.Count.ShouldBe(60);
        split.Select(step => step.Count).ShouldBe(Enumerable.Range(0, 60).Select(i => i % 3 == 0 ? 3 : 1));
        split.SelectMany(step => step).Select(s => s.Key).ShouldBeUnique();

        using var set = DataSet.Open(Options(file) with { MaxLength = 20, Overlong = Overlong.Split }, s_bytes, null);
        set.Steps(train with { BatchSize = 7, Epochs = 2.5 }).TotalSteps.ShouldBe(9 + 9 + 5);
        // The key is the sample's own, whatever stands beside it.
        Steps(set, train with { BatchSize = 7 })
            .SelectMany(s => s)
            .Select(s => s.Key)
            .ShouldBe(split.SelectMany(step => step).Select(s => s.Key));

        List<IReadOnlyList<KeyedSample>> StepsOf(Overlong overlong)
        {
            using var cut = DataSet.Open(Options(file) with { MaxLength = 20, Overlong = overlong }, s_bytes, null);
            return Steps(cut, train);
        }
    }

    [Fact]
    public void Any_step_is_found_without_those_before()
    {
        var (a, b) = (WriteLayout("a.jsonl"), WriteLayout("a.csv"));
        foreach (var files in new[] { [a, b], new[] { a + ":3", b + ":1" } })
        {
            using var set = DataSet.Open(Options(files), s_bytes, null);
            var train = Train(files) with { BatchSize = 7 };
            var straight = Enumerable.Range(0, 3).SelectMany(epoch => Steps(set, train, epoch)).ToArray();
            var perEpoch = set.Steps(train).StepsIn(0);
            foreach (var at in new[] { straight.Length - 1, 0, perEpoch, 3, perEpoch - 1, perEpoch + 5 })
            {
                // As a resumed run does: nothing but the numbers of epoch and step.
                var found = set.Steps(train).Samples(at / perEpoch, at % perEpoch);
                found.Select(Text).ShouldBe(straight[at].Select(Text));
            }
        }

        static string Text(KeyedSample s) => $"{s.Sample.Source} {s.Sample.Row} {s.Key}";
    }

    [Fact]
    public void A_mix_takes_each_row_once_before_any_twice()
    {
        var a = WriteRows("a.jsonl", [.. Enumerable.Range(0, 30).Select(i => new { text = $"a{i}" })]);
        var b = WriteRows("b.jsonl", [.. Enumerable.Range(0, 50).Select(i => new { text = $"b{i}" })]);
        string[] files = [a + ":3", b + ":1"];
        using var set = DataSet.Open(Options(files), s_bytes, null);
        var mix = set.Mix.ShouldNotBeNull();
        mix.Drawn.ShouldBe([30, 10]);
        mix.Available.ShouldBe([30, 50]);
        List<long> seen = [];
        for (var epoch = 0; epoch < 5; epoch++)
        {
            var taken = Steps(set, Train(files), epoch).SelectMany(step => step).ToArray();
            taken
                .Where(s => s.Sample.Source == a)
                .Select(s => s.Sample.Row)
                .Order()
                .ShouldBe(Enumerable.Range(0, 30).Select(i => (long)i));
            // Every step of four has its share.
            Steps(set, Train(files), epoch).ShouldAllBe(step => step.Count(s => s.Sample.Source == b) == 1);
            seen.AddRange(taken.Where(s => s.Sample.Source == b).Select(s => s.Sample.Row));
        }
        seen.Order().ShouldBe(Enumerable.Range(0, 50).Select(i => (long)i));
    }

    [Fact]
    public void A_step_reads_its_window_alone()
    {
        // A row outside of the window is no JSON, and nobody minds until it is read.
        var file = Write(
            "a.jsonl",
            [.. Enumerable.Range(0, 200).Select(i => i == 150 ? "{\"text\": broken}" : $"{{\"text\":\"row {i}\"}}")]
        );
        using var set = DataSet.Open(Options(file) with { Limits = s_small with { LookedAtRows = 16 } }, s_bytes, null);
        var steps = set.Steps(Train(file) with { Shuffle = false });
        for (var step = 0; step < 37; step++)
        {
            steps.Samples(0, step).Count.ShouldBe(4);
        }
        var error = Should.Throw<SlimmingException>(() => steps.Samples(0, 37));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain($"{file}, row 150 (from 0): cannot be read as JSON");
    }

    [Fact]
    public void Half_a_surrogate_pair_in_a_row_is_named()
    {
        var file = Write(
            "a.jsonl",
            [
                .. Enumerable
                    .Range(0, 200)
                    .Select(i => i == 150 ? "{\"text\": \"\\uD800\"}" : $"{{\"text\":\"row {i}\"}}"),
            ]
        );
        using var set = DataSet.Open(Options(file) with { Limits = s_small with { LookedAtRows = 16 } }, s_bytes, null);
        var steps = set.Steps(Train(file) with { Shuffle = false });
        var error = Should.Throw<SlimmingException>(() => steps.Samples(0, 37));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain($"{file}, row 150 (from 0): cannot be read as JSON: line 151, byte 10");
        error.Message.ShouldContain("surrogate");
    }

    [Theory]
    [InlineData("a.json", "[{\"text\":\"a\"},{\"text\":\"b\"} {\"text\":\"c\"}]", "expected ',' or ']'")]
    [InlineData("a.json", "[{\"text\":\"a\"},{\"text\":\"b\"},{\"text\":\"c\"}", "expected ',' or ']'")]
    [InlineData("a.json", "[{\"text\":\"a\"},{\"text\":\"b\"},{\"text\":\"c\"},]", "expected a row behind the comma")]
    [InlineData(
        "a.json",
        "[{\"text\":\"a\"},{\"text\":\"b\"},{\"text\":\"c\"}]]",
        "expected nothing behind the end of the list"
    )]
    [InlineData("a.json", "[{\"text\":\"a\"},{\"text\":\"b\"},{\"text\":\"c\"},{\"text\":\"d", "expected the quote")]
    [InlineData("a.csv", "text,n\na,1\nb,2\nc,3\nd\n", "line 5: found 1 fields, expected 2")]
    [InlineData("a.csv", "text,n\na,1\nb,2\nc,3\n\"d,4\n", "line 5: found a text that opens with a quote")]
    [InlineData("a.csv", "text,n\na,1\nb,2\nc,3\n\"d\"e,4\n", "line 5: found text behind a closing quote")]
    public void A_broken_file_is_refused_with_the_place(string name, string text, string expected)
    {
        var file = Write(name, text);
        var options = Options(file) with { Limits = s_small with { HeldRows = 1 } };
        var error = Should.Throw<SlimmingException>(() => DataSet.Open(options, s_bytes, null));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain(file);
        error.Message.ShouldContain(expected);
    }

    [Fact]
    public void A_row_that_would_not_fit_memory_is_refused()
    {
        var file = Write("a.jsonl", "{\"text\":\"a\"}\n");
        using (var stream = File.OpenWrite(file))
        {
            // A hole reads as zeros, and no line ends in it.
            stream.SetLength((64 << 20) + 100);
        }
        var before = GC.GetAllocatedBytesForCurrentThread();
        var error = Should.Throw<SlimmingException>(() => DataSet.Open(Options(file), s_bytes, null));
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBeLessThan(64 << 20);
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain("expected rows of at most 64 MiB");
    }

    [Fact]
    public void What_cannot_be_streamed_is_refused_with_what_to_do()
    {
        var file = WriteLayout("a.jsonl");
        using (var set = DataSet.Open(Options(file), s_bytes, null))
        {
            Refused(() => set.Steps(Train(file) with { Packing = true }), "--packing", "--batch-size");
        }
        var zipped = InFolder("a.jsonl.gz");
        using (
            var stream = new System.IO.Compression.GZipStream(
                File.Create(zipped),
                System.IO.Compression.CompressionLevel.Fastest
            )
        )
        {
            stream.Write(File.ReadAllBytes(file));
        }
        Refused(() => DataSet.Open(Options(zipped), s_bytes, null), "is compressed", "gunzip");
        // A few of its rows fit into memory.
        using var few = DataSet.Open(Options(zipped) with { Sample = 3 }, s_bytes, null);
        few.IsStreamed.ShouldBeFalse();
        few.Counts.Kept.ShouldBe(3);
        Refused(
            () => DataSet.Open(Options(file) with { MaxLength = 2, Overlong = Overlong.Drop }, s_bytes, null),
            "no sample is left"
        );
        Refused(() => DataSet.Open(Options(file, "missing.jsonl"), s_bytes, null), "missing.jsonl");

        static void Refused(Action open, params string[] expected)
        {
            var error = Should.Throw<SlimmingException>(open);
            error.Code.ShouldBe(ExitCode.Usage);
            foreach (var text in expected)
            {
                error.Message.ShouldContain(text);
            }
        }
    }

    [Fact]
    public void A_file_that_changes_in_between_ends_the_run()
    {
        var file = WriteLayout("a.jsonl");
        using var set = DataSet.Open(Options(file), s_bytes, null);
        File.AppendAllText(file, "\n{}");
        var error = Should.Throw<SlimmingException>(() => set.Steps(Train(file)).Samples(0, 0));
        error.Code.ShouldBe(ExitCode.Failed);
        error.Message.ShouldContain("was changed while it was being read");
    }

    [Fact]
    public void Bytes_that_are_no_text_are_named_by_row()
    {
        var file = InFolder("a.jsonl");
        var bytes = Encoding.UTF8.GetBytes(
            string.Concat(Enumerable.Range(0, 20).Select(i => $"{{\"text\":\"row {i:D2}\"}}\n"))
        );
        bytes[(17 * 18) + 10] = 0xFF;
        File.WriteAllBytes(file, bytes);
        var error = Should.Throw<SlimmingException>(() => DataSet.Open(Options(file), s_bytes, null));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain($"{file}, row 17 (from 0): byte {(17 * 18) + 11} of the file: found 0xFF");
    }

    private static List<IReadOnlyList<KeyedSample>> Steps(DataSet set, TrainOptions options, int epoch = 0)
    {
        var steps = set.Steps(options);
        return [.. Enumerable.Range(0, steps.StepsIn(epoch)).Select(step => steps.Samples(epoch, step))];
    }
}
