using System.Globalization;
using System.Text.Json.Nodes;
using Slimming.Evaluation.Comparing;
using Slimming.Gguf;
using Slimming.Results;
using Slimming.Shared;
using Slimming.Training;
using Slimming.Training.Data;

namespace Slimming.Cli.Compare;

/// <summary>What a tuned model was trained on: data files, and which of their rows.</summary>
/// <param name="Name">The run folder, or the files.</param>
/// <param name="Files">As <c>--data</c> had them.</param>
/// <param name="Where">The run's <c>--where</c>.</param>
/// <param name="Sample">Its <c>--sample</c>.</param>
/// <param name="Seed">Of that draw.</param>
internal sealed record TrainingSource(string Name, IReadOnlyList<string> Files, string? Where, int? Sample, ulong Seed)
{
    private const int FoldersUp = 3;

    public IEnumerable<TrainingText> Rows() =>
        TrainingTexts.Read(Files, Where, Sample, Seed).Select(row => new TrainingText(row.File, row.Row, row.Text));

    public static TrainingSource OfFiles(IReadOnlyList<string> files) =>
        new(string.Join(", ", files), files, null, null, 0);

    /// <summary>From the run.json of a training run; its files must still be those that it read.</summary>
    /// <exception cref="SlimmingException">There is no record, or a file is gone or has changed.</exception>
    public static TrainingSource OfRun(string folder)
    {
        var record = RunRecord.Read(folder);
        foreach (var file in record.Data)
        {
            if (!File.Exists(file.Path))
            {
                throw new SlimmingException(
                    ExitCode.Usage,
                    $"{folder}: its training data {file.Path} are not there (run.json names them as the command did); "
                        + "name the files with --data"
                );
            }
            if (HashOf(file.Path, folder) != file.Sha256)
            {
                throw new SlimmingException(
                    ExitCode.Usage,
                    $"{folder}: {file.Path} has changed since the run read it; name the files with --data"
                );
            }
        }
        var where = Text(record.Options["where"]);
        if (where is not null)
        {
            RecordedCondition.Require(where, Path.Combine(folder, "run.json"));
        }
        return new TrainingSource(
            folder,
            [.. record.Data.Select(file => file.Path)],
            where,
            SampleOf(record.Options["sample"], folder),
            (ulong)record.Seed
        );
    }

    /// <summary>The training run whose folder holds the scored adapter or model; null where none does.</summary>
    public static string? FolderOf(string resultsDirectory)
    {
        using var store = ResultsStore.OpenFinished(resultsDirectory);
        var environment = store.Info.Environment;
        var path = environment.GetValueOrDefault("adapter", "") is { Length: > 0 } adapter
            ? adapter
            : environment.GetValueOrDefault("model", "");
        var folder = path.Length > 0 ? Path.GetDirectoryName(path) : null;
        // A checkpoint's adapter lies two folders below the record.
        for (var up = 0; up < FoldersUp && folder is not null; up++)
        {
            if (File.Exists(Path.Combine(folder, "run.json")) && File.Exists(Path.Combine(folder, "metrics.jsonl")))
            {
                return folder;
            }
            folder = folder.Length > 0 ? Path.GetDirectoryName(folder) : null;
        }
        return null;
    }

    private static string HashOf(string path, string folder)
    {
        try
        {
            return Durable.Sha256(path);
        }
        catch (IOException error)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"{folder}: its training data cannot be read: {error.Message}",
                error
            );
        }
    }

    private static string? Text(JsonNode? node) => node?.ToString();

    private static int? SampleOf(JsonNode? node, string folder) =>
        Text(node) is not { } text ? null
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var rows) && rows > 0 ? rows
        : throw new SlimmingException(
            ExitCode.Usage,
            $"{folder}: run.json: sample: expected a number of rows, found {text}"
        );
}
