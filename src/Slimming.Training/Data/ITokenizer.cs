using Slimming.LlamaCpp;

namespace Slimming.Training.Data;

/// <summary>What the data path asks of a vocabulary.</summary>
public interface ITokenizer
{
    int Count { get; }

    /// <summary>-1 where there is none; so for <see cref="Eos"/> and <see cref="Eot"/>.</summary>
    int Bos { get; }
    int Eos { get; }
    int Eot { get; }

    /// <summary>Whether a sequence begins with BOS.</summary>
    bool AddBos { get; }

    /// <summary>Ids of a text, no special token added.</summary>
    /// <param name="text">Any text.</param>
    /// <param name="parseSpecial">Texts of special tokens become their single ids.</param>
    int[] Tokenize(string text, bool parseSpecial);

    bool IsEndOfGeneration(int id);

    /// <summary>The bytes a token stands for.</summary>
    byte[] TokenBytes(int id);

    /// <summary>The token's text as the file stores it.</summary>
    string TokenText(int id);
}

/// <summary>llama.cpp's vocabulary as the data path sees it.</summary>
public sealed class VocabTokenizer(LlamaVocab vocab) : ITokenizer
{
    public int Count => vocab.Count;
    public int Bos => vocab.Bos;
    public int Eos => vocab.Eos;
    public int Eot => vocab.Eot;
    public bool AddBos => vocab.AddBos;

    public int[] Tokenize(string text, bool parseSpecial) =>
        text.Length == 0 ? [] : vocab.Tokenize(text, addSpecial: false, parseSpecial);

    public bool IsEndOfGeneration(int id) => vocab.IsEndOfGeneration(id);

    public byte[] TokenBytes(int id) => vocab.TokenBytes(id);

    public string TokenText(int id) => vocab.TokenText(id);
}
