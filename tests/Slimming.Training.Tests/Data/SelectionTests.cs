using Slimming.Gguf;
using Slimming.Results;
using Slimming.Training.Data;

namespace Slimming.Training.Tests.Data;

/// <summary><c>--where</c>, <c>--sample</c> and <c>--eval-fraction</c>.</summary>
public sealed class SelectionTests : DataFolder
{
    private static readonly ByteTokenizer s_bytes = new();

    private string Numbers(string name, int count) =>
        WriteRows(name, [.. Enumerable.Range(0, count).Select(i => new { text = $"row {i:000}", n = i })]);

    private static long[] Rows(IEnumerable<Sample> samples) => [.. samples.Select(s => s.Row)];

    private static SampleSet Select(string file, Func<DataOptions, DataOptions> change) =>
        Load(s_bytes, "auto", file, change);

    [Fact]
    public void WhereKeepsRowsAndTheirNumbersInEveryKindOfFile()
    {
        var jsonl = Numbers("a.jsonl", 9);
        var json = Write("a.json", $"[{string.Join(',', File.ReadLines(jsonl))}]");
        var csv = InFolder("a.csv");
        var parquet = InFolder("a.parquet");
        using (var db = DuckDb.Open())
        {
            foreach (var (file, format) in new[] { (csv, "csv"), (parquet, "parquet") })
            {
                db.Execute(
                    $"COPY (SELECT * FROM read_json({DuckDb.Quote(jsonl)})) TO {DuckDb.Quote(file)} (FORMAT {format})"
                );
            }
        }
        foreach (var file in new[] { jsonl, json, csv, parquet })
        {
            // Texts compare in all of them; CSV has nothing else.
            var set = Select(file, o => o with { Where = "text >= 'row 005' AND n <> '7' -- a remark" });
            Rows(set.Samples).ShouldBe([5, 6, 8], file);
            set.Counts.Rows.ShouldBe(9);
            set.Counts.Filtered.ShouldBe(6);
            set.Counts.Kept.ShouldBe(3);
        }
        Rows(Select(parquet, o => o with { Where = "n % 4 = 3" }).Samples).ShouldBe([3, 7]);
        Rows(Select(jsonl, o => o with { Where = "n % 4 = 3" }).Samples).ShouldBe([3, 7]);
    }

    [Fact]
    public void WhereSeesNestedAndMissingColumnsAndLeavesTheTextAlone()
    {
        var file = Write(
            "m.jsonl",
            """{"text":"2024-01-01","meta":{"lang":"en"},"slimming":1}""",
            """{"text":"007"}""",
            """{"text":"1.50","meta":{"lang":"de"}}"""
        );
        var set = Select(file, o => o with { Where = "meta.lang = 'en'" });
        s_bytes.Text(set.Samples.ShouldHaveSingleItem().Tokens).ShouldBe("2024-01-01</s>");
        // Null is no true, as in SQL.
        Rows(Select(file, o => o with { Where = "meta.lang <> 'en'" }).Samples).ShouldBe([2]);
        Rows(Select(file, o => o with { Where = "meta IS NULL" }).Samples).ShouldBe([1]);
    }

    [Theory]
    [InlineData("colour = 'red'", "colour")]
    [InlineData("n >", "syntax error")]
    [InlineData("n = 1) OR (1 = 1; DROP TABLE x", "")]
    [InlineData("n = 99", "0 longer")]
    public void AWrongConditionIsShownWithTheFile(string where, string expected)
    {
        var file = Numbers("a.jsonl", 3);
        var error = Should.Throw<SlimmingException>(() => Select(file, o => o with { Where = where }));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain(file);
        error.Message.ShouldContain($"--where \"{where}\"");
        error.Message.ShouldContain(expected);
        error.Message.ShouldNotContain("slimming_row");
    }

    [Fact]
    public void SampleDrawsTheSameRowsForASeed()
    {
        var file = Numbers("a.jsonl", 100);
        var drawn = Rows(Select(file, o => o with { Sample = 10 }).Samples);
        drawn.ShouldBe(Rows(Select(file, o => o with { Sample = 10 }).Samples));
        drawn.ShouldBe(drawn.Distinct().Order());
        drawn.Length.ShouldBe(10);
        drawn.ShouldNotBe(Rows(Select(file, o => o with { Sample = 10, Seed = 7 }).Samples));
        drawn.ShouldNotBe(Enumerable.Range(0, 10).Select(i => (long)i));
        // A larger draw holds the smaller one.
        drawn.ShouldBeSubsetOf(Rows(Select(file, o => o with { Sample = 30 }).Samples));
        Select(file, o => o with { Sample = 10 }).Counts.NotDrawn.ShouldBe(90);
        Rows(Select(file, o => o with { Sample = 1000 }).Samples).Length.ShouldBe(100);
        var both = Select(file, o => o with { Sample = 5, Where = "n < 20" });
        Rows(both.Samples).ShouldAllBe(row => row < 20);
        (both.Counts.Rows, both.Counts.Filtered, both.Counts.NotDrawn, both.Counts.Kept).ShouldBe((100, 80, 15, 5));
    }

    [Fact]
    public void EveryRowIsEquallyLikelyToBeDrawn()
    {
        var hits = new int[20];
        for (ulong seed = 0; seed < 2000; seed++)
        {
            foreach (var i in RowDraw.Sample(Enumerable.Range(0, 20), 5, seed))
            {
                hits[i]++;
            }
        }
        // 500 expected, standard deviation 19.4: six of them.
        hits.ShouldAllBe(n => Math.Abs(n - 500) < 117);
    }

    [Fact]
    public void HeldOutRowsAreWholeAndTrainedOnByNobody()
    {
        var file = Numbers("a.jsonl", 50);
        // Each row in three pieces.
        DataOptions Cut(DataOptions o) => o with { MaxLength = 3, Overlong = Overlong.Split, EvalFraction = 0.2 };
        var set = Select(file, Cut);
        var train = Rows(set.Samples).Distinct().ToArray();
        var held = Rows(set.HeldOut).Distinct().ToArray();
        held.Length.ShouldBe(10);
        train.Concat(held).Order().ShouldBe(Enumerable.Range(0, 50).Select(i => (long)i));
        set.HeldOut.Count.ShouldBe(30);
        held.ShouldNotBe(Rows(Select(file, o => Cut(o) with { Seed = 7 }).HeldOut).Distinct());
        held.ShouldBe(Rows(Select(file, Cut).HeldOut).Distinct());
        var all = Select(file, o => Cut(o) with { EvalFraction = null }).Counts;
        (set.Counts.HeldOut, set.Counts.Rows).ShouldBe((10, 50));
        (set.Counts.Kept + set.HeldOutCounts.Kept).ShouldBe(all.Kept);
        (set.Counts.Tokens + set.HeldOutCounts.Tokens).ShouldBe(all.Tokens);
        (set.Counts.Targets + set.HeldOutCounts.Targets).ShouldBe(all.Targets);
    }

    [Fact]
    public void AFractionHoldsOutAtLeastOneRowAndNeverAll()
    {
        Select(Numbers("a.jsonl", 3), o => o with { EvalFraction = 0.01 }).HeldOut.ShouldHaveSingleItem();
        Should
            .Throw<SlimmingException>(() => Select(Numbers("b.jsonl", 1), o => o with { EvalFraction = 0.5 }))
            .Message.ShouldContain("--eval-fraction 0.5 holds out 1 of 1 rows");
    }

    [Fact]
    public void WhatIsNotLearntAsItStandsIsRemarkedWithItsReason()
    {
        var file = WriteRows(
            "a.jsonl",
            new { prompt = "abcdefghij", completion = "k" },
            new { prompt = "ab", completion = "cdefghij" },
            new { prompt = "ab", completion = "" },
            new { prompt = "ab", completion = "c" }
        );
        var cut = Select(file, o => o with { MaxLength = 5 });
        cut.Remarks.ShouldBe([
            new RowRemark(RowFate.WithoutTarget, file, 0, "its first learnt token is number 11, --max-length keeps 5"),
            new RowRemark(RowFate.Truncated, file, 1, "11 tokens, cut to 5; 6 learnt ones lost"),
            new RowRemark(RowFate.EmptyAnswer, file, 2, "the answer is an empty text: only its end is learnt"),
        ]);
        cut.Counts.EmptyAnswer.ShouldBe(1);
        Select(file, o => o with { MaxLength = 5, Overlong = Overlong.Drop })
            .Remarks[0]
            .ShouldBe(new RowRemark(RowFate.Dropped, file, 0, "12 tokens; --max-length is 5"));
    }

    [Fact]
    public void ARowBeyondTheContextIsRefusedWhereNoLengthWasChosen()
    {
        var file = WriteRows("a.jsonl", new { text = "abc" }, new { text = "abcdefghij" });
        var error = Should.Throw<SlimmingException>(() => Select(file, o => o with { ContextLength = 8 }));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldBe(
            $"{file}, row 1 (from 0): 11 tokens, but the model was trained for 8; give --max-length 8 and --overlong to "
                + "cut, drop or split longer rows (or a larger --max-length to train beyond the model's context)"
        );
        Select(file, o => o with { ContextLength = 11 }).Counts.Kept.ShouldBe(2);
    }
}
