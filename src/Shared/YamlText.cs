using YamlDotNet.Core;

namespace Slimming.Shared;

/// <summary>Looks at YAML before it is loaded: the loader follows nesting on the stack, and its scanner throws errors of several kinds.</summary>
internal static class YamlText
{
    private const int MostDepth = 32;

    /// <summary>Why a text cannot be loaded, and the line; null where it can.</summary>
    public static (string Problem, long Line)? Problem(string text)
    {
        if (text.AsSpan().IndexOfAnyInRange('\0', '\b') is >= 0 and var at)
        {
            // A NUL ends the text for the scanner, and the rest would be left out in silence.
            return (
                $"found the control character U+{(int)text[at]:X4}; expected a text",
                1 + text.AsSpan(0, at).Count('\n')
            );
        }
        using StringReader reader = new(text);
        Parser parser = new(reader);
        try
        {
            for (var depth = 0; parser.MoveNext(); depth += parser.Current!.NestingIncrease)
            {
                if (depth > MostDepth)
                {
                    return ($"nested more than {MostDepth} deep", parser.Current!.Start.Line);
                }
            }
            return null;
        }
        catch (YamlException e)
        {
            return (e.InnerException?.Message ?? e.Message, e.Start.Line);
        }
        catch (InvalidOperationException)
        {
            return ("the reader stops here; does a bracket never close?", parser.Current?.End.Line ?? 1);
        }
        catch (Exception e) when (e is ArgumentException or FormatException or OverflowException)
        {
            return ($"the reader stops here: {e.Message}", parser.Current?.End.Line ?? 1);
        }
    }
}
