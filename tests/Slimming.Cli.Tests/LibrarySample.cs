using System.Globalization;
using System.Text.RegularExpressions;
using Slimming.TestSupport;

namespace Slimming.Cli.Tests;

/// <summary>The sample of docs/library.md.</summary>
internal static partial class LibrarySample
{
    private static string Page => File.ReadAllText(Path.Combine(SharedFiles.RepoRoot, "docs", "library.md"));

    /// <summary>The page's one block of C#.</summary>
    public static string Text => Block().Matches(Page).ShouldHaveSingleItem().Groups["code"].Value;

    /// <summary>Numbers that a run of it prints must have: a finished training and two different scores.</summary>
    public static void Check(string output, string work)
    {
        var lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        lines.Length.ShouldBe(3, output);
        lines[0].ShouldMatch(@"^loss \d+\.\d{3} after 20 steps$");
        var scores = lines[1..].Select(line => Score().Match(line)).ToList();
        scores.ShouldAllBe(score => score.Success, output);
        scores.Select(score => score.Groups["name"].Value).ShouldBe(["base", "tuned"]);
        var values = scores
            .Select(score => double.Parse(score.Groups["value"].Value, CultureInfo.InvariantCulture))
            .ToList();
        values.ShouldAllBe(value => value > 1 && value < 30);
        values[1].ShouldNotBe(values[0]);
        File.Exists(Path.Combine(work, "adapter.gguf")).ShouldBeTrue();
    }

    [GeneratedRegex("```csharp\n(?<code>.*?)```", RegexOptions.Singleline | RegexOptions.CultureInvariant)]
    private static partial Regex Block();

    [GeneratedRegex(
        @"^(?<name>base|tuned) \w+_perplexity (?<value>\d+\.\d{3}) over \d+$",
        RegexOptions.CultureInvariant
    )]
    private static partial Regex Score();
}
