using Slimming.Cli.CommandLine;
using Spectre.Console;

namespace Slimming.Cli.Tests;

public sealed class FitTableTests
{
    [Theory]
    [InlineData(40)]
    [InlineData(80)]
    [InlineData(500)]
    public void FiguresStayWholeAtAnyWidth(int width)
    {
        FitTable table = new(2, "task", "metric", "n", "base", "95%", "detectable", "verdict");
        const string name = "a_task_[whose]_name_is_long";
        table.AddRow(name, "acc", "1234", "0.4567", "0.1234 to 0.5678", "0.0123", "");
        table.AddRow("piqa", "acc", "99", "0.5", "-0.1 to 0.9", "-", "undecided");
        var text = Render(table, width);
        foreach (var figure in new[] { name, "1234", "0.4567", "0.1234 to 0.5678", "-0.1 to 0.9", "undecided" })
        {
            text.ShouldContain(figure);
        }
        text.Split('\n').Max(line => line.TrimEnd().Length).ShouldBeLessThanOrEqualTo(width);
        text.Contains('│', StringComparison.Ordinal).ShouldBe(width == 500);
    }

    [Fact]
    public void ANarrowRowNamesEveryFigureAndLeavesOutWhatIsEmpty()
    {
        FitTable table = new(1, "task", "n", "base", "verdict");
        table.AddRow("piqa", "12", "0.5000", "");
        Render(table, 18).Trim().ReplaceLineEndings("|").ShouldBe("piqa|  n 12;|  base 0.5000");
    }

    private static string Render(FitTable table, int width)
    {
        using StringWriter output = new();
        var console = AnsiConsole.Create(
            new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(output) }
        );
        console.Profile.Width = width;
        table.Write(console);
        return output.ToString();
    }
}
