using Slimming.Results;

namespace Slimming.Demo.Tests;

public sealed class ScoreTableTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("slimming-demo-");

    public void Dispose() => _folder.Delete(recursive: true);

    // Differences 1, 1, 0, 0: mean 0.5, standard error sqrt(4 * 0.25 / 3 / 4) = 0.288675, interval 0.5 -+ 0.565803.
    [Fact]
    public void Differences_are_paired_by_item()
    {
        var text = Print(Choices("base", 0, 0, 1, 0), Choices("tuned", 1, 1, 1, 0));
        text.ShouldContain("+0.500");
        text.ShouldContain("-0.066 .. 1.066");
    }

    // (nll, tokens) 10, 10 and 20, 10 against 20, 10 and 30, 10: one nat a token more, in every row, so no error.
    [Fact]
    public void Perplexities_are_compared_by_their_ratio()
    {
        var text = Print(Texts("base", 10, 20), Texts("tuned", 20, 30));
        text.ShouldContain("x 2.718");
        text.ShouldContain("2.718 .. 2.718");
    }

    [Fact]
    public void An_item_that_one_run_lacks_is_an_error() =>
        Should
            .Throw<InvalidDataException>(() => Print(Choices("base", 0, 1, 1), Choices("tuned", 0, 1)))
            .Message.ShouldContain("item 2");

    private static string Print(string first, string second)
    {
        using var output = new StringWriter();
        ScoreTable.Print(["base", "tuned"], [first, second], output).ShouldBe(0);
        return output.ToString();
    }

    private string Choices(string name, params double[] scores) =>
        Store(name, "acc", scores.Average(), [.. scores.Select((score, doc) => Item(doc) with { Acc = score })]);

    private string Texts(string name, params double[] nlls) =>
        Store(
            name,
            "token_perplexity",
            Math.Exp(nlls.Sum() / (10 * nlls.Length)),
            [.. nlls.Select((nll, doc) => Item(doc) with { Nll = nll, NTokens = 10 })]
        );

    private static ItemRow Item(int doc) =>
        new()
        {
            Task = "t",
            TaskVersion = "1",
            Doc = doc,
            ItemHash = $"{doc}",
            PromptHash = "p",
        };

    private string Store(string name, string metric, double value, List<ItemRow> items)
    {
        var folder = Path.Combine(_folder.FullName, name);
        using var store = ResultsStore.OpenForWriting(
            folder,
            new RunInfo { Settings = new(StringComparer.Ordinal) { ["model"] = name } }
        );
        items.ForEach(store.Append);
        store.Complete([new MetricRow("t", "1", metric, value, items.Count, null, null, null, "none", "none", "none")]);
        return folder;
    }
}
