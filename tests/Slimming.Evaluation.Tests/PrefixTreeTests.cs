using Slimming.Evaluation.Engine;

namespace Slimming.Evaluation.Tests;

/// <summary>How requests become sequences that share what they begin with.</summary>
public sealed class PrefixTreeTests
{
    [Fact]
    public void ChoicesGoOnFromTheirQuestion()
    {
        var tree = Tree(([1, 2, 3, 4, 5, 6], [6, 7]), ([1, 2, 3, 4, 5, 8], [8, 9]), ([1, 2, 3, 4, 5], [9]));
        tree.TokenCount.ShouldBe(7);
        var pass = tree.Pack();
        pass.Batch.Tokens.ShouldBe([1, 2, 3, 4, 5, 6, 8]);
        pass.Batch.Offsets.ShouldBe([0, 5, 6, 7]);
        pass.Batch.Parents.ShouldBe([-1, 0, 0]);
        pass.Rows.ShouldBe([4, 4, 4, 5, 6]);
        pass.Targets.ShouldBe([6, 8, 9, 7, 9]);
        pass.Requests.ShouldBe([0, 1, 2, 0, 1]);
    }

    [Fact]
    public void AFewCommonTokensAreComputedTwice()
    {
        var tree = Tree(([1, 2, 3, 4], [5]), ([1, 2, 3, 9], [5]));
        tree.TokenCount.ShouldBe(8);
        tree.Pack().Batch.Parents.ShouldBe([-1, -1]);
        // The longer match of the two is the one that is shared.
        tree.SharedWith([1, 2, 3, 9, 9]).ShouldBe(4);
        tree.SharedWith([1, 2]).ShouldBe(2);
        tree.SharedWith([1, 2, 8]).ShouldBe(0);
        tree.SharedWith([2]).ShouldBe(0);
    }

    [Fact]
    public void EqualRequestsAndOnesInsideOthersAddNothing()
    {
        var tree = Tree(([1, 2, 3, 4], [3, 4, 5]), ([1, 2, 3, 4], [3, 4, 6]), ([1, 2], [3]), ([1, 2, 3, 4, 5], [6]));
        tree.TokenCount.ShouldBe(5);
        var pass = tree.Pack();
        pass.Batch.Offsets.ShouldBe([0, 4, 5]);
        pass.Rows.ShouldBe([1, 1, 1, 2, 2, 3, 3, 4]);
        pass.Requests.ShouldBe([0, 1, 2, 0, 1, 0, 1, 3]);
    }

    /// <summary>Whatever the requests: walking up from the row before a target gives the tokens that the request was.</summary>
    [Fact]
    public void EveryTargetFollowsItsOwnTokens()
    {
        var random = new Random(5);
        for (var round = 0; round < 200; round++)
        {
            var requests = new List<(int[] Input, int[] Targets)>();
            var tree = new PrefixTree();
            var plain = 0;
            for (var i = 0; i < 20; i++)
            {
                // Few ids and copies of earlier requests: long common beginnings, and short ones.
                var start = i > 0 && random.Next(4) > 0 ? requests[random.Next(i)].Input : [];
                int[] input = [.. start[..random.Next(start.Length + 1)], .. Draw(random.Next(1, 9))];
                var targets = Draw(random.Next(1, input.Length + 1));
                requests.Add((input, targets));
                var (before, shared) = (tree.TokenCount, tree.SharedWith(input));
                tree.Add(i, input, targets);
                tree.TokenCount.ShouldBe(before + input.Length - shared);
                plain += input.Length;
            }
            var pass = tree.Pack();
            pass.Batch.Tokens.Length.ShouldBe(tree.TokenCount);
            tree.TokenCount.ShouldBeLessThanOrEqualTo(plain);
            pass.Rows.ShouldBeInOrder();
            foreach (var (i, (input, targets)) in requests.Index())
            {
                var asked = Enumerable.Range(0, pass.Rows.Length).Where(at => pass.Requests[at] == i).ToList();
                asked.Select(at => pass.Targets[at]).ShouldBe(targets);
                foreach (var (t, at) in asked.Index())
                {
                    Before(pass, pass.Rows[at]).ShouldBe(input[..(input.Length - targets.Length + t + 1)]);
                }
            }
        }

        int[] Draw(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(3))];
    }

    private static List<int> Before(PackedPass pass, long row)
    {
        var (batch, tokens) = (pass.Batch, new List<int>());
        var sequence = batch.Offsets.AsSpan(1).IndexOfAnyExceptInRange(0, row);
        for (var end = row + 1; sequence >= 0; )
        {
            tokens.InsertRange(0, batch.Tokens[(int)batch.Offsets[sequence]..(int)end]);
            sequence = (int)batch.Parents![sequence];
            end = sequence >= 0 ? batch.Offsets[sequence + 1] : 0;
        }
        return tokens;
    }

    private static PrefixTree Tree(params (int[] Input, int[] Targets)[] requests)
    {
        var tree = new PrefixTree();
        for (var i = 0; i < requests.Length; i++)
        {
            tree.Add(i, requests[i].Input, requests[i].Targets);
        }
        return tree;
    }
}
