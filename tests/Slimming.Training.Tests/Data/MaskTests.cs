using System.Text.Json;
using Slimming.LlamaCpp;
using Slimming.TestSupport;
using Slimming.Training.Data;
using Slimming.Training.Templates;

namespace Slimming.Training.Tests.Data;

public sealed class MaskTests : DataFolder
{
    private const string Llama2 =
        "{% if messages[0].role == 'system' %}{% set sys = messages[0].content %}{% set turns = messages[1:] %}"
        + "{% else %}{% set turns = messages %}{% endif %}"
        + "{% for m in turns %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' }}"
        + "{% if loop.index0 == 0 and sys is defined %}{{ '<<SYS>>' + sys + '<</SYS>>' }}{% endif %}"
        + "{{ m.content + ' [/INST]' }}{% else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}";

    // The system text stands in the last user turn, as in Mistral Nemo; so earlier cuts are no prefixes.
    private const string SystemLast =
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST]"
        + "{% if messages[0].role == 'system' and loop.index0 == (messages | length - 2) %}{{ messages[0].content }}|{% endif %}"
        + "{{ m.content }}[/INST]{% elif m.role == 'assistant' %}{{ m.content | trim }}{{ eos_token }}{% endif %}{% endfor %}";

    // Phi-3.5's way: eos closes what is finished, and is absent within a longer conversation.
    private const string EosAtTheEnd =
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        + "{% if add_generation_prompt %}<|im_start|>assistant\n{% else %}{{ eos_token }}{% endif %}";

    private static readonly ChatMessage[] s_turns =
    [
        new("system", "S"),
        new("user", "a"),
        new("assistant", " b "),
        new("user", "b"),
        new("assistant", "b<|im_end|>b"),
    ];

    private string Marked(string template, ByteTokenizer tokenizer, params ChatMessage[] turns)
    {
        var messages = turns.Select(t => new { role = t.Role, content = t.Content });
        var set = Load(tokenizer, Write("t.jinja", template), WriteRows("m.jsonl", new { messages }));
        return tokenizer.Marked(set.Samples.ShouldHaveSingleItem());
    }

    [Fact]
    public void TextBeforeTheFirstTurnAndBetweenTurnsIsGiven() =>
        Marked(Llama2, new ByteTokenizer(), s_turns[..4].Append(new("assistant", "c")).ToArray())
            .ShouldBe("<s>[INST] <<SYS>>S<</SYS>>a [/INST]«  b  </s>»<s>[INST] b [/INST]« c </s>»");

    [Fact]
    public void ASystemTextThatMovesDoesNotMoveTheMask() =>
        Marked(SystemLast, new ByteTokenizer(), s_turns)
            .ShouldBe("<s>[INST]a[/INST]«b</s>»[INST]S|b[/INST]«b<|im_end|>b</s>»");

    [Fact]
    public void AnEosThatOnlyClosesIsNotPartOfAnEarlierTurn() =>
        Marked(EosAtTheEnd, new ByteTokenizer(), s_turns[1..4].Append(new("assistant", "c")).ToArray())
            .ShouldBe(
                "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n« b <|im_end|>»\n"
                    + "<|im_start|>user\nb<|im_end|>\n<|im_start|>assistant\n«c<|im_end|>»\n</s>"
            );

    [Fact]
    public void AConversationThatBeginsWithAnAnswerIsMaskedToo() =>
        Marked(
                "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}",
                new ByteTokenizer(),
                new ChatMessage("assistant", "hello")
            )
            .ShouldBe("<assistant>«hello</s>»");

    [Theory]
    [InlineData(true, "{{ bos_token }}")]
    [InlineData(true, "")]
    [InlineData(true, "{{ bos_token }}{{ bos_token }}")]
    [InlineData(false, "{{ bos_token }}")]
    public void BosStandsExactlyOnce(bool addBos, string start)
    {
        var tokenizer = new ByteTokenizer(addBos: addBos);
        var marked = Marked(
            start + "{% for m in messages %}{{ m.content }}|{% endfor %}",
            tokenizer,
            new("user", "q"),
            new ChatMessage("assistant", "a")
        );
        marked.ShouldStartWith("<s>q|");
    }

    [Fact]
    public void BosComesBeforeTextAndPromptsOnce()
    {
        var tokenizer = new ByteTokenizer(addBos: true);
        tokenizer
            .Marked(Load(tokenizer, "auto", WriteRows("t.jsonl", new { text = "abc" })).Samples[0])
            .ShouldBe("<s>«abc</s>»");
        tokenizer
            .Marked(Load(tokenizer, "auto", WriteRows("t.jsonl", new { text = "<s>abc" })).Samples[0])
            .ShouldBe("<s>«abc</s>»");
        tokenizer
            .Marked(Load(tokenizer, "alpaca", WriteRows("a.jsonl", new { instruction = "x", output = "y" })).Samples[0])
            .ShouldStartWith("<s>Below is");
    }

    [Fact]
    public void NoBlankIsPutBetweenSegments()
    {
        // Blank-first vocabularies would write "[/INST]  b" had the answer been tokenized as a text of its own.
        Marked(Llama2, new ByteTokenizer(blankFirst: true), new("user", "a"), new ChatMessage("assistant", "b"))
            .ShouldBe("<s> [INST] a [/INST]« b </s>»");
    }

    [Fact]
    public void AnswersWithoutAnEndAreCounted()
    {
        var tokenizer = new ByteTokenizer();
        var template = Write("t.jinja", "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}");
        var file = WriteRows("a.jsonl", new { instruction = "x", output = "y" });
        Load(tokenizer, template, file).Counts.WithoutEnd.ShouldBe(1);
        Load(tokenizer, "chatml", file).Counts.WithoutEnd.ShouldBe(0);
    }

    [Fact]
    public void ReferenceTemplatesMarkTheAnswersAlone()
    {
        var checkedTurns = 0;
        foreach (var line in File.ReadLines(SharedFiles.Require("fixtures/templates/cases.jsonl")))
        {
            using var parsed = JsonDocument.Parse(line);
            var c = parsed.RootElement;
            var messages = c.GetProperty("messages")
                .EnumerateArray()
                .Select(m => new ChatMessage(m.GetProperty("role").GetString()!, m.GetProperty("content").GetString()!))
                .ToArray();
            // An empty answer is no training data; its rendering is checked with the templates.
            var empty = messages.Any(m => m is { Role: "assistant", Content: "" });
            if (c.TryGetProperty("error", out _) || empty || messages.All(m => m.Role != "assistant"))
            {
                continue;
            }
            var name = $"{c.GetProperty("name")} / {c.GetProperty("conversation")}";
            var eos = c.GetProperty("eos").GetString()!;
            var bos = c.GetProperty("bos").GetString();
            string[] ends = [.. new[] { eos, "<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>" }.Distinct()];
            var tokenizer = new ByteTokenizer([.. ends, bos ?? "<none>"], bos ?? "(none)", eos, ends);
            var set = Load(
                tokenizer,
                Write("t.jinja", c.GetProperty("template").GetString()!),
                WriteRows(
                    "m.jsonl",
                    new { messages = messages.Select(m => new { role = m.Role, content = m.Content }) }
                ),
                o => o with { MaxLength = 100_000, Date = new DateOnly(2026, 3, 15) }
            );
            var marked = tokenizer.Marked(set.Samples.ShouldHaveSingleItem());
            if (!c.GetProperty("add_generation_prompt").GetBoolean())
            {
                marked.Replace("«", "").Replace("»", "").ShouldBe(c.GetProperty("rendered").GetString(), name);
            }
            var answers = marked.Split('«')[1..].Select(a => a[..a.IndexOf('»')]).ToArray();
            var expected = messages.Where(m => m.Role == "assistant").Select(m => m.Content).ToArray();
            answers.Length.ShouldBe(expected.Length, name);
            for (var i = 0; i < answers.Length; i++)
            {
                var end = ends.FirstOrDefault(e => answers[i].EndsWith(e, StringComparison.Ordinal));
                end.ShouldNotBeNull($"{name}: '{answers[i]}' has no end of turn");
                // Templates may cut off what a model thought before it answered, and blanks around. Where the answer's
                // own text ends in the end of turn, that one is the end: nothing is generated after it.
                var said = expected[i].Split("</think>")[^1].Trim();
                said = said.EndsWith(end, StringComparison.Ordinal) ? said[..^end.Length] : said;
                answers[i][..^end.Length].Split("</think>")[^1].Trim().ShouldBe(said, name);
                checkedTurns++;
            }
        }
        checkedTurns.ShouldBeGreaterThan(150);
    }

    [Fact]
    public void AlpacaRowsReproduceTheReferenceTokensExactly()
    {
        using var model = LlamaModel.Load(
            SharedFiles.Require("models/SmolLM2-135M-Instruct.Q4_1.gguf"),
            vocabOnly: true
        );
        var rows = JsonDocument.Parse(File.ReadAllText(SharedFiles.Require("data/alpaca/alpaca_1000.json")));
        var all = rows.RootElement.EnumerateArray().Select(r => r.GetRawText()).ToArray();
        foreach (var (name, from, count, kept) in new[] { ("train", 0, 900, 876), ("eval", 900, 99, 98) })
        {
            var file = Write($"{name}.json", "[", string.Join(",\n", all.Skip(from).Take(count)), "]");
            var raw = SampleSet.Load(
                new DataOptions
                {
                    Files = [file],
                    Template = "alpaca",
                    MaxLength = 512,
                    Overlong = Overlong.Drop,
                },
                model.Vocab,
                model.ChatTemplate
            );
            var reference = SampleSet.Load(
                new DataOptions
                {
                    Files = [SharedFiles.Require($"fixtures/peft/alpaca_epoch/{name}.jsonl")],
                    MaxLength = 512,
                },
                model.Vocab,
                model.ChatTemplate
            );
            raw.Counts.Kept.ShouldBe(kept);
            raw.Counts.Dropped.ShouldBe(count - kept);
            raw.Samples.Count.ShouldBe(reference.Samples.Count);
            for (var i = 0; i < kept; i++)
            {
                raw.Samples[i].Tokens.ShouldBe(reference.Samples[i].Tokens);
                raw.Samples[i].Targets.ShouldBe(reference.Samples[i].Targets);
            }
        }
    }

    [Fact]
    public void TheModelsOwnTemplateMasksRealTokens()
    {
        using var model = LlamaModel.Load(
            SharedFiles.Require("models/SmolLM2-135M-Instruct.Q4_1.gguf"),
            vocabOnly: true
        );
        var messages = s_turns[1..4]
            .Append(new("assistant", "Zwölf 🐎."))
            .Select(t => new { role = t.Role, content = t.Content });
        var set = SampleSet.Load(
            new DataOptions { Files = [WriteRows("m.jsonl", new { messages })] },
            model.Vocab,
            model.ChatTemplate
        );
        var sample = set.Samples.ShouldHaveSingleItem();
        var learnt = sample.Targets.Where(t => t >= 0).ToArray();
        model.Vocab.Detokenize(learnt, special: true).ShouldBe(" b <|im_end|>Zwölf 🐎.<|im_end|>");
        set.TemplateName.ShouldBe("model");
        sample.Tokens.Count(t => t == model.Vocab.Bos).ShouldBe(5);
    }
}
