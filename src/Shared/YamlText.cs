using YamlDotNet.Core;

namespace Slimming.Shared;

/// <summary>Looks at YAML before it is loaded: the loader follows nesting on the stack, and its scanner throws errors of several kinds.</summary>
internal static class YamlText
{
    private const int MostDepth = 32;

    /// <summary>Why a text cannot be loaded, and the line; null where it can.</summary>
    public static (string Problem, long Line)? Problem(string text)
    {
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
        catch (Exception e)
            when (e is InvalidOperationException or ArgumentException or FormatException or OverflowException)
        {
            return ($"the reader stops here: {e.Message}", parser.Current?.End.Line ?? 1);
        }
    }
}
