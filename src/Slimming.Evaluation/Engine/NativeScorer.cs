using Slimming.Interop;

namespace Slimming.Evaluation.Engine;

/// <summary>
/// Log-likelihoods by libslimming. Requests are packed into passes in their order; what they begin with in common is
/// computed once a pass, and rows of logits never leave the library.
/// </summary>
internal sealed class NativeScorer(NativeModel model, NativeAdapter? adapter, ComputeMode compute) : IDisposable
{
    /// <summary>Tokens of one pass over unrelated requests: enough to make unpacking a weight cheap.</summary>
    public const int PassTokens = 1024;

    /// <summary>Requests that share a prefix may fill a longer pass: the prefix is computed anew for each.</summary>
    private const int SharedPassTokens = 4096;
    private const int WorthSharing = 256;

    /// <summary>Bytes of logits made at once.</summary>
    private const long LogitBytes = 64L << 20;

    private NativeContext? _context;
    private int _contextTokens;

    /// <param name="requests">Input and scored tokens of each.</param>
    /// <param name="cancellation">Stops within a pass.</param>
    /// <returns>Sum of log-probabilities, and whether each scored token was the most likely one.</returns>
    public (double Sum, bool Greedy)[] Score(
        IReadOnlyList<(int[] Input, int[] Targets)> requests,
        CancellationToken cancellation
    )
    {
        var sums = new (double Sum, bool Greedy)[requests.Count];
        Array.Fill(sums, (0, true));
        var pass = new PrefixTree();
        for (var i = 0; i < requests.Count; i++)
        {
            var (input, targets) = requests[i];
            var shared = pass.SharedWith(input);
            var limit = shared >= WorthSharing ? SharedPassTokens : PassTokens;
            if (pass.TokenCount > 0 && pass.TokenCount + input.Length - shared > limit)
            {
                Run(pass.Pack(), sums, cancellation);
                pass = new PrefixTree();
            }
            pass.Add(i, input, targets);
        }
        if (pass.TokenCount > 0)
        {
            Run(pass.Pack(), sums, cancellation);
        }
        return sums;
    }

    public void Dispose()
    {
        _context?.Dispose();
        _context = null;
    }

    private void Run(PackedPass pass, (double Sum, bool Greedy)[] sums, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var context = ContextFor(pass.Batch.Tokens.Length);
        var logProbs = new double[pass.Rows.Length];
        var tops = new int[pass.Rows.Length];
        context.Cancel(false);
        using (cancellation.Register(() => context.Cancel(true)))
        {
            context.Score(pass.Batch, pass.Rows, pass.Targets, logProbs, tops);
        }
        for (var i = 0; i < logProbs.Length; i++)
        {
            ref var answer = ref sums[pass.Requests[i]];
            answer.Sum += logProbs[i];
            answer.Greedy &= tops[i] == pass.Targets[i];
        }
    }

    private NativeContext ContextFor(int tokens)
    {
        if (_context is null || _contextTokens < tokens)
        {
            Dispose();
            _contextTokens = Math.Max(PassTokens, (tokens + 255) / 256 * 256);
            _context = new NativeContext(
                model,
                adapter,
                new ContextParams
                {
                    MicroBatchTokens = _contextTokens,
                    MaxSequenceTokens = _contextTokens,
                    Compute = compute,
                    LogitRows = (int)Math.Clamp(LogitBytes / (4L * model.Parameters.NVocab), 32, 256),
                }
            );
        }
        return _context;
    }
}
