using System.Globalization;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Slimming.Gguf;
using Slimming.Shared;

namespace Slimming.Training;

/// <summary>A file that a run read.</summary>
/// <param name="Path">As the command line named it.</param>
/// <param name="Sha256">Lower-case hex.</param>
public sealed record HashedFile(string Path, string Sha256);

/// <summary>What <c>run.json</c> holds: everything needed to repeat the run or to refuse a resume that would differ.</summary>
public sealed record RunRecord
{
    public string Program { get; init; } = "slimming";
    public string Version { get; init; } = "";
    public string Commit { get; init; } = "";

    /// <summary>Resolved options under their names (<see cref="TrainOptions"/>).</summary>
    public required JsonObject Options { get; init; }
    public required int Seed { get; init; }
    public required TrainSummary Resolved { get; init; }
    public required HashedFile Model { get; init; }
    public required IReadOnlyList<HashedFile> Data { get; init; }
    public required IReadOnlyList<HashedFile> EvalData { get; init; }

    /// <summary>Shares of the values of <c>--data</c> in an epoch; null where they are not mixed.</summary>
    public IReadOnlyList<double>? DataShares { get; init; }
    public HashedFile? InitAdapter { get; init; }

    /// <summary>Where rows go through a template: its name, its hash, and the day that it printed.</summary>
    public string? Template { get; init; }
    public string? TemplateSha256 { get; init; }
    public DateOnly? TemplateDate { get; init; }
    public required IReadOnlyList<HashedFile> Libraries { get; init; }

    /// <summary>Rows kept, truncated, dropped and so on, for training and evaluation data.</summary>
    public required JsonObject Counts { get; init; }
    public required string CpuName { get; init; }

    /// <summary>Options that a resumed run may change: they move no bit of the result, or are compared by content.</summary>
    private static readonly HashSet<string> Free =
    [
        "model",
        "data",
        "eval-data",
        "init-adapter",
        "out",
        "config",
        "threads",
        "keep",
        "checkpoint-every",
        "resume",
        "on-nonfinite",
        "profile",
        "force",
    ];

    /// <summary>A name that stands twice comes to light only where it is asked for.</summary>
    private static readonly JsonDocumentOptions s_once = new() { AllowDuplicateProperties = false };

    /// <summary>How messages show an option's value.</summary>
    private static JsonSerializerOptions OneLine { get; } = new(TrainOptions.JsonOptions) { WriteIndented = false };

    internal static JsonSerializerOptions JsonOptions { get; } =
        new()
        {
            WriteIndented = true,
            PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
            DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
            RespectNullableAnnotations = true,
            Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        };

    /// <summary>Version and commit of this program.</summary>
    public static (string Version, string Commit) Build()
    {
        var text =
            typeof(RunRecord).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion
            ?? "";
        var parts = text.Split('+', 2);
        return (parts[0], parts.Length > 1 ? parts[1] : "");
    }

    public static JsonObject OptionsOf(TrainOptions options) =>
        JsonSerializer.SerializeToNode(options, TrainOptions.JsonOptions)!.AsObject();

    /// <summary>Reads the record of a run folder.</summary>
    /// <exception cref="SlimmingException">Exit code 2: there is none, or it cannot be read.</exception>
    public static RunRecord Read(string runFolder)
    {
        var path = Path.Combine(runFolder, RunFolder.RecordName);
        try
        {
            RegularFile.Require(path);
            var bytes = File.ReadAllBytes(path);
            if ((StrictText.NotUtf8(bytes) ?? StrictText.NotJson(bytes)) is { } fault)
            {
                throw new JsonException(fault);
            }
            using var whole = JsonDocument.Parse(bytes, s_once);
            var record = whole.Deserialize<RunRecord>(JsonOptions) ?? throw new JsonException("empty");
            return record.Data.Concat(record.EvalData).Concat(record.Libraries).All(file => file is not null)
                ? record
                : throw new JsonException("a list of files holds null");
        }
        catch (Exception exception)
            when (exception is JsonException or FileNotFoundException or DirectoryNotFoundException)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"{path}: expected the record of a run: {exception.Message}",
                exception
            );
        }
    }

    /// <summary>The options that the run was begun with.</summary>
    /// <exception cref="SlimmingException">Exit code 2: they are no such options.</exception>
    internal TrainOptions ReadOptions(string runFolder) =>
        ReadPart<TrainOptions>(Options, "options", runFolder, TrainOptions.JsonOptions);

    /// <summary>What became of the rows of <c>--data</c>.</summary>
    /// <exception cref="SlimmingException">Exit code 2: it is not there.</exception>
    internal Data.DataCounts ReadTrainCounts(string runFolder) =>
        ReadPart<Data.DataCounts>(Counts["train"], "counts.train", runFolder, JsonOptions);

    private static T ReadPart<T>(JsonNode? node, string name, string runFolder, JsonSerializerOptions options)
        where T : class
    {
        try
        {
            return node.Deserialize<T>(options) ?? throw new JsonException("found null");
        }
        catch (JsonException exception)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"{Path.Combine(runFolder, RunFolder.RecordName)}: {name}: {exception.Message}",
                exception
            );
        }
    }

    internal void Write(string path) =>
        Durable.WriteAtomically(path, stream => JsonSerializer.Serialize(stream, this, JsonOptions));

    /// <summary>Refuses to go on with a run that another command, file or machine began.</summary>
    /// <param name="now">What the resuming command would write.</param>
    /// <param name="warn">Receives differences that may matter but need not.</param>
    /// <exception cref="SlimmingException">Exit code 2, naming what differs.</exception>
    internal void RefuseChanges(RunRecord now, Action<string> warn)
    {
        foreach (var name in Options.Select(pair => pair.Key).Union(now.Options.Select(pair => pair.Key)))
        {
            var before = Options[name]?.ToJsonString(OneLine) ?? "nothing";
            var after = now.Options[name]?.ToJsonString(OneLine) ?? "nothing";
            if (!Free.Contains(name) && before != after)
            {
                throw Changed($"--{name}", before, after);
            }
        }
        Compare("--model", [Model], [now.Model]);
        Compare("--data", Data, now.Data);
        Compare("--data (shares of the mix)", Shares(), now.Shares());
        Compare("--eval-data", EvalData, now.EvalData);
        Compare(
            "--init-adapter",
            InitAdapter is null ? [] : [InitAdapter],
            now.InitAdapter is null ? [] : [now.InitAdapter]
        );
        Compare("chat template (SHA-256)", TemplateSha256 ?? "none", now.TemplateSha256 ?? "none");
        Compare("instruction set", Resolved.Isa, now.Resolved.Isa);
        Compare("compute", Resolved.Compute, now.Resolved.Compute);
        Compare("micro-batch tokens", $"{Resolved.MicroBatchTokens}", $"{now.Resolved.MicroBatchTokens}");
        Compare("steps", $"{Resolved.TotalSteps}", $"{now.Resolved.TotalSteps}");
        foreach (var (before, after) in Libraries.Zip(now.Libraries))
        {
            if (before.Sha256 != after.Sha256)
            {
                warn($"{after.Path} is another build than the run began with; the rest may differ in the last bits");
            }
        }
    }

    private string Shares() =>
        DataShares is null
            ? "none"
            : string.Join(", ", DataShares.Select(share => share.ToString("R", CultureInfo.InvariantCulture)));

    private static void Compare(string what, IReadOnlyList<HashedFile> before, IReadOnlyList<HashedFile> after)
    {
        Compare($"{what} (number of files)", $"{before.Count}", $"{after.Count}");
        foreach (var (old, current) in before.Zip(after))
        {
            Compare($"{what} {current.Path} (SHA-256)", old.Sha256, current.Sha256);
        }
    }

    private static void Compare(string what, string before, string after)
    {
        if (before != after)
        {
            throw Changed(what, before, after);
        }
    }

    private static SlimmingException Changed(string what, string before, string after) =>
        new(
            ExitCode.Usage,
            $"--resume: {what}: the run was begun with {before}, this command has {after}; give the same command, or --force to begin anew"
        );
}
