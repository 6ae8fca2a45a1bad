namespace Slimming.Demo;

/// <summary>A question and the one right answer.</summary>
public sealed record Exchange(string Question, string Answer);

/// <summary>Tasks whose items follow from a rule, so that a held-out item can be solved only by the rule.</summary>
public static class Skills
{
    private const string Letters = "abcdefghijklmnopqrstuvwxyz";

    /// <summary>Old skill: "reverse (k-d-a-f)" is "f-a-d-k".</summary>
    public static Exchange Reverse(Draws draws)
    {
        var letters = Word(draws, Letters.Length);
        return new Exchange($"reverse ({Join(letters)})", Join(letters.Reverse()));
    }

    /// <summary>Old skill: "larger of 47 and 83" is "83".</summary>
    public static Exchange Larger(Draws draws)
    {
        var first = 10 + draws.Below(90);
        var second = 10 + draws.Below(89);
        second += second >= first ? 1 : 0;
        return new Exchange($"larger of {first} and {second}", $"{Math.Max(first, second)}");
    }

    /// <summary>New skill, which pre-training never shows: each letter becomes the next one of the alphabet; z is left out.</summary>
    public static Exchange Following(Draws draws)
    {
        var letters = Word(draws, Letters.Length - 1);
        return new Exchange($"following ({Join(letters)})", Join(letters.Select(letter => (char)(letter + 1))));
    }

    private static char[] Word(Draws draws, int letters)
    {
        var word = new char[3 + draws.Below(2)];
        for (var i = 0; i < word.Length; i++)
        {
            word[i] = Letters[draws.Below(letters)];
        }
        return word;
    }

    private static string Join(IEnumerable<char> letters) => string.Join('-', letters);

    /// <summary>
    /// Draws until <paramref name="count"/> different items are found none of which is in <paramref name="taken"/>, and adds them there.
    /// </summary>
    public static List<Exchange> Fresh(Func<Draws, Exchange> skill, int count, Draws draws, HashSet<string> taken)
    {
        var items = new List<Exchange>(count);
        while (items.Count < count)
        {
            var item = skill(draws);
            if (taken.Add(item.Question))
            {
                items.Add(item);
            }
        }
        return items;
    }
}
