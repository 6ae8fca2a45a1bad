using System.Text;

namespace Slimming.Evaluation.Comparing;

/// <summary>Runs of words of a text, as 64-bit hashes.</summary>
/// <remarks>
/// A word is what stands between white space, in lower case and without anything but letters and digits; what is empty
/// then is no word. Two different runs of words have equal hashes with a chance of about 2^-64.
/// </remarks>
internal static class WordGrams
{
    /// <summary>Words in a row, as GPT-3's contamination study took for most benchmarks.</summary>
    public const int Length = 13;

    private const ulong Base = 0x9E3779B97F4A7C15;
    private const ulong FnvOffset = 14695981039346656037;
    private const ulong FnvPrime = 1099511628211;

    private static readonly ulong s_top = Power(Base, Length - 1);

    /// <summary>Words of a text as they are compared.</summary>
    public static List<string> Words(string text)
    {
        var words = new List<string>();
        var word = new StringBuilder();
        foreach (var c in text)
        {
            if (char.IsWhiteSpace(c))
            {
                Take();
            }
            else if (char.IsLetterOrDigit(c) || char.IsSurrogate(c))
            {
                word.Append(char.ToLowerInvariant(c));
            }
        }
        Take();
        return words;

        void Take()
        {
            if (word.Length > 0)
            {
                words.Add(word.ToString());
                word.Clear();
            }
        }
    }

    /// <summary>The hash of every run of <see cref="Length"/> words, in order; none where there are fewer.</summary>
    public static IEnumerable<ulong> Hashes(IReadOnlyList<string> words)
    {
        var recent = new Queue<ulong>(Length);
        ulong hash = 0;
        foreach (var word in words)
        {
            if (recent.Count == Length)
            {
                hash -= recent.Dequeue() * s_top;
            }
            var next = HashOf(word);
            recent.Enqueue(next);
            hash = (hash * Base) + next;
            if (recent.Count == Length)
            {
                yield return hash;
            }
        }
    }

    private static ulong HashOf(string word)
    {
        var hash = FnvOffset;
        foreach (var c in word)
        {
            hash = (hash ^ c) * FnvPrime;
        }
        // FNV's low bits know little of the high ones.
        return (hash ^ (hash >> 32)) * Base;
    }

    private static ulong Power(ulong value, int exponent) =>
        Enumerable.Repeat(value, exponent).Aggregate(1UL, (product, factor) => product * factor);
}
