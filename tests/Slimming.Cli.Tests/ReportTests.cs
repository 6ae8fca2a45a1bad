using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Cli.Tests;

public sealed class ReportTests : IDisposable
{
    private static readonly string[] s_hostile =
    [
        "<script>alert(1)</script>",
        "</script><img src=x onerror=alert(1)>",
        "</pre><svg onload=alert(1)>",
        "\"><iframe src='javascript:alert(1)'></iframe>",
        "' onmouseover='alert(1)",
        "<!--<script>",
        "]]><style>*{display:none}</style>",
        "&lt;b&gt; &amp; <b>",
        "\u2028\u2029\0\u001b[31m",
    ];

    private readonly string _folder = Directory.CreateTempSubdirectory("slimming-report-").FullName;

    private string Out => Path.Combine(_folder, "report.html");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static (ExitCode Code, string Output, string Error) Run(params string[] args)
    {
        using StringWriter output = new();
        using StringWriter error = new();
        var code = Program.Run(["report", .. args], output, error);
        return (code, output.ToString(), error.ToString());
    }

    private string WriteTraining(string name = "run", string model = "base.gguf", int steps = 3, bool done = true)
    {
        var run = Directory.CreateDirectory(Path.Combine(_folder, name)).FullName;
        File.WriteAllText(
            Path.Combine(run, "run.json"),
            JsonSerializer.Serialize(
                new
                {
                    model = new { path = model, sha256 = "abc" },
                    resolved = new { method = "lora", compute = "f32" },
                }
            )
        );
        var rows = Enumerable
            .Range(1, steps)
            .Select(s =>
                JsonSerializer.Serialize(
                    new
                    {
                        step = s,
                        loss = 2.0 / s,
                        tokens = 100,
                        seconds = 0.5,
                    }
                )
            )
            .Prepend("""{"step":0,"eval_loss":1.7163}""")
            .Append($$"""{"step":{{steps}},"eval_loss":1.4922}""");
        File.WriteAllLines(Path.Combine(run, "metrics.jsonl"), rows);
        if (done)
        {
            File.WriteAllText(Path.Combine(run, "DONE"), "");
        }
        return run;
    }

    private string WriteResults(string label, double value, string text = "18", bool done = true)
    {
        var folder = Path.Combine(_folder, "results", label.Length > 20 ? "x" : label);
        var settings = new SortedDictionary<string, string> { ["label"] = label, ["text"] = text };
        using var store = ResultsStore.OpenForWriting(folder, new RunInfo { Label = label, Settings = settings });
        store.Append(
            new ItemRow
            {
                Task = "gsm8k",
                TaskVersion = "1",
                Doc = 0,
                ItemHash = "h",
                PromptHash = "p",
                Generated = text,
                ExactMatchFlexible = 1,
                Contexts = [text],
            }
        );
        if (done)
        {
            store.Complete([
                new("gsm8k", "1", "exact_match_flexible", value, 100, 0.0457, 0.2189, 0.3958, "e", "m", "c")
                {
                    Truncated = 7,
                },
                new("kl", "1", "mean_kl", 0.000_123_4, 40, 0.000_01, null, null, "e", "m", "c"),
                new("wiki", "1", "word_perplexity", 25.5, 40, null, null, null, "e", "m", "c"),
            ]);
        }
        return folder;
    }

    [Fact]
    public void ScoresCurvesAnswersAndHashesStandOnThePage()
    {
        var run = WriteTraining();
        var before = WriteResults("base", 0.3);
        var after = WriteResults("adapter", 0.42);
        var (code, output, error) = Run(run, before, after, "--out", Out);
        error.ShouldBe("");
        code.ShouldBe(ExitCode.Done);
        output.ShouldContain("1 training run(s), 2 scored run(s)");
        var html = File.ReadAllText(Out);
        html.ShouldContain(
            "<td class=\"n\">0.300<span class=\"under\">&plusmn; 0.046</span><span class=\"under\">[0.219, 0.396]</span>"
                + "<span class=\"under\">7 truncated</span></td>"
        );
        html.ShouldContain("exact_<wbr>match_<wbr>flexible, n = 100<");
        html.ShouldContain("<td class=\"n\">0.420<span");
        html.ShouldContain("<td class=\"n\">25.50</td>");
        html.IndexOf(">base<span", StringComparison.Ordinal)
            .ShouldBeLessThan(html.IndexOf(">adapter<span", StringComparison.Ordinal));
        html.ShouldContain("word_<wbr>perplexity &darr;");
        html.ShouldContain("mean_<wbr>kl &darr;");
        html.ShouldContain(">0.000123<");
        html.ShouldContain("1.7163");
        html.ShouldContain("1.4922");
        html.ShouldContain("\"evalLoss\":[1.7163,null,null,1.4922]");
        html.ShouldContain("<th>model.sha256</th><td>abc</td>");
        html.ShouldContain("<div class=\"who\">adapter, right</div><pre>18</pre>");
        html.ShouldContain("<div class=\"who\">asked</div><pre>18</pre>");
        File.Exists(Out + ".partial").ShouldBeFalse();
    }

    [Fact]
    public void AFolderAboveIsSearched()
    {
        WriteTraining();
        WriteResults("base", 0.3);
        Run(_folder, "--out", Out).Output.ShouldContain("1 training run(s), 1 scored run(s)");
    }

    [Fact]
    public void NothingOnThePageAsksTheNetwork()
    {
        Run(WriteTraining(), WriteResults("base", 0.3), "--out", Out);
        var html = File.ReadAllText(Out);
        html.ShouldContain("default-src 'none'");
        Regex.Matches(html, "(src|href)\\s*=|url\\(|@import|fetch\\(|XMLHttpRequest").ShouldBeEmpty();
    }

    [Fact]
    public void TextOfModelsAndPathsIsNeverMarkup()
    {
        foreach (var (hostile, i) in s_hostile.Select((h, i) => (h, i)))
        {
            var run = WriteTraining("r" + i, model: hostile);
            Run(
                run,
                WriteResults("base" + i, 0.3, hostile),
                WriteResults(hostile + new string('-', 20), 0.3),
                "--out",
                Out,
                "--force"
            )
                .Code.ShouldBe(ExitCode.Done);
            var html = File.ReadAllText(Out);
            // The page's own tags and no others.
            Regex.Count(html, "<script", RegexOptions.IgnoreCase).ShouldBe(3, hostile);
            Regex.Count(html, "</script", RegexOptions.IgnoreCase).ShouldBe(3, hostile);
            Regex.Count(html, "<style", RegexOptions.IgnoreCase).ShouldBe(1, hostile);
            Regex.IsMatch(html, "<(?:img|svg|iframe|b)[ >]|<!--", RegexOptions.IgnoreCase).ShouldBeFalse(hostile);
            Regex.IsMatch(html, "<[a-z]+[^>]* on[a-z]+=", RegexOptions.IgnoreCase).ShouldBeFalse(hostile);
            Directory.Delete(Path.Combine(_folder, "results"), recursive: true);
        }
    }

    [Fact]
    public void DifferencesAndChangedItemsStandOnThePage()
    {
        // 6 stay right, 3 become wrong, 1 stays wrong; the question is hostile.
        string[] folders =
        [
            .. new[] { "before", "after" }.Select(name =>
                ScoredFolder.Write(
                    Path.Combine(_folder, name),
                    ScoredFolder.Settings(name, "piqa"),
                    Enumerable
                        .Range(0, 10)
                        .Select(i =>
                            ScoredFolder.Choice("piqa", i, i < (name == "before" ? 9 : 6)) with
                            {
                                Contexts = [$"{s_hostile[0]} {i}"],
                            }
                        )
                )
            ),
        ];
        Run([.. folders, "--out", Out]).Code.ShouldBe(ExitCode.Done);
        var html = File.ReadAllText(Out);
        html.ShouldContain("Differences from before");
        // Such lists are printed where a reader opened them: those of a whole run would be hundreds of pages.
        html.ShouldContain(
            "<details class=\"items\"><summary>piqa: 3 right to wrong, 0 wrong to right, 6 stayed right, 1 stayed wrong"
        );
        html.ShouldContain("details:not([open], .items)");
        html.ShouldContain("-0.300 [");
        html.ShouldContain("undecided");
        html.ShouldContain("item 6, right to wrong");
        html.ShouldNotContain("item 5, right to wrong");
        html.ShouldContain("&lt;script&gt;alert(1)&lt;/script&gt; 6");
        html.ShouldNotContain(s_hostile[0]);
    }

    [Fact]
    public void AComparisonStandsWithoutTheTrainingData()
    {
        var run = WriteTraining();
        var record = JsonNode.Parse(File.ReadAllText(Path.Combine(run, "run.json")))!.AsObject();
        record["data"] = new JsonArray(new JsonObject { ["path"] = "gone.jsonl" });
        File.WriteAllText(Path.Combine(run, "run.json"), record.ToJsonString());
        string[] folders =
        [
            .. new[] { ("before", 9), ("after", 6) }.Select(scored =>
                ScoredFolder.Write(
                    Path.Combine(_folder, scored.Item1),
                    ScoredFolder.Settings(scored.Item1, "piqa"),
                    Enumerable.Range(0, 10).Select(i => ScoredFolder.Choice("piqa", i, i < scored.Item2))
                )
            ),
        ];
        Run([run, .. folders, "--out", Out]).Code.ShouldBe(ExitCode.Done);
        var html = File.ReadAllText(Out);
        html.ShouldContain("Overlap with training data was not looked for: ");
        html.ShouldContain("-0.300 [");
        html.ShouldNotContain("Not compared");
    }

    [Fact]
    public void SeveralRunsGetMeanAndSpread()
    {
        // Ten items: 8 right, then 7, 6 and 8.
        string[] folders =
        [
            .. new[] { ("base", 8), ("seed1", 7), ("seed2", 6), ("seed3", 8) }.Select(run =>
                ScoredFolder.Write(
                    Path.Combine(_folder, run.Item1),
                    ScoredFolder.Settings(run.Item1, "my_task"),
                    Enumerable.Range(0, 10).Select(i => ScoredFolder.Choice("my_task", i, i < run.Item2))
                )
            ),
        ];
        Run([.. folders[..2], "--out", Out]).Code.ShouldBe(ExitCode.Done);
        File.ReadAllText(Out).ShouldNotContain("Mean and spread");
        Run([.. folders, "--out", Out, "--force"]).Code.ShouldBe(ExitCode.Done);
        var html = File.ReadAllText(Out);
        html.ShouldContain("Mean and spread over the 3 runs");
        html.ShouldContain(
            "my_<wbr>task<span class=\"under\">acc, 3 runs</span></td><td class=\"n\">-0.100<span class=\"under\">0.100</span>"
        );
        html.ShouldContain("-0.200 to 0.000");
        html.ShouldContain("<td class=\"n\"><span class=\"run\">seed1</span>0.000");
    }

    [Fact]
    public void CalibrationAndTrainingOverlapStandOnThePage()
    {
        const string words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen";
        string[] folders =
        [
            .. new[] { "before", "after" }.Select(name =>
                ScoredFolder.Write(
                    Path.Combine(_folder, name),
                    ScoredFolder.Settings(name, "piqa", "mmlu_a", "mmlu_b"),
                    new[] { "piqa", "mmlu_a", "mmlu_b" }.SelectMany(task =>
                        Enumerable
                            .Range(0, 8)
                            .Select(i =>
                                ScoredFolder.Choice(task, i, i < 4) with
                                {
                                    Contexts = [task == "piqa" && i == 3 ? words : $"question {i}"],
                                    Groups = task == "piqa" ? null : ["mmlu"],
                                    ChoiceLogprobs = [0, Math.Log(3)],
                                }
                            )
                    )
                )
            ),
        ];
        var run = WriteTraining();
        var data = Path.Combine(_folder, "train.jsonl");
        File.WriteAllText(data, JsonSerializer.Serialize(new { text = $"{s_hostile[0]} {words}" }));
        TrainRecord.Write(run, data);
        Run([run, .. folders, "--out", Out]).Code.ShouldBe(ExitCode.Done);
        var html = File.ReadAllText(Out);
        // Confidence 0.75, half of the answers right; the subjects of MMLU are one task of 16.
        html.ShouldContain(
            "<td>piqa<span class=\"under\">before, n = 8</span></td><td class=\"n\">0.750<span class=\"under\">0.500</span></td>"
        );
        html.ShouldContain("<td>mmlu<span class=\"under\">after, n = 16</span></td>");
        html.ShouldContain("<td class=\"n\">0.250<span class=\"under\">[");
        html.ShouldContain("\"calibration\":[[{\"run\":\"before\",\"points\":[[0.75,0.5,");
        html.ShouldContain("piqa: 1 of 8 items share 13 words in a row with training rows");
        html.ShouldContain("id=\"calibration-1\"");
        html.ShouldNotContain(s_hostile[0]);
    }

    [Fact]
    public void RunsThatAreNoPairAreSaidToBeNone()
    {
        var before = ScoredFolder.Write(
            Path.Combine(_folder, "before"),
            ScoredFolder.Settings("before", "piqa"),
            [ScoredFolder.Choice("piqa", 0, true)]
        );
        var settings = ScoredFolder.Settings("after", "piqa");
        settings["cache_type"] = "f16";
        var after = ScoredFolder.Write(
            Path.Combine(_folder, "after"),
            settings,
            [ScoredFolder.Choice("piqa", 0, true)]
        );
        Run(before, after, "--out", Out).Code.ShouldBe(ExitCode.Done);
        File.ReadAllText(Out).ShouldContain("Not compared: ");
        File.ReadAllText(Out).ShouldContain($"cache_type differs: f32 in {before}/run=");
    }

    [Fact]
    public void UnfinishedScoresAreLeftOutAndSaid()
    {
        var (code, _, error) = Run(WriteTraining(done: false), WriteResults("base", 0.3, done: false), "--out", Out);
        code.ShouldBe(ExitCode.Done);
        error.ShouldContain("is not finished");
        var html = File.ReadAllText(Out);
        html.ShouldContain("is not finished; its scores are left out");
        html.ShouldNotContain("gsm8k");
    }

    [Fact]
    public void BadInputIsOneMessage()
    {
        var empty = Directory.CreateDirectory(Path.Combine(_folder, "empty")).FullName;
        Run(empty, "--out", Out)
            .ShouldSatisfyAllConditions(
                r => r.Code.ShouldBe(ExitCode.Usage),
                r => r.Error.ShouldContain($"{empty}: nothing to report")
            );
        Run(Path.Combine(_folder, "no"), "--out", Out).Error.ShouldContain("no such folder");
        var run = WriteTraining();
        File.WriteAllText(Out, "mine");
        Run(run, "--out", Out).Code.ShouldBe(ExitCode.Refused);
        File.ReadAllText(Out).ShouldBe("mine");
        File.AppendAllText(Path.Combine(run, "metrics.jsonl"), "{\"step\":\"x\",\"loss\":1}\n");
        var (code, _, error) = Run(run, "--out", Out, "--force");
        code.ShouldBe(ExitCode.Usage);
        error.ShouldContain("metrics.jsonl, row 5");
        File.ReadAllText(Out).ShouldBe("mine");
    }
}
