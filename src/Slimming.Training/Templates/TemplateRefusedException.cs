namespace Slimming.Training.Templates;

/// <summary>A chat template called raise_exception: it does not accept this conversation.</summary>
public sealed class TemplateRefusedException(string message) : Exception(message);
