using System.Runtime.InteropServices;
using Slimming.Interop;
using Slimming.LlamaCpp;

namespace Slimming.Evaluation.Engine;

/// <summary>
/// Log-likelihoods by libllama. Requests are packed into passes in their order; what they begin with in common is
/// computed once a pass, the header once for as long as it is held. Which requests share a pass depends on the requests
/// of a call and on the header alone, so equal calls give equal bits, whatever was asked before.
/// </summary>
internal sealed class LlamaScorer(LlamaModel model, ContextFactory newContext) : IDisposable
{
    /// <summary>Tokens decoded at once.</summary>
    public const int SliceTokens = 512;

    /// <summary>
    /// Tokens of one pass over unrelated requests: every token of a pass looks at every cache cell of it, so long passes
    /// waste attention; requests that share a prefix may fill a longer one.
    /// </summary>
    private const int PassTokens = 512;
    private const int SharedPassTokens = 2048;
    private const int WorthSharing = 64;
    private const int MaxSequences = 64;

    /// <summary>Holds the header; sequences of a pass are numbered from 0.</summary>
    private const int HeaderSequence = MaxSequences;

    /// <summary>Bytes of logits kept from one decode.</summary>
    private const long LogitBytes = 128L << 20;

    private readonly int _rows = (int)Math.Max(1, LogitBytes / (4L * model.Vocab.Count));
    private int[] _header = [];
    private LlamaContext? _context;
    private bool _isHeaderCached;

    /// <summary>Tokens that the requests of the next calls begin with.</summary>
    public int[] Header
    {
        get => _header;
        set
        {
            _isHeaderCached &= _header.AsSpan().SequenceEqual(value);
            _header = value;
        }
    }

    /// <param name="requests">Input and scored tokens of each.</param>
    /// <param name="cancellation">Stops between decodes.</param>
    /// <returns>Sum of log-probabilities, and whether each scored token was the most likely one.</returns>
    public List<(double Sum, bool Greedy)> Score(
        IReadOnlyList<(int[] Input, int[] Targets)> requests,
        CancellationToken cancellation
    )
    {
        var sums = new (double Sum, bool Greedy)[requests.Count];
        Array.Fill(sums, (0, true));
        var pass = new TokenTrie(_header);
        for (var i = 0; i < requests.Count; i++)
        {
            var (input, targets) = requests[i];
            var shared = pass.SharedWith(input, targets.Length);
            var limit = shared - _header.Length >= WorthSharing ? SharedPassTokens : PassTokens;
            if (
                pass.SequenceCount > 0
                && (pass.Entries.Count + input.Length - shared > limit || pass.SequenceCount == MaxSequences)
            )
            {
                Run(pass, sums, cancellation);
                pass = new TokenTrie(_header);
            }
            pass.Add(i, input, targets);
        }
        if (pass.SequenceCount > 0)
        {
            Run(pass, sums, cancellation);
        }
        return [.. sums];
    }

    /// <summary>Gives back the cache; the next call makes a new one.</summary>
    public void Dispose()
    {
        _context?.Dispose();
        _context = null;
        _isHeaderCached = false;
    }

    private void Run(TokenTrie pass, (double Sum, bool Greedy)[] sums, CancellationToken cancellation)
    {
        var context = ContextFor(_header.Length + pass.Entries.Count);
        var outputs = new List<(int Index, TokenTrie.Entry Entry)>();
        var batch = new LlamaBatch();
        try
        {
            Begin(context, pass, cancellation);
            foreach (var entry in pass.Entries)
            {
                var wanted = entry.Consumers.Count > 0;
                if (batch.Count == SliceTokens || (wanted && outputs.Count == _rows))
                {
                    Harvest(context, batch, outputs, sums, cancellation);
                }
                var index = batch.Add(entry.Token, entry.Position, CollectionsMarshal.AsSpan(entry.Sequences), wanted);
                if (wanted)
                {
                    outputs.Add((index, entry));
                }
            }
            Harvest(context, batch, outputs, sums, cancellation);
        }
        catch
        {
            _isHeaderCached = false;
            throw;
        }
    }

    /// <summary>Leaves the header alone in the cache and gives each sequence its part of it.</summary>
    private void Begin(LlamaContext context, TokenTrie pass, CancellationToken cancellation)
    {
        if (_header.Length == 0)
        {
            context.Clear();
            return;
        }
        if (_isHeaderCached)
        {
            for (var s = 0; s < MaxSequences; s++)
            {
                context.Remove(s);
            }
        }
        else
        {
            context.Clear();
            context.Feed(_header, HeaderSequence, position: 0, output: false, cancellation);
            _isHeaderCached = true;
        }
        for (var s = 0; s < pass.SequenceCount; s++)
        {
            if (pass.HeaderTokens[s] > 0)
            {
                context.Copy(HeaderSequence, s, 0, pass.HeaderTokens[s]);
            }
        }
    }

    private static void Harvest(
        LlamaContext context,
        LlamaBatch batch,
        List<(int Index, TokenTrie.Entry Entry)> outputs,
        (double Sum, bool Greedy)[] sums,
        CancellationToken cancellation
    )
    {
        context.Decode(batch, cancellation);
        MappedFiles.Check();
        foreach (var (index, entry) in outputs)
        {
            var logits = context.Logits(index);
            var (best, normalizer) = LogSoftmax.Reduce(logits);
            foreach (var (request, target) in entry.Consumers)
            {
                ref var answer = ref sums[request];
                answer.Sum += logits[target] - normalizer;
                answer.Greedy &= best == target;
            }
        }
        batch.Clear();
        outputs.Clear();
    }

    private LlamaContext ContextFor(int cells)
    {
        if (_context is null || _context.Options.ContextTokens < cells)
        {
            Dispose();
            // llama.cpp pads to multiples of 256 itself; growing in such steps keeps the context for more passes.
            _context = newContext((cells + 255) / 256 * 256, MaxSequences + 1, unified: true);
        }
        return _context;
    }
}
