using System.Text.Json.Nodes;
using Slimming.Gguf;
using Slimming.Results;
using static Slimming.Cli.Tests.ScoredFolder;

namespace Slimming.Cli.Tests;

public sealed class CompareTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void CountsDifferencesAndTestsAreThoseOfTheItems()
    {
        // 40 items: 20 stay right, 9 become wrong, 1 becomes right, 10 stay wrong.
        var start = Base(Items("piqa", 20, 9, 1, 10, tuned: false));
        var tuned = Tuned(Items("piqa", 20, 9, 1, 10, tuned: true));
        var task = Json("compare", start, tuned)["runs"]![0]!["tasks"]![0]!;
        var metric = task["metrics"]![0]!;
        Number(metric["n"]).ShouldBe(40);
        Number(metric["base"]!["value"]).ShouldBe(29 / 40.0);
        Number(metric["tuned"]!["value"]).ShouldBe(21 / 40.0);
        Number(metric["base"]!["stderr"]).ShouldBe(Math.Sqrt(29.0 * 11 / 1600 / 39), 1e-12);
        Number(metric["difference"]).ShouldBe(-8 / 40.0, 1e-12);
        // (b + c - n d^2) / (n - 1) / n
        Number(metric["stderr"]).ShouldBe(Math.Sqrt((10 - (40 * 0.04)) / 39 / 40), 1e-12);
        Number(metric["mcnemar"]!["b"]).ShouldBe(9);
        Number(metric["mcnemar"]!["c"]).ShouldBe(1);
        // 2 (1 + 10) / 2^10
        Number(metric["p"]).ShouldBe(22 / 1024.0, 1e-12);
        Number(metric["p_holm"]).ShouldBe(22 / 1024.0, 1e-12);
        metric["test"]!.GetValue<string>().ShouldBe("exact McNemar");
        metric["verdict"]!.GetValue<string>().ShouldBe("worse");
        Number(metric["bootstrap"]!["low"]).ShouldBeLessThan(-0.2);
        Number(metric["bootstrap"]!["high"]).ShouldBeGreaterThan(-0.2);
        Number(metric["base"]!["interval"]!["low"]).ShouldBeLessThan(29 / 40.0);
        var moves = task["transitions"]!;
        new[] { "right_right", "right_wrong", "wrong_right", "wrong_wrong" }
            .Select(key => Number(moves[key]))
            .ShouldBe([20, 9, 1, 10]);
        moves["items"]!.AsArray().Count.ShouldBe(10);
        var item = moves["items"]![0]!;
        item["kind"]!.GetValue<string>().ShouldBe("right_to_wrong");
        item["doc"]!.GetValue<long>().ShouldBe(20);
        item["question"]!.GetValue<string>().ShouldBe("question 20");
        item["expected"]!.GetValue<string>().ShouldBe("yes");
        item["base_answer"]!.GetValue<string>().ShouldBe("yes");
        item["tuned_answer"]!.GetValue<string>().ShouldBe("no");
    }

    [Fact]
    public void EqualSeedsGiveEqualBytes()
    {
        var start = Base(Items("piqa", 20, 9, 1, 10, tuned: false));
        var tuned = Tuned(Items("piqa", 20, 9, 1, 10, tuned: true));
        var first = Cli.Done("compare", start, tuned, "--json").Output;
        Cli.Done("compare", start, tuned, "--json").Output.ShouldBe(first);
        Cli.Done("compare", start, tuned, "--json", "--seed", "7", "--resamples", "500").Output.ShouldNotBe(first);
    }

    [Fact]
    public void TokensOfAnotherVocabularyAreNotCompared()
    {
        ItemRow[] Texts(long tokens) =>
            [.. Enumerable.Range(0, 5).Select(i => Window("notes", i, 30 + i, tokens) with { NWords = 8 })];
        Refused(Base(Texts(10)), Tuned(Texts(11))).ShouldContain("token_perplexity of task notes is per token");
    }

    [Fact]
    public void ResultsOfAGroupAreTheItemsOfItsMembers()
    {
        var folder = Write(
            _folder["base"],
            Settings("base", "mmlu_a", "mmlu_b", "piqa"),
            [
                .. Items("mmlu_a", 2, 1, 0, 0, tuned: false).Select(row => row with { Groups = ["mmlu"] }),
                .. Items("mmlu_b", 1, 1, 0, 0, tuned: false).Select(row => row with { Groups = ["mmlu"] }),
                .. Items("piqa", 3, 0, 0, 0, tuned: false),
            ],
            groups: [("mmlu", 2)]
        );
        Rows("mmlu").ShouldBe(5);
        Rows("mmlu_b").ShouldBe(2);
        Rows("piqa").ShouldBe(3);

        int Rows(string task) =>
            Cli.Done("results", folder, "--format", "jsonl", "--task", task)
                .Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Length;
    }

    [Fact]
    public void HolmRunsOverOneMetricATask()
    {
        ItemRow[] Rows(bool tuned) =>
            [
                .. Items("piqa", 20, 9, 1, 10, tuned),
                .. Items("boolq", 30, 2, 2, 6, tuned),
                .. Enumerable.Range(0, 12).Select(i => Generation("gsm8k", i, !tuned, !tuned || i < 4)),
            ];
        var tasks = Json("compare", Base(Rows(false)), Tuned(Rows(true)))["runs"]![0]!["tasks"]!.AsArray();
        tasks.Count.ShouldBe(3);
        // p: 22/1024, 1, and for gsm8k's flexible match 2/2^8; Holm multiplies by 2, 1 and 3.
        Number(Primary(tasks[0])["p_holm"]).ShouldBe(44 / 1024.0, 1e-12);
        Number(Primary(tasks[1])["p_holm"]).ShouldBe(1);
        Primary(tasks[2])["metric"]!.GetValue<string>().ShouldBe("exact_match_flexible");
        Number(Primary(tasks[2])["p_holm"]).ShouldBe(3 * 2 / 256.0, 1e-12);
        tasks[2]!["metrics"]!
            .AsArray()
            .Single(metric => metric!["metric"]!.GetValue<string>() == "exact_match_strict")!["p_holm"]
            .ShouldBeNull();
    }

    [Fact]
    public void AGroupIsComparedOverAllItemsAndCountsOnce()
    {
        string[] tasks = ["mmlu_a", "mmlu_b", "piqa"];
        string[] groups = ["mmlu", "mmlu_stem"];
        string Run(string name, bool tuned) =>
            Write(
                _folder[name],
                Settings(name, tasks),
                [
                    .. Items("mmlu_a", 4, 3, 1, 2, tuned).Select(row => row with { Groups = groups }),
                    .. Items("mmlu_b", 4, 3, 0, 3, tuned).Select(row => row with { Groups = groups[..1] }),
                    .. Items("piqa", 5, 2, 2, 1, tuned),
                ],
                groups: [("mmlu", 2), ("mmlu_stem", 1)]
            );
        var found = Json("compare", Run("base", tuned: false), Run("tuned", tuned: true))["runs"]![0]![
            "tasks"
        ]!.AsArray();
        found
            .Select(task => (task!["task"]!.GetValue<string>(), task["part_of"]?.GetValue<string>()))
            .ShouldBe([("mmlu_a", "mmlu"), ("mmlu_b", "mmlu"), ("piqa", null), ("mmlu", null), ("mmlu_stem", "mmlu")]);
        var all = Primary(found[3]);
        Number(all["n"]).ShouldBe(20);
        all["clusters"].ShouldBeNull();
        Number(all["mcnemar"]!["b"]).ShouldBe(6);
        // 2 (1 + 7) / 2^7 over seven changed items; Holm over the group and piqa.
        Number(all["p"]).ShouldBe(16 / 128.0, 1e-12);
        Number(all["p_holm"]).ShouldBe(32 / 128.0, 1e-12);
        Primary(found[0])["p_holm"].ShouldBeNull();
        Primary(found[4])["p_holm"].ShouldBeNull();
        found[3]!["study"]![0]!["name"]!.GetValue<string>().ShouldBe("delta_K");
        found[0]!["transitions"]!["items"]!.AsArray().Count.ShouldBe(4);
    }

    [Fact]
    public void ScoresBetweenRightAndWrongHaveAnIntervalToo()
    {
        ItemRow[] Rows(double more) =>
            [
                .. Enumerable
                    .Range(0, 10)
                    .Select(i =>
                        Generation("squad", i, false, false) with
                        {
                            F1 = (i / 20.0) + more,
                            ExactMatchFlexible = null,
                        }
                    ),
            ];
        var found = Json("compare", Base(Rows(0)), Tuned(Rows(0.3)))["runs"]![0]!["tasks"]![0]!["metrics"]!.AsArray();
        var f1 = found.Single(metric => metric!["metric"]!.GetValue<string>() == "f1")!;
        // Mean 0.225, deviation of 0, 1, .., 9 is sqrt(55/6): error sqrt(55/6) / 20 / sqrt(10), t(0.975, 9) = 2.26216.
        var half = 2.2621571628 * Math.Sqrt(55 / 6.0) / 20 / Math.Sqrt(10);
        Number(f1["base"]!["interval"]!["low"]).ShouldBe(0.225 - half, 1e-9);
        Number(f1["base"]!["interval"]!["high"]).ShouldBe(0.225 + half, 1e-9);
        f1["mcnemar"].ShouldBeNull();
    }

    [Fact]
    public void StudyMeasuresHaveTheirSignsAndBothErrors()
    {
        ItemRow[] Rows(bool tuned) =>
            [
                .. Enumerable.Range(0, 20).Select(i => Generation("gsm8k", i, true, !tuned || i < 5)),
                .. Items("hellaswag", 10, 2, 6, 2, tuned),
                .. Items("mmlu_college_computer_science", 10, 6, 2, 2, tuned),
            ];
        var tasks = Json("compare", Base(Rows(false)), Tuned(Rows(true)))["runs"]![0]!["tasks"]!;
        var rate = tasks[0]!["study"]!
            .AsArray()
            .Single(row => row!["metric"]!.GetValue<string>() == "exact_match_flexible")!;
        rate["name"]!.GetValue<string>().ShouldBe("FR");
        Number(rate["value"]).ShouldBe(75, 1e-9);
        // The base has every item: the paired error is that of 5 of 20, sqrt(p (1-p) / 19).
        Number(rate["stderr"]).ShouldBe(100 * Math.Sqrt(0.25 * 0.75 / 19), 1e-9);
        var gain = tasks[1]!["study"]![0]!;
        gain["name"]!.GetValue<string>().ShouldBe("delta_A");
        Number(gain["value"]).ShouldBe(20, 1e-9);
        var loss = tasks[2]!["study"]![0]!;
        loss["name"]!.GetValue<string>().ShouldBe("delta_K");
        Number(loss["value"]).ShouldBe(20, 1e-9);
        // 16 and 12 of 20 right, as if the items were different ones.
        var unpaired = 100 * Math.Sqrt(((16.0 * 4) + (12.0 * 8)) / 400 / 19);
        Number(loss["stderr_unpaired"]).ShouldBe(unpaired, 1e-9);
        Number(loss["interval_unpaired"]!["high"]).ShouldBe(20 + (1.959963984540054 * unpaired), 1e-9);
    }

    [Fact]
    public void SharedTextsWidenTheErrorAndChangeTheTest()
    {
        // Each passage has four questions that fare alike: 12 passages, 48 questions.
        ItemRow[] Rows(bool tuned) =>
            [
                .. Enumerable
                    .Range(0, 48)
                    .Select(i => Choice("boolq", i, tuned ? i / 4 >= 5 : i / 4 >= 1, $"text {i / 4}")),
            ];
        var clustered = Json("compare", Base(Rows(false)), Tuned(Rows(true)))["runs"]![0]!["tasks"]![0]!["metrics"]![
            0
        ]!;
        Number(clustered["clusters"]).ShouldBe(12);
        clustered["test"]!.GetValue<string>().ShouldBe("clustered t");
        // Twelve units, four of them -1: sqrt((4 - 12/9) / 11 / 12).
        Number(clustered["stderr"]).ShouldBe(Math.Sqrt((4 - (12 / 9.0)) / 11 / 12), 1e-12);
        ItemRow[] Alone(bool tuned) => [.. Rows(tuned).Select(row => row with { Cluster = null })];
        var plain = Json("compare", Base(Alone(false), "base2"), Tuned(Alone(true), "tuned2"))["runs"]![0]!["tasks"]![
            0
        ]!["metrics"]![0]!;
        plain["clusters"].ShouldBeNull();
        Number(plain["stderr"]).ShouldBeLessThan(0.55 * Number(clustered["stderr"]));
    }

    [Fact]
    public void UnchangedItemsAreEquivalentOnceTheyAreEnough()
    {
        string Verdict(int n, string name)
        {
            var rows = Items("piqa", n / 2, 0, 0, n - (n / 2), tuned: false);
            var json = Json("compare", Base(rows, name), Tuned(rows, name + "-tuned"), "--margin", "0.02");
            return Primary(json["runs"]![0]!["tasks"]![0])["verdict"]!.GetValue<string>();
        }
        // 0.98^149 = 0.0493, 0.98^148 = 0.0503.
        Verdict(149, "many").ShouldBe("equivalent");
        Verdict(148, "few").ShouldBe("undecided");
    }

    [Fact]
    public void PerplexitiesAreComparedByTheirLogarithm()
    {
        ItemRow[] Rows(double more) =>
            [.. Enumerable.Range(0, 8).Select(i => Window("text", i, (100 * (2 + more)) + (i * (more + 1)), 100))];
        var metric = Primary(Json("compare", Base(Rows(0)), Tuned(Rows(0.1)))["runs"]![0]!["tasks"]![0]);
        metric["unit"]!.GetValue<string>().ShouldBe("nats per token");
        Number(metric["base"]!["value"]).ShouldBe(Math.Exp(2.035), 1e-9);
        Number(metric["difference"]).ShouldBe(0.1035, 1e-9);
        metric["verdict"]!.GetValue<string>().ShouldBe("worse");
        metric["mcnemar"].ShouldBeNull();
    }

    [Fact]
    public void SeveralRunsGetMeanAndSpread()
    {
        var start = Base(Items("piqa", 20, 4, 2, 14, tuned: false));
        string[] tuned =
        [
            Tuned(Items("piqa", 20, 4, 2, 14, tuned: true), "seed1"),
            Tuned(Items("piqa", 20, 4, 0, 16, tuned: true), "seed2"),
            Tuned(Items("piqa", 16, 8, 0, 16, tuned: true), "seed3"),
        ];
        var json = Json(["compare", start, .. tuned]);
        json["runs"]!.AsArray().Count.ShouldBe(3);
        var spread = json["spread"]![0]!;
        // 24 right before; 22, 20 and 16 after.
        Number(spread["runs"]).ShouldBe(3);
        Number(spread["mean_difference"]).ShouldBe((-2 - 4 - 8) / 40.0 / 3, 1e-12);
        Number(spread["deviation"]).ShouldBe(Math.Sqrt(((64 + 4 + 100) / 9.0) / 2) / 40, 1e-12);
        Number(spread["lowest"]).ShouldBe(-0.2, 1e-12);
        Number(spread["highest"]).ShouldBe(-0.05, 1e-12);
        var table = Cli.Done(["compare", start, .. tuned]).Output;
        table.ShouldContain("deviation over runs");
    }

    [Fact]
    public void TheTableNamesWhatItShows()
    {
        // Texts of models and data may move a terminal's cursor.
        var rows = Items("piqa", 20, 9, 1, 10, tuned: false);
        rows[20] = rows[20] with { Contexts = ["question 20 \u001b[31m"] };
        var start = Base(rows);
        var tuned = Tuned(Items("piqa", 20, 9, 1, 10, tuned: true));
        var text = Cli.Done("compare", start, tuned, "--items", "1").Output;
        text.ShouldContain("acc *");
        text.ShouldContain("9 / 1");
        text.ShouldContain("-0.2000");
        text.ShouldContain("0.0215");
        text.ShouldContain("worse");
        text.ShouldContain("piqa, doc 20, right to wrong");
        text.ShouldContain("piqa, doc 29, wrong to right");
        text.ShouldNotContain("\u001b");
        text.ShouldContain("question 20 \\u001b[31m");
        text.ShouldNotContain("doc 21");
        text.ShouldContain("alpha 0.05");
    }

    [Fact]
    public void PartlyRightAnswersOfWhichNoneChangedAreEquivalent()
    {
        ItemRow[] rows =
        [
            .. Enumerable
                .Range(0, 200)
                .Select(i =>
                    Generation("squad", i, false, false) with
                    {
                        ExactMatchStrict = null,
                        ExactMatchFlexible = null,
                        F1 = i % 10 / 10.0,
                    }
                ),
        ];
        var metric = Primary(Json("compare", Base(rows), Tuned(rows))["runs"]![0]!["tasks"]![0]);
        Number(metric["p_equivalence"]).ShouldBe(Math.Pow(0.98, 200), 1e-12);
        metric["verdict"]!.GetValue<string>().ShouldBe("equivalent");
    }

    [Theory]
    [InlineData("engine", "another engine")]
    [InlineData("cache_type", "f16")]
    [InlineData("chat_template", "abc")]
    [InlineData("limit", "10")]
    [InlineData("task piqa", "version 2, definition 0123, data 4567", "version of task piqa")]
    [InlineData("task piqa", "version 1, definition 9999, data 4567", "definition of task piqa")]
    [InlineData("task piqa", "version 1, definition 0123, data 8888", "data of task piqa")]
    public void AnotherSettingIsRefusedByName(string key, string value, string? field = null)
    {
        var settings = Settings("tuned", "piqa");
        settings[key] = value;
        var tuned = Write(_folder["tuned"], settings, Items("piqa", 5, 1, 1, 1, tuned: true));
        Refused(Base(Items("piqa", 5, 1, 1, 1, tuned: false)), tuned).ShouldContain((field ?? key) + " differs");
    }

    [Fact]
    public void AnotherPromptIsRefusedByItsRow()
    {
        var rows = Items("piqa", 5, 1, 1, 1, tuned: true);
        rows[3] = rows[3] with { PromptHash = "another" };
        var message = Refused(Base(Items("piqa", 5, 1, 1, 1, tuned: false)), Tuned(rows));
        message.ShouldContain(
            $"prompt_hash of task piqa, doc 3 differs: prompt 3 in {_folder["base"]}, another in {_folder["tuned"]}"
        );
    }

    [Fact]
    public void AnotherDefinitionWithOtherPromptsNamesBoth()
    {
        var rows = Items("piqa", 5, 1, 1, 1, tuned: true);
        rows[4] = rows[4] with { PromptHash = "another" };
        var settings = Settings("tuned", "piqa");
        settings["task piqa"] = "version 1, definition 9999, data 4567";
        var message = Refused(Base(Items("piqa", 5, 1, 1, 1, tuned: false)), Write(_folder["tuned"], settings, rows));
        message.ShouldContain("definition and prompt (doc 4 first) of task piqa differs: definition 0123 in ");
        message.ShouldNotContain("data 4567");
    }

    [Fact]
    public void AnotherTaskVersionIsRefusedByItsRow()
    {
        ItemRow[] rows = [.. Items("piqa", 5, 1, 1, 1, tuned: true).Select(row => row with { TaskVersion = "2" })];
        Refused(Base(Items("piqa", 5, 1, 1, 1, tuned: false)), Tuned(rows)).ShouldContain("task_version of task piqa");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void AMissingItemIsRefusedByItsRow(bool inBase)
    {
        var all = Items("piqa", 5, 1, 1, 1, tuned: false);
        ItemRow[] fewer = [.. all.Where(row => row.Doc != 6)];
        var message = Refused(Base(inBase ? fewer : all), Tuned(inBase ? all : fewer));
        message.ShouldContain("1 item(s)");
        message.ShouldContain("doc 6");
        message.ShouldContain("hash 6");
    }

    [Fact]
    public void RunsWithoutACommonTaskAreRefused() =>
        Refused(Base(Items("piqa", 5, 1, 1, 1, tuned: false)), Tuned(Items("boolq", 5, 1, 1, 1, tuned: true)))
            .ShouldContain("tasks differs: piqa in ");

    [Fact]
    public void TasksOfOneRunOnlyAreLeftOutAndNamed()
    {
        var start = Base([.. Items("piqa", 5, 1, 1, 1, tuned: false), .. Items("boolq", 5, 1, 1, 1, tuned: false)]);
        var answer = Cli.Done("compare", start, Tuned(Items("piqa", 5, 1, 1, 1, tuned: true)), "--json");
        answer.Error.ShouldContain("left out: boolq");
        JsonNode.Parse(answer.Output)!["runs"]![0]!["left_out"]![0]!.GetValue<string>().ShouldBe("boolq");
    }

    [Fact]
    public void AnotherMachineIsAWarning()
    {
        var rows = Items("piqa", 5, 1, 1, 1, tuned: true);
        var tuned = Write(_folder["tuned"], Settings("tuned", "piqa"), rows, "another machine");
        var answer = Cli.Done("compare", Base(Items("piqa", 5, 1, 1, 1, tuned: false)), tuned);
        answer.Error.ShouldContain("a machine; another machine");
    }

    [Theory]
    [InlineData("--alpha", "0")]
    [InlineData("--alpha", "0.5")]
    [InlineData("--margin", "0")]
    [InlineData("--resamples", "99")]
    [InlineData("--items", "-1")]
    public void ValuesThatMakeNoSenseAreRefused(string option, string value)
    {
        var answer = Cli.Run("compare", "base", "tuned", option, value);
        answer.Code.ShouldBe(ExitCode.Usage);
        answer.Error.ShouldContain(option);
    }

    [Fact]
    public void AnUnfinishedRunIsRefused()
    {
        var tuned = Tuned(Items("piqa", 5, 1, 1, 1, tuned: true));
        File.Delete(Path.Combine(Directory.GetDirectories(tuned)[0], "DONE"));
        Refused(Base(Items("piqa", 5, 1, 1, 1, tuned: false)), tuned).ShouldContain("not finished");
    }

    /// <summary>Items in the order stayed right, right to wrong, wrong to right, stayed wrong, as one side has them.</summary>
    private static ItemRow[] Items(string task, int rr, int rw, int wr, int ww, bool tuned) =>
        [
            .. Enumerable
                .Range(0, rr + rw + wr + ww)
                .Select(i => Choice(task, i, i < rr || (tuned ? i >= rr + rw && i < rr + rw + wr : i < rr + rw))),
        ];

    private static string[] TasksOf(ItemRow[] rows) => [.. rows.Select(row => row.Task).Distinct()];

    private string Base(ItemRow[] rows, string name = "base") =>
        Write(_folder[name], Settings("base", TasksOf(rows)), rows);

    private string Tuned(ItemRow[] rows, string name = "tuned") =>
        Write(_folder[name], Settings(name, TasksOf(rows)), rows);

    private static JsonNode Json(params string[] args) => JsonNode.Parse(Cli.Done([.. args, "--json"]).Output)!;

    private static JsonNode Primary(JsonNode? task) =>
        task!["metrics"]!.AsArray().Single(metric => metric!["primary"]!.GetValue<bool>())!;

    private static double Number(JsonNode? node) => node.ShouldNotBeNull().GetValue<double>();

    private static string Refused(string start, string tuned)
    {
        var answer = Cli.Run("compare", start, tuned);
        answer.Code.ShouldBe(ExitCode.Usage);
        answer.Output.ShouldBeEmpty();
        return answer.Error;
    }
}
