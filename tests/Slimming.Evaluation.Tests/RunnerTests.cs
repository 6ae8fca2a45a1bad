using System.Text;
using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Items;
using Slimming.Evaluation.Scoring;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Evaluation.Tests;

public sealed class RunnerTests : IDisposable
{
    private const string Choices = """
        name: colours
        kind: multiple_choice
        data: [colours.jsonl]
        prompt: "{question}"
        choices_field: options
        gold: "{answer}"
        few_shot: { count: 0, rule: first_n }
        metrics: [acc, acc_norm]
        """;

    private const string Sums = """
        name: sums
        kind: generate_until
        data: [sums.jsonl]
        prompt: "{a}+{b}="
        target: "{sum}"
        stops: ["\n"]
        max_gen_tokens: 5
        metrics: [exact_match_strict]
        """;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("slimming-");

    public RunnerTests()
    {
        File.WriteAllLines(
            Path.Combine(_folder.FullName, "colours.jsonl"),
            Enumerable
                .Range(0, 70)
                .Select(i => $$"""{"question": "q{{i}}", "options": ["a", "bb", "ccc"], "answer": {{i % 3}}}""")
        );
        File.WriteAllLines(
            Path.Combine(_folder.FullName, "sums.jsonl"),
            [
                """{"a": 1, "b": 2, "sum": "3"}""",
                """{"a": 2, "b": 2, "sum": " 4 "}""",
                """{"a": 2, "b": 3, "sum": "6"}""",
            ]
        );
        File.WriteAllText(Path.Combine(_folder.FullName, "text.txt"), "abc def\nghi");
    }

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void ItemsAndMetricsAreThoseOfTheAnswers()
    {
        using var engine = new FakeEngine();
        var summary = Run(engine, Choices, "a");
        // The fake likes choice 0 best; a third of the golds is 0.
        summary.Single(row => row.Metric == "acc").Value.ShouldBe(24.0 / 70, 1e-12);
        summary.Single(row => row.Metric == "acc").N.ShouldBe(70);
        // -1/1, -2.5/2, -3.5/3: still choice 0.
        summary.Single(row => row.Metric == "acc_norm").Value.ShouldBe(24.0 / 70, 1e-12);
        using var store = ResultsStore.OpenFinished(Path.Combine(_folder.FullName, "a"));
        var items = store.ReadItems(texts: true, tokens: true).ToList();
        items.Select(item => item.Doc).ShouldBe(Enumerable.Range(0, 70).Select(i => (long)i));
        items[4].Contexts.ShouldBe(["q4"]);
        items[4].Continuations.ShouldBe([" a", " bb", " ccc"]);
        items[4].NCont.ShouldBe([2L, 3, 4]);
        items[4].ContIds![1].ShouldBe([32L, 98, 98]);
        items[4].ChoiceLogprobs.ShouldBe([-1, -2.5, -3.5]);
    }

    [Fact]
    public void GeneratedTextIsComparedTrimmed()
    {
        using var engine = new FakeEngine { Generated = ["3 ", "4\nmore", "5"] };
        Run(engine, Sums, "b").Single().Value.ShouldBe(2.0 / 3, 1e-12);
        using var store = ResultsStore.OpenFinished(Path.Combine(_folder.FullName, "b"));
        store.ReadItems().Select(item => item.Strict).ShouldBe(["3", "4", "5"]);
    }

    [Fact]
    public void PerplexityIsPerWordByteAndToken()
    {
        using var engine = new FakeEngine();
        const string yaml = """
            name: text
            kind: perplexity
            data: [text.txt]
            prompt: "{text}"
            windows: rolling
            metrics: [word_perplexity, byte_perplexity, bits_per_byte, token_perplexity]
            """;
        var summary = Run(engine, yaml, "c").ToDictionary(row => row.Metric, row => row.Value);
        // 11 bytes, 3 words; the fake gives one window of n tokens -(n - 1) - 0.5 or, for 2 tokens, -1.
        var nll = 10.5;
        summary["word_perplexity"].ShouldBe(Math.Exp(nll / 3), 1e-9);
        summary["byte_perplexity"].ShouldBe(Math.Exp(nll / 11), 1e-9);
        summary["bits_per_byte"].ShouldBe(nll / 11 / Math.Log(2), 1e-9);
        summary["token_perplexity"].ShouldBe(Math.Exp(nll / 11), 1e-9);
    }

    [Fact]
    public void AnEmptyLineCountsNothingButAWord()
    {
        using var engine = new FakeEngine();
        File.WriteAllText(Path.Combine(_folder.FullName, "text.txt"), "abc\n\ndef");
        Run(
            engine,
            """
            name: text
            kind: perplexity
            data: [text.txt]
            rows: lines
            prompt: "{text}"
            metrics: [word_perplexity]
            """,
            "lines"
        );
        using var store = ResultsStore.OpenFinished(Path.Combine(_folder.FullName, "lines"));
        var empty = store.ReadItems().Single(row => row.Doc == 1);
        (empty.NTokens, empty.NBytes, empty.NWords).ShouldBe((0, 0, 1));
        BitConverter.DoubleToInt64Bits(empty.Nll!.Value).ShouldBe(0);
    }

    [Fact]
    public void AGroupIsTheMeanOfItsItemsAndItsErrorIsPooled()
    {
        const string yaml = """
            name: part_*
            kind: multiple_choice
            data: ["{variant}.jsonl"]
            prompt: "{question}"
            choices: [a, bb]
            gold: "{answer}"
            metrics: [acc]
            variants: [one, two, three]
            group: part
            subgroups: { part_few: [one, three] }
            """;
        // The fake likes choice 0 best: right are 2 of 3, 1 of 5, and the only one.
        Rows("one", 0, 0, 1);
        Rows("two", 1, 1, 0, 1, 1);
        Rows("three", 0);
        using var engine = new FakeEngine();
        var file = Path.Combine(_folder.FullName, "part.yaml");
        File.WriteAllText(file, yaml);
        var summary = Run(engine, TaskSelection.Of([file]), "g").ToDictionary(row => row.Task);
        summary["part_one"].Value.ShouldBe(2.0 / 3, 1e-12);
        summary["part"].Value.ShouldBe(4.0 / 9, 1e-12);
        (summary["part"].N, summary["part"].Members, summary["part_one"].Members).ShouldBe((9, 3, 0));
        // Sums of squares about the means: 2/3, 4/5, 0; over 9 - 3 and 9.
        summary["part"].Stderr!.Value.ShouldBe(Math.Sqrt(((2.0 / 3) + 0.8) / 6 / 9), 1e-12);
        summary["part_few"].Value.ShouldBe(0.75, 1e-12);
        summary["part_few"].Stderr!.Value.ShouldBe(Math.Sqrt(2.0 / 3 / 2 / 4), 1e-12);
        summary["part_three"].Stderr.ShouldBeNull();
        using var store = ResultsStore.OpenFinished(Path.Combine(_folder.FullName, "g"));
        var items = store.ReadItems().ToList();
        items.Select(item => item.Subject).ShouldBe(["one", "one", "one", "two", "two", "two", "two", "two", "three"]);
        items[0].Groups.ShouldBe(["part", "part_few"]);
        items[4].Groups.ShouldBe(["part"]);
        // Rescoring without the model finds the groups again.
        var rescorer = new Rescorer(store, TaskSelection.Of([file]).Tasks);
        using var again = ResultsStore.OpenForWriting(Path.Combine(_folder.FullName, "h"), rescorer.Info);
        rescorer
            .Run(again, "none", TestContext.Current.CancellationToken)
            .Metrics.Select(row => (row.Task, row.Value, row.Stderr, row.Members))
            .ShouldBe(summary.Values.Select(row => (row.Task, row.Value, row.Stderr, row.Members)));
    }

    [Fact]
    public void WindowsOfAJoinedTextAreTheItems()
    {
        using var engine = new FakeEngine();
        const string yaml = """
            name: text
            kind: perplexity
            data: [lines.txt]
            rows: lines
            first_rows: 3
            prompt: "{text|strip}"
            join: "\n\n"
            bos: tokenizer
            windows: disjoint
            window_length: 5
            metrics: [token_perplexity]
            """;
        File.WriteAllLines(Path.Combine(_folder.FullName, "lines.txt"), [" abc ", "", "defg", "left out"]);
        // "abc", "", "defg" joined: 11 bytes, two windows of 5.
        Run(engine, yaml, "w").Single().N.ShouldBe(2);
        using var adding = new FakeEngine { AddsBos = true };
        Run(adding, yaml.Replace("name: text", "name: other", StringComparison.Ordinal), "x").Single().N.ShouldBe(2);
        using var store = ResultsStore.OpenFinished(Path.Combine(_folder.FullName, "x"));
        store
            .ReadItems(tokens: true)
            .Select(row => string.Concat(row.ContIds!.Single().Select(id => (char)id)))
            .ShouldBe(["\u0001abc\n", "\n\n\nde"]);
        // One window alone, as --offset and --limit ask.
        var one = Run(new FakeEngine(), TaskSelectionOf(yaml), "y", offset: 1, limit: 1).Single();
        one.N.ShouldBe(1);
    }

    [Fact]
    public void SlicesLieWherePythonDrawsThem()
    {
        using var engine = new FakeEngine();
        const string yaml = """
            name: text
            kind: perplexity
            data: [lines.txt]
            rows: lines
            prompt: "{text}"
            windows: slices
            window_length: 4
            window_count: 6
            window_seed: 0
            metrics: [token_perplexity]
            """;
        var rows = Enumerable.Range(0, 7).Select(i => new string((char)('a' + i), i) + "0123456"[..i]).ToList();
        File.WriteAllLines(Path.Combine(_folder.FullName, "lines.txt"), rows);
        Run(engine, yaml, "s").Single().N.ShouldBe(6);
        using var store = ResultsStore.OpenFinished(Path.Combine(_folder.FullName, "s"));
        // python3: random.seed(0), randint over the 7 rows until one has more than 4 characters, randint(0, len - 5).
        store
            .ReadItems(tokens: true)
            .Select(row => string.Concat(row.ContIds!.Single().Select(id => (char)id)))
            .ShouldBe(["0123", "0123", "e012", "dd01", "dd01", "eee0"]);
        File.WriteAllLines(Path.Combine(_folder.FullName, "lines.txt"), ["abcd", "ab"]);
        Should
            .Throw<SlimmingException>(() => Run(engine, yaml, "t"))
            .Message.ShouldContain("none of 2 rows has more than 4 tokens");
    }

    [Fact]
    public void ALastTokenIsScoredRightAfterTheContext()
    {
        using var engine = new FakeEngine { AddsBos = true };
        const string yaml = """
            name: last
            kind: multiple_choice
            data: [colours.jsonl]
            prompt: "{question} "
            choices: [AB, CD, EF]
            scoring: last_token
            bos: tokenizer
            gold: "{answer}"
            metrics: [acc]
            """;
        Run(engine, yaml, "l");
        using var store = ResultsStore.OpenFinished(Path.Combine(_folder.FullName, "l"));
        var item = store.ReadItems(texts: true, tokens: true).First();
        item.Continuations.ShouldBe(["AB", "CD", "EF"]);
        item.ContIds!.Select(ids => ids.Single()).ShouldBe([(long)'B', 'D', 'F']);
        // BOS, and the blank that a continuation would have taken along.
        item.CtxIds!.Single().ShouldBe([1L, 'q', '0', ' ']);
        var rescorer = new Rescorer(store, [TaskCatalog.Parse(yaml, "test.yaml")]);
        using var again = ResultsStore.OpenForWriting(Path.Combine(_folder.FullName, "m"), rescorer.Info);
        rescorer.Run(again, "none", TestContext.Current.CancellationToken).Changed.Single().Items.ShouldBe(0);
    }

    [Fact]
    public void AContextTooSmallForAnItemNamesIt()
    {
        File.WriteAllText(
            Path.Combine(_folder.FullName, "colours.jsonl"),
            $$"""{"question": "q", "options": ["a", "{{new string('b', 64)}}"], "answer": 0}"""
        );
        using var engine = new FakeEngine();
        var error = Should.Throw<SlimmingException>(() => Run(engine, Choices, "v"));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain("task colours, doc 0, choice 1: its 65 tokens do not fit");
        var all = Sums.Replace("max_gen_tokens: 5", "max_gen_tokens: 64", StringComparison.Ordinal);
        Should.Throw<SlimmingException>(() => Run(engine, all, "z")).Message.ShouldContain("task sums: 64 tokens");
    }

    [Fact]
    public void TruncatedItemsAreCounted()
    {
        using var engine = new FakeEngine { TruncateFrom = "q40" };
        Run(engine, Choices, "u").ShouldAllBe(row => row.Truncated == 1);
        using var store = ResultsStore.OpenFinished(Path.Combine(_folder.FullName, "u"));
        store.ReadItems().Where(item => item.Truncated).Select(item => item.Doc).ShouldBe([40L]);
        store.ReadSummary().ShouldAllBe(row => row.Truncated == 1);
    }

    [Theory]
    [InlineData(false, "[system]S[user]q1=1;q2[assistant]")]
    [InlineData(true, "[system]S[user]q1[assistant]1[user]q2[assistant]")]
    public void AChatTemplateTakesShotsAsTextOrAsTurns(bool turns, string expected)
    {
        const string shape = """
            data: [chat.jsonl]
            description: "S"
            prompt: "{q}"
            delimiter: "="
            few_shot: { count: 1, rule: first_n, separator: ";", samples: [{q: q1, a: "1", b: "x", g: "0"}] }

            """;
        File.WriteAllText(
            Path.Combine(_folder.FullName, "chat.jsonl"),
            """{"q": "q2", "a": "2", "b": "x", "g": "0"}"""
        );
        var format = new PromptFormat
        {
            Chat = list => string.Concat(list.Select(turn => $"[{turn.Role}]{turn.Text}")) + "[assistant]",
            ShotsAsTurns = turns,
        };
        var choice = Item(
            "kind: multiple_choice\nname: c\nchoices: [\"{a}\", \"{b}\"]\ngold: \"{g}\"\nmetrics: [acc]\n"
        );
        choice.Contexts.ShouldBe([expected]);
        choice.Continuations.ShouldBe(["2", "x"]);
        var generation = Item("kind: generate_until\nname: g\ntarget: \"{a}\"\nmetrics: [exact_match]\n");
        generation.Contexts.ShouldBe([expected]);

        TaskItem Item(string kind) =>
            new ItemBuilder(TaskCatalog.Parse(kind + shape, "chat.yaml"), _folder.FullName, null, format)
                .Build(0, null)
                .Single();
    }

    [Theory]
    [InlineData(Fault.NaN, "colours, doc 40, choice 1")]
    [InlineData(Fault.Missing, "95 answers to 96 questions")]
    [InlineData(Fault.Duplicate, "97 answers to 96 questions")]
    public void AFaultyEngineFailsTheRun(Fault fault, string named)
    {
        using var engine = new FakeEngine { Fault = fault };
        var error = Should.Throw<SlimmingException>(() => Run(engine, Choices, "d"));
        error.Code.ShouldBe(ExitCode.Failed);
        error.Message.ShouldContain(named);
        var run = Directory.GetDirectories(Path.Combine(_folder.FullName, "d")).ShouldHaveSingleItem();
        Should.Throw<ResultsException>(() => ResultsStore.OpenFinished(run));
        // Nothing of the batch that failed is kept, everything of the ones before it is.
        Directory.GetFiles(run, "items-*").Length.ShouldBe(fault == Fault.NaN ? 1 : 0);
    }

    [Theory]
    [InlineData(Fault.Missing, "2 answers to 3 questions")]
    [InlineData(Fault.Duplicate, "4 answers to 3 questions")]
    public void AFaultyGeneratorFailsTheRun(Fault fault, string named)
    {
        using var engine = new FakeEngine { Fault = fault, Generated = ["3", "4", "5"] };
        Should.Throw<SlimmingException>(() => Run(engine, Sums, "g")).Message.ShouldContain(named);
    }

    [Fact]
    public void TheHeaderIsWhatAllItemsOfTheFirstBatchBeginWith()
    {
        using var engine = new FakeEngine();
        File.Copy(Path.Combine(_folder.FullName, "colours.jsonl"), Path.Combine(_folder.FullName, "shots.jsonl"));
        Run(engine, Choices.Replace("count: 0", "count: 2, data: [shots.jsonl]", StringComparison.Ordinal), "i");
        engine.Detokenize([.. engine.Header]).ShouldBe("q0 a\n\nq1 bb\n\nq");
    }

    [Fact]
    public void ACancelledRunGoesOnWhereItStopped()
    {
        using var first = new FakeEngine { CancelAfter = 2 };
        Should.Throw<OperationCanceledException>(() => Run(first, Choices, "e"));
        using var second = new FakeEngine();
        var summary = Run(second, Choices, "e");
        summary[0].N.ShouldBe(70);
        // 70 items in groups of 32: two groups stood, the last one is asked.
        second.Asked.ShouldBe(6 * 3);
    }

    [Fact]
    public void ABadRowIsNamed()
    {
        File.WriteAllLines(
            Path.Combine(_folder.FullName, "colours.jsonl"),
            ["""{"question": "q", "options": ["a", "b"], "answer": 7}"""]
        );
        using var engine = new FakeEngine();
        var error = Should.Throw<SlimmingException>(() => Run(engine, Choices, "f"));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain("row 0");
        error.Message.ShouldContain("gold \"7\"");
    }

    private void Rows(string name, params int[] answers) =>
        File.WriteAllLines(
            Path.Combine(_folder.FullName, name + ".jsonl"),
            answers.Select(answer => $$"""{"question": "q", "answer": {{answer}}}""")
        );

    private static TaskSelection TaskSelectionOf(string yaml) => new([TaskCatalog.Parse(yaml, "test.yaml")], [], []);

    private IReadOnlyList<MetricRow> Run(FakeEngine engine, string yaml, string name) =>
        Run(engine, TaskSelectionOf(yaml), name);

    private IReadOnlyList<MetricRow> Run(
        FakeEngine engine,
        TaskSelection selection,
        string name,
        int offset = 0,
        int? limit = null
    )
    {
        var options = new BenchOptions
        {
            Tasks = selection.Tasks,
            Groups = selection.Groups,
            DataDir = _folder.FullName,
            Offset = offset,
            Limit = limit,
        };
        var info = new RunInfo
        {
            Settings = new SortedDictionary<string, string>(StringComparer.Ordinal) { ["task"] = name },
        };
        using var store = ResultsStore.OpenForWriting(Path.Combine(_folder.FullName, name), info);
        return new BenchRunner(engine, options, new ResultOrigin("fake", "here", "none")).Run(
            store,
            cancellation: engine.Token
        );
    }

    public enum Fault
    {
        None,
        NaN,
        Missing,
        Duplicate,
    }

    /// <summary>An engine whose tokens are bytes and whose answers depend on lengths alone.</summary>
    private sealed class FakeEngine : IScoringEngine, ITextCodec
    {
        private readonly CancellationTokenSource _source = new();
        private int _calls;

        public Fault Fault { get; init; }
        public int CancelAfter { get; init; } = int.MaxValue;
        public IReadOnlyList<string> Generated { get; init; } = [];
        public int Asked { get; private set; }
        public CancellationToken Token => _source.Token;
        public string Name => "fake";
        public ITextCodec Codec => this;
        public IReadOnlyList<int> Header { get; private set; } = [];
        public int MaxLength => 64;
        public int Bos => 1;
        public bool AddsBos { get; init; }
        public string? TruncateFrom { get; init; }
        public int PrefixToken => 1;

        public int[] Tokenize(string text) => [.. Encoding.UTF8.GetBytes(text).Select(b => (int)b)];

        public string Detokenize(ReadOnlySpan<int> tokens) =>
            Encoding.UTF8.GetString([.. tokens.ToArray().Select(t => (byte)t)]);

        public bool EndsAnswer(int token) => token == 0;

        public IReadOnlyList<ScoreAnswer> Score(
            IReadOnlyList<ScoreRequest> requests,
            CancellationToken cancellation = default
        )
        {
            if (_calls++ == CancelAfter)
            {
                _source.Cancel();
            }
            cancellation.ThrowIfCancellationRequested();
            Asked += requests.Count;
            var answers = requests
                .Select(request =>
                {
                    var bad =
                        Fault == Fault.NaN && Detokenize(request.Context) == "q40" && request.Continuation.Length == 3;
                    var n = request.Continuation.Length;
                    return new ScoreAnswer(
                        bad ? double.NaN
                            : n == 2 ? -1
                            : -(n - 1) - 0.5,
                        false,
                        Detokenize(request.Context) == TruncateFrom
                    );
                })
                .ToList();
            return Faulty(answers);
        }

        public void ShareHeader(IReadOnlyList<int> header) => Header = header;

        private List<T> Faulty<T>(List<T> answers) =>
            Fault switch
            {
                Fault.Missing => answers[1..],
                Fault.Duplicate => [.. answers, answers[0]],
                _ => answers,
            };

        public IReadOnlyList<GenerationAnswer> Generate(
            IReadOnlyList<GenerationRequest> requests,
            CancellationToken cancellation = default
        ) =>
            Faulty(
                requests
                    .Select(
                        (request, i) =>
                            new GenerationAnswer(Generated[i].Split(request.Stops[0])[0], Tokenize(Generated[i]), false)
                    )
                    .ToList()
            );

        public void Dispose() => _source.Dispose();
    }
}
