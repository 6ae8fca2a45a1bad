using System.Text.RegularExpressions;

namespace Slimming.Evaluation.Text;

/// <summary>Named text transformations that task files may use.</summary>
public static partial class TextFilters
{
    private static readonly SortedDictionary<string, Func<string, string>> Plain = new(StringComparer.Ordinal)
    {
        ["strip"] = PythonText.Strip,
        ["capitalize"] = PythonText.Capitalize,
        ["lower"] = text => text.ToLowerInvariant(),
        ["spaces"] = text => text.Replace('_', ' '),
        ["hellaswag"] = Hellaswag,
        ["wikitext"] = Wikitext,
    };

    /// <summary>All names, for messages.</summary>
    public static string Names => string.Join(", ", Plain.Keys) + ", before(TEXT), after(TEXT)";

    public static bool Exists(string name) => Plain.ContainsKey(name) || Argument(name) is not null;

    /// <summary>Applies one filter. Throws <see cref="FormatException"/> for an unknown name or a mark that the text lacks.</summary>
    public static string Apply(string name, string text)
    {
        if (Plain.TryGetValue(name, out var filter))
        {
            return filter(text);
        }
        var (before, mark) =
            Argument(name) ?? throw new FormatException($"unknown filter \"{name}\"; expected {Names}");
        var at = text.IndexOf(mark, StringComparison.Ordinal);
        if (at < 0)
        {
            throw new FormatException($"filter {name}: the text has no \"{mark}\"");
        }
        return before ? text[..at] : text[(at + mark.Length)..];
    }

    private static (bool Before, string Mark)? Argument(string name)
    {
        if (!name.EndsWith(')'))
        {
            return null;
        }
        if (name.StartsWith("before(", StringComparison.Ordinal) && name.Length > 8)
        {
            return (true, name[7..^1]);
        }
        return name.StartsWith("after(", StringComparison.Ordinal) && name.Length > 7 ? (false, name[6..^1]) : null;
    }

    // METHODS.md section 6: strip; " [title]" to ". "; bracketed words out; every pair of blanks to one, in one pass.
    private static string Hellaswag(string text)
    {
        text = PythonText.Strip(text).Replace(" [title]", ". ", StringComparison.Ordinal);
        return Bracketed().Replace(text, "").Replace("  ", " ", StringComparison.Ordinal);
    }

    /// <summary>Undoes the tokenisation of WikiText pages; the order of the steps is part of the metric.</summary>
    private static string Wikitext(string page)
    {
        page = Replace(page, ("s '", "s'"));
        page = Regex.Replace(page, "/' [0-9]/", "/'[0-9]/");
        page = Replace(page, (" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", "."));
        page = Replace(page, (" : ", ": "), (" ; ", "; "), (" . ", ". "), (" ! ", "! "), (" ? ", "? "), (" , ", ", "));
        page = Regex.Replace(page, @"\(\s*([^\)]*?)\s*\)", "($1)");
        page = Regex.Replace(page, @"\[\s*([^\]]*?)\s*\]", "[$1]");
        page = Regex.Replace(page, @"{\s*([^}]*?)\s*}", "{$1}");
        page = Regex.Replace(page, "\"\\s*([^\"]*?)\\s*\"", "\"$1\"");
        page = Regex.Replace(page, @"'\s*([^']*?)\s*'", "'$1'");
        return Replace(
            page,
            ("= = = =", "===="),
            ("= = =", "==="),
            ("= =", "=="),
            (" ° ", "°"),
            (" \n", "\n"),
            ("\n ", "\n"),
            (" N ", " 1 "),
            (" 's", "'s")
        );
    }

    private static string Replace(string text, params ReadOnlySpan<(string From, string To)> pairs)
    {
        foreach (var (from, to) in pairs)
        {
            text = text.Replace(from, to, StringComparison.Ordinal);
        }
        return text;
    }

    [GeneratedRegex(@"\[.*?\]")]
    private static partial Regex Bracketed();
}
