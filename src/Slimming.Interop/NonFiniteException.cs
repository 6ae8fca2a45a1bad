using Slimming.Gguf;

namespace Slimming.Interop;

/// <summary>A loss, gradient or trained value is NaN or infinite; nothing was applied.</summary>
public sealed class NonFiniteException(string message) : SlimmingException(ExitCode.Failed, message);
