using System.Diagnostics;
using System.Globalization;
using Slimming.Cli.CommandLine;
using Slimming.Evaluation;
using Slimming.Results;
using Spectre.Console;

namespace Slimming.Cli.Bench;

/// <summary>Progress and table of <c>bench</c>.</summary>
internal static class BenchDisplay
{
    /// <summary>Seconds between plain progress lines.</summary>
    private const double LineSeconds = 10;

    /// <summary>Runs work under a bar for each task on a terminal, plain lines elsewhere.</summary>
    public static T Follow<T>(VerbContext context, Func<IProgress<BenchProgress>, T> work)
    {
        if (!context.ErrorIsTerminal)
        {
            return work(new Lines(context.Error));
        }
        return context
            .ErrorConsole()
            .Progress()
            .Columns(
                new TaskDescriptionColumn(),
                new ProgressBarColumn(),
                new PercentageColumn(),
                new RemainingTimeColumn()
            )
            .Start(display => work(new Bars(display)));
    }

    public static void WriteTable(VerbContext context, IReadOnlyList<MetricRow> summary)
    {
        var table = new Table()
            .Border(TableBorder.Minimal)
            .AddColumns("task", "metric", "value", "stderr", "95% interval", "n", "truncated");
        for (var column = 2; column < 7; column++)
        {
            table.Columns[column].RightAligned();
        }
        foreach (var row in summary)
        {
            table.AddRow(
                Markup.Escape(row.Task),
                row.Metric,
                Number(row.Value),
                row.Stderr is { } error ? Number(error) : "-",
                row is { IntervalLow: { } low, IntervalHigh: { } high } ? $"{Number(low)} to {Number(high)}" : "-",
                row.N.ToString(CultureInfo.InvariantCulture),
                row.Truncated.ToString(CultureInfo.InvariantCulture)
            );
        }
        context.OutputConsole().Write(table);
    }

    private static string Number(double value) => value.ToString("0.0000", CultureInfo.InvariantCulture);

    private sealed class Lines(TextWriter error) : IProgress<BenchProgress>
    {
        private readonly Stopwatch _sinceLine = Stopwatch.StartNew();

        public void Report(BenchProgress value)
        {
            if (value.Done == value.Total || _sinceLine.Elapsed.TotalSeconds >= LineSeconds)
            {
                error.WriteLine(ShownText.Message($"{value.Task}: {value.Done} of {value.Total}"));
                _sinceLine.Restart();
            }
        }
    }

    private sealed class Bars(ProgressContext display) : IProgress<BenchProgress>
    {
        private readonly Dictionary<string, ProgressTask> _bars = new(StringComparer.Ordinal);

        public void Report(BenchProgress value)
        {
            if (!_bars.TryGetValue(value.Task, out var bar))
            {
                bar = display.AddTask(Markup.Escape(value.Task), maxValue: value.Total);
                _bars.Add(value.Task, bar);
            }
            bar.Value = value.Done;
        }
    }
}
