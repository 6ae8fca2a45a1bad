using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Slimming.Evaluation.Comparing;
using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Items;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Slimming.Shared;

namespace Slimming.Evaluation;

/// <summary>What changes a score, as text by name: two runs with equal settings give equal items.</summary>
public static class BenchSettings
{
    /// <summary>What stands before the hashes of a task's data files.</summary>
    private const string DataPart = ", data ";

    /// <param name="run">The model and how it is run.</param>
    /// <param name="options">What is scored.</param>
    /// <param name="engineName">Name and version of the engine.</param>
    /// <param name="chatTemplate">Source of the chat template; null for raw prompts.</param>
    /// <param name="reference">The model that distances are measured from; null without one.</param>
    /// <exception cref="SlimmingException">A data file of a task is absent.</exception>
    public static SortedDictionary<string, string> Of(
        EngineRun run,
        BenchOptions options,
        string engineName,
        string? chatTemplate,
        EngineRun? reference = null
    )
    {
        ArgumentNullException.ThrowIfNull(run);
        ArgumentNullException.ThrowIfNull(options);
        var settings = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["engine"] = engineName,
            ["batch_plan"] = $"{BenchRunner.BatchItems} items, n_batch {run.BatchTokens}",
            ["tasks"] = string.Join(
                ",",
                options.Groups.Select(g => g.Label).Concat(options.Tasks.Select(task => task.Name))
            ),
            ["offset"] = Number(options.Offset),
            ["limit"] = options.Limit is { } limit ? Number(limit) : "all",
            ["shots"] = options.Shots is { } shots ? Number(shots) : "task",
            ["max_gen_tokens"] = options.MaxGenTokens is { } tokens ? Number(tokens) : "task",
            ["bos"] = options.AddBos ? "added" : "not added",
            ["chat_template"] = chatTemplate is null ? "none" : HashOf(chatTemplate),
        };
        if (options.ShotsAsTurns)
        {
            settings["fewshot_as_multiturn"] = "on";
        }
        foreach (var (name, value) in run.Settings)
        {
            settings.Add(name, value);
        }
        AddModel(settings, "", run);
        if (reference is not null)
        {
            AddModel(settings, ScoredItems.ReferencePrefix, reference);
        }
        foreach (var task in options.Tasks)
        {
            var files = ItemBuilder.Files(task, options.DataDir, options.Shots).Select(HashOfFile);
            settings[TaskKey(task.Name)] =
                Definition(task) + DataPart + string.Join(' ', files.Select(hash => hash[..16]));
        }
        return settings;
    }

    /// <summary>The same settings, had a task been scored by this definition: its data and all else stay.</summary>
    internal static SortedDictionary<string, string> WithDefinition(
        SortedDictionary<string, string> settings,
        TaskDefinition task
    )
    {
        var old = settings.GetValueOrDefault(TaskKey(task.Name), "");
        var data = old.IndexOf(DataPart, StringComparison.Ordinal);
        return new SortedDictionary<string, string>(settings, StringComparer.Ordinal)
        {
            [TaskKey(task.Name)] = Definition(task) + (data < 0 ? "" : old[data..]),
        };
    }

    private static void AddModel(SortedDictionary<string, string> settings, string prefix, EngineRun model)
    {
        settings[prefix + "model_sha256"] = HashOfFile(model.Model);
        if (model.Adapter is { } adapter)
        {
            settings[prefix + "adapter_sha256"] = HashOfFile(adapter);
            settings[prefix + "adapter_scale"] = model.Scale.ToString("R", CultureInfo.InvariantCulture);
        }
    }

    private static string TaskKey(string name) => $"task {name}";

    private static string Definition(TaskDefinition task) =>
        $"version {task.Version}, definition {HashOf(JsonSerializer.Serialize(Scored(task)))[..16]}";

    /// <summary>The definition without what changes no score.</summary>
    private static TaskDefinition Scored(TaskDefinition task) =>
        task with
        {
            Origin = "",
            About = "",
            Items = 0,
            Source = new SourceDefinition(),
        };

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static string HashOf(string text) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    private static string HashOfFile(string path)
    {
        if (!File.Exists(path))
        {
            throw new SlimmingException(ExitCode.Usage, $"{path}: no such file");
        }
        return Durable.Sha256(path);
    }
}
