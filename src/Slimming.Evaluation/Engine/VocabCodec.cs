using Slimming.LlamaCpp;

namespace Slimming.Evaluation.Engine;

/// <summary>Tokens by llama.cpp's own tokenizer, whatever runs the model.</summary>
internal sealed class VocabCodec(LlamaVocab vocab) : ITextCodec
{
    public int Bos => vocab.Bos;

    public bool AddsBos => vocab.AddBos;

    public int PrefixToken => vocab.Bos >= 0 ? vocab.Bos : vocab.Eos;

    public int[] Tokenize(string text) => vocab.Tokenize(text, addSpecial: false, parseSpecial: true);

    public string Detokenize(ReadOnlySpan<int> tokens) => vocab.Detokenize(tokens, special: false);

    public bool EndsAnswer(int token) => token == vocab.Eos || token == vocab.Eot;
}
