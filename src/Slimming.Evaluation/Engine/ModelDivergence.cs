using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Slimming.Gguf;
using Slimming.LlamaCpp;

namespace Slimming.Evaluation.Engine;

/// <summary>How far a model's next-token distribution is from the reference's after one token.</summary>
/// <param name="Kl">KL(reference || model) over the whole vocabulary, nats.</param>
/// <param name="SameTop">Both find the same token most likely.</param>
public readonly record struct TokenDivergence(double Kl, bool SameTop);

/// <summary>Runs two models of one vocabulary over the same tokens, side by side: no logits are stored.</summary>
public sealed class ModelDivergence : IDisposable
{
    /// <summary>Bytes of logits that each model keeps from one decode.</summary>
    private const long LogitBytes = 48L << 20;
    private const int MaxSlice = 512;

    private readonly LlamaEngine _reference;
    private readonly LlamaEngine _model;
    private LlamaContext? _referenceContext;
    private LlamaContext? _modelContext;

    private ModelDivergence(LlamaEngine reference, LlamaEngine model) => (_reference, _model) = (reference, model);

    /// <summary>The reference's own files.</summary>
    public EngineRun Reference => _reference.Run;

    /// <param name="reference">File, adapter and scale of the reference; how it runs is taken from the model.</param>
    /// <param name="model">The model that is measured; it stays the caller's.</param>
    /// <exception cref="SlimmingException">The two have different vocabularies.</exception>
    public static ModelDivergence Open(LlamaEngineOptions reference, LlamaEngine model)
    {
        ArgumentNullException.ThrowIfNull(reference);
        ArgumentNullException.ThrowIfNull(model);
        var run = model.Options;
        var opened = LlamaEngine.Open(
            reference with
            {
                Threads = run.Threads,
                CacheType = run.CacheType,
                FlashAttention = run.FlashAttention,
            }
        );
        var (here, there) = (model.Model.Vocab.Count, opened.Model.Vocab.Count);
        if (here != there)
        {
            opened.Dispose();
            throw new SlimmingException(
                ExitCode.Usage,
                $"--reference-model {reference.Model}: its vocabulary has {there} tokens, that of {run.Model} {here}; "
                    + "only models of one vocabulary can be compared token by token"
            );
        }
        return new ModelDivergence(opened, model);
    }

    /// <summary>Refuses a reference that cuts a text into other tokens than the model does.</summary>
    public void RequireSameTokens(string text, int[] tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        if (!_reference.Codec.Tokenize(text).AsSpan().SequenceEqual(tokens))
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"--reference-model {Reference.Model}: cuts the text into other tokens than {_model.Options.Model}; "
                    + "only models of one vocabulary can be compared token by token"
            );
        }
    }

    /// <summary>One value for each token: the distributions over what follows it.</summary>
    public TokenDivergence[] Compare(int[] tokens, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        ArgumentOutOfRangeException.ThrowIfZero(tokens.Length);
        _referenceContext = Fit(_reference, _referenceContext, tokens.Length);
        _modelContext = Fit(_model, _modelContext, tokens.Length);
        _referenceContext.Clear();
        _modelContext.Clear();
        var rows = (int)Math.Clamp(LogitBytes / (4L * _model.Model.Vocab.Count), 1, MaxSlice);
        var found = new TokenDivergence[tokens.Length];
        var batch = new LlamaBatch();
        for (var start = 0; start < tokens.Length; start += rows)
        {
            batch.Clear();
            var count = Math.Min(rows, tokens.Length - start);
            for (var i = 0; i < count; i++)
            {
                batch.Add(tokens[start + i], start + i, [0], output: true);
            }
            _referenceContext.Decode(batch, cancellation);
            _modelContext.Decode(batch, cancellation);
            for (var i = 0; i < count; i++)
            {
                found[start + i] = Between(_referenceContext.Logits(i), _modelContext.Logits(i));
            }
        }
        return found;
    }

    /// <summary>KL(reference || model) of two rows of logits, in f64; a NaN among them makes it NaN.</summary>
    /// <remarks>
    /// sum p (log p - log q) is a small remainder of large terms. With r = q / p from normalisers in f32, sum p r is not
    /// quite 1; its logarithm is the error of the normalisers and is added, so that small distances keep their digits.
    /// </remarks>
    internal static TokenDivergence Between(ReadOnlySpan<float> reference, ReadOnlySpan<float> model)
    {
        var (top, normalizer) = LogSoftmax.Reduce(reference);
        var (otherTop, otherNormalizer) = LogSoftmax.Reduce(model);
        var (max, shift) = ((double)reference[top], normalizer - otherNormalizer);
        var lanes = MemoryMarshal.Cast<float, Vector512<float>>(reference);
        var others = MemoryMarshal.Cast<float, Vector512<float>>(model);
        var sums = new Sums(Vector512<double>.Zero, Vector512<double>.Zero, Vector512<double>.Zero);
        for (var i = 0; i < lanes.Length; i++)
        {
            var (low, high) = Vector512.Widen(lanes[i]);
            var (otherLow, otherHigh) = Vector512.Widen(others[i]);
            sums = sums.With(low, otherLow, max, shift).With(high, otherHigh, max, shift);
        }
        var (mass, difference, ratio) = (
            Vector512.Sum(sums.Mass),
            Vector512.Sum(sums.Difference),
            Vector512.Sum(sums.Ratio)
        );
        for (var i = lanes.Length * Vector512<float>.Count; i < reference.Length; i++)
        {
            var p = Math.Exp(reference[i] - max);
            var d = (double)reference[i] - model[i] - shift;
            mass += p;
            difference += p * d;
            ratio += p * (Math.Exp(-d) - 1);
        }
        var correction = double.IsFinite(ratio) ? double.LogP1(ratio / mass) : 0;
        // Below 0 only rounding leads.
        return new TokenDivergence(Math.Max(0, (difference / mass) + correction), top == otherTop);
    }

    /// <summary>Of p = exp(logit - max), p (log p - log q), and p (q / p - 1).</summary>
    private readonly record struct Sums(Vector512<double> Mass, Vector512<double> Difference, Vector512<double> Ratio)
    {
        public Sums With(Vector512<double> reference, Vector512<double> model, double max, double shift)
        {
            var p = Vector512.Exp(reference - Vector512.Create(max));
            var d = reference - model - Vector512.Create(shift);
            return new(Mass + p, Difference + (p * d), Ratio + (p * (Vector512.Exp(-d) - Vector512<double>.One)));
        }
    }

    public void Dispose()
    {
        _referenceContext?.Dispose();
        _modelContext?.Dispose();
        _reference.Dispose();
    }

    private static LlamaContext Fit(LlamaEngine engine, LlamaContext? context, int tokens)
    {
        if (context is not null && context.Options.ContextTokens >= tokens)
        {
            return context;
        }
        context?.Dispose();
        return engine.NewContext((tokens + 255) / 256 * 256, 1, unified: true);
    }
}
