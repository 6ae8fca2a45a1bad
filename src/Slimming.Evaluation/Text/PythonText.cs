using System.Text;
using System.Text.RegularExpressions;

namespace Slimming.Evaluation.Text;

/// <summary>String operations exactly as Python's str has them: reference prompts were made with those.</summary>
public static partial class PythonText
{
    /// <summary>str.isspace for one character: Unicode whitespace and the separators U+001C to U+001F.</summary>
    public static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\x1c' and <= '\x1f';

    public static string Strip(string text) => StripEnd(StripStart(text));

    public static string StripStart(string text)
    {
        var start = 0;
        while (start < text.Length && IsSpace(text[start]))
        {
            start++;
        }
        return text[start..];
    }

    public static string StripEnd(string text) => text[..^TrailingSpaces(text)];

    /// <summary>Number of characters that rstrip would remove.</summary>
    public static int TrailingSpaces(string text)
    {
        var count = 0;
        while (count < text.Length && IsSpace(text[^(count + 1)]))
        {
            count++;
        }
        return count;
    }

    /// <summary>str.capitalize: the first character in title case, all others in lower case.</summary>
    public static string Capitalize(string text)
    {
        if (text.Length == 0)
        {
            return "";
        }
        var length = Rune.GetRuneAt(text, 0).Utf16SequenceLength;
        return Title(text[..length]) + Lower(text, length);
    }

    /// <summary>str.lower.</summary>
    public static string Lower(string text) => Lower(text, 0);

    /// <summary>str.split(): the words between runs of whitespace.</summary>
    public static string[] Split(string text) => [.. Spaces().Split(text).Where(word => word.Length > 0)];

    /// <summary>len(re.split(r"\s+", text)): runs of whitespace plus one.</summary>
    public static int CountWords(string text) => Spaces().Count(text) + 1;

    /// <summary>Number of Unicode code points, Python's len.</summary>
    public static int CodePoints(string text) => text.EnumerateRunes().Count();

    // .NET's \s lacks the four separators that Python counts as whitespace.
    [GeneratedRegex(@"[\s\x1c-\x1f]+")]
    private static partial Regex Spaces();

    // Characters whose title case is not one character of its own (Unicode SpecialCasing.txt) and the digraphs.
    private static string Title(string first) =>
        first switch
        {
            "ß" => "Ss",
            "ﬀ" => "Ff",
            "ﬁ" => "Fi",
            "ﬂ" => "Fl",
            "ﬃ" => "Ffi",
            "ﬄ" => "Ffl",
            "ﬅ" or "ﬆ" => "St",
            "ŉ" => "ʼN",
            "ǰ" => "J̌",
            "և" => "Եւ",
            "Ǆ" or "ǅ" or "ǆ" => "ǅ",
            "Ǉ" or "ǈ" or "ǉ" => "ǈ",
            "Ǌ" or "ǋ" or "ǌ" => "ǋ",
            "Ǳ" or "ǲ" or "ǳ" => "ǲ",
            _ => first.ToUpperInvariant(),
        };

    private static string Lower(string text, int from)
    {
        var result = new StringBuilder(text.Length);
        for (var i = from; i < text.Length; i++)
        {
            var c = text[i];
            if (c == 'İ')
            {
                result.Append("i̇");
            }
            else if (c == 'Σ')
            {
                // At the end of a word the letter has another form.
                var final =
                    i > 0 && char.IsLetter(text[i - 1]) && (i + 1 == text.Length || !char.IsLetter(text[i + 1]));
                result.Append(final ? 'ς' : 'σ');
            }
            else if (char.IsHighSurrogate(c) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]))
            {
                result.Append(text.Substring(i, 2).ToLowerInvariant());
                i++;
            }
            else
            {
                result.Append(char.ToLowerInvariant(c));
            }
        }
        return result.ToString();
    }
}
