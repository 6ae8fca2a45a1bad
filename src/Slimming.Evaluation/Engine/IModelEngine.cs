using Slimming.Evaluation.Tasks;
using Slimming.LlamaCpp;

namespace Slimming.Evaluation.Engine;

/// <summary>What an engine runs and how: all of it that a run's settings and environment hold.</summary>
/// <param name="Model">The model's file.</param>
/// <param name="Adapter">A LoRA adapter of it; null without one.</param>
/// <param name="Scale">Factor on what the adapter adds.</param>
public sealed record EngineRun(string Model, string? Adapter, float Scale)
{
    /// <summary>Threads that compute.</summary>
    public int Threads { get; init; }

    /// <summary>Most tokens computed together: with a task, all that the composition of the passes depends on.</summary>
    public int BatchTokens { get; init; }

    /// <summary>Further choices that change a score, as text by name.</summary>
    public IReadOnlyDictionary<string, string> Settings { get; init; } = new Dictionary<string, string>();

    /// <summary>What the engine uses of the processor.</summary>
    public string CpuFeatures { get; init; } = "";
}

/// <summary>An engine that runs a model file.</summary>
public interface IModelEngine : IScoringEngine
{
    /// <summary>What it was opened with.</summary>
    EngineRun Run { get; }

    /// <summary>Kinds of tasks that it can be asked about.</summary>
    IReadOnlyList<TaskKind> Kinds { get; }

    /// <summary>The model's chat template and vocabulary; it may hold nothing else.</summary>
    LlamaModel Model { get; }
}
