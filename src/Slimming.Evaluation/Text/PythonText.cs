using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Slimming.Evaluation.Text;

/// <summary>String operations exactly as Python's str has them: reference prompts were made with those.</summary>
public static partial class PythonText
{
    // Characters whose title case is not their one upper-case character (Unicode SpecialCasing.txt, and the digraphs).
    private static readonly Dictionary<string, string> Titles = (
        "\u00df=Ss \u0131=I \u0149=\u02bcN \u017f=S \u01c4=\u01c5 \u01c5=\u01c5 \u01c6=\u01c5 \u01c7=\u01c8 "
        + "\u01c8=\u01c8 \u01c9=\u01c8 \u01ca=\u01cb \u01cb=\u01cb \u01cc=\u01cb \u01f0=J\u030c \u01f1=\u01f2 "
        + "\u01f2=\u01f2 \u01f3=\u01f2 \u0390=\u0399\u0308\u0301 \u03b0=\u03a5\u0308\u0301 \u0587=\u0535\u0582 "
        + "\u1e96=H\u0331 \u1e97=T\u0308 \u1e98=W\u030a \u1e99=Y\u030a \u1e9a=A\u02be \u1f50=\u03a5\u0313 "
        + "\u1f52=\u03a5\u0313\u0300 \u1f54=\u03a5\u0313\u0301 \u1f56=\u03a5\u0313\u0342 \u1fb2=\u1fba\u0345 "
        + "\u1fb4=\u0386\u0345 \u1fb6=\u0391\u0342 \u1fb7=\u0391\u0342\u0345 \u1fc2=\u1fca\u0345 "
        + "\u1fc4=\u0389\u0345 \u1fc6=\u0397\u0342 \u1fc7=\u0397\u0342\u0345 \u1fd2=\u0399\u0308\u0300 "
        + "\u1fd3=\u0399\u0308\u0301 \u1fd6=\u0399\u0342 \u1fd7=\u0399\u0308\u0342 \u1fe2=\u03a5\u0308\u0300 "
        + "\u1fe3=\u03a5\u0308\u0301 \u1fe4=\u03a1\u0313 \u1fe6=\u03a5\u0342 \u1fe7=\u03a5\u0308\u0342 "
        + "\u1ff2=\u1ffa\u0345 \u1ff4=\u038f\u0345 \u1ff6=\u03a9\u0342 \u1ff7=\u03a9\u0342\u0345 \ufb00=Ff "
        + "\ufb01=Fi \ufb02=Fl \ufb03=Ffi \ufb04=Ffl \ufb05=St \ufb06=St \ufb13=\u0544\u0576 \ufb14=\u0544\u0565 "
        + "\ufb15=\u0544\u056b \ufb16=\u054e\u0576 \ufb17=\u0544\u056d "
    )
        .Split(' ', StringSplitOptions.RemoveEmptyEntries)
        .Select(pair => pair.Split('='))
        .ToDictionary(pair => pair[0], pair => pair[1], StringComparer.Ordinal);

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

    // Georgian has capitals, but no title case.
    private static string Title(string first) =>
        Titles.TryGetValue(first, out var title) ? title
        : first[0] is >= '\u10d0' and <= '\u10ff' ? first
        : first.ToUpperInvariant();

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
                var final = IsCased(Neighbour(text, i, -1)) && !IsCased(Neighbour(text, i, 1));
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

    /// <summary>The nearest character before or after a place that says something about case; null at the end of the text.</summary>
    private static Rune? Neighbour(string text, int place, int step)
    {
        for (var i = place + step; i >= 0 && i < text.Length; i += step)
        {
            if (Rune.TryGetRuneAt(text, i, out var rune) && !IsCaseIgnorable(rune))
            {
                return rune;
            }
        }
        return null;
    }

    private static bool IsCased(Rune? rune) =>
        rune is { } one
        && (
            Rune.IsUpper(one)
            || Rune.IsLower(one)
            || Rune.GetUnicodeCategory(one) == UnicodeCategory.TitlecaseLetter
            // Ordinal indicators, Roman numerals and letters in circles.
            || one.Value is 0xaa or 0xba or (>= 0x2160 and <= 0x217f) or (>= 0x24b6 and <= 0x24e9)
        );

    private static bool IsCaseIgnorable(Rune rune) =>
        Rune.GetUnicodeCategory(rune)
            is UnicodeCategory.NonSpacingMark
                or UnicodeCategory.EnclosingMark
                or UnicodeCategory.Format
                or UnicodeCategory.ModifierLetter
                or UnicodeCategory.ModifierSymbol
        || (
            rune.IsBmp
            && "'.:\u00b7\u0387\u055f\u05f4\u2018\u2019\u2024\u2027\ufe13\ufe52\ufe55\uff07\uff0e\uff1a".Contains(
                (char)rune.Value
            )
        );

    /// <summary>What \w matches: letters, digits and numbers of any script, and the underscore.</summary>
    public static bool IsWord(Rune rune) =>
        Rune.IsLetterOrDigit(rune)
        || Rune.GetUnicodeCategory(rune) is UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber
        || rune.Value == '_';
}
