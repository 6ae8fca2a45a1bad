using Slimming.Evaluation.Tasks;
using Slimming.Evaluation.Text;
using Slimming.Gguf;

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
    }

    [Theory]
    [InlineData("the man in USA", "The man in usa")]
    [InlineData("ﬁrst AND", "First and")]
    [InlineData("ÉCOLE Ünï ǅ ß", "École ünï ǆ ß")]
    [InlineData("ǆx", "ǅx")]
    [InlineData("aΟΔΟΣ", "Aοδος")]
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
                    "c4",
                    "gsm8k",
                    "hellaswag",
                    "mmlu_*",
                    "openbookqa",
                    "piqa",
                    "ptb",
                    "wikitext",
                    "wikitext2",
                    "winogrande",
                ],
                ignoreOrder: true
            );
        TaskCatalog.Find("mmlu_world_religions").Variant.ShouldBe("world_religions");
        TaskCatalog.BuiltIn.Single(task => task.Name == "mmlu_*").Variants.Count.ShouldBe(57);
    }

    [Theory]
    [InlineData("name: x\nkind: multiple_choice\ndata: [a.jsonl]\nprompt: q\nmetrics: [acc]", "choices")]
    [InlineData("name: x\nkind: multiple_choice\ndata: [a.jsonl]\nprompt: q\nchoices: [a, b]\nmetrics: [acc]", "gold")]
    [InlineData(
        "name: x\nkind: multiple_choice\ndata: [a.jsonl]\nprompt: q\nchoices: [a, b]\ngold: '0'\nmetrics: [f1]",
        "f1"
    )]
    [InlineData(
        "name: x\nkind: generate_until\ndata: [a.jsonl]\nprompt: q\ntarget: t\nmetrics: [tol_flex]",
        "answer.flexible"
    )]
    [InlineData("name: x\nkind: guess", "guess")]
    [InlineData("name: x\nprompts: q", "prompts")]
    [InlineData(
        "name: x\nkind: generate_until\ndata: [a.jsonl]\nprompt: q\ntarget: t\nstops: ['']\nmetrics: [exact_match_strict]",
        "stops"
    )]
    public void AWrongTaskFileNamesTheKey(string yaml, string key)
    {
        var error = Should.Throw<SlimmingException>(() => TaskCatalog.Parse(yaml, "my.yaml"));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain("my.yaml");
        error.Message.ShouldContain(key);
    }

    [Fact]
    public void AnUnknownTaskIsNamed() =>
        Should.Throw<SlimmingException>(() => TaskCatalog.Find("helaswag")).Message.ShouldContain("helaswag");
}
