using System.IO.Compression;
using System.Text.RegularExpressions;
using Slimming.Evaluation.Items;
using Slimming.Evaluation.Scoring;
using Slimming.Evaluation.Tasks;
using Slimming.Results;
using Slimming.TestSupport;

namespace Slimming.Evaluation.Tests;

/// <summary>Prompts, answers and metrics of tasks that have no reference file, against METHODS.md section 6.</summary>
public sealed class TaskFormTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("slimming-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void GsmWithStepsHasEightFixedExamples()
    {
        Write("gsm8k/test.jsonl", """{"question": "What is 2+2?", "answer": "2+2=<<2+2=4>>4\n#### 4"}""");
        var task = TaskCatalog.Find("gsm8k_cot");
        var item = Items("gsm8k_cot").Single();
        var prompt = item.Contexts.Single();
        prompt.ShouldStartWith(
            "Q: There are 15 trees in the grove. Grove workers will plant trees in the grove today. After they are done, "
                + "there will be 21 trees. How many trees did the grove workers plant today?\nA: There are 15 trees originally. "
                + "Then there were 21 trees after some more were planted. So there must have been 21 - 15 = 6. The answer is 6.\n\nQ: "
        );
        prompt.ShouldEndWith("So she has 23 - 15 dollars left. 23 - 15 is 8. The answer is 8.\n\nQ: What is 2+2?\nA:");
        prompt.Split("The answer is ").Length.ShouldBe(9);
        item.Targets.ShouldBe(["4"]);
        task.Stops.ShouldBe(["Q:", "</s>", "<|im_end|>"]);
        var row = Answer(task, "Two and two. The answer is 4.\n\n", item.Targets);
        (row.Strict, row.Flexible, row.ExactMatchStrict, row.ExactMatchFlexible).ShouldBe(("4", "4.", 1, 1));
        // The pattern wants a character after the number.
        Answer(task, "The answer is 4", item.Targets).Strict.ShouldBe("[invalid]");
    }

    [Fact]
    public void CopaScoresTwoBlanksAndALowerFirstLetter()
    {
        Write(
            "copa/validation.jsonl",
            """{"premise": "My body cast a shadow. ", "choice1": "The sun was rising.", "choice2": "ÉCOLE", "question": "cause", "idx": 0, "label": 0}""",
            """{"premise": "It rained.", "choice1": "A", "choice2": "", "question": "effect", "idx": 1, "label": 1}"""
        );
        var items = Items("copa");
        items[0].Contexts.ShouldBe(["My body cast a shadow because"]);
        items[0].Continuations.ShouldBe(["  the sun was rising.", "  éCOLE"]);
        items[1].Contexts.ShouldBe(["It rained therefore"]);
        items[1].Continuations.ShouldBe(["  a", "  "]);
        items[1].Gold.ShouldBe(1);
        // An example is delimiter and choice after the question, so the two blanks again.
        Write(
            "copa/train.jsonl",
            """{"premise": "It rained.", "choice1": "A", "choice2": "B", "question": "effect", "idx": 1, "label": 1}""",
            """{"premise": "It rained.", "choice1": "A", "choice2": "B", "question": "effect", "idx": 2, "label": 1}"""
        );
        Items("copa", shots: 1)[0]
            .Contexts.Single()
            .ShouldBe("It rained therefore  b\n\nMy body cast a shadow because");
    }

    [Fact]
    public void SquadTakesTheClosestAnswer()
    {
        Write(
            "squad/validation.jsonl",
            """{"id": "1", "title": "Norman", "context": "In France.", "question": "Where?", "answers": {"text": ["in France", "the France"], "answer_start": [0, 3]}}"""
        );
        var task = TaskCatalog.Find("squad");
        var item = Items("squad").Single();
        item.Contexts.ShouldBe(["Title: Norman\n\nBackground: In France.\n\nQuestion: Where?\n\nAnswer:"]);
        item.Targets.ShouldBe(["in France", "the France"]);
        item.Cluster.ShouldNotBeNull();
        Scores(" France!", item.Targets).ShouldBe((1, 1, 1));
        // "in old france" and "in france": 2 common of 3 and 2.
        Scores("In old France", item.Targets).ShouldBe((0, 0.8, 0.4));
        Scores("Germany", item.Targets).ShouldBe((0, 0, 0));
        Scores("", item.Targets).ShouldBe((0, 0, 0));

        (double, double, double) Scores(string generated, IReadOnlyList<string> targets)
        {
            var row = Answer(task, generated, targets);
            return (
                ItemMetrics.Score("exact_match", row),
                Math.Round(ItemMetrics.Score("f1", row), 12),
                Math.Round(ItemMetrics.Score("f1_em", row), 12)
            );
        }
    }

    [Fact]
    public void UnifiedQaCountsCommonWords()
    {
        Write("unifiedqa/test.tsv", "What is 'RED'? \\n (A) Blue (B) Red\tRed it is", "Is \"it\"?\tYes");
        var task = TaskCatalog.Find("unifiedqa");
        var items = Items("unifiedqa");
        items[0].Contexts.ShouldBe(["what is red? \\n (a) blue (b) red\nAnswer:"]);
        items[0].Targets.ShouldBe(["red it is"]);
        items[1].Contexts.ShouldBe(["is \"it\"?\nAnswer:"]);
        task.MaxGenTokens.ShouldBe(64);
        task.Metrics.ShouldBe(["acc", "jaccard", "jaccard_set"]);
        Scores("It is red", ["red it is"]).ShouldBe((1, 1, 1));
        // "red red it": two words common, three long; sets {red, it} of {red, it, is}.
        Scores("red red it", ["red it is"]).ShouldBe((0, 2.0 / 3, 2.0 / 3));
        Scores("red red", ["red red red red"]).ShouldBe((0, 0.5, 1));
        Scores("", ["red"]).ShouldBe((0, 0, 0));

        (double, double, double) Scores(string generated, IReadOnlyList<string> targets)
        {
            var row = Answer(task, generated, targets);
            return (row.Acc!.Value, row.Jaccard!.Value, row.JaccardSet!.Value);
        }
    }

    [Fact]
    public void TheStudysMmluDropsExamplesAndScoresTheBareLetter()
    {
        const string dev = "d?,1,2,3,4,A\n";
        Write("mmlu/dev/anatomy_dev.csv", dev, dev, dev, dev, dev);
        Write("mmlu/test/anatomy_test.csv", "\" t, ?\",w,x,y,z,C");
        var task = TaskCatalog.Find("mmlu_s2_anatomy");
        const string header = "The following are multiple choice questions (with answers) about  anatomy.\n\n";
        const string shot = "d?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: A\n\n";
        const string question = " t, ?\nA. w\nB. x\nC. y\nD. z\nAnswer:";
        var whole = header + string.Concat(Enumerable.Repeat(shot, 5)) + question;
        var item = Items("mmlu_s2_anatomy").Single();
        item.Contexts.ShouldBe([whole]);
        item.Continuations.ShouldBe(["A", "B", "C", "D"]);
        item.Gold.ShouldBe(2);
        // Counted so that three examples just fit, then that none does.
        Fitting(2048 - whole.Length + (2 * shot.Length)).ShouldBe(3);
        Fitting(5000).ShouldBe(0);

        int Fitting(int more)
        {
            var format = new PromptFormat { CountTokens = text => text.Length + more };
            var fitted = new ItemBuilder(task, _folder.FullName, null, format).Build(0, null).Single();
            fitted.Contexts.Single().ShouldEndWith(question);
            return fitted.Shots.Count;
        }
    }

    [Theory]
    [InlineData("question,A,B,C,D,answer", "q,1,2,3,4,2")]
    [InlineData(null, "q,1,2,3,4,C")]
    public void MmluFilesComeWithAndWithoutHeader(string? header, string row)
    {
        Write("mmlu/test/virology_test.csv", header is null ? [row] : [header, row]);
        var item = Items("mmlu_virology").Single();
        item.Gold.ShouldBe(2);
        item.Contexts.Single().ShouldEndWith("q\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:");
    }

    [Theory]
    [InlineData("boolq", "boolq/validation", """{"question": "is it", "passage": "P.", "idx": 0, "label": 1}""", 1)]
    [InlineData("boolq", "boolq/validation", """{"question": "is it", "passage": "P.", "answer": false}""", 0)]
    [InlineData(
        "openbookqa",
        "openbookqa/test",
        """{"question_stem": "S", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"}""",
        1
    )]
    [InlineData(
        "openbookqa",
        "openbookqa/test",
        """{"question": "S", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "1"}""",
        0
    )]
    [InlineData(
        "mmlu_virology",
        "mmlu/virology/test",
        """{"question": "q", "subject": "virology", "choices": ["a", "b", "c", "d"], "answer": 3}""",
        3
    )]
    public void HubRowsAndLocalRowsBothRead(string task, string file, string row, int gold)
    {
        Write(file + ".jsonl", row);
        var fromLines = Items(task).Single();
        fromLines.Gold.ShouldBe(gold);
        // The same row as the hub's Parquet has it.
        using (var db = DuckDb.Open())
        {
            var path = Path.Combine(_folder.FullName, file);
            db.Execute($"COPY (SELECT * FROM read_json_auto('{path}.jsonl')) TO '{path}.parquet' (FORMAT parquet)");
        }
        File.Delete(Path.Combine(_folder.FullName, file + ".jsonl"));
        var fromParquet = Items(task).Single();
        fromParquet.Contexts.ShouldBe(fromLines.Contexts);
        fromParquet.Continuations.ShouldBe(fromLines.Continuations);
        fromParquet.Gold.ShouldBe(gold);
    }

    /// <summary>The hub's C4 is a gzip file of one object a line, under .json.</summary>
    [Fact]
    public void CompressedLinesRead()
    {
        Directory.CreateDirectory(Path.Combine(_folder.FullName, "c4"));
        var path = Path.Combine(_folder.FullName, "c4/validation.json.gz");
        using (var file = new GZipStream(File.Create(path), CompressionLevel.Fastest))
        {
            file.Write("{\"text\": \"one\", \"url\": \"x\"}\n{\"text\": \"two\", \"url\": \"y\"}\n"u8);
        }
        Items("c4").Select(item => item.Raw).ShouldBe(["one", "two"]);
        TaskInventory.Of(TaskCatalog.Find("c4"), _folder.FullName).Rows.ShouldBe(2);
    }

    [Fact]
    public void TheThirdStudysHalvesAreThoseOfTorch()
    {
        Write(
            "copa/validation.jsonl",
            [
                .. Enumerable
                    .Range(0, 100)
                    .Select(i =>
                        $$"""{"premise": "P{{i}}.", "choice1": "a", "choice2": "b", "question": "effect", "label": {{i % 2}}}"""
                    ),
            ]
        );
        var test = Items("copa_s3");
        test.Count.ShouldBe(50);
        var first = TaskCatalog.Find("copa_s3") with
        {
            Split = new SplitDefinition { Seed = 42, Half = SplitHalf.First },
        };
        var dev = new ItemBuilder(first, _folder.FullName).Build(0, null).ToList();
        dev.Take(8).Select(item => item.Doc).ShouldBe([42L, 96, 62, 98, 46, 95, 60, 24]);
        dev.Concat(test).Select(item => item.Doc).Order().ShouldBe(Enumerable.Range(0, 100).Select(i => (long)i));
        var item = dev[0];
        item.Contexts.Single()
            .ShouldBe("P42.\nQuestion: What was the effect of this?\nchoice1: a\nchoice2: b\nAnswer:");
        item.Targets.ShouldBe(["choice1"]);
        Answer(TaskCatalog.Find("copa_s3"), " Choice1", item.Targets).ExactMatchStrict.ShouldBe(1);
    }

    [Fact]
    public void EveryNameOfAPartIsFoundAndItsMembersToo()
    {
        TaskSelection.Of(["mmlu_hendrycks_other"]).Tasks.Select(task => task.Name).ShouldContain("mmlu_anatomy");
        TaskSelection.Of(["mmlu_stem"]).Groups.Single().Tasks.Count.ShouldBe(19);
        var all = TaskSelection.Of(["mmlu", "piqa"]);
        all.Tasks.Count.ShouldBe(58);
        all.Groups.Select(group => (group.Label, group.Tasks.Count))
            .ShouldBe([
                ("mmlu", 57),
                ("mmlu_stem", 19),
                ("mmlu_humanities", 13),
                ("mmlu_social_sciences", 12),
                ("mmlu_other", 13),
                ("mmlu_hendrycks_stem", 18),
                ("mmlu_hendrycks_humanities", 13),
                ("mmlu_hendrycks_social_sciences", 12),
                ("mmlu_hendrycks_other", 14),
            ]);
        TaskSelection.Of(["mmlu_s2"]).Groups.Select(group => group.Tasks.Count).ShouldBe([57, 18, 13, 12, 14]);
        Should
            .Throw<Slimming.Gguf.SlimmingException>(() => TaskSelection.Of(["mmlu", "mmlu_virology"]))
            .Message.ShouldContain("mmlu_virology twice");
        var part = TaskSelection.Of(["mmlu"], task => task.Variant is "virology" or "anatomy");
        part.Missing.Count.ShouldBe(55);
        part.Groups.Select(group => group.Label)
            .ShouldBe([
                "mmlu (2 of 57)",
                "mmlu_stem (1 of 19)",
                "mmlu_other (1 of 13)",
                "mmlu_hendrycks_other (2 of 14)",
            ]);
    }

    [Theory]
    [InlineData("rule: sample")]
    [InlineData("rule: sample_others")]
    [InlineData("rule: first_n")]
    [InlineData("rule: sample, data: [rows.jsonl]")]
    [InlineData("rule: first_n, data: [none.jsonl, rows.jsonl]")]
    public void AnItemIsNeverAmongItsOwnExamples(string rule)
    {
        Write(
            "rows.jsonl",
            [.. Enumerable.Range(0, 6).Select(i => $$"""{"q": "question {{i}}", "a": "answer {{i}}"}""")]
        );
        var task = TaskCatalog.Parse(
            $$"""
            name: mine
            kind: generate_until
            data: [rows.jsonl]
            prompt: "{q}:"
            target: "{a}"
            few_shot: { count: 3, {{rule}} }
            metrics: [exact_match]
            """,
            "mine.yaml"
        );
        var items = new ItemBuilder(task, _folder.FullName).Build(0, null).ToList();
        items.Count.ShouldBe(6);
        foreach (var item in items)
        {
            item.Shots.Count.ShouldBe(3);
            item.Shots.ShouldNotContain((int)item.Doc);
            item.Contexts.Single().ShouldNotContain($"answer {item.Doc}");
        }
    }

    /// <summary>Task files of docs/tasks.md, each with a row of its data.</summary>
    [Fact]
    public void TheExamplesOfTheDocumentationRun()
    {
        var text = File.ReadAllText(Path.Combine(SharedFiles.RepoRoot, "docs", "tasks.md"));
        var examples = Regex.Matches(
            text,
            @"^    # (?<file>\S+\.yaml); a row of (?<data>\S+): (?<row>.+)\n(?<yaml>(    .+\n)+)",
            RegexOptions.Multiline | RegexOptions.ExplicitCapture
        );
        examples.Count.ShouldBe(3);
        foreach (var parts in examples.Select(example => example.Groups))
        {
            Write(parts["data"].Value, [.. Enumerable.Repeat(parts["row"].Value, 4)]);
            var yaml = parts["yaml"].Value.Replace("\n    ", "\n", StringComparison.Ordinal).Trim();
            var task = TaskCatalog.Parse(yaml, parts["file"].Value);
            parts["file"].Value.ShouldBe(task.Name + ".yaml");
            var items = new ItemBuilder(task, _folder.FullName, task.IsRunningText ? null : 0).Build(0, null).ToList();
            items.Count.ShouldBe(4);
            items[0].Contexts.Single().ShouldNotBeEmpty();
            if (task.Name == "capitals")
            {
                (items[0].Gold, items[0].Continuations[1]).ShouldBe((1, " Paris"));
            }
            if (task.Name == "sums")
            {
                var row = Answer(task, " 4,2\n", items[0].Targets);
                (row.ExactMatchStrict, row.ExactMatchFlexible).ShouldBe((1, 1));
            }
        }
    }

    private static ItemRow Answer(TaskDefinition task, string generated, IReadOnlyList<string> targets) =>
        RowScoring.WithAnswer(
            new ItemRow
            {
                Task = task.Name,
                TaskVersion = task.Version,
                Doc = 0,
                ItemHash = "",
                PromptHash = "",
            },
            task,
            generated,
            targets
        );

    private List<TaskItem> Items(string task, int? shots = null) =>
        [.. new ItemBuilder(TaskCatalog.Find(task), _folder.FullName, shots).Build(0, null)];

    private void Write(string file, params string[] lines)
    {
        var path = Path.Combine(_folder.FullName, file);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllLines(path, lines.Select(line => line.TrimEnd('\n')));
    }
}
