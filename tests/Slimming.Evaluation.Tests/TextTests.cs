using Slimming.Evaluation.Scoring;
using Slimming.Evaluation.Tasks;
using Slimming.Evaluation.Text;
using Slimming.Gguf;
using Slimming.TestSupport;

namespace Slimming.Evaluation.Tests;

public sealed class TextTests
{
    [Fact]
    public void RandomNumbersArePythons()
    {
        // METHODS.md section 10: first 32-bit draws after Random(1234), and the first rows for GSM8K's 7,473.
        var random = new PythonRandom(1234);
        new[] { random.GetRandBits(32), random.GetRandBits(32), random.GetRandBits(32) }.ShouldBe([
            4150886329u,
            3342196574u,
            1892932127u,
        ]);
        random = new PythonRandom(1234);
        random.Sample(7473, 5).ShouldBe([6374, 3610, 957, 61, 742]);
        random.Sample(7473, 5).ShouldBe([7462, 6610, 4769, 286, 5501]);
        random.Sample(7473, 5).ShouldBe([5677, 687, 806, 6279, 2905]);
    }

    [Fact]
    public void PermutationsAreTorchs()
    {
        // METHODS.md section 10.
        new MersenneTwister(42)
            .NextUInt32()
            .ShouldBe(1608637542u);
        TorchRandom.Permutation(100, 42).Take(8).ShouldBe([42, 96, 62, 98, 46, 95, 60, 24]);
        TorchRandom.Permutation(3270, 42).Take(8).ShouldBe([282, 3153, 2578, 2833, 2504, 90, 2626, 3238]);
        TorchRandom.Permutation(3270, 42).Order().ShouldBe(Enumerable.Range(0, 3270));
    }

    /// <summary>METHODS.md section 10: what GSM8K's two rules find, and what is left after cleaning.</summary>
    [Theory]
    [InlineData("16-7=<<16-7=9>>9\n#### 18\n\n", "18", "18")]
    [InlineData("The answer is $1,234.50.", "[invalid]", "1234.50")]
    [InlineData("so he has 7.", "[invalid]", "7")]
    [InlineData("12 eggs... ok", "[invalid]", "..")]
    [InlineData("-3 and then 4-5", "[invalid]", "-5")]
    [InlineData("#### 1,000.00 dollars", "1000.00", "1000.00")]
    public void Gsm8kRulesFindTheTable(string text, string strict, string flexible)
    {
        var extraction = new AnswerExtraction(TaskCatalog.Find("gsm8k").Answer);
        extraction.Clean(extraction.Strict(text)).ShouldBe(strict);
        extraction.Clean(extraction.Flexible(text)!).ShouldBe(flexible);
    }

    [Fact]
    public void TheToleranceComparesNumbersNotTexts()
    {
        var extraction = new AnswerExtraction(TaskCatalog.Find("gsm8k").Answer);
        var given = extraction.Flexible("#### 1,000.00 dollars")!;
        extraction.Matches(given, "so #### 1000").ShouldBeFalse();
        extraction.MatchesWithTolerance(given, "so #### 1000").ShouldBeTrue();
        extraction.MatchesWithTolerance("[invalid]", "#### 0").ShouldBeFalse();
    }

    [Theory]
    [InlineData("The  Cat, a dog; AN_owl's", "cat dog anowls")]
    [InlineData("a.b. the-end", "ab theend")]
    [InlineData("Ünïcode – the dash", "ünïcode – dash")]
    [InlineData("A an THE", "")]
    // What ends a word is Python's choice: joiners and marks do, superscripts do not.
    [InlineData("a\u0301 x\u200dthe", "\u0301 x\u200d")]
    [InlineData("the² a½ ⅷan 𝐀the", "the² a½ ⅷan 𝐀the")]
    public void SquadAnswersAreNormalised(string text, string expected) =>
        TextFilters.Apply("squad", text).ShouldBe(expected);

    [Theory]
    [InlineData("drop_last", "", "")]
    [InlineData("drop_last", "a👨", "a")]
    [InlineData("lower_first", "ÉA", "éA")]
    [InlineData("unquote", "say 'a' and 'b' now", "say a' and 'b now")]
    [InlineData("after_last(####)", "1 #### 2 #### 3", " 3")]
    [InlineData("after_last(####)", "none", "none")]
    [InlineData("map(a=x,b=y)", "b", "y")]
    public void FiltersDoAsTheyAreNamed(string filter, string text, string expected) =>
        TextFilters.Apply(filter, text).ShouldBe(expected);

    [Theory]
    [InlineData("map(a=x,b=y)", "c", "expected a or b")]
    [InlineData("before(_)", "none", "no \"_\"")]
    [InlineData("shout", "", "unknown filter")]
    public void AFilterThatCannotBeAppliedSaysWhy(string filter, string text, string named) =>
        Should.Throw<FormatException>(() => TextFilters.Apply(filter, text)).Message.ShouldContain(named);

    [Theory]
    [InlineData("the man in USA", "The man in usa")]
    [InlineData("ﬁrst AND", "First and")]
    [InlineData("ÉCOLE Ünï ǅ ß", "École ünï ǆ ß")]
    [InlineData("ǆx", "ǅx")]
    [InlineData("aΟΔΟΣ", "Aοδος")]
    [InlineData("aΟΣ'. xΟΣ'Α 3Σ \u0301Σ", "Aος'. xοσ'α 3σ \u0301σ")]
    [InlineData("ıſ", "Iſ")]
    [InlineData("აბ", "აბ")]
    [InlineData("\u0390", "\u0399\u0308\u0301")]
    [InlineData("", "")]
    public void CapitalizeIsPythons(string text, string expected) => PythonText.Capitalize(text).ShouldBe(expected);

    [Fact]
    public void StripTakesPythonsWhitespace()
    {
        PythonText.Strip("\u001c\u00a0 x\u3000\u001f\n").ShouldBe("x");
        PythonText.Strip("\u200bx").ShouldBe("\u200bx");
        PythonText.CountWords("a b\u001cc\n\nd").ShouldBe(4);
        PythonText.CountWords(" a ").ShouldBe(3);
        PythonText.CodePoints("a👨é").ShouldBe(3);
    }

    [Fact]
    public void WikitextIsDetokenised() =>
        TextFilters
            .Apply("wikitext", " = = History = = \n He said \" no \" ; it 's 1 @,@ 000 @-@ year ( or so ) . Then")
            .ShouldBe(" == History ==\nHe said \"no\"; it's 1,000-year (or so). Then");

    [Fact]
    public void BuiltInTasksAreSound()
    {
        TaskCatalog
            .BuiltIn.Select(task => task.Name)
            .ShouldBe(
                [
                    "arc_challenge",
                    "arc_easy",
                    "boolq",
                    "boolq_s3",
                    "c4",
                    "c4_gptq",
                    "c4_new_gptq",
                    "copa",
                    "copa_s3",
                    "gsm8k",
                    "gsm8k_cot",
                    "hellaswag",
                    "kl",
                    "mmlu_*",
                    "mmlu_s2_*",
                    "openbookqa",
                    "piqa",
                    "ptb",
                    "ptb_gptq",
                    "ptb_new_gptq",
                    "squad",
                    "unifiedqa",
                    "unifiedqa_*",
                    "wikitext",
                    "wikitext_gptq",
                    "winogrande",
                ],
                ignoreOrder: true
            );
        TaskCatalog.Find("mmlu_world_religions").Variant.ShouldBe("world_religions");
        TaskCatalog.BuiltIn.Single(task => task.Name == "mmlu_*").Variants.Count.ShouldBe(57);
    }

    /// <summary>A key, metric or filter that docs/tasks.md does not name is one that no user finds.</summary>
    [Fact]
    public void TheDocumentationNamesEveryKeyMetricAndFilter()
    {
        var text = File.ReadAllText(Path.Combine(SharedFiles.RepoRoot, "docs", "tasks.md"));
        var naming = YamlDotNet.Serialization.NamingConventions.UnderscoredNamingConvention.Instance;
        Type[] parts =
        [
            typeof(TaskDefinition),
            typeof(FewShotDefinition),
            typeof(AnswerDefinition),
            typeof(ExtractDefinition),
            typeof(SplitDefinition),
            typeof(SourceDefinition),
        ];
        var keys = parts
            .SelectMany(part => part.GetProperties())
            .Where(property =>
                property.SetMethod is not null
                && !Attribute.IsDefined(property, typeof(YamlDotNet.Serialization.YamlIgnoreAttribute))
            )
            .Select(property => naming.Apply(property.Name));
        var metrics = Enum.GetValues<TaskKind>().SelectMany(ItemMetrics.Of);
        var filters = TextFilters
            .Names.Split(", ")
            .Select(name => name.Replace("(TEXT)", "", StringComparison.Ordinal));
        string[] names =
        [
            .. keys,
            .. metrics,
            .. filters,
            .. TaskCatalog.BuiltIn.Select(task => task.Group ?? task.Name),
        ];
        names.Length.ShouldBeGreaterThan(80);
        names
            .Where(name => !System.Text.RegularExpressions.Regex.IsMatch(text, $@"[`{{ ]{name}[`}}(,: ]"))
            .ShouldBeEmpty();
    }

    [Fact]
    public void AnUnknownTaskIsNamed() =>
        Should.Throw<SlimmingException>(() => TaskCatalog.Find("helaswag")).Message.ShouldContain("helaswag");

    /// <summary>A pattern of a stranger's task file that needs time without end.</summary>
    [Theory]
    [InlineData(MatchChoice.First)]
    [InlineData(MatchChoice.Last)]
    public void A_pattern_that_takes_too_long_is_told(MatchChoice take)
    {
        var text = new string('a', 5000) + "!";
        var extraction = new AnswerExtraction(
            new AnswerDefinition
            {
                Strict = new ExtractDefinition { Regex = "^(a+)+$", Take = take },
                Remove = ["^(a+)+$"],
            }
        );
        Should
            .Throw<SlimmingException>(() => extraction.Strict(text))
            .ShouldSatisfyAllConditions(e => e.Code.ShouldBe(ExitCode.Usage), e => e.Message.ShouldContain("^(a+)+$"));
        Should.Throw<SlimmingException>(() => extraction.Clean(text)).Message.ShouldContain("^(a+)+$");
    }
}
