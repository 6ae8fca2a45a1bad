namespace Slimming.Evaluation.Engine;

/// <summary>
/// Requests laid out for one pass over the model: a token that several of them begin with is one entry seen by all of
/// their sequences. Entries are in the order in which they must be decoded.
/// </summary>
/// <param name="header">Tokens that are computed already: a request that begins with them begins after them.</param>
internal sealed class TokenTrie(int[] header)
{
    private readonly List<Entry> _entries = [];
    private readonly List<Entry> _path = [];
    private readonly List<int> _headerTokens = [];

    /// <summary>One token of the pass.</summary>
    internal sealed class Entry(int token, int position)
    {
        public int Token { get; } = token;
        public int Position { get; } = position;
        public List<int> Sequences { get; } = [];

        /// <summary>Which scored tokens wait for the logits after this entry.</summary>
        public List<(int Request, int Target)> Consumers { get; } = [];
    }

    public IReadOnlyList<Entry> Entries => _entries;

    /// <summary>How many tokens of the header each sequence begins with.</summary>
    public IReadOnlyList<int> HeaderTokens => _headerTokens;

    public int SequenceCount => _headerTokens.Count;

    /// <summary>Tokens of an input that adding it would not make new, the header's among them.</summary>
    /// <param name="input">Tokens fed to the model.</param>
    /// <param name="scored">How many of them are followed by a scored token, counted from the end: those are never the header's.</param>
    public int SharedWith(ReadOnlySpan<int> input, int scored)
    {
        var shared = FromHeader(input, scored);
        if (SequenceCount == 0 || shared != _headerTokens[^1])
        {
            return shared;
        }
        for (var t = 0; t < _path.Count && shared < input.Length && _path[t].Token == input[shared]; t++)
        {
            shared++;
        }
        return shared;
    }

    /// <summary>Adds a request. It gets a sequence of its own only where it parts from the last one.</summary>
    /// <param name="request">Number by which answers are given back.</param>
    /// <param name="input">Tokens fed to the model.</param>
    /// <param name="targets">Scored tokens; the last of them follows the last input token.</param>
    public void Add(int request, ReadOnlySpan<int> input, ReadOnlySpan<int> targets)
    {
        var fromHeader = FromHeader(input, targets.Length);
        var shared = SharedWith(input, targets.Length) - fromHeader;
        if (SequenceCount == 0 || fromHeader != _headerTokens[^1])
        {
            _path.Clear();
            _headerTokens.Add(fromHeader);
        }
        else if (shared < _path.Count && fromHeader + shared < input.Length)
        {
            _path.RemoveRange(shared, _path.Count - shared);
            _path.ForEach(entry => entry.Sequences.Add(SequenceCount));
            _headerTokens.Add(fromHeader);
        }
        for (var t = fromHeader + _path.Count; t < input.Length; t++)
        {
            var entry = new Entry(input[t], t);
            entry.Sequences.Add(SequenceCount - 1);
            _entries.Add(entry);
            _path.Add(entry);
        }
        var first = input.Length - targets.Length;
        for (var t = 0; t < targets.Length; t++)
        {
            _path[first + t - fromHeader].Consumers.Add((request, targets[t]));
        }
    }

    private int FromHeader(ReadOnlySpan<int> input, int scored) =>
        input[..(input.Length - scored)].CommonPrefixLength(header);
}
