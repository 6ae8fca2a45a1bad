using Slimming.Cli.CommandLine;
using Slimming.Evaluation;
using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Items;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
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
        var selection = Select(request, context);
        BenchOptions options = new()
        {
            Tasks = selection.Tasks,
            Groups = selection.Groups,
            DataDir = request.DataDir,
            Offset = request.Offset,
            Limit = request.Limit,
            Shots = request.Shots,
            ShotsAsTurns = request.FewshotAsMultiturn,
            MaxGenTokens = request.MaxGenTokens,
            AddBos = request.Bos,
        };
        Benchmark.RefuseReference(options, request.ReferenceModel is not null);
        if (request.IsNative)
        {
            Benchmark.RefuseKinds(options, NativeEngine.SupportedKinds, request.Engine);
        }
        ModelMemory.Require("bench", MachineMemory.Read(), request.Model, request.ReferenceModel);
        using IModelEngine engine = request.IsNative ? OpenNative(request) : OpenLlama(request);
        using var reference = engine is LlamaEngine llama ? OpenReference(request, llama) : null;
        using var template = request.ChatTemplate ? ModelTemplate.Open(engine.Model) : null;
        if (template is not null)
        {
            options = options with { Chat = turns => Render(template, turns), ChatSource = template.Source };
        }
        var result = BenchDisplay.Follow(
            context,
            progress => Benchmark.Run(engine, options, request.Out!, request.Force, progress, reference, context.Token)
        );
        foreach (var row in result.Summary.Where(row => row.Truncated > 0 && row.Members == 0).DistinctBy(r => r.Task))
        {
            context.Warn(
                $"task {row.Task}: {row.Truncated} of {row.N} items did not fit the model's context and lost their oldest tokens"
            );
        }
        return (result.Folder, result.Summary);
    }

    private static LlamaEngine OpenLlama(BenchRequest request)
    {
        _ = GgmlTypes.TryParse(request.CacheType ?? "f32", out var cacheType);
        return LlamaEngine.Open(
            new LlamaEngineOptions
            {
                Model = request.Model!,
                Adapter = request.Adapter,
                Scale = request.Scale ?? 1,
                Threads = request.Threads,
                CacheType = cacheType,
                FlashAttention = request.FlashAttention == "on",
            }
        );
    }

    private static NativeEngine OpenNative(BenchRequest request) =>
        NativeEngine.Open(
            new NativeEngineOptions
            {
                Model = request.Model!,
                Adapter = request.Adapter,
                Scale = request.Scale ?? 1,
                Threads = request.Threads,
                Compute = request.Compute ?? "auto",
            }
        );

    private static ModelDivergence? OpenReference(BenchRequest request, LlamaEngine engine) =>
        request.ReferenceModel is { } other
            ? ModelDivergence.Open(
                new LlamaEngineOptions
                {
                    Model = other,
                    Adapter = request.ReferenceAdapter,
                    Scale = request.ReferenceScale ?? 1,
                },
                engine
            )
            : null;

    /// <summary>The tasks asked for. Members of a group without data are an error unless asked to be left out.</summary>
    private static TaskSelection Select(BenchRequest request, VerbContext context)
    {
        var selection = TaskSelection.Of(
            request.Tasks,
            task => TaskInventory.IsComplete(task, request.DataDir, request.Shots)
        );
        if (selection.Missing.Count > 0)
        {
            var text =
                $"--tasks {string.Join(',', request.Tasks)}: {selection.Missing.Count} tasks of it have no data below "
                + $"{Path.GetFullPath(request.DataDir)}: {string.Join(", ", selection.Missing.Select(task => task.Name))}; "
                + TaskFiles.Origin(selection.Missing[0]);
            if (!request.AllowMissing || selection.Tasks.Count == 0)
            {
                throw new SlimmingException(ExitCode.Usage, $"{text}; --allow-missing runs those that are there");
            }
            context.Warn($"{text}. Values of the group are over the rest and labelled so");
        }
        foreach (var task in selection.Tasks.Where(task => TaskFiles.IsStandIn(task, request.DataDir)))
        {
            context.Warn(
                $"task {task.Name}: scored on {TaskFiles.Data(task, request.DataDir)}, which is not its own text: "
                    + $"values compare with each other alone; {TaskFiles.Origin(task)}"
            );
        }
        return selection;
    }

    private static string Render(ChatTemplate template, IReadOnlyList<ChatTurn> turns) =>
        template.Render([.. turns.Select(turn => new ChatMessage(turn.Role, turn.Text))], addGenerationPrompt: true);
}
