using Slimming.Training.Templates;

namespace Slimming.Training.Data;

/// <summary>A row's meaning before it becomes tokens.</summary>
internal abstract record Example
{
    /// <summary>An Alpaca row; a chat template makes it one user turn and one answer.</summary>
    public sealed record Instruction(string Text, string Input, string Output) : Example;

    public sealed record Conversation(IReadOnlyList<ChatMessage> Messages) : Example;

    public sealed record Completion(string Prompt, string Text) : Example;

    public sealed record PlainText(string Text) : Example;

    /// <summary>Labels unshifted: Labels[t] belongs to Ids[t], -100 for no loss.</summary>
    public sealed record TokenIds(int[] Ids, int[] Labels) : Example;
}
