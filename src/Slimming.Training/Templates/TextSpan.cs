namespace Slimming.Training.Templates;

/// <summary>A piece of a rendered conversation, tokenized by itself; answers are what the model learns to write.</summary>
public sealed record TextSpan(string Text, bool IsAnswer);
