namespace Slimming.Evaluation.Engine;

/// <summary>Text to tokens and back, in the model's own vocabulary.</summary>
public interface ITextCodec
{
    /// <summary>BOS id, -1 where there is none.</summary>
    int Bos { get; }

    /// <summary>Whether the tokenizer puts a BOS before a text of its own accord.</summary>
    bool AddsBos { get; }

    /// <summary>The token that stands for an empty context: BOS, else EOS.</summary>
    int PrefixToken { get; }

    /// <summary>Ids of a text; texts of special tokens become their ids, nothing is added.</summary>
    int[] Tokenize(string text);

    /// <summary>Text of ids; special tokens are dropped.</summary>
    string Detokenize(ReadOnlySpan<int> tokens);

    /// <summary>True for the tokens that end an answer (EOS, end of turn).</summary>
    bool EndsAnswer(int token);
}

/// <summary>A question for log-likelihood: the model is fed context then continuation, and the continuation is scored.</summary>
/// <param name="Context">One token or more.</param>
/// <param name="Continuation">One token or more.</param>
public sealed record ScoreRequest(int[] Context, int[] Continuation);

/// <summary>Answer to a <see cref="ScoreRequest"/>.</summary>
/// <param name="LogLikelihood">Sum over the continuation of log p(token | before), in nats.</param>
/// <param name="Greedy">Every continuation token is the most likely one.</param>
/// <param name="Truncated">The oldest context tokens did not fit and were left out.</param>
public readonly record struct ScoreAnswer(double LogLikelihood, bool Greedy, bool Truncated);

/// <summary>A prompt to go on from, greedily.</summary>
/// <param name="Prompt">One token or more.</param>
/// <param name="MaxTokens">Most tokens to generate.</param>
/// <param name="Stops">Texts at which the answer is cut.</param>
public sealed record GenerationRequest(int[] Prompt, int MaxTokens, IReadOnlyList<string> Stops);

/// <summary>Answer to a <see cref="GenerationRequest"/>.</summary>
/// <param name="Text">Decoded text, cut at the first occurrence of each stop in their order.</param>
/// <param name="Tokens">Ids as generated, before cutting, the ending token included.</param>
/// <param name="Truncated">The oldest prompt tokens did not fit and were left out.</param>
public sealed record GenerationAnswer(string Text, int[] Tokens, bool Truncated);

/// <summary>
/// What scores a model. Each list of requests gets exactly one answer per request, in order; an engine that cannot
/// answer throws. Requests that follow each other and begin with the same tokens may share their computation.
/// </summary>
public interface IScoringEngine : IDisposable
{
    /// <summary>Name and version, as results carry it.</summary>
    string Name { get; }

    ITextCodec Codec { get; }

    /// <summary>Most tokens of one sequence.</summary>
    int MaxLength { get; }

    /// <summary>
    /// Names the tokens that the requests of the next calls begin with (worked examples), so that they may be computed
    /// once for all calls. A request may begin otherwise.
    /// </summary>
    void ShareHeader(IReadOnlyList<int> header) { }

    IReadOnlyList<ScoreAnswer> Score(IReadOnlyList<ScoreRequest> requests, CancellationToken cancellation = default);

    IReadOnlyList<GenerationAnswer> Generate(
        IReadOnlyList<GenerationRequest> requests,
        CancellationToken cancellation = default
    );
}
