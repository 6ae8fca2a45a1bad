namespace Slimming.Training.Templates;

/// <summary>One turn of a conversation.</summary>
/// <param name="Role">system, user, assistant or tool.</param>
/// <param name="Content">The turn's text, as data: no template syntax in it is run.</param>
public sealed record ChatMessage(string Role, string Content);
