using Slimming.Cli.CommandLine;
using Slimming.Evaluation;
using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Slimming.Results;
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
        BenchOptions options = new()
        {
            Tasks = tasks,
            DataDir = request.DataDir,
            Offset = request.Offset,
            Limit = request.Limit,
            Shots = request.Shots,
            MaxGenTokens = request.MaxGenTokens,
            AddBos = request.Bos,
        };
        Benchmark.RefuseFamilies(options);
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
        if (template is not null)
        {
            options = options with { Chat = template.RenderPrompt, ChatSource = template.Source };
        }
        var result = BenchDisplay.Follow(
            context,
            progress => Benchmark.Run(engine, options, request.Out!, request.Force, progress, context.Token)
        );
        return (result.Folder, result.Summary);
    }
}
