namespace Slimming.LlamaCpp;

/// <summary>Tokens of one decode call: each has a position, the sequences that see it, and whether its logits are wanted.</summary>
public sealed class LlamaBatch
{
    private readonly List<int> _tokens = [];
    private readonly List<int> _positions = [];
    private readonly List<int> _sequenceCounts = [];
    private readonly List<int> _sequences = [];
    private readonly List<sbyte> _outputs = [];

    /// <summary>Number of tokens.</summary>
    public int Count => _tokens.Count;

    /// <summary>Number of tokens whose logits are wanted.</summary>
    public int OutputCount { get; private set; }

    internal List<int> Tokens => _tokens;
    internal List<int> Positions => _positions;
    internal List<int> SequenceCounts => _sequenceCounts;
    internal List<int> Sequences => _sequences;
    internal List<sbyte> Outputs => _outputs;

    /// <summary>Appends a token and returns its index in the batch, by which its logits are asked for.</summary>
    /// <param name="token">Token id.</param>
    /// <param name="position">Position in its sequences, from 0.</param>
    /// <param name="sequences">Ids of all sequences that share this token.</param>
    /// <param name="output">Compute logits after this token.</param>
    public int Add(int token, int position, ReadOnlySpan<int> sequences, bool output)
    {
        ArgumentOutOfRangeException.ThrowIfZero(sequences.Length);
        _tokens.Add(token);
        _positions.Add(position);
        _sequenceCounts.Add(sequences.Length);
        foreach (var sequence in sequences)
        {
            _sequences.Add(sequence);
        }
        _outputs.Add(output ? (sbyte)1 : (sbyte)0);
        OutputCount += output ? 1 : 0;
        return _tokens.Count - 1;
    }

    public void Clear()
    {
        _tokens.Clear();
        _positions.Clear();
        _sequenceCounts.Clear();
        _sequences.Clear();
        _outputs.Clear();
        OutputCount = 0;
    }
}
