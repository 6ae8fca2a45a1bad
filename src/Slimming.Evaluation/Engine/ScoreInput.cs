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

    /// <summary>The answers of a scorer to requests.</summary>
    /// <param name="requests">In their order.</param>
    /// <param name="maxLength">Tokens that the model takes.</param>
    /// <param name="score">Sum of log-probabilities of the targets after each input, and whether each was the likeliest.</param>
    public static List<ScoreAnswer> Answer(
        IReadOnlyList<ScoreRequest> requests,
        int maxLength,
        Func<IReadOnlyList<(int[] Input, int[] Targets)>, IReadOnlyList<(double Sum, bool Greedy)>> score
    )
    {
        var inputs = requests.Select(request => Of(request, maxLength)).ToList();
        var sums = score([.. inputs.Zip(requests, (input, request) => (input.Tokens, request.Continuation))]);
        return [.. sums.Zip(inputs, (answer, input) => new ScoreAnswer(answer.Sum, answer.Greedy, input.Truncated))];
    }
}
