using Slimming.Training.Templates;

namespace Slimming.Training.Data;

/// <summary>
/// Tokens of one row and, unshifted, what is learnt: Labels[t] is the id expected at the place of Tokens[t], -1 for no
/// loss. It is the token itself but where a row brings labels of its own.
/// </summary>
internal sealed record Sequence(int[] Tokens, int[] Labels)
{
    public static Sequence Of(int[] tokens, IReadOnlyList<bool> inLoss) =>
        new(tokens, [.. tokens.Select((id, t) => inLoss[t] ? id : -1)]);
}

/// <summary>Turns a row's meaning into tokens and loss mask.</summary>
internal sealed class SequenceBuilder
{
    private readonly ITokenizer _tokenizer;
    private readonly TemplateChoice _template;
    private readonly LossOn _lossOn;
    private readonly ConversationSpans? _spans;
    private readonly bool _addsBlank;

    public SequenceBuilder(ITokenizer tokenizer, TemplateChoice template, LossOn lossOn)
    {
        (_tokenizer, _template, _lossOn) = (tokenizer, template, lossOn);
        _spans = template.Chat is null ? null : new ConversationSpans(template.Chat, tokenizer);
        _addsBlank =
            tokenizer.Tokenize("a", parseSpecial: false).SelectMany(tokenizer.TokenBytes).FirstOrDefault() == ' ';
    }

    /// <exception cref="Slimming.Gguf.SlimmingException">The row cannot be rendered or holds ids beyond the vocabulary.</exception>
    public Sequence Build(Example example, DataRow row) =>
        example switch
        {
            Example.TokenIds ids => FromIds(ids, row),
            Example.PlainText text => FromText(text.Text),
            Example.Completion c => FromAnswer(
                _tokenizer.Tokenize(c.Prompt, parseSpecial: true),
                c.Prompt.Length == 0 ? _tokenizer.Tokenize(c.Text, parseSpecial: true) : Continue(c.Text)
            ),
            Example.Instruction i when _spans is null => FromAnswer(
                _tokenizer.Tokenize(AlpacaTemplate.Prompt(i.Text, i.Input), parseSpecial: false),
                _tokenizer.Tokenize(i.Output, parseSpecial: false)
            ),
            Example.Instruction i => FromConversation(AsConversation(i), row),
            Example.Conversation c => FromConversation(c.Messages, row),
            _ => throw new InvalidOperationException(example.GetType().Name),
        };

    private static ChatMessage[] AsConversation(Example.Instruction row) =>
        [new("user", row.Input.Length == 0 ? row.Text : $"{row.Text}\n\n{row.Input}"), new("assistant", row.Output)];

    private Sequence FromIds(Example.TokenIds row, DataRow place)
    {
        Check(row.Ids, "input_ids", isLabel: false);
        Check(row.Labels, "labels", isLabel: true);
        return new Sequence(row.Ids, [.. row.Labels.Select(label => Math.Max(label, -1))]);

        void Check(int[] values, string column, bool isLabel)
        {
            var bad = Array.FindIndex(
                values,
                id => (id < 0 || id >= _tokenizer.Count) && !(isLabel && id == DatasetFormat.NoLoss)
            );
            if (bad >= 0)
            {
                var orNone = isLabel ? $", or {DatasetFormat.NoLoss} for no loss" : "";
                throw place.Error(
                    $"{column}, element {bad}: {values[bad]}; expected a token id of the model, 0 to "
                        + $"{_tokenizer.Count - 1}{orNone}"
                );
            }
        }
    }

    /// <summary>A whole text is learnt, its end too.</summary>
    private Sequence FromText(string text)
    {
        var tokens = WithBos(_tokenizer.Tokenize(text, parseSpecial: true));
        if (tokens.Length == 0 || !_tokenizer.IsEndOfGeneration(tokens[^1]))
        {
            tokens = [.. tokens, End()];
        }
        return Sequence.Of(tokens, Mask(0, tokens.Length));
    }

    private Sequence FromAnswer(int[] prompt, int[] answer)
    {
        var start = WithBos(prompt);
        int[] tokens =
            answer.Length > 0 && _tokenizer.IsEndOfGeneration(answer[^1])
                ? [.. start, .. answer]
                : [.. start, .. answer, End()];
        return Sequence.Of(tokens, Mask(_lossOn == LossOn.All ? 0 : start.Length, tokens.Length));
    }

    private Sequence FromConversation(IReadOnlyList<ChatMessage> messages, DataRow row)
    {
        if (_spans is null)
        {
            throw row.Error(
                "a conversation needs a chat template, and the model file has none (or --template alpaca was given); "
                    + "pass --template chatml or a Jinja file"
            );
        }
        IReadOnlyList<TextSpan> spans;
        try
        {
            spans = _spans.Cut(messages);
        }
        catch (TemplateRefusedException e)
        {
            throw row.Error($"chat template ({_template.Chat!.Name}) refuses the conversation: {e.Message}");
        }
        var tokens = new List<int>();
        var inLoss = new List<bool>();
        foreach (var span in spans)
        {
            var ids =
                tokens.Count == 0 ? WithBos(_tokenizer.Tokenize(span.Text, parseSpecial: true)) : Continue(span.Text);
            var learnt = span.IsAnswer ? LearntTokens(ids) : 0;
            for (var i = 0; i < ids.Length; i++)
            {
                tokens.Add(ids[i]);
                inLoss.Add(_lossOn == LossOn.All || i < learnt);
            }
        }
        return Sequence.Of([.. tokens], inLoss);
    }

    /// <summary>
    /// Tokens of an answer up to and with its end of turn. What a template prints after that (a line feed, a closing
    /// eos) is never generated, so it is not learnt either.
    /// </summary>
    private int LearntTokens(int[] ids)
    {
        var end = Array.FindLastIndex(ids, _tokenizer.IsEndOfGeneration);
        if (end < 0)
        {
            return ids.Length;
        }
        for (var i = end - 1; i >= 0; i--)
        {
            if (_tokenizer.IsEndOfGeneration(ids[i]))
            {
                end = i;
            }
            else if (!_tokenizer.TokenBytes(ids[i]).All(b => b is (byte)' ' or (byte)'\n'))
            {
                break;
            }
        }
        return end + 1;
    }

    /// <summary>Tokens of a text that goes on after another: no blank is put before it.</summary>
    private int[] Continue(string text)
    {
        if (!_addsBlank)
        {
            return _tokenizer.Tokenize(text, parseSpecial: true);
        }
        // The blank comes before the line feed instead, and both are taken off again.
        var lead = _tokenizer.Tokenize("\n", parseSpecial: true);
        var joined = _tokenizer.Tokenize("\n" + text, parseSpecial: true);
        return joined.AsSpan().StartsWith(lead) ? joined[lead.Length..] : _tokenizer.Tokenize(text, parseSpecial: true);
    }

    /// <summary>BOS once, where the model wants it, whether the text brought it or not.</summary>
    private int[] WithBos(int[] tokens)
    {
        if (_tokenizer.Bos < 0 || !_tokenizer.AddBos)
        {
            return tokens;
        }
        var extra = 0;
        while (extra < tokens.Length && tokens[extra] == _tokenizer.Bos)
        {
            extra++;
        }
        return [_tokenizer.Bos, .. tokens[extra..]];
    }

    private int End() =>
        _tokenizer.Eos >= 0 ? _tokenizer.Eos
        : _tokenizer.Eot >= 0 ? _tokenizer.Eot
        : throw new Gguf.SlimmingException(
            Gguf.ExitCode.Usage,
            "the model file names no end-of-sequence token (tokenizer.ggml.eos_token_id), so an answer cannot be ended"
        );

    private static bool[] Mask(int from, int length)
    {
        var mask = new bool[length];
        mask.AsSpan(from).Fill(true);
        return mask;
    }
}
