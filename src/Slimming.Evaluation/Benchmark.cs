using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Scoring;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Evaluation;

/// <summary>The scores of a run and where they lie.</summary>
/// <param name="Folder">The finished <c>run=&lt;id&gt;</c> folder: items, summary, settings.</param>
/// <param name="Summary">One row a metric.</param>
public sealed record BenchResult(string Folder, IReadOnlyList<MetricRow> Summary);

/// <summary>Scores a model on tasks into a results folder, as <c>slimming bench</c> does.</summary>
public static class Benchmark
{
    /// <param name="engine">The opened model, with its adapter if it has one.</param>
    /// <param name="options">Tasks, their data, and how many items of them.</param>
    /// <param name="outFolder">Where results go; an unfinished run with equal settings goes on.</param>
    /// <param name="force">Replace a finished run that is there.</param>
    /// <param name="progress">Told after each group of items.</param>
    /// <param name="reference">What tasks of kind divergence measure the distance from; null without such a task.</param>
    /// <param name="token">Stops between items; what is finished stays.</param>
    /// <exception cref="SlimmingException">Wrong tasks or data (2), or no finite score (1).</exception>
    /// <exception cref="ResultsException">The folder holds other results and <paramref name="force"/> is not set.</exception>
    public static BenchResult Run(
        IModelEngine engine,
        BenchOptions options,
        string outFolder,
        bool force = false,
        IProgress<BenchProgress>? progress = null,
        ModelDivergence? reference = null,
        CancellationToken token = default
    )
    {
        var (runner, info) = Prepare(engine, options, reference);
        using var store = ResultsStore.OpenForWriting(outFolder, info, force);
        return new BenchResult(store.Folder, runner.Run(store, progress, token));
    }

    private static (BenchRunner Runner, RunInfo Info) Prepare(
        IModelEngine engine,
        BenchOptions options,
        ModelDivergence? reference
    )
    {
        ArgumentNullException.ThrowIfNull(engine);
        ArgumentNullException.ThrowIfNull(options);
        RefuseFamilies(options);
        RefuseKinds(options, engine.Kinds, engine.Name);
        RefuseReference(options, reference is not null);
        if (options.Chat is null != options.ChatSource is null)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                "Chat and ChatSource go together: without the template's source two runs cannot be told apart"
            );
        }
        var text =
            typeof(Benchmark).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion
            ?? "";
        var (version, commit) = text.Split('+', 2) is [var first, var second] ? (first, second) : (text, "");
        var run = engine.Run;
        RunInfo info = new()
        {
            Label = Path.GetFileName(run.Adapter ?? run.Model),
            Settings = BenchSettings.Of(run, options, engine.Name, options.ChatSource, reference?.Reference),
            Environment = new SortedDictionary<string, string>(StringComparer.Ordinal)
            {
                ["version"] = version,
                ["commit"] = commit,
                ["machine"] = MachineName(),
                ["threads"] = run.Threads.ToString(CultureInfo.InvariantCulture),
                ["cpu_features"] = run.CpuFeatures,
                ["model"] = run.Model,
                ["adapter"] = run.Adapter ?? "",
                ["data_dir"] = options.DataDir,
            },
        };
        if (reference is not null)
        {
            info.Environment["reference_model"] = reference.Reference.Model;
            info.Environment["reference_adapter"] = reference.Reference.Adapter ?? "";
        }
        BenchRunner runner = new(engine, options, new ResultOrigin(engine.Name, MachineName(), commit), reference);
        runner.Prepare();
        return (runner, info);
    }

    private static void RefuseFamilies(BenchOptions options)
    {
        if (options.Tasks.FirstOrDefault(task => task.Variants.Count > 0) is { } family)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"task {family.Name} stands for {family.Variants.Count} tasks: pass what TaskSelection.Of makes of it"
            );
        }
    }

    /// <param name="options">What is to be scored.</param>
    /// <param name="kinds">What an engine can be asked about.</param>
    /// <param name="engine">Its name.</param>
    /// <exception cref="SlimmingException">Tasks of other kinds; names all of them.</exception>
    public static void RefuseKinds(BenchOptions options, IReadOnlyList<TaskKind> kinds, string engine)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(kinds);
        var others = options.Tasks.Where(task => !kinds.Any(kind => kind == task.Kind)).ToList();
        if (others.Count > 0)
        {
            var does = others.Exists(task => task.Kind == TaskKind.GenerateUntil) ? "generate text" : "compare models";
            throw new SlimmingException(
                ExitCode.Usage,
                $"--engine {engine} cannot run {string.Join(", ", others.Select(task => task.Name))}: it scores "
                    + $"log-likelihoods and does not {does}; run them with --engine libllama"
            );
        }
    }

    /// <exception cref="SlimmingException">A distance without a reference, or a reference that no task asks for.</exception>
    public static void RefuseReference(BenchOptions options, bool given)
    {
        ArgumentNullException.ThrowIfNull(options);
        var task = options.Tasks.FirstOrDefault(task => task.Kind == TaskKind.Divergence);
        if (task is not null && !given)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"--tasks {task.Name} needs --reference-model: the model that the distance is measured from"
            );
        }
        if (task is null && given)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                "--reference-model: no task measures a distance; name kl among --tasks"
            );
        }
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
            ? RuntimeInformation.ProcessArchitecture.ToString()
            : line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
        return $"{name}, {Environment.ProcessorCount} cores";
    }
}
