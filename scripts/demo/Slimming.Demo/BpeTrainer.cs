using System.Text;
using System.Text.RegularExpressions;

namespace Slimming.Demo;

/// <summary>
/// Byte-level byte-pair encoding as GPT-2 does it (Sennrich et al. 2016, on bytes): the most frequent pair of neighbours becomes a token,
/// again and again. Ties go to the pair that comes first in ordinal order, so the result depends on the text alone.
/// </summary>
public static partial class BpeTrainer
{
    /// <summary>GPT-2's split into words, with every digit alone as the pre-tokenizer "smollm" has it.</summary>
    [GeneratedRegex(
        @"\p{N}|'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        RegexOptions.None,
        10_000
    )]
    private static partial Regex Words();

    /// <summary>The 256 byte symbols in GPT-2's printable alphabet, in the order of the bytes.</summary>
    public static IReadOnlyList<string> ByteSymbols { get; } = MakeByteSymbols();

    /// <param name="texts">What to learn from.</param>
    /// <param name="merges">How many pairs at most; fewer when no pair occurs twice.</param>
    /// <returns>Pairs in the order they were joined.</returns>
    public static List<(string Left, string Right)> Train(IEnumerable<string> texts, int merges)
    {
        var words = Count(texts);
        var joined = new List<(string, string)>();
        while (joined.Count < merges)
        {
            var pairs = new Dictionary<(string Left, string Right), long>();
            foreach (var (symbols, count) in words)
            {
                for (var i = 0; i + 1 < symbols.Count; i++)
                {
                    var pair = (symbols[i], symbols[i + 1]);
                    pairs[pair] = pairs.GetValueOrDefault(pair) + count;
                }
            }
            var best = pairs
                .Where(entry => entry.Value > 1)
                .OrderByDescending(entry => entry.Value)
                .ThenBy(entry => entry.Key.Left, StringComparer.Ordinal)
                .ThenBy(entry => entry.Key.Right, StringComparer.Ordinal)
                .Select(entry => ((string Left, string Right)?)entry.Key)
                .FirstOrDefault();
            if (best is not { } chosen)
            {
                break;
            }
            joined.Add(chosen);
            foreach (var (symbols, _) in words)
            {
                Join(symbols, chosen);
            }
        }
        return joined;
    }

    private static List<(List<string> Symbols, long Count)> Count(IEnumerable<string> texts)
    {
        var counts = new SortedDictionary<string, long>(StringComparer.Ordinal);
        foreach (var text in texts)
        {
            foreach (var word in Words().EnumerateMatches(text))
            {
                var key = text.Substring(word.Index, word.Length);
                counts[key] = counts.GetValueOrDefault(key) + 1;
            }
        }
        return
        [
            .. counts.Select(entry =>
                (Encoding.UTF8.GetBytes(entry.Key).Select(b => ByteSymbols[b]).ToList(), entry.Value)
            ),
        ];
    }

    private static void Join(List<string> symbols, (string Left, string Right) pair)
    {
        for (var i = 0; i + 1 < symbols.Count; i++)
        {
            if (symbols[i] == pair.Left && symbols[i + 1] == pair.Right)
            {
                symbols[i] = pair.Left + pair.Right;
                symbols.RemoveAt(i + 1);
            }
        }
    }

    private static string[] MakeByteSymbols()
    {
        // Printable bytes stand for themselves; the others get the code points from 256 on, in the order of the bytes.
        var symbols = new string[256];
        var next = 256;
        for (var b = 0; b < 256; b++)
        {
            var printable = b is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            symbols[b] = ((char)(printable ? b : next++)).ToString();
        }
        return symbols;
    }
}
