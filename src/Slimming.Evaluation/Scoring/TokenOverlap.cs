using Slimming.Evaluation.Text;

namespace Slimming.Evaluation.Scoring;

/// <summary>How much two texts have in common, word by word (METHODS.md sections 6 and 7).</summary>
internal static class TokenOverlap
{
    /// <summary>SQuAD's F1: harmonic mean of the shares of common words; 0 where there are none.</summary>
    public static double F1(string answer, string target)
    {
        var (given, wanted) = (PythonText.Split(answer), PythonText.Split(target));
        var common = Common(given, wanted);
        if (common == 0)
        {
            return 0;
        }
        var (precision, recall) = ((double)common / given.Length, (double)common / wanted.Length);
        return 2 * precision * recall / (precision + recall);
    }

    /// <summary>Common words, counted as often as both have them, over the length of the longer text; case is ignored.</summary>
    public static double Jaccard(string answer, string target)
    {
        var (given, wanted) = (Words(answer), Words(target));
        var longest = Math.Max(given.Length, wanted.Length);
        return longest == 0 ? 1 : (double)Common(given, wanted) / longest;
    }

    /// <summary>The standard index over the sets of words: intersection over union.</summary>
    public static double JaccardOfSets(string answer, string target)
    {
        var given = Words(answer).ToHashSet(StringComparer.Ordinal);
        var wanted = Words(target).ToHashSet(StringComparer.Ordinal);
        var union = given.Union(wanted, StringComparer.Ordinal).Count();
        return union == 0 ? 1 : (double)given.Intersect(wanted, StringComparer.Ordinal).Count() / union;
    }

    private static string[] Words(string text) => PythonText.Split(PythonText.Lower(text));

    private static int Common(string[] left, string[] right)
    {
        var counts = right.GroupBy(word => word, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.Count());
        var common = 0;
        foreach (var word in left)
        {
            if (counts.GetValueOrDefault(word) > 0)
            {
                counts[word]--;
                common++;
            }
        }
        return common;
    }
}
