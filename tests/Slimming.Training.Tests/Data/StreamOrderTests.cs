using Slimming.Training.Data;

namespace Slimming.Training.Tests.Data;

/// <summary>Which rows a streamed run takes, and in which order.</summary>
public sealed class StreamOrderTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(64)]
    [InlineData(300)]
    [InlineData(9000)]
    public void A_selection_finds_its_rows_by_rank(int rows)
    {
        for (var share = 0; share <= 4; share++)
        {
            // Long gaps too: whole strides without a row.
            bool Chosen(int row) => share == 4 || (share > 0 && row / 4500 % 2 == 1) || row % 97 < share * 5;
            var expected = Enumerable.Range(0, rows).Where(Chosen).Select(row => (long)row).ToArray();
            var selection = RowSelection.Of(rows, Enumerable.Range(0, rows).Select(Chosen));
            selection.Count.ShouldBe(expected.Length);
            selection.Take(0, expected.Length).ShouldBe(expected);
            for (var rank = 0; rank < expected.Length; rank += 1 + (expected.Length / 50))
            {
                selection.Take(rank, 1).Single().ShouldBe(expected[rank]);
                selection.RankOf(expected[rank]).ShouldBe(rank);
            }
            selection.RankOf(rows).ShouldBe(expected.Length);
            selection
                .Where(rank => rank % 3 == 1)
                .Take(0, expected.Length / 3)
                .ShouldBe(expected.Where((_, rank) => rank % 3 == 1).Take(expected.Length / 3));
        }
    }

    [Fact]
    public void Rows_are_sampled_as_those_that_are_held_in_memory()
    {
        foreach (var (items, count) in new[] { (1, 1), (10, 3), (1000, 999), (70_000, 60_000), (70_000, 5) })
        {
            var sampled = RowDraw.Sampled(items, count, 42);
            Enumerable
                .Range(0, items)
                .Where(i => sampled(i))
                .ShouldBe(RowDraw.Sample(Enumerable.Range(0, items), count, 42));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(37)]
    [InlineData(40)]
    [InlineData(41)]
    [InlineData(96)]
    public void An_epoch_takes_every_row_once_by_blocks(int rows)
    {
        StreamLimits limits = new() { BlockRows = 4, WindowBlocks = 3 };
        for (ulong seed = 0; seed < 20; seed++)
        {
            var order = Order(new BlockOrder(rows, limits, seed, 0), rows);
            order.Order().ShouldBe(Enumerable.Range(0, rows).Select(row => (long)row));
            Order(new BlockOrder(rows, limits, seed, 0), rows).ShouldBe(order);
            if (rows > 12)
            {
                Order(new BlockOrder(rows, limits, seed, 1), rows).ShouldNotBe(order);
                Order(new BlockOrder(rows, limits, seed + 1, 0), rows).ShouldNotBe(order);
                // A window holds rows of three blocks only.
                order.Take(9).Select(row => row / 4).Distinct().Count().ShouldBeLessThanOrEqualTo(3);
            }
        }
        Order(new BlockOrder(rows, limits, null, 5), rows).ShouldBe(Enumerable.Range(0, rows).Select(row => (long)row));
    }

    [Fact]
    public void Every_row_comes_equally_often_at_every_place()
    {
        StreamLimits limits = new() { BlockRows = 2, WindowBlocks = 2 };
        var hits = new int[8, 8];
        for (var epoch = 0; epoch < 4000; epoch++)
        {
            foreach (var (place, row) in Order(new BlockOrder(8, limits, 42, epoch), 8).Index())
            {
                hits[place, row]++;
            }
        }
        // 500 expected, standard deviation 20.9: six of them.
        hits.Cast<int>().ShouldAllBe(n => Math.Abs(n - 500) < 126);
    }

    [Theory]
    [InlineData(new long[] { 5 })]
    [InlineData(new long[] { 8, 2 })]
    [InlineData(new long[] { 3, 3, 3 })]
    [InlineData(new long[] { 1, 100, 7 })]
    public void Sources_alternate_by_their_shares(long[] drawn)
    {
        var length = (int)drawn.Sum();
        MixOrder mix = new(drawn, alternate: true);
        var places = Enumerable.Range(0, length).Select(i => mix.At(i)).ToArray();
        for (var part = 0; part < drawn.Length; part++)
        {
            places.Where(p => p.Part == part).Select(p => p.Index).ShouldBe(Range(drawn[part]));
            for (var end = 1; end <= length; end++)
            {
                // Never further than one row, and one for each other source, from the even share.
                var share = (double)end * drawn[part] / length;
                Math.Abs(places.Take(end).Count(p => p.Part == part) - share).ShouldBeLessThan(drawn.Length);
            }
        }
        // Back and forth.
        mix.At(length / 2).ShouldBe(places[length / 2]);
        mix.At(length / 2).ShouldBe(places[length / 2]);
        mix.At(0).ShouldBe(places[0]);
        mix.At(length - 1).ShouldBe(places[^1]);
        MixOrder inFileOrder = new(drawn, alternate: false);
        Enumerable
            .Range(0, length)
            .Select(i => inFileOrder.At(i))
            .ShouldBe(drawn.SelectMany((count, part) => Range(count).Select(i => (part, i))));

        static IEnumerable<long> Range(long count) => Enumerable.Range(0, (int)count).Select(i => (long)i);
    }

    private static long[] Order(BlockOrder order, int rows) =>
        [
            .. Enumerable
                .Range(0, rows)
                .Select(position =>
                {
                    var (window, place) = order.Find(position);
                    var ranks = order
                        .Stretches(window)
                        .SelectMany(s => Enumerable.Range(0, s.Count).Select(i => s.First + i))
                        .ToArray();
                    return ranks[order.Shuffle(window, ranks.Length)[place]];
                }),
        ];
}
