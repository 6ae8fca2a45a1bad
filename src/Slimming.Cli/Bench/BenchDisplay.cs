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
        FitTable table = new(2, "task", "metric", "value", "stderr", "95% interval", "n", "truncated");
        foreach (var row in summary)
        {
            table.AddRow(
                row.Task,
                row.Metric,
                Number(row.Value),
                row.Stderr is { } error ? Number(error) : "-",
                row is { IntervalLow: { } low, IntervalHigh: { } high } ? $"{Number(low)} to {Number(high)}" : "-",
                row.N.ToString(CultureInfo.InvariantCulture),
                row.Truncated.ToString(CultureInfo.InvariantCulture)
            );
        }
        table.Write(context.OutputConsole());
    }

    /// <summary>Divergences may be far below the fourth decimal.</summary>
    private static string Number(double value) =>
        value.ToString(Math.Abs(value) is > 0 and < 0.001 ? "G3" : "0.0000", CultureInfo.InvariantCulture);

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
