using Slimming.Results;
using Spectre.Console;

namespace Slimming.Demo;

/// <summary>
/// Base, adapter and merged side by side. A difference is paired over the items both runs answered (METHODS 7): its interval is
/// mean +- 1.96 standard errors of the item differences. Perplexities are compared by their ratio, exp of the difference of the mean
/// token log-likelihoods, with the ratio estimator's standard error.
/// </summary>
public static class ScoreTable
{
    private sealed record Run(string Name, IReadOnlyList<MetricRow> Summary, Dictionary<ItemKey, ItemRow> Items);

    /// <param name="names">Column heads; the first run is the one the others are compared with.</param>
    /// <param name="folders">One results folder per name.</param>
    /// <param name="output">Where the table goes.</param>
    public static int Print(IReadOnlyList<string> names, IReadOnlyList<string> folders, TextWriter output)
    {
        var runs = names.Zip(folders, Read).ToList();
        var table = new Table().Border(TableBorder.Simple);
        foreach (
            var head in new[] { "task", "metric", "model", "value", "95% interval", "n", "difference", "95% interval" }
        )
        {
            table.AddColumn(new TableColumn(head).NoWrap());
        }
        foreach (var row in runs[0].Summary)
        {
            foreach (var run in runs)
            {
                table.AddRow([.. Cells(runs[0], run, row).Select(Markup.Escape)]);
            }
        }
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(output) });
        console.Profile.Width = 140;
        console.Write(table);
        console.WriteLine(
            "difference: against base over the same items; for perplexity the ratio to base (1 is no change)"
        );
        return 0;
    }

    private static Run Read(string name, string folder)
    {
        using var store = ResultsStore.OpenFinished(folder);
        return new Run(name, store.ReadSummary(), store.ReadItems().ToDictionary(item => item.Key));
    }

    private static IEnumerable<string> Cells(Run reference, Run run, MetricRow metric)
    {
        var own = run.Summary.Single(row => row.Task == metric.Task && row.Metric == metric.Metric);
        yield return run == reference ? own.Task : "";
        yield return run == reference ? own.Metric : "";
        yield return run.Name;
        yield return $"{own.Value:F3}";
        yield return own is { IntervalLow: { } low, IntervalHigh: { } high } ? $"{low:F3} .. {high:F3}" : "-";
        yield return $"{own.N}";
        if (run == reference)
        {
            yield return "";
            yield return "";
            yield break;
        }
        var pairs = Pair(reference, run, metric.Task);
        var (value, from, to) = metric.Metric.Contains("perplexity", StringComparison.Ordinal)
            ? Ratio(pairs)
            : Difference(pairs, metric.Metric);
        yield return metric.Metric.Contains("perplexity", StringComparison.Ordinal)
            ? $"x {value:F3}"
            : $"{value:+0.000;-0.000;0.000}";
        yield return $"{from:F3} .. {to:F3}";
    }

    private static List<(ItemRow Before, ItemRow After)> Pair(Run reference, Run run, string task)
    {
        var pairs = new List<(ItemRow, ItemRow)>();
        foreach (var (key, before) in reference.Items.Where(item => item.Key.Task == task))
        {
            if (!run.Items.TryGetValue(key, out var after))
            {
                throw new InvalidDataException($"{task}: item {key.Doc} of {reference.Name} is missing in {run.Name}");
            }
            pairs.Add((before, after));
        }
        return pairs;
    }

    private static (double Value, double From, double To) Difference(
        List<(ItemRow Before, ItemRow After)> pairs,
        string metric
    )
    {
        var differences = pairs.ConvertAll(pair => Score(pair.After, metric) - Score(pair.Before, metric));
        var mean = differences.Average();
        var n = differences.Count;
        var error = Math.Sqrt(differences.Sum(d => (d - mean) * (d - mean)) / (n - 1) / n);
        return (mean, mean - 1.96 * error, mean + 1.96 * error);
    }

    private static (double Value, double From, double To) Ratio(List<(ItemRow Before, ItemRow After)> pairs)
    {
        var rows = pairs.ConvertAll(pair =>
            (Tokens: (double)pair.Before.NTokens!.Value, Nll: pair.After.Nll!.Value - pair.Before.Nll!.Value)
        );
        var tokens = rows.Sum(row => row.Tokens);
        var mean = rows.Sum(row => row.Nll) / tokens;
        var n = rows.Count;
        // Ratio estimator: residuals about the common ratio (Cochran 1977, section 6).
        var squares = rows.Sum(row => Math.Pow(row.Nll - mean * row.Tokens, 2));
        var error = Math.Sqrt(n * squares / (n - 1)) / tokens;
        return (Math.Exp(mean), Math.Exp(mean - 1.96 * error), Math.Exp(mean + 1.96 * error));
    }

    private static double Score(ItemRow item, string metric) =>
        metric switch
        {
            "acc" => item.Acc,
            "acc_norm" => item.AccNorm,
            "exact_match_strict" => item.ExactMatchStrict,
            "exact_match_flexible" => item.ExactMatchFlexible,
            _ => null,
        } ?? throw new InvalidDataException($"{item.Task}: item {item.Doc} has no {metric}");
}
