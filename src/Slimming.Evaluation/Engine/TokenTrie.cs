namespace Slimming.Evaluation.Engine;

/// <summary>
/// Requests laid out for one pass over the model: a token that several of them begin with is one entry seen by all of
/// their sequences. Entries are in the order in which they must be decoded.
/// </summary>
internal sealed class TokenTrie
{
    private readonly List<Entry> _entries = [];
    private readonly List<Entry> _path = [];

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

    public int SequenceCount { get; private set; }

    /// <summary>How many leading tokens of an input the last added request has too.</summary>
    public int SharedWith(ReadOnlySpan<int> input)
    {
        var shared = 0;
        while (shared < input.Length && shared < _path.Count && _path[shared].Token == input[shared])
        {
            shared++;
        }
        return shared;
    }

    /// <summary>Adds a request as a new sequence.</summary>
    /// <param name="request">Number by which answers are given back.</param>
    /// <param name="input">Tokens fed to the model.</param>
    /// <param name="targets">Scored tokens; the last of them follows the last input token.</param>
    public void Add(int request, ReadOnlySpan<int> input, ReadOnlySpan<int> targets)
    {
        var shared = SharedWith(input);
        _path.RemoveRange(shared, _path.Count - shared);
        for (var t = shared; t < input.Length; t++)
        {
            var entry = new Entry(input[t], t);
            _entries.Add(entry);
            _path.Add(entry);
        }
        var first = input.Length - targets.Length;
        for (var t = 0; t < _path.Count; t++)
        {
            _path[t].Sequences.Add(SequenceCount);
            if (t >= first)
            {
                _path[t].Consumers.Add((request, targets[t - first]));
            }
        }
        SequenceCount++;
    }
}
