using System.Text;
using System.Text.Json;
using Slimming.TestSupport;

namespace Slimming.LlamaCpp.Tests;

public sealed class VocabTests
{
    private static LlamaModel Smol() =>
        LlamaModel.Load(SharedFiles.Require("models/SmolLM2-135M-Instruct.Q4_1.gguf"), vocabOnly: true);

    [Fact]
    public void TokensEqualTheReference()
    {
        using var model = Smol();
        var lines = File.ReadAllLines(SharedFiles.Require("fixtures/harness/tokenization.jsonl"));
        lines.Length.ShouldBe(300);
        foreach (var line in lines)
        {
            using var row = JsonDocument.Parse(line);
            var expected = row.RootElement.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()).ToArray();
            model
                .Vocab.Tokenize(row.RootElement.GetProperty("text").GetString()!, addSpecial: false, parseSpecial: true)
                .ShouldBe(expected, line);
        }
    }

    [Fact]
    public void TextComesBackAndSpecialTokensAreDroppedOnDemand()
    {
        using var model = Smol();
        const string text = "<|im_start|>user\nnaïve 日本語 👨‍👩‍👧 x<|im_end|>";
        var tokens = model.Vocab.Tokenize(text, addSpecial: false, parseSpecial: true);
        tokens[0].ShouldBe(1);
        tokens[^1].ShouldBe(2);
        model.Vocab.Detokenize(tokens, special: true).ShouldBe(text);
        model.Vocab.Detokenize(tokens, special: false).ShouldBe("user\nnaïve 日本語 👨‍👩‍👧 x");
        Encoding.UTF8.GetString([.. tokens.SelectMany(model.Vocab.TokenBytes)]).ShouldBe(text);
        model.Vocab.TokenText(1).ShouldBe("<|im_start|>");
    }

    [Fact]
    public void SpecialIdsAreThoseOfTheFile()
    {
        using var model = Smol();
        model.Vocab.Count.ShouldBe(49152);
        model.Vocab.Bos.ShouldBe(1);
        model.Vocab.Eos.ShouldBe(2);
        model.Vocab.AddBos.ShouldBeFalse();
        model.Vocab.IsEndOfGeneration(2).ShouldBeTrue();
        model.Vocab.IsEndOfGeneration(330).ShouldBeFalse();
        model.ChatTemplate.ShouldNotBeNull().ShouldContain("im_start");
        Should.Throw<ArgumentOutOfRangeException>(() => model.Vocab.TokenText(49152));
        Should.Throw<ArgumentOutOfRangeException>(() => model.Vocab.Detokenize([-1], special: true));
    }
}
