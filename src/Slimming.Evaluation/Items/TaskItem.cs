namespace Slimming.Evaluation.Items;

/// <summary>One question of a task, ready to be tokenized.</summary>
internal sealed record TaskItem
{
    /// <summary>Row of the data file, from 0.</summary>
    public required long Doc { get; init; }

    /// <summary>SHA-256 of the raw row.</summary>
    public required string Hash { get; init; }

    /// <summary>SHA-256 of what the model is asked.</summary>
    public required string PromptHash { get; init; }

    /// <summary>SHA-256 of the text that items share; null without one.</summary>
    public string? Cluster { get; init; }

    /// <summary>One per choice, or one for all choices.</summary>
    public required IReadOnlyList<string> Contexts { get; init; }

    /// <summary>The contexts without description, worked examples and chat template; null where they are nothing more.</summary>
    public IReadOnlyList<string>? Questions { get; init; }

    /// <summary>With their leading delimiter, one per choice; empty for a generation.</summary>
    public IReadOnlyList<string> Continuations { get; init; } = [];

    /// <summary>Code points of each choice without delimiter.</summary>
    public IReadOnlyList<int> Lengths { get; init; } = [];
    public int Gold { get; init; }

    /// <summary>The right answers of a generation, of which the closest counts.</summary>
    public IReadOnlyList<string> Targets { get; init; } = [];

    /// <summary>Original text of a perplexity row, by which words and bytes are counted.</summary>
    public string Raw { get; init; } = "";

    /// <summary>Rows shown as examples, in prompt order.</summary>
    public IReadOnlyList<int> Shots { get; init; } = [];

    public string ContextOf(int choice) => Contexts[Contexts.Count == 1 ? 0 : choice];
}
