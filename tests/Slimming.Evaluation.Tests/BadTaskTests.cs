using Slimming.Evaluation.Items;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;

namespace Slimming.Evaluation.Tests;

/// <summary>Wrong task files and wrong data rows: each is refused with exit code 2, and the message names what and where.</summary>
public sealed class BadTaskTests : IDisposable
{
    private const string Choice = """
        name: mine
        kind: multiple_choice
        data: [rows.jsonl]
        prompt: "{question}"
        choices_field: options
        gold: "{answer}"
        metrics: [acc]

        """;

    private const string Generation = """
        name: mine
        kind: generate_until
        data: [rows.jsonl]
        prompt: "{question}"
        target: "{answer}"
        metrics: [exact_match]

        """;

    private const string Text = """
        name: mine
        kind: perplexity
        data: [rows.jsonl]
        prompt: "{text}"
        metrics: [token_perplexity]

        """;

    private const string GoodRow = """{"question": "q", "options": ["a", "b"], "answer": 0}""";

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("slimming-");

    public void Dispose() => _folder.Delete(recursive: true);

    /// <summary>Start of the file, what is changed in it or added, and what the message must name.</summary>
    public static TheoryData<string, string, string, string> Files =>
        new()
        {
            { "", "", "", "empty" },
            { Choice, "name: mine", "name: ''", "'name'" },
            { Choice, "kind: multiple_choice", "", "'kind'" },
            { Choice, "kind: multiple_choice", "kind: guess", "kind: expected one of multiple_choice, generate_until" },
            { Choice, "data: [rows.jsonl]", "", "'data'" },
            {
                Choice,
                "data: [rows.jsonl]",
                "data: rows.jsonl",
                "data: expected a list of texts, as in data: [one, two]"
            },
            { Choice, "prompt: \"{question}\"", "prompt: {question}", "prompt: expected a text, in quotes" },
            { Choice, "", "fields: { a: b }", "fields: expected names with lists" },
            {
                Choice,
                "",
                "few_shot: 5",
                "few_shot: expected keys of its own, as in few_shot: {...}, out of count, rule"
            },
            { Choice, "", "few_shot:\n  count: 2\n  data: a.jsonl", "data: expected a list" },
            { Choice, "", "few_shot: { count: many }", "count: expected a whole number" },
            { Generation, "", "answer: { ignore_case: maybe }", "ignore_case: expected true or false" },
            { Choice, "prompt: \"{question}\"", "", "'prompt'" },
            { Choice, "choices_field: options", "", "'choices'" },
            { Choice, "choices_field: options", "choices: [a, b]\nchoices_field: options", "'choices'" },
            { Choice, "gold: \"{answer}\"", "", "'gold'" },
            { Choice, "metrics: [acc]", "", "'metrics'" },
            { Choice, "metrics: [acc]", "metrics: [f1]", "f1" },
            { Choice, "metrics: [acc]", "metrics: [acc, acc]", "'metrics'" },
            { Choice, "prompt: \"{question}\"", "prompt: \"{question\"", "not closed" },
            { Choice, "prompt: \"{question}\"", "prompt: \"{question|shout}\"", "shout" },
            { Choice, "prompt: \"{question}\"", "prompt: \"{question|map(a)}\"", "map(from=to" },
            { Choice, "prompt: \"{question}\"", "prompt: \"{|strip}\"", "field name" },
            { Choice, "", "prompt_filters: [shout]", "'prompt_filters'" },
            { Choice, "", "choice_filters: [before()]", "'choice_filters'" },
            { Choice, "", "prompts: x", "prompts" },
            { Choice, "", "name: again", "name" },
            { Choice, "", "few_shot: { count: -1 }", "'few_shot.count'" },
            { Choice, "", "few_shot: { rule: lucky }", "rule: expected one of sample, sample_others, first_n" },
            { Choice, "", "few_shot: { shots: 3 }", "shots" },
            { Choice, "", "few_shot: { count: 2, samples: [{question: x}] }", "'few_shot.count'" },
            { Choice, "", "few_shot: { data: [a.jsonl], samples: [{question: x}] }", "'few_shot.samples'" },
            { Choice, "", "few_shot: { max_tokens: -4 }", "'few_shot.max_tokens'" },
            { Choice, "", "contexts: [a, b]", "'continuation'" },
            { Choice, "", "contexts: [a, b]\ncontinuation: c", "'contexts'" },
            { Choice, "", "target: x", "'target'" },
            { Choice, "", "variants: [a, b]", "'variants'" },
            { Choice, "name: mine", "name: mine_*", "'variants'" },
            { Choice, "", "group: all", "'group'" },
            { Choice, "name: mine", "name: mine_*\nvariants: [a]\nsubgroups: { part: [b] }", "unknown variant \"b\"" },
            { Choice, "name: mine", "name: mine_*\nvariants: [a]\nsubgroups: { part: [] }", "part" },
            { Choice, "", "scoring: vibes", "vibes" },
            { Choice, "", "split: { seed: x }", "seed: x" },
            { Choice, "", "first_rows: -1", "'first_rows'" },
            { Choice, "metrics: [acc]", "metrics: acc: x", "line 7" },
            { Generation, "target: \"{answer}\"", "", "'target'" },
            { Generation, "", "stops: ['']", "'stops'" },
            { Generation, "", "max_gen_tokens: 0", "'max_gen_tokens'" },
            { Generation, "metrics: [exact_match]", "metrics: [tol_flex]", "'answer.flexible'" },
            { Generation, "", "answer: { strict: { regex: '(' } }", "'answer.strict'" },
            { Generation, "", "answer: { flexible: { regex: '' } }", "'answer.flexible'" },
            { Generation, "", "answer: { remove: ['['] }", "'answer.remove'" },
            { Generation, "", "answer: { filters: [shout] }", "'answer.filters'" },
            { Generation, "", "choices: [a, b]", "'choices'" },
            { Text, "", "windows: disjoint", "'window_length'" },
            { Text, "", "windows: slices\nwindow_length: 8", "'window_count'" },
            { Text, "", "window_count: -1", "'window_count'" },
            { Text, "", "few_shot: { count: 1 }", "'few_shot'" },
            {
                Text,
                "metrics: [token_perplexity]",
                "metrics: [word_perplexity]\nwindows: disjoint\nwindow_length: 8",
                "word_perplexity"
            },
        };

    [Theory]
    [MemberData(nameof(Files))]
    public void AWrongTaskFileNamesFileAndKey(string start, string from, string to, string named)
    {
        var path = Path.Combine(_folder.FullName, "mine.yaml");
        if (from.Length > 0)
        {
            start.ShouldContain(from);
        }
        File.WriteAllText(path, from.Length > 0 ? start.Replace(from, to, StringComparison.Ordinal) : start + to);
        var error = Should.Throw<SlimmingException>(() => TaskCatalog.Find(path));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain(path);
        error.Message.ShouldContain(named);
    }

    [Theory]
    [InlineData(Choice, "rows.jsonl", "{", "line 2")]
    [InlineData(Choice, "rows.jsonl", "[1]", "line 2: expected an object")]
    [InlineData(Choice, "rows.jsonl", """{"options": ["a", "b"], "answer": 0}""", "row 1: no field question")]
    [InlineData(Choice, "rows.jsonl", """{"question": "q", "options": "ab", "answer": 0}""", "row 1: field options")]
    [InlineData(Choice, "rows.jsonl", """{"question": "q", "options": ["a"], "answer": 0}""", "row 1: 1 choices")]
    [InlineData(
        Choice,
        "rows.jsonl",
        """{"question": "q", "options": ["a", {}], "answer": 0}""",
        "row 1: field options"
    )]
    [InlineData(Choice, "rows.jsonl", """{"question": "q", "options": ["a", "b"], "answer": 2}""", "row 1: gold \"2\"")]
    [InlineData(
        Choice,
        "rows.jsonl",
        """{"question": "q", "options": ["a", "b"], "answer": "b"}""",
        "expected 0 to 1; for letters or texts name them in gold_labels or gold_labels_field"
    )]
    [InlineData(
        Choice,
        "rows.jsonl",
        """{"question": "q", "options": ["a", "b"], "answer": -1}""",
        "row 1: gold \"-1\""
    )]
    [InlineData(Choice, "rows.jsonl", """{"question": "q", "options": ["a", "b"]}""", "row 1: no field answer")]
    [InlineData(
        Choice,
        "rows.jsonl",
        """{"question": null, "options": ["a", "b"], "answer": 0}""",
        "row 1: no field question"
    )]
    [InlineData(
        Choice,
        "rows.jsonl",
        """{"question": ["q"], "options": ["a", "b"], "answer": 0}""",
        "row 1: field question"
    )]
    [InlineData(Generation, "rows.jsonl", """{"question": "q"}""", "row 1: no field answer")]
    public void AWrongRowNamesTaskFileRowAndField(string yaml, string file, string row, string named)
    {
        Write(file, GoodRow, row);
        Refused(yaml, named).ShouldContain(file);
    }

    [Fact]
    public void AnEmptyListOfAnswersNamesTheField()
    {
        Write("rows.jsonl", """{"question": "q", "answer": "x", "all": []}""");
        Refused(Generation + "targets_field: all", "row 0: field all");
    }

    [Theory]
    [InlineData("rows.jsonl", "", "no rows")]
    [InlineData("rows.json", "[1, 2]", "row 0: expected an object")]
    [InlineData("rows.json", "[", "not valid JSON")]
    [InlineData("rows.parquet", "PAR1 no", "rows.parquet")]
    [InlineData("rows.jsonl.gz", "not gzip", "rows.jsonl.gz")]
    [InlineData("rows.xml", "<a/>", "unknown kind of data file")]
    [InlineData("rows.csv", "question,options,answer\n1,2\n", "as many in every row")]
    // A first line of other columns is no note that may be skipped.
    [InlineData("rows.csv", "a note\nquestion,options,answer\n1,2,3\n4,5,6\n", "as many in every row")]
    [InlineData("rows.tsv", "question\toptions\tanswer\n1\t2\n", "row 0: 2 columns, expected 3")]
    public void AWrongFileIsNamed(string file, string content, string named)
    {
        File.WriteAllText(Path.Combine(_folder.FullName, file), content);
        Refused(Choice.Replace("rows.jsonl", file, StringComparison.Ordinal), named).ShouldContain("task mine");
    }

    [Theory]
    [InlineData("rows.jsonl", "{\"question\": \"\u00e9\"}", "found 0xE9")]
    [InlineData("rows.json", "[\"\u00e9\"]", "found 0xE9")]
    [InlineData("rows.tsv", "question\n\u00e9 \n", "line 1 or soon after it: found 0xE9")]
    [InlineData("rows.txt", "\u00e9 ", "found 0xE9")]
    [InlineData("rows.csv", "question\n\u00e9\n", "rows.csv")]
    public void AFileOfAnotherEncodingIsRefused(string file, string content, string named)
    {
        File.WriteAllText(Path.Combine(_folder.FullName, file), content, System.Text.Encoding.Latin1);
        Refused(Choice.Replace("rows.jsonl", file, StringComparison.Ordinal), named).ShouldContain(file);
    }

    [Fact]
    public void TooFewExamplesAreCounted()
    {
        Write("rows.jsonl", GoodRow, GoodRow, GoodRow);
        Refused(Choice + "few_shot: { count: 3, rule: sample_others }", "3 rows, too few for 3 shots");
        Refused(Choice + "few_shot: { count: 3, rule: sample }", "4 needed");
        Items(Choice + "few_shot: { count: 2, rule: sample_others }", null).Count.ShouldBe(3);
        Write("shots.jsonl", GoodRow);
        Refused(Choice + "few_shot: { count: 2, rule: first_n, data: [shots.jsonl] }", "shots.jsonl");
        Write("shots.jsonl", GoodRow, """{"question": "q", "options": ["a", "b"]}""");
        Refused(
            Choice + "few_shot: { count: 2, rule: first_n, data: [shots.jsonl] }",
            "shots.jsonl: row 1: no field answer"
        );
        Refused(Choice + "few_shot: { data: [none.jsonl] }", "none.jsonl", shots: 1);
        Refused(
            Choice + "few_shot: { rule: first_n, samples: [{question: q}] }",
            "few_shot.samples: 1 rows, too few for 2 shots",
            shots: 2
        );
    }

    [Fact]
    public void AbsentDataSayWhereTheyComeFrom()
    {
        var message = Should
            .Throw<SlimmingException>(() => new ItemBuilder(TaskCatalog.Find("squad"), _folder.FullName))
            .Message;
        message.ShouldContain("task squad");
        message.ShouldContain("squad/validation.jsonl or squad/validation.parquet");
        message.ShouldContain("rajpurkar/squad");
        message.ShouldContain("refs/convert/parquet/plain_text/validation/0000.parquet as squad/validation.parquet");
        message.ShouldContain(_folder.FullName);
    }

    /// <summary>No built-in task leaves a user without a word on where its files come from.</summary>
    [Fact]
    public void EveryBuiltInTaskNamesItsSource()
    {
        foreach (var task in TaskCatalog.BuiltIn)
        {
            var member = task.Variants.Count > 0 ? task.Member(task.Variants[0]) : task;
            var error = Should.Throw<SlimmingException>(() => new ItemBuilder(member, _folder.FullName));
            error.Message.ShouldContain(task.Source.Hub);
            error.Message.ShouldContain(" as ");
            task.Source.Hub.ShouldNotBeEmpty(task.Name);
            task.Source.Files.Keys.ShouldBeSubsetOf(task.Data.Concat(task.FewShot.Data));
        }
    }

    private string Refused(string yaml, string named, int? shots = null)
    {
        var error = Should.Throw<SlimmingException>(() => Items(yaml, shots));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain("mine");
        error.Message.ShouldContain(named);
        return error.Message;
    }

    private List<TaskItem> Items(string yaml, int? shots) =>
        [.. new ItemBuilder(TaskCatalog.Parse(yaml, "mine.yaml"), _folder.FullName, shots).Build(0, null)];

    private void Write(string file, params string[] rows) =>
        File.WriteAllLines(Path.Combine(_folder.FullName, file), rows);
}
