using System.Globalization;
using System.Text;
using Spectre.Console.Rendering;

namespace Slimming.Cli.CommandLine;

/// <summary>
/// Texts of files on their way to a terminal: control characters, which move the cursor or change its colours, and marks of
/// text direction are shown by their numbers; what has no end is cut in the middle.
/// </summary>
internal static class ShownText
{
    private const int Longest = 4000;

    /// <summary>The end says what to do.</summary>
    private const int Tail = 800;

    /// <summary>One message: plain, and of a bounded length.</summary>
    public static string Message(string text) =>
        Plain(
            text.Length <= Longest
                ? text
                : string.Create(
                    CultureInfo.InvariantCulture,
                    $"{text[..(Longest - Tail)]} ... {text.Length - Longest:N0} characters left out ... {text[^Tail..]}"
                )
        );

    /// <summary>Without control characters, but for line ends and tabs.</summary>
    public static string Plain(string text)
    {
        if (!text.Any(IsHidden))
        {
            return text;
        }
        StringBuilder plain = new(text.Length);
        foreach (var c in text)
        {
            _ = IsHidden(c) ? plain.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}") : plain.Append(c);
        }
        return plain.ToString();
    }

    private static bool IsHidden(char c) =>
        c switch
        {
            '\n' or '\t' => false,
            '\r' => true,
            >= '\u202a' and <= '\u202e' or >= '\u2066' and <= '\u2069' => true,
            _ => char.IsControl(c),
        };

    /// <summary>Does the same to every table and line that goes through a console; its own colours stay.</summary>
    public sealed class Hook : IRenderHook
    {
        public IEnumerable<IRenderable> Process(RenderOptions options, IEnumerable<IRenderable> renderables) =>
            renderables.Select(renderable => new PlainRenderable(renderable));
    }

    private sealed class PlainRenderable(IRenderable inner) : IRenderable
    {
        public Measurement Measure(RenderOptions options, int maxWidth) => inner.Measure(options, maxWidth);

        public IEnumerable<Segment> Render(RenderOptions options, int maxWidth) =>
            inner
                .Render(options, maxWidth)
                .Select(segment =>
                    segment.IsControlCode || segment.IsLineBreak
                        ? segment
                        : new Segment(Plain(segment.Text), segment.Style)
                );
    }
}
