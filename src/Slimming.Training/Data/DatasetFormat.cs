using System.Text;
using System.Text.Json;
using Slimming.Gguf;
using Slimming.Training.Templates;

namespace Slimming.Training.Data;

/// <summary>A kind of data file: the columns that tell it, and how its rows are read.</summary>
internal sealed record DatasetFormat(string Name, IReadOnlyList<string> Columns, Func<DataRow, Example> Parse)
{
    /// <summary>Label of a token without loss, as Hugging Face writes it.</summary>
    public const int NoLoss = -100;

    /// <summary>In the order in which they are tried.</summary>
    private static readonly DatasetFormat[] s_all =
    [
        new("tokens", ["input_ids", "labels"], ParseTokens),
        new("messages", ["messages"], row => ParseConversation(row, "messages")),
        new("conversations", ["conversations"], row => ParseConversation(row, "conversations")),
        new("alpaca", ["instruction", "output"], ParseInstruction),
        new("prompt/completion", ["prompt", "completion"], ParseCompletion),
        new("text", ["text"], row => new Example.PlainText(row.Text("text"))),
    ];

    /// <summary>The format of a file, by the columns of its first row.</summary>
    /// <exception cref="SlimmingException">No format has these columns.</exception>
    public static DatasetFormat Detect(DataRow first)
    {
        var columns = first.Fields.EnumerateObject().Select(p => p.Name).ToArray();
        return s_all.FirstOrDefault(f => f.Columns.All(columns.Contains))
            ?? throw first.Error(
                $"unknown columns: {string.Join(", ", columns)}; expected instruction/output (Alpaca, with or without "
                    + "input), messages, conversations, prompt/completion, text, or input_ids/labels"
            );
    }

    private static Example.Instruction ParseInstruction(DataRow row) =>
        new(row.Text("instruction"), row.OptionalText("input") ?? "", row.Text("output"));

    private static Example ParseCompletion(DataRow row)
    {
        if (row.Fields.GetProperty("prompt").ValueKind == JsonValueKind.Array)
        {
            var prompt = ParseMessages(row, "prompt");
            return new Example.Conversation([.. prompt, .. ParseMessages(row, "completion")]);
        }
        return new Example.Completion(row.Text("prompt"), row.Text("completion"));
    }

    private static Example.Conversation ParseConversation(DataRow row, string column)
    {
        var messages = ParseMessages(row, column);
        return messages.Count > 0
            ? new Example.Conversation(messages)
            : throw row.Error($"column '{column}' is an empty list; expected turns");
    }

    /// <summary>An answer's edges come from rendering the turns before it: work grows with their number squared.</summary>
    private const int MostTurns = 300;

    private static List<ChatMessage> ParseMessages(DataRow row, string column)
    {
        var messages = new List<ChatMessage>();
        foreach (var turn in row.List(column).EnumerateArray())
        {
            var place = $"column '{column}', turn {messages.Count}";
            if (messages.Count == MostTurns)
            {
                throw row.Error($"{place}: expected at most {MostTurns} turns; cut the conversation into several rows");
            }
            if (turn.ValueKind != JsonValueKind.Object)
            {
                throw row.Error($"{place}: holds {DataRow.Describe(turn)}; expected an object with role and content");
            }
            var role = Role(row, turn, place);
            var content = Content(row, Field(turn, "content") ?? Field(turn, "value"), place);
            if (role == "assistant" && content.Length == 0)
            {
                throw row.Error(
                    $"{place}: the assistant's content is an empty text; expected an answer (leave the row out, e.g. "
                        + "with --where)"
                );
            }
            messages.Add(new ChatMessage(role, content));
        }
        return messages;
    }

    private static string Role(DataRow row, JsonElement turn, string place)
    {
        var named = Field(turn, "role") ?? Field(turn, "from");
        if (named is not { ValueKind: JsonValueKind.String } role)
        {
            throw row.Error($"{place}: no role; expected a text in 'role' (or ShareGPT's 'from')");
        }
        return role.GetString() switch
        {
            "human" or "user" => "user",
            "gpt" or "assistant" or "model" => "assistant",
            "system" => "system",
            "tool" => "tool",
            var other => throw row.Error(
                $"{place}: unknown role '{other}'; expected system, user, assistant, tool, human or gpt"
            ),
        };
    }

    /// <summary>A turn's text: a string, or a list of text parts.</summary>
    private static string Content(DataRow row, JsonElement? content, string place)
    {
        if (content is { ValueKind: JsonValueKind.String } text)
        {
            return text.GetString()!;
        }
        if (content is not { ValueKind: JsonValueKind.Array } parts)
        {
            throw row.Error(
                $"{place}: content is {DataRow.Describe(content ?? default)}; expected a text in 'content' (or 'value')"
            );
        }
        var joined = new StringBuilder();
        foreach (var part in parts.EnumerateArray())
        {
            if (
                part.ValueKind != JsonValueKind.Object
                || Field(part, "text") is not { ValueKind: JsonValueKind.String } t
            )
            {
                throw row.Error($"{place}: a part of the content is no text; only text can be trained on");
            }
            joined.Append(t.GetString());
        }
        return joined.ToString();
    }

    private static JsonElement? Field(JsonElement value, string name) =>
        value.TryGetProperty(name, out var field) && field.ValueKind != JsonValueKind.Null ? field : null;

    private static Example.TokenIds ParseTokens(DataRow row)
    {
        var ids = row.Integers("input_ids");
        var labels = row.Integers("labels");
        if (ids.Length != labels.Length)
        {
            throw row.Error($"input_ids has {ids.Length} values, labels {labels.Length}; expected equal lengths");
        }
        return row.Has("attention_mask") ? WithoutPadding(row, ids, labels) : new Example.TokenIds(ids, labels);
    }

    /// <summary>Padding is left out: sequences are packed, never padded.</summary>
    private static Example.TokenIds WithoutPadding(DataRow row, int[] ids, int[] labels)
    {
        var mask = row.Integers("attention_mask");
        var first = Array.IndexOf(mask, 1);
        var last = Array.LastIndexOf(mask, 1);
        if (mask.Length != ids.Length || first < 0 || mask.AsSpan(first, last - first + 1).ContainsAnyExcept(1))
        {
            throw row.Error($"attention_mask: expected {ids.Length} values, ones without a gap and zeros at the ends");
        }
        return new Example.TokenIds(ids[first..(last + 1)], labels[first..(last + 1)]);
    }
}
