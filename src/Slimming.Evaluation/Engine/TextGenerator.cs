using Slimming.Evaluation.Text;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.LlamaCpp;

namespace Slimming.Evaluation.Engine;

/// <summary>How a prompt is gone on from.</summary>
public sealed record GenerateOptions
{
    public int MaxTokens { get; init; } = 256;

    /// <summary>0 takes the most likely token; otherwise tokens are drawn from softmax(logits / temperature).</summary>
    public double Temperature { get; init; }

    /// <summary>Seed of the draws.</summary>
    public uint Seed { get; init; } = 42;
}

/// <summary>A generated continuation.</summary>
/// <param name="Tokens">New ids, the ending token included.</param>
/// <param name="Text">Their text without special tokens.</param>
/// <param name="LogProbs">Natural-log probability of each at temperature 1.</param>
/// <param name="StoppedBy">"eos" or "length".</param>
public sealed record Generation(int[] Tokens, string Text, double[] LogProbs, string StoppedBy)
{
    public double SumLogProb => LogProbs.Sum();
}

/// <summary>Goes on from one prompt, token by token.</summary>
public sealed class TextGenerator(LlamaEngine engine)
{
    private readonly LlamaVocab _vocab = engine.Model.Vocab;

    /// <summary>Greedy or sampled text.</summary>
    /// <param name="prompt">One token or more.</param>
    /// <param name="options">Length, temperature, seed.</param>
    /// <param name="onText">Gets each piece of text as soon as its bytes are whole.</param>
    /// <param name="cancellation">Stops between tokens.</param>
    public Generation Generate(
        int[] prompt,
        GenerateOptions options,
        Action<string>? onText = null,
        CancellationToken cancellation = default
    )
    {
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentNullException.ThrowIfNull(options);
        CheckRoom(engine, prompt, options.MaxTokens);
        using var context = engine.NewContext(prompt.Length + options.MaxTokens, sequences: 1, unified: true);
        var random = new PythonRandom(options.Seed);
        var tokens = new List<int>();
        var logProbs = new List<double>();
        var shown = 0;
        var logits = Prefill(context, prompt, cancellation);
        while (true)
        {
            var (best, normalizer) = Reduce(logits);
            var token = options.Temperature > 0 ? Draw(logits, options.Temperature, random) : best;
            tokens.Add(token);
            logProbs.Add(logits[token] - normalizer);
            var ended = _vocab.IsEndOfGeneration(token);
            shown = Show(tokens, shown, ended || tokens.Count == options.MaxTokens, onText);
            if (ended || tokens.Count == options.MaxTokens)
            {
                var text = _vocab.Detokenize([.. tokens], special: false);
                return new Generation([.. tokens], text, [.. logProbs], ended ? "eos" : "length");
            }
            var batch = new LlamaBatch();
            batch.Add(token, prompt.Length + tokens.Count - 1, [0], output: true);
            context.Decode(batch, cancellation);
            MappedFiles.Check();
            logits = context.Logits(0);
        }
    }

    internal static void CheckRoom(LlamaEngine engine, int[] prompt, int maxTokens)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, 1);
        if (prompt.Length == 0)
        {
            throw new SlimmingException(ExitCode.Usage, "the prompt has no tokens");
        }
        if ((long)prompt.Length + maxTokens > engine.MaxLength)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"a prompt of {prompt.Length} tokens and {maxTokens} new ones do not fit the model's context of {engine.MaxLength}"
            );
        }
    }

    /// <summary>Feeds a prompt into sequence 0 and returns the logits after it.</summary>
    internal static ReadOnlySpan<float> Prefill(LlamaContext context, int[] prompt, CancellationToken cancellation)
    {
        var last = context.Feed(prompt, sequence: 0, position: 0, output: true, cancellation);
        return context.Logits(last);
    }

    internal static (int ArgMax, double Normalizer) Reduce(ReadOnlySpan<float> logits)
    {
        var reduced = LogSoftmax.Reduce(logits);
        return double.IsFinite(reduced.Normalizer)
            ? reduced
            : throw new SlimmingException(
                ExitCode.Failed,
                $"the model's logits are not finite (their log-sum is {reduced.Normalizer})"
            );
    }

    private static int Draw(ReadOnlySpan<float> logits, double temperature, PythonRandom random)
    {
        var max = float.NegativeInfinity;
        foreach (var logit in logits)
        {
            max = Math.Max(max, logit);
        }
        var sum = 0.0;
        foreach (var logit in logits)
        {
            sum += Math.Exp((logit - max) / temperature);
        }
        // 53 random bits in [0, 1), walked along the cumulative sum.
        var uniform = ((random.GetRandBits(27) * 67108864.0) + random.GetRandBits(26)) / 9007199254740992.0;
        var left = uniform * sum;
        for (var token = 0; token < logits.Length; token++)
        {
            left -= Math.Exp((logits[token] - max) / temperature);
            if (left < 0)
            {
                return token;
            }
        }
        return logits.Length - 1;
    }

    /// <summary>Passes on text that can no longer change: a character whose bytes are incomplete waits for the next token.</summary>
    private int Show(List<int> tokens, int shown, bool last, Action<string>? onText)
    {
        if (onText is null)
        {
            return shown;
        }
        var text = _vocab.Detokenize([.. tokens], special: false);
        if (text.Length <= shown || (!last && text.EndsWith('\ufffd')))
        {
            return shown;
        }
        onText(text[shown..]);
        return text.Length;
    }
}
