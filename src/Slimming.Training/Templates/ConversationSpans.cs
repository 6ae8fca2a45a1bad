using Slimming.Training.Data;

namespace Slimming.Training.Templates;

/// <summary>Cuts a rendered conversation into what is given to the model and what it answers.</summary>
/// <remarks>
/// An answer's edges come from rendering, never from searching the text. Usually the conversation cut before the turn
/// (with the generation prompt) and after it render as prefixes of the whole. Templates that move the system text or
/// shorten earlier answers break that; there the turn is rendered with two other contents, and what both renderings
/// share is what stands around it.
/// </remarks>
internal sealed class ConversationSpans(ChatTemplate template, ITokenizer tokenizer)
{
    private const string ProbeA = "\uE000";
    private const string ProbeB = "\uE001";
    private readonly Lazy<bool> _promptsForAnswer = new(() => PromptsForAnswer(template));

    /// <summary>Spans whose texts join to the whole rendering.</summary>
    /// <exception cref="TemplateRefusedException">The template does not accept the conversation.</exception>
    public IReadOnlyList<TextSpan> Cut(IReadOnlyList<ChatMessage> messages)
    {
        var whole = template.Render(messages, addGenerationPrompt: false);
        var spans = new List<TextSpan>();
        var done = 0;
        for (var i = 0; i < messages.Count; i++)
        {
            if (messages[i].Role != "assistant")
            {
                continue;
            }
            var (start, end) = ByPrefix(messages, i, whole) ?? ByProbe(messages, i, whole);
            if (start < done || end < start)
            {
                throw new TemplateRefusedException($"turn {i} cannot be told apart in the rendered text");
            }
            Add(whole[done..start], isAnswer: false);
            Add(whole[start..end], isAnswer: true);
            done = end;
        }
        Add(whole[done..], isAnswer: false);
        return spans;

        void Add(string text, bool isAnswer)
        {
            if (text.Length > 0)
            {
                spans.Add(new TextSpan(text, isAnswer));
            }
        }
    }

    private (int Start, int End)? ByPrefix(IReadOnlyList<ChatMessage> messages, int turn, string whole)
    {
        if (turn == 0)
        {
            // Templates look at the first message, so there is nothing to cut before it.
            return null;
        }
        string before;
        string after;
        try
        {
            before = template.Render(messages.Take(turn).ToArray(), addGenerationPrompt: true);
            after =
                turn == messages.Count - 1
                    ? whole
                    : template.Render(messages.Take(turn + 1).ToArray(), addGenerationPrompt: false);
        }
        catch (TemplateRefusedException)
        {
            // A template may refuse a conversation that ends here though it accepts the whole.
            return null;
        }
        if (!whole.StartsWith(before, StringComparison.Ordinal))
        {
            return null;
        }
        // Some templates close a finished conversation with eos (phi-3.5); within a longer one it is absent.
        if (turn < messages.Count - 1 && !whole.StartsWith(after, StringComparison.Ordinal) && tokenizer.Eos >= 0)
        {
            var eos = tokenizer.TokenText(tokenizer.Eos);
            after = after.EndsWith(eos, StringComparison.Ordinal) ? after[..^eos.Length] : after;
        }
        if (!whole.StartsWith(after, StringComparison.Ordinal))
        {
            return null;
        }
        return (
            _promptsForAnswer.Value ? before.Length : AfterHeader(messages, turn, whole, before.Length),
            after.Length
        );
    }

    /// <summary>Whether add_generation_prompt makes a difference; without it nobody says where the role's name ends.</summary>
    private static bool PromptsForAnswer(ChatTemplate template)
    {
        ChatMessage[] question = [new("user", "a")];
        return template.Render(question, addGenerationPrompt: true)
            != template.Render(question, addGenerationPrompt: false);
    }

    /// <summary>Skips a role's name before the answer; a mere blank there belongs to the answer (llama-2).</summary>
    private int AfterHeader(IReadOnlyList<ChatMessage> messages, int turn, string whole, int start)
    {
        var content = Region(messages, turn, whole).Start;
        return string.IsNullOrWhiteSpace(whole[start..content]) ? start : content;
    }

    private (int Start, int End) ByProbe(IReadOnlyList<ChatMessage> messages, int turn, string whole)
    {
        var (start, end) = Region(messages, turn, whole);
        var next = turn + 1 < messages.Count ? Region(messages, turn + 1, whole).Start : whole.Length;
        return (start, end + EndOfTurn(whole[end..Math.Max(end, next)]));
    }

    /// <summary>Where a turn's content stands in the whole, by what surrounds it whatever it is.</summary>
    private (int Start, int End) Region(IReadOnlyList<ChatMessage> messages, int turn, string whole)
    {
        var a = RenderWith(messages, turn, ProbeA);
        var b = RenderWith(messages, turn, ProbeB);
        var head = CommonPrefix(a, b);
        var tail = CommonPrefix(Reverse(a), Reverse(b));
        var end = whole.Length - tail;
        if (
            head == a.Length
            || end < head
            || !whole.AsSpan().StartsWith(a.AsSpan(0, head))
            || !whole.AsSpan().EndsWith(a.AsSpan(a.Length - tail))
        )
        {
            throw new TemplateRefusedException($"turn {turn} cannot be told apart in the rendered text");
        }
        return (head, end);
    }

    private string RenderWith(IReadOnlyList<ChatMessage> messages, int turn, string content)
    {
        var changed = messages.ToArray();
        changed[turn] = changed[turn] with { Content = content };
        return template.Render(changed, addGenerationPrompt: false);
    }

    /// <summary>Characters up to and with the first end-of-generation token of the text between two turns; 0 if none.</summary>
    private int EndOfTurn(string gap)
    {
        var bytes = new List<byte>();
        foreach (var id in tokenizer.Tokenize(gap, parseSpecial: true))
        {
            bytes.AddRange(tokenizer.TokenBytes(id));
            if (tokenizer.IsEndOfGeneration(id))
            {
                // A tokenizer that puts a blank first counts one more than the text has.
                var text = System.Text.Encoding.UTF8.GetString([.. bytes]);
                var skip = gap.StartsWith(text, StringComparison.Ordinal) ? 0 : 1;
                return gap.AsSpan().StartsWith(text.AsSpan(skip)) ? text.Length - skip : 0;
            }
        }
        return 0;
    }

    private static int CommonPrefix(string a, string b) => a.AsSpan().CommonPrefixLength(b);

    private static string Reverse(string text)
    {
        var characters = text.ToCharArray();
        Array.Reverse(characters);
        return new string(characters);
    }
}
