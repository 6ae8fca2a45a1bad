using System.Text;
using Slimming.LlamaCpp;
using Slimming.Training.Data;
using Spectre.Console;

namespace Slimming.Cli.Verbs;

/// <summary>Prints a sample's tokens: learnt ones bright, the others dim; between marks where there is no colour.</summary>
internal static class TokenPrinter
{
    private static readonly Style s_given = new(decoration: Decoration.Dim);
    private static readonly Style[] s_learnt =
    [
        new(Color.Green, decoration: Decoration.Bold),
        new(Color.Yellow, decoration: Decoration.Bold),
    ];

    public static void Print(IAnsiConsole console, Sample sample, LlamaVocab vocab)
    {
        var others = sample.Tokens.Skip(1).Where((id, t) => sample.Targets[t] >= 0 && sample.Targets[t] != id).Count();
        console.WriteLine(
            $"{sample.Source}, row {sample.Row}: {sample.Tokens.Length} tokens, {sample.TargetCount} learnt"
                + (others == 0 ? "" : $" ({others} of them as another id than the one shown)")
        );
        foreach (var line in Runs(sample, vocab, marks: !console.Profile.Capabilities.Ansi))
        {
            console.Write(line.Text, line.Style);
        }
        console.WriteLine();
        console.WriteLine();
    }

    /// <summary>Tokens that together make whole characters; neighbours alternate in colour, so that their edges show.</summary>
    private static IEnumerable<(string Text, Style Style)> Runs(Sample sample, LlamaVocab vocab, bool marks)
    {
        var bytes = new List<byte>();
        var learntBefore = false;
        var index = 0;
        for (var t = 0; t < sample.Tokens.Length; t++)
        {
            var learnt = t > 0 && sample.Targets[t - 1] >= 0;
            if (learnt != learntBefore)
            {
                if (bytes.Count > 0)
                {
                    yield return (Clean(bytes), StyleOf(learntBefore, index));
                    bytes.Clear();
                }
                if (marks)
                {
                    yield return (learnt ? "[[" : "]]", Style.Plain);
                }
            }
            learntBefore = learnt;
            bytes.AddRange(vocab.TokenBytes(sample.Tokens[t]));
            // A character may be spread over several tokens: it is printed with the last of them.
            if (!EndsWithinCharacter(bytes))
            {
                yield return (Clean(bytes), StyleOf(learnt, index++));
                bytes.Clear();
            }
        }
        if (bytes.Count > 0)
        {
            yield return (Clean(bytes), StyleOf(learntBefore, index));
        }
        if (marks && learntBefore)
        {
            yield return ("]]", Style.Plain);
        }
    }

    private static Style StyleOf(bool learnt, int index) => learnt ? s_learnt[index % 2] : s_given;

    /// <summary>Whether the last bytes are the beginning of a longer UTF-8 sequence.</summary>
    private static bool EndsWithinCharacter(List<byte> bytes)
    {
        for (var back = 1; back <= Math.Min(3, bytes.Count); back++)
        {
            var lead = bytes[^back];
            if (lead >= 0xC0)
            {
                return back
                    < (
                        lead >= 0xF0 ? 4
                        : lead >= 0xE0 ? 3
                        : 2
                    );
            }
            if (lead < 0x80)
            {
                return false;
            }
        }
        return false;
    }

    /// <summary>Text for a terminal: control characters of the data move no cursor and set no colour.</summary>
    private static string Clean(List<byte> bytes)
    {
        var text = new StringBuilder();
        foreach (var rune in Encoding.UTF8.GetString([.. bytes]).EnumerateRunes())
        {
            text.Append(rune.Value is '\n' or '\t' || !Rune.IsControl(rune) ? rune.ToString() : $"\\u{rune.Value:x4}");
        }
        return text.ToString();
    }
}
