using Slimming.LlamaCpp;

namespace Slimming.Demo.Tests;

/// <summary>The tokenizer that the generator writes, as llama.cpp reads it.</summary>
public sealed class TokenizerTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("slimming-demo-");
    private readonly LlamaModel _model;

    public TokenizerTests()
    {
        Program.Main(["pretrain", _folder.FullName]).ShouldBe(0);
        _model = LlamaModel.Load(Path.Combine(_folder.FullName, "init.gguf"));
    }

    public void Dispose()
    {
        _model.Dispose();
        _folder.Delete(recursive: true);
    }

    [Theory]
    [InlineData("reverse (k-d-a-f)")]
    [InlineData("larger of 47 and 83")]
    [InlineData("Where does Belan live?")]
    [InlineData("bytes that no training text has: \u00e9\u4e16\t\u0001")]
    public void Text_comes_back(string text)
    {
        var tokens = _model.Vocab.Tokenize(text, addSpecial: false, parseSpecial: false);
        _model.Vocab.Detokenize(tokens, special: false).ShouldBe(text);
    }

    [Fact]
    public void Letters_and_digits_are_tokens_of_their_own() =>
        _model
            .Vocab.Tokenize("(k-d) 47", addSpecial: false, parseSpecial: false)
            .Select(_model.Vocab.TokenText)
            .ShouldBe(["(", "k", "-", "d", ")", "Ġ", "4", "7"]);

    [Fact]
    public void The_turn_marks_are_single_tokens_and_end_generation()
    {
        var tokens = _model.Vocab.Tokenize("<|im_start|>user\n<|im_end|>", addSpecial: true, parseSpecial: true);
        tokens[0].ShouldBe(1);
        tokens[^1].ShouldBe(2);
        _model.Vocab.IsEndOfGeneration(2).ShouldBeTrue();
        _model.Vocab.AddBos.ShouldBeFalse();
        _model.ChatTemplate.ShouldNotBeNull().ShouldContain("<|im_start|>");
    }
}
