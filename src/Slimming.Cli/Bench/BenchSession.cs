using System.Globalization;
using Slimming.Cli.CommandLine;
using Slimming.Evaluation;
using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Scoring;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Slimming.LlamaCpp;
using Slimming.Results;
using Slimming.Training;
using Slimming.Training.Templates;

namespace Slimming.Cli.Bench;

/// <summary>Opens what a bench run needs, runs it, and says where the results are.</summary>
internal static class BenchSession
{
    public static (string Folder, IReadOnlyList<MetricRow> Summary) Run(BenchRequest request, VerbContext context)
    {
        request.Check();
        // Tasks and their data are looked at before the model: they fail fast.
        var tasks = request.Tasks.Select(TaskCatalog.Find).ToList();
        foreach (var family in tasks.Where(task => task.Variants.Count > 0))
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"--tasks {family.Name}: name one of its members, e.g. {family.Name.Replace("*", family.Variants[0], StringComparison.Ordinal)}"
            );
        }
        _ = GgmlTypes.TryParse(request.CacheType, out var cacheType);
        var engineOptions = new LlamaEngineOptions
        {
            Model = request.Model!,
            Adapter = request.Adapter,
            Scale = request.Scale ?? 1,
            Threads = request.Threads,
            CacheType = cacheType,
            FlashAttention = request.FlashAttention == "on",
        };
        using var engine = LlamaEngine.Open(engineOptions);
        using var template = request.ChatTemplate ? ModelTemplate.Open(engine.Model) : null;
        var options = new BenchOptions
        {
            Tasks = tasks,
            DataDir = request.DataDir,
            Offset = request.Offset,
            Limit = request.Limit,
            Shots = request.Shots,
            MaxGenTokens = request.MaxGenTokens,
            AddBos = request.Bos,
            Chat = template is null ? null : (description, prompt) => Render(template, description, prompt),
        };
        var (version, commit) = RunRecord.Build();
        var info = new RunInfo
        {
            Label = Path.GetFileName(request.Adapter ?? request.Model!),
            Settings = BenchSettings.Of(engineOptions, options, engine.Name, template?.Source),
            Environment = new SortedDictionary<string, string>(StringComparer.Ordinal)
            {
                ["version"] = version,
                ["commit"] = commit,
                ["machine"] = MachineName(),
                ["threads"] = (request.Threads > 0 ? request.Threads : Environment.ProcessorCount).ToString(
                    CultureInfo.InvariantCulture
                ),
                ["cpu_features"] = LlamaRuntime.SystemInfo,
                ["model"] = request.Model!,
                ["adapter"] = request.Adapter ?? "",
                ["data_dir"] = request.DataDir,
            },
        };
        var runner = new BenchRunner(engine, options, new ResultOrigin(engine.Name, MachineName(), commit));
        runner.Prepare();
        using var store = ResultsStore.OpenForWriting(request.Out!, info, request.Force);
        var summary = BenchDisplay.Follow(context, progress => runner.Run(store, progress, context.Token));
        return (store.Folder, summary);
    }

    /// <summary>The task's description is the system turn, shots and question are one user turn.</summary>
    private static string Render(ChatTemplate template, string description, string prompt)
    {
        List<ChatMessage> messages = [];
        if (description.Trim().Length > 0)
        {
            messages.Add(new ChatMessage("system", description.Trim()));
        }
        messages.Add(new ChatMessage("user", prompt));
        return template.Render(messages, addGenerationPrompt: true);
    }

    /// <summary>Processor and number of cores: what a speed or a last-digit difference depends on.</summary>
    private static string MachineName()
    {
        const string key = "model name";
        const string path = "/proc/cpuinfo";
        var line = File.Exists(path)
            ? File.ReadLines(path).FirstOrDefault(text => text.StartsWith(key, StringComparison.Ordinal))
            : null;
        var name = line is null
            ? System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture.ToString()
            : line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
        return $"{name}, {Environment.ProcessorCount} cores";
    }
}
