using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Slimming.Cli.Bench;
using Slimming.Cli.CommandLine;
using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Cli.Verbs;

/// <summary><c>slimming results</c>: what a bench run found, for people (table) or programs (every item).</summary>
internal static class ResultsVerb
{
    private static readonly JsonSerializerOptions LineOptions = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public static Command Create()
    {
        Argument<string> folder = new("dir") { Description = "Folder that bench wrote." };
        Option<string> format = new("--format")
        {
            Description = "table: metrics; jsonl, csv: every item.",
            DefaultValueFactory = _ => "table",
        };
        Option<string?> task = new("--task") { Description = "Only this task or group." };
        Command command = new("results", "Prints the results of a bench run.") { folder, format, task };
        return command
            .Handle(
                (parsed, context) =>
                    Run(parsed.GetValue(folder)!, parsed.GetValue(format)!, parsed.GetValue(task), context)
            )
            .WithExamples(
                "slimming results results/base",
                "slimming results results/base --format jsonl --task hellaswag | jq .acc"
            );
    }

    internal static ExitCode Run(string folder, string format, string? task, VerbContext context)
    {
        if (format is not ("table" or "jsonl" or "csv"))
        {
            throw new SlimmingException(ExitCode.Usage, $"--format {format}: expected table, jsonl or csv");
        }
        using var store = ResultsStore.OpenFinished(folder);
        var summary = store.ReadSummary();
        if (task is not null && !summary.Any(row => row.Task == task))
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"--task {task}: {folder} has {string.Join(", ", summary.Select(row => row.Task).Distinct(StringComparer.Ordinal))}"
            );
        }
        switch (format)
        {
            case "table":
                BenchDisplay.WriteTable(context, [.. summary.Where(row => task is null || row.Task == task)]);
                break;
            case "jsonl":
                foreach (var row in Items(store, summary, task))
                {
                    context.Output.WriteLine(JsonSerializer.Serialize(Columns(row), LineOptions));
                }
                break;
            default:
                WriteCsv(Items(store, summary, task), context.Output);
                break;
        }
        return ExitCode.Done;
    }

    /// <summary>All items, those of a task, or those of a group's members.</summary>
    private static IEnumerable<ItemRow> Items(ResultsStore store, IReadOnlyList<MetricRow> summary, string? task) =>
        summary.Any(row => row.Task == task && row.Members > 0)
            ? store
                .ReadItems(texts: true, tokens: true)
                .Where(row => row.Groups?.Contains(task, StringComparer.Ordinal) == true)
            : store.ReadItems(texts: true, tokens: true, task);

    /// <summary>The item's columns by their names in the Parquet files; the key is a pair of columns, not one.</summary>
    private static Dictionary<string, JsonElement> Columns(ItemRow row)
    {
        var element = JsonSerializer.SerializeToElement(row, LineOptions);
        return element
            .EnumerateObject()
            .Where(column => column.Name != "key")
            .ToDictionary(column => column.Name, column => column.Value, StringComparer.Ordinal);
    }

    private static void WriteCsv(IEnumerable<ItemRow> rows, TextWriter output)
    {
        var first = true;
        foreach (var columns in rows.Select(Columns))
        {
            if (first)
            {
                output.WriteLine(string.Join(',', columns.Keys));
                first = false;
            }
            output.WriteLine(string.Join(',', columns.Values.Select(Cell)));
        }
    }

    /// <summary>Numbers as they are, lists as JSON, quoted where RFC 4180 asks for it; absent values empty.</summary>
    private static string Cell(JsonElement value)
    {
        var text = value.ValueKind switch
        {
            JsonValueKind.Null => "",
            JsonValueKind.String => value.GetString()!,
            JsonValueKind.True => "true",
            JsonValueKind.False => "false",
            JsonValueKind.Number when value.TryGetInt64(out var whole) => whole.ToString(CultureInfo.InvariantCulture),
            _ => value.GetRawText(),
        };
        return text.AsSpan().IndexOfAny(",\"\r\n") < 0
            ? text
            : "\"" + text.Replace("\"", "\"\"", StringComparison.Ordinal) + "\"";
    }
}
