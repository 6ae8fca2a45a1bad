namespace Slimming.Evaluation.Items;

/// <summary>One turn of a conversation.</summary>
/// <param name="Role">"system", "user" or "assistant".</param>
/// <param name="Text">What is said.</param>
public sealed record ChatTurn(string Role, string Text);

/// <summary>Puts turns into a model's chat template, up to where the assistant's answer starts.</summary>
public delegate string ChatFormatter(IReadOnlyList<ChatTurn> turns);

/// <summary>How the parts of a prompt become text.</summary>
public sealed record PromptFormat
{
    /// <summary>Chat template of the model; null for raw text.</summary>
    public ChatFormatter? Chat { get; init; }

    /// <summary>Under a chat template: every worked example is a user's and an assistant's turn, not part of the question.</summary>
    public bool ShotsAsTurns { get; init; }

    /// <summary>Tokens of a text as the model gets it, by which tasks with a limit drop examples; without it nothing is dropped.</summary>
    public Func<string, int> CountTokens { get; init; } = _ => 0;
}
