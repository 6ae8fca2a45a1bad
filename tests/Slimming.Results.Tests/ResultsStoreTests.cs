using System.Text.Json;

namespace Slimming.Results.Tests;

public sealed class ResultsStoreTests : IDisposable
{
    private readonly string _out = Path.Combine(Path.GetTempPath(), "slimming-results-" + Guid.NewGuid().ToString("n"));

    public void Dispose()
    {
        if (Directory.Exists(_out))
        {
            Directory.Delete(_out, recursive: true);
        }
    }

    private static RunInfo Info(string limit = "10") =>
        new()
        {
            Label = "base",
            Settings = new(StringComparer.Ordinal) { ["limit"] = limit, ["model_sha256"] = "ab" },
            Environment = new(StringComparer.Ordinal) { ["machine"] = "a machine" },
        };

    private static ItemRow Choice(long doc) =>
        new()
        {
            Task = "hellaswag",
            TaskVersion = "1",
            Doc = doc,
            ItemHash = $"h{doc}",
            PromptHash = "p",
            NCtx = [10],
            NCont = [3, 4],
            ChoiceLogprobs = [-1.0 / 3, -20.125],
            Pred = 0,
            PredNorm = 1,
            Gold = 1,
            Acc = 0,
            AccNorm = 1,
            Greedy = [true, false],
            Contexts = ["Ein Übel – 日本語 🐎 'quoted'\n"],
            Continuations = [" ja", " nein"],
            CtxIds =
            [
                [1, 2, 3],
            ],
            ContIds =
            [
                [4],
                [],
            ],
        };

    private static ItemRow Generation(long doc) =>
        new()
        {
            Task = "gsm8k",
            TaskVersion = "1",
            Doc = doc,
            ItemHash = $"g{doc}",
            PromptHash = "p",
            Generated = "#### 18\0\n\"x\"",
            Strict = "18",
            Flexible = "18",
            ExactMatchStrict = 1,
            ExactMatchFlexible = 1,
            TolFlex = 1,
            Truncated = true,
        };

    // Doubles are printed in their shortest exact form, so equal text is equal bits.
    private static string Json(IEnumerable<ItemRow> rows) => JsonSerializer.Serialize(rows);

    private static MetricRow Metric(double value) =>
        new("hellaswag", "1", "acc", value, 3, 0.25, 0.1, 0.9, "libllama v0.5.0", "machine", "c0ffee");

    [Fact]
    public void EveryColumnComesBack()
    {
        ItemRow[] rows = [Choice(0), Generation(0), Choice(1)];
        using (var store = ResultsStore.OpenForWriting(_out, Info()))
        {
            foreach (var row in rows)
            {
                store.Append(row);
            }
            store.Complete([Metric(1.0 / 3)]);
        }
        using var read = ResultsStore.OpenFinished(_out);
        Json(read.ReadItems(texts: true, tokens: true)).ShouldBe(Json(rows));
        read.ReadItems(task: "gsm8k").ShouldHaveSingleItem().Generated.ShouldBe("#### 18\0\n\"x\"");
        read.ReadItems().First().Contexts.ShouldBeNull();
        read.ReadSummary().ShouldBe([Metric(1.0 / 3)]);
        read.Info.Label.ShouldBe("base");
        read.Info.Id.ShouldBe(Info().Id);
        Directory.GetFiles(read.Folder, "*.partial").ShouldBeEmpty();
    }

    [Fact]
    public void NamesOfColumnsAreTheContract()
    {
        using var store = ResultsStore.OpenForWriting(_out, Info());
        store.Append(Choice(0));
        store.Flush();
        using var db = DuckDb.Open();
        string Names(string file) =>
            string.Join(
                ",",
                db.Query(
                        "SELECT column_name FROM (DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning = false))",
                        Path.Combine(store.Folder, file)
                    )
                    .Select(r => r[0])
            );
        Names("items-00000.parquet")
            .ShouldBe(
                "task,task_version,doc,item_hash,prompt_hash,n_ctx,n_cont,choice_logprobs,pred,pred_norm,gold,acc,acc_norm,"
                    + "greedy,generated,strict,flexible,exact_match_strict,exact_match_flexible,tol_flex,nll,n_tokens,n_words,"
                    + "n_bytes,truncated,cluster,subject,groups,f1,jaccard,jaccard_set,kl,same_top_1"
            );
        Names("texts-00000.parquet").ShouldBe("task,doc,item_hash,contexts,continuations,questions");
        Names("tokens-00000.parquet").ShouldBe("task,doc,item_hash,ctx_ids,cont_ids");
        var codec = db.Query(
            "SELECT DISTINCT compression FROM parquet_metadata(?)",
            Path.Combine(store.Folder, "items-00000.parquet")
        );
        codec.Single()[0].ShouldBe("ZSTD");
    }

    [Fact]
    public void FilesFromBeforeAColumnWasAddedAreRead()
    {
        string folder;
        using (var store = ResultsStore.OpenForWriting(_out, Info()))
        {
            store.Append(Choice(0) with { Cluster = "passage" });
            store.Complete([Metric(0.5)]);
            folder = store.Folder;
        }
        using (var store = ResultsStore.OpenFinished(_out))
        {
            store.ReadItems().Single().Cluster.ShouldBe("passage");
        }
        var part = Path.Combine(folder, "items-00000.parquet");
        using (var db = DuckDb.Open())
        {
            db.Execute(
                $"COPY (SELECT * EXCLUDE (cluster) FROM read_parquet({DuckDb.Quote(part)}, hive_partitioning = false)) "
                    + $"TO {DuckDb.Quote(part + ".old")} (FORMAT parquet)"
            );
        }
        File.Move(part + ".old", part, overwrite: true);
        using (var store = ResultsStore.OpenFinished(_out))
        {
            var row = store.ReadItems(texts: true).Single();
            row.Cluster.ShouldBeNull();
            row.Acc.ShouldBe(0);
            row.Contexts.ShouldNotBeNull();
        }
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.NegativeInfinity)]
    public void NonFiniteValuesAreRefused(double bad)
    {
        using var store = ResultsStore.OpenForWriting(_out, Info());
        var error = Should.Throw<ResultsException>(() => store.Append(Choice(7) with { ChoiceLogprobs = [0, bad] }));
        error.Message.ShouldContain("doc 7");
        error.Message.ShouldContain("choice_logprobs");
        Should.Throw<ResultsException>(() => store.Append(Choice(7) with { Nll = bad })).Message.ShouldContain("nll");
        Should.Throw<ResultsException>(() => store.Complete([Metric(bad)])).Message.ShouldContain("acc");
        store.IsDone.ShouldBeFalse();
        store.Finished.ShouldBeEmpty();
    }

    [Fact]
    public void AnItemTwiceIsRefused()
    {
        using var store = ResultsStore.OpenForWriting(_out, Info());
        store.Append(Choice(0));
        Should.Throw<ResultsException>(() => store.Append(Choice(0))).Message.ShouldContain("already");
    }

    [Fact]
    public void AKilledRunGoesOnWithTheRest()
    {
        const int total = ResultsStore.PartItems + 40;
        using (var store = ResultsStore.OpenForWriting(_out, Info()))
        {
            for (var i = 0; i < ResultsStore.PartItems + 10; i++)
            {
                store.Append(Choice(i));
            }
            // Killed here: 10 items wait, the next part's text file stands, one file is half written.
            File.Copy(
                Path.Combine(store.Folder, "texts-00000.parquet"),
                Path.Combine(store.Folder, "texts-00001.parquet")
            );
            File.WriteAllText(Path.Combine(store.Folder, "items-00001.parquet.partial"), "half");
        }
        Should.Throw<ResultsException>(() => ResultsStore.OpenFinished(_out)).Message.ShouldContain("not finished");
        using (var store = ResultsStore.OpenForWriting(_out, Info()))
        {
            store.Finished.Count.ShouldBe(ResultsStore.PartItems);
            for (var i = 0; i < total; i++)
            {
                if (!store.Finished.Contains(Choice(i).Key))
                {
                    store.Append(Choice(i));
                }
            }
            store.Complete([Metric(0.5)]);
        }
        using var read = ResultsStore.OpenFinished(_out);
        read.ReadItems(texts: true).Select(r => r.Doc).ShouldBe(Enumerable.Range(0, total).Select(i => (long)i));
        read.ReadItems(texts: true).ShouldAllBe(r => r.Contexts != null);
        Directory.GetFiles(read.Folder, "*.partial").ShouldBeEmpty();
    }

    [Fact]
    public void SmallPartsAreMergedAndNothingIsReadTwice()
    {
        const int parts = ResultParts.MergedParts + 3;
        using (var store = ResultsStore.OpenForWriting(_out, Info()))
        {
            for (var i = 0; i < parts; i++)
            {
                store.Append(i % 2 == 0 ? Choice(i) : Generation(i));
                store.Flush();
            }
            Files(store, "items")
                .ShouldBe([
                    $"items-00000-{ResultParts.MergedParts - 1:d5}.parquet",
                    .. Enumerable.Range(ResultParts.MergedParts, 3).Select(i => $"items-{i:d5}.parquet"),
                ]);
            // Killed while a merge was deleting what it covers: an old part and the next merge's texts still stand.
            File.Copy(
                Path.Combine(store.Folder, $"items-{ResultParts.MergedParts:d5}.parquet"),
                Path.Combine(store.Folder, "items-00007.parquet")
            );
            File.Copy(
                Path.Combine(store.Folder, $"texts-{ResultParts.MergedParts:d5}.parquet"),
                Path.Combine(store.Folder, $"texts-{ResultParts.MergedParts:d5}-{parts - 1:d5}.parquet")
            );
        }
        using (var store = ResultsStore.OpenForWriting(_out, Info()))
        {
            store.Finished.Count.ShouldBe(parts);
            Files(store, "texts").Count.ShouldBe(3);
            store.Complete([Metric(0.5)]);
            Files(store, "*").Count.ShouldBe(6);
        }
        using var read = ResultsStore.OpenFinished(_out);
        Json(read.ReadItems(texts: true, tokens: true))
            .ShouldBe(Json(Enumerable.Range(0, parts).Select(i => i % 2 == 0 ? Choice(i) : Generation(i))));
    }

    private static List<string> Files(ResultsStore store, string kind) =>
        [.. Directory.GetFiles(store.Folder, $"{kind}-*.parquet").Select(f => Path.GetFileName(f)!).Order()];

    [Fact]
    public void OtherSettingsAndFinishedRunsAreRefused()
    {
        using (var store = ResultsStore.OpenForWriting(_out, Info()))
        {
            store.Append(Choice(0));
            store.Complete([Metric(0.5)]);
        }
        var finished = Should.Throw<ResultsException>(() => ResultsStore.OpenForWriting(_out, Info()));
        finished.Fault.ShouldBe(ResultsFault.Refused);
        var other = Should.Throw<ResultsException>(() => ResultsStore.OpenForWriting(_out, Info("20")));
        other.Fault.ShouldBe(ResultsFault.Refused);
        other.Message.ShouldContain("limit: there 10, asked 20");
        using var forced = ResultsStore.OpenForWriting(_out, Info("20"), force: true);
        Directory.GetDirectories(_out).ShouldHaveSingleItem().ShouldBe(forced.Folder);
    }

    [Fact]
    public void AMissingFolderIsNamed() =>
        Should.Throw<ResultsException>(() => ResultsStore.OpenFinished(_out)).Message.ShouldContain(_out);
}
