using Slimming.Gguf;

namespace Slimming.Evaluation.Engine;

/// <summary>What a model is fed for a request: all tokens but the last.</summary>
/// <param name="Tokens">No more than the model takes.</param>
/// <param name="Truncated">The oldest tokens were left out for that.</param>
internal readonly record struct ScoreInput(int[] Tokens, bool Truncated)
{
    /// <exception cref="SlimmingException">The continuation alone is longer than the model's context.</exception>
    public static ScoreInput Of(ScoreRequest request, int maxLength)
    {
        if (request.Context.Length == 0 || request.Continuation.Length == 0)
        {
            throw new ArgumentException(
                $"a request of {request.Context.Length} context and {request.Continuation.Length} continuation tokens: each needs one or more"
            );
        }
        if (request.Continuation.Length > maxLength)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"a continuation of {request.Continuation.Length} tokens does not fit the model's context of {maxLength}"
            );
        }
        int[] input = [.. request.Context, .. request.Continuation.AsSpan(..^1)];
        return input.Length > maxLength ? new(input[^maxLength..], true) : new(input, false);
    }
}
