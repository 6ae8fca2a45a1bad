namespace Slimming.Cli.Verbs;

/// <summary>Samples of From to To tokens, both included.</summary>
internal sealed record LengthBin(int From, int To, int Samples);

/// <summary>Lengths in at most a dozen bins of a round width.</summary>
internal static class LengthHistogram
{
    private const int MostBins = 12;

    public static IReadOnlyList<LengthBin> Of(IReadOnlyCollection<int> lengths)
    {
        var longest = lengths.Max();
        var width = 1;
        // 1, 2, 5, 10, 20, 50, ...
        for (var i = 0; (longest + width) / width > MostBins; i++)
        {
            width = (i % 3 == 1 ? width / 2 * 5 : width * 2);
        }
        var counts = lengths.GroupBy(length => length / width).ToDictionary(g => g.Key, g => g.Count());
        return Enumerable
            .Range(counts.Keys.Min(), counts.Keys.Max() - counts.Keys.Min() + 1)
            .Select(b => new LengthBin(b * width, ((b + 1) * width) - 1, counts.GetValueOrDefault(b)))
            .ToArray();
    }
}
