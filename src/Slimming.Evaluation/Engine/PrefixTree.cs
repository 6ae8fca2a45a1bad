using Slimming.Interop;

namespace Slimming.Evaluation.Engine;

/// <summary>
/// Requests laid out for one pass of libslimming: what several begin with is one sequence, and where they part each goes
/// on in a sequence of its own. The layout depends on the requests and their order alone.
/// </summary>
internal sealed class PrefixTree
{
    /// <summary>
    /// Fewer common tokens are computed twice: a further sequence reads all keys before it once more for every head.
    /// </summary>
    private const int WorthParting = 4;

    private readonly List<Node> _roots = [];

    /// <summary>A stretch of tokens that all requests below it have in common.</summary>
    private sealed class Node(int[] tokens, int start, Node? parent)
    {
        public int[] Tokens { get; set; } = tokens;

        /// <summary>Position of the first token.</summary>
        public int Start { get; set; } = start;
        public Node? Parent { get; set; } = parent;
        public List<Node> Children { get; set; } = [];

        /// <summary>Tokens asked about and the position that each follows.</summary>
        public List<(int Position, int Request, int Target)> Asked { get; set; } = [];
        public int End => Start + Tokens.Length;
    }

    /// <summary>Where a sequence leaves the tree.</summary>
    /// <param name="Node">The last node that it holds whole; null: none.</param>
    /// <param name="Next">The node after it that it has some tokens of; null: none.</param>
    /// <param name="Common">How many those are.</param>
    private readonly record struct Place(Node? Node, Node? Next, int Common)
    {
        public int Depth => Node?.End ?? 0;
    }

    /// <summary>Tokens of the pass.</summary>
    public int TokenCount { get; private set; }

    /// <summary>Tokens of an input that adding it would not make new.</summary>
    public int SharedWith(ReadOnlySpan<int> input)
    {
        var place = Find(input);
        return place.Depth + (IsKept(place, input) ? place.Common : 0);
    }

    /// <param name="request">Number by which answers are given back.</param>
    /// <param name="input">Tokens fed to the model.</param>
    /// <param name="targets">Scored tokens; the last of them follows the last input token.</param>
    public void Add(int request, ReadOnlySpan<int> input, ReadOnlySpan<int> targets)
    {
        var place = Find(input);
        var node = place.Node;
        if (IsKept(place, input))
        {
            node = place.Depth + place.Common == input.Length ? place.Next! : Split(place.Next!, place.Common);
        }
        var depth = node is null ? 0 : Math.Min(node.End, input.Length);
        if (depth < input.Length)
        {
            var child = new Node(input[depth..].ToArray(), depth, node);
            (node?.Children ?? _roots).Add(child);
            TokenCount += child.Tokens.Length;
            node = child;
        }
        for (var t = targets.Length - 1; t >= 0; t--)
        {
            var position = input.Length - targets.Length + t;
            while (position < node!.Start)
            {
                node = node.Parent;
            }
            node.Asked.Add((position, request, targets[t]));
        }
    }

    /// <summary>The pass as the library takes it.</summary>
    public PackedPass Pack()
    {
        var tokens = new List<int>(TokenCount);
        List<long> offsets = [0];
        List<long> parents = [];
        List<(long Row, int Request, int Target)> asked = [];
        var open = new Stack<(Node Node, int Parent)>();
        Push(_roots, -1);
        while (open.TryPop(out var top))
        {
            var (node, parent) = top;
            var first = tokens.Count - node.Start;
            asked.AddRange(
                node.Asked.OrderBy(entry => entry.Position)
                    .Select(entry => ((long)first + entry.Position, entry.Request, entry.Target))
            );
            tokens.AddRange(node.Tokens);
            offsets.Add(tokens.Count);
            parents.Add(parent);
            Push(node.Children, parents.Count - 1);
        }
        var batch = new Batch
        {
            Tokens = [.. tokens],
            Offsets = [.. offsets],
            Parents = [.. parents],
            Targets = [.. Enumerable.Repeat(-1, tokens.Count)],
            SampleKeys = new ulong[parents.Count],
        };
        return new PackedPass(
            batch,
            [.. asked.Select(entry => entry.Row)],
            [.. asked.Select(entry => entry.Target)],
            [.. asked.Select(entry => entry.Request)]
        );

        void Push(List<Node> nodes, int parent)
        {
            for (var i = nodes.Count - 1; i >= 0; i--)
            {
                open.Push((nodes[i], parent));
            }
        }
    }

    /// <summary>Whether the tokens in common with the next node are taken from it rather than computed again.</summary>
    private static bool IsKept(Place place, ReadOnlySpan<int> input) =>
        place.Common >= WorthParting || (place.Common > 0 && place.Depth + place.Common == input.Length);

    private Place Find(ReadOnlySpan<int> input)
    {
        Node? node = null;
        while (true)
        {
            var rest = input[(node?.End ?? 0)..];
            Node? next = null;
            var common = 0;
            foreach (var child in node?.Children ?? _roots)
            {
                var length = rest.CommonPrefixLength(child.Tokens);
                if (length > common)
                {
                    (next, common) = (child, length);
                }
            }
            if (next is null || common < next.Tokens.Length)
            {
                return new Place(node, next, common);
            }
            node = next;
        }
    }

    /// <summary>Cuts a node in two and returns its first part.</summary>
    private Node Split(Node node, int length)
    {
        var first = new Node(node.Tokens[..length], node.Start, node.Parent) { Children = [node] };
        var siblings = node.Parent?.Children ?? _roots;
        siblings[siblings.IndexOf(node)] = first;
        (node.Tokens, node.Start, node.Parent) = (node.Tokens[length..], first.End, first);
        first.Asked = node.Asked.FindAll(entry => entry.Position < first.End);
        node.Asked = node.Asked.FindAll(entry => entry.Position >= first.End);
        return first;
    }
}

/// <summary>A pass over the model.</summary>
/// <param name="Batch">Its tokens.</param>
/// <param name="Rows">[n] rows that are scored, ascending.</param>
/// <param name="Targets">[n] the token asked about after each.</param>
/// <param name="Requests">[n] the request that asks.</param>
internal sealed record PackedPass(Batch Batch, long[] Rows, int[] Targets, int[] Requests);
