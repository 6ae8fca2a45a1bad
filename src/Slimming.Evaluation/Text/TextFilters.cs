using System.Text;
using System.Text.RegularExpressions;

namespace Slimming.Evaluation.Text;

/// <summary>Named text transformations that task files may use.</summary>
public static partial class TextFilters
{
    private static readonly SortedDictionary<string, Func<string, string>> Plain = new(StringComparer.Ordinal)
    {
        ["strip"] = PythonText.Strip,
        ["capitalize"] = PythonText.Capitalize,
        ["lower"] = PythonText.Lower,
        ["spaces"] = text => text.Replace('_', ' '),
        ["lower_first"] = LowerFirst,
        ["drop_last"] = DropLast,
        ["unquote"] = text => Quoted().Replace(text, "$1"),
        ["squad"] = Squad,
        ["hellaswag"] = Hellaswag,
        ["wikitext"] = Wikitext,
    };

    private static readonly SortedDictionary<string, Func<string, string, string>> WithArgument = new(
        StringComparer.Ordinal
    )
    {
        ["before"] = (text, mark) => text[..Find(text, mark)],
        ["after"] = (text, mark) => text[(Find(text, mark) + mark.Length)..],
        ["after_last"] = (text, mark) =>
            text.LastIndexOf(mark, StringComparison.Ordinal) is >= 0 and var at ? text[(at + mark.Length)..] : text,
        ["map"] = Map,
    };

    /// <summary>All names, for messages.</summary>
    public static string Names =>
        string.Join(", ", Plain.Keys) + ", " + string.Join(", ", WithArgument.Keys.Select(name => name + "(TEXT)"));

    /// <summary>What is wrong with a filter as a task file writes it; null where nothing is.</summary>
    public static string? Problem(string name)
    {
        if (Plain.ContainsKey(name))
        {
            return null;
        }
        if (Argument(name) is not var (filter, argument) || !WithArgument.ContainsKey(filter))
        {
            return $"unknown filter \"{name}\"; expected {Names}";
        }
        return filter == "map" && Pairs(argument).Exists(pair => pair.Length != 2)
            ? $"filter {name}: expected map(from=to,from=to)"
            : null;
    }

    /// <summary>Applies one filter. Throws <see cref="FormatException"/> for an unknown name or a text that it cannot take.</summary>
    public static string Apply(string name, string text)
    {
        if (Plain.TryGetValue(name, out var filter))
        {
            return filter(text);
        }
        if (Problem(name) is { } problem)
        {
            throw new FormatException(problem);
        }
        var (function, argument) = Argument(name)!.Value;
        try
        {
            return WithArgument[function](text, argument);
        }
        catch (FormatException error)
        {
            throw new FormatException($"filter {name}: {error.Message}", error);
        }
    }

    private static (string Filter, string Argument)? Argument(string name)
    {
        var open = name.IndexOf('(', StringComparison.Ordinal);
        return open > 0 && name.EndsWith(')') && open + 2 < name.Length ? (name[..open], name[(open + 1)..^1]) : null;
    }

    private static int Find(string text, string mark) =>
        text.IndexOf(mark, StringComparison.Ordinal) is >= 0 and var at
            ? at
            : throw new FormatException($"the text has no \"{mark}\"");

    private static List<string[]> Pairs(string argument) =>
        [.. argument.Split(',').Select(pair => pair.Split('=', StringSplitOptions.TrimEntries))];

    private static string Map(string text, string argument) =>
        Pairs(argument).Find(pair => pair[0] == text)?[1]
        ?? throw new FormatException(
            $"the text is \"{text}\", expected {string.Join(" or ", Pairs(argument).Select(pair => pair[0]))}"
        );

    private static string LowerFirst(string text)
    {
        if (text.Length == 0)
        {
            return "";
        }
        var length = Rune.GetRuneAt(text, 0).Utf16SequenceLength;
        return PythonText.Lower(text[..length]) + text[length..];
    }

    private static string DropLast(string text)
    {
        if (text.Length == 0)
        {
            return "";
        }
        var last = text.Length > 1 && char.IsSurrogatePair(text[^2], text[^1]) ? 2 : 1;
        return text[..^last];
    }

    /// <summary>SQuAD's form of an answer: lower case, no ASCII punctuation, no articles, single blanks.</summary>
    private static string Squad(string text)
    {
        text = string.Concat(
            PythonText.Lower(text).Where(c => !(c < 128 && (char.IsPunctuation(c) || char.IsSymbol(c))))
        );
        return string.Join(' ', PythonText.Split(WithoutArticles(text)));
    }

    /// <summary>A blank for each word that is an article. Words end as Python has it: .NET's \b takes other characters for letters.</summary>
    private static string WithoutArticles(string text)
    {
        StringBuilder result = new(text.Length);
        var start = 0;
        foreach (var rune in text.EnumerateRunes().Append(new Rune(' ')))
        {
            if (PythonText.IsWord(rune))
            {
                result.Append(rune.ToString());
                continue;
            }
            if (result.ToString(start, result.Length - start) is "a" or "an" or "the")
            {
                result.Length = start;
                result.Append(' ');
            }
            result.Append(rune.ToString());
            start = result.Length;
        }
        return result.ToString();
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

    [GeneratedRegex("'(.*)'")]
    private static partial Regex Quoted();

    [GeneratedRegex(@"\[.*?\]")]
    private static partial Regex Bracketed();
}
