using System.Text.Json.Serialization;

namespace Slimming.Results;

/// <summary>One scored benchmark item; the columns of DESIGN's results folder. What a task does not measure stays null.</summary>
/// <remarks>Choices are in the task's order; log-probabilities are sums in nats. Texts and ids go to files of their own.</remarks>
public sealed record ItemRow
{
    public required string Task { get; init; }
    public required string TaskVersion { get; init; }

    /// <summary>Row of the data file, from 0, header rows not counted.</summary>
    public required long Doc { get; init; }

    /// <summary>Hash of the item's raw data; resuming goes by (task, doc, item_hash).</summary>
    public required string ItemHash { get; init; }

    public required string PromptHash { get; init; }

    /// <summary>Hash of the text that items share (a passage); null where each stands for itself.</summary>
    public string? Cluster { get; init; }

    /// <summary>Context tokens, one per choice, or one where all choices share the context.</summary>
    public IReadOnlyList<long>? NCtx { get; init; }

    /// <summary>Continuation tokens per choice.</summary>
    public IReadOnlyList<long>? NCont { get; init; }
    public IReadOnlyList<double>? ChoiceLogprobs { get; init; }
    public long? Pred { get; init; }
    public long? PredNorm { get; init; }
    public long? Gold { get; init; }
    public double? Acc { get; init; }
    public double? AccNorm { get; init; }

    /// <summary>Per choice: every continuation token is the most likely one.</summary>
    public IReadOnlyList<bool>? Greedy { get; init; }
    public string? Generated { get; init; }
    public string? Strict { get; init; }
    public string? Flexible { get; init; }
    public double? ExactMatchStrict { get; init; }
    public double? ExactMatchFlexible { get; init; }
    public double? TolFlex { get; init; }
    public double? F1 { get; init; }

    /// <summary>Common words over the length of the longer text; 1 where both have the same words.</summary>
    public double? Jaccard { get; init; }

    /// <summary>Jaccard index of the sets of words.</summary>
    public double? JaccardSet { get; init; }
    public double? Nll { get; init; }
    public long? NTokens { get; init; }
    public long? NWords { get; init; }
    public long? NBytes { get; init; }

    /// <summary>KL divergence from the reference model after each token of a window, nats.</summary>
    public IReadOnlyList<double>? Kl { get; init; }

    /// <summary>Tokens of the window after which both models find the same token most likely.</summary>
    [JsonPropertyName("same_top_1")]
    public long? SameTop1 { get; init; }

    /// <summary>The member of a family of tasks (an MMLU subject); null for a task by itself.</summary>
    public string? Subject { get; init; }

    /// <summary>Groups of the run whose common values this item is part of; null without any.</summary>
    public IReadOnlyList<string>? Groups { get; init; }

    /// <summary>The input did not fit the context and lost its oldest tokens.</summary>
    public bool Truncated { get; init; }

    public IReadOnlyList<string>? Contexts { get; init; }

    /// <summary>The contexts without description, worked examples and chat template; null where they are nothing more.</summary>
    public IReadOnlyList<string>? Questions { get; init; }
    public IReadOnlyList<string>? Continuations { get; init; }
    public IReadOnlyList<IReadOnlyList<long>>? CtxIds { get; init; }
    public IReadOnlyList<IReadOnlyList<long>>? ContIds { get; init; }

    public ItemKey Key => new(Task, Doc, ItemHash);
}

/// <summary>What makes a finished item the same item on resume.</summary>
public readonly record struct ItemKey(string Task, long Doc, string ItemHash);
