using System.Runtime.InteropServices;
using System.Text;
using Slimming.Gguf;
using Slimming.LlamaCpp.Interop;

namespace Slimming.LlamaCpp;

/// <summary>The tokenizer of a GGUF file, as llama.cpp implements it: training, scoring and serving then agree on every token.</summary>
public sealed unsafe class LlamaVocab
{
    private readonly ModelHandle _model;
    private readonly string _path;

    internal LlamaVocab(ModelHandle model, string path)
    {
        _model = model;
        _path = path;
        using var lease = new Lease<llama_model>(model);
        var vocab = LlamaNative.llama_model_get_vocab(lease.Pointer);
        Count = LlamaNative.llama_vocab_n_tokens(vocab);
        if (Count <= 0 || LlamaNative.llama_vocab_type(vocab) == llama_vocab_type.LLAMA_VOCAB_TYPE_NONE)
        {
            throw new GgufException(
                path,
                "key 'tokenizer.ggml.model'",
                "the file has no tokenizer; take a GGUF file that carries its vocabulary"
            );
        }
        Bos = LlamaNative.llama_vocab_bos(vocab);
        Eos = LlamaNative.llama_vocab_eos(vocab);
        Eot = LlamaNative.llama_vocab_eot(vocab);
        AddBos = LlamaNative.llama_vocab_get_add_bos(vocab) != 0;
        AddEos = LlamaNative.llama_vocab_get_add_eos(vocab) != 0;
    }

    /// <summary>Number of tokens.</summary>
    public int Count { get; }

    /// <summary>Begin-of-sequence id, -1 where the file names none.</summary>
    public int Bos { get; }

    /// <summary>End-of-sequence id, -1 where the file names none.</summary>
    public int Eos { get; }

    /// <summary>End-of-turn id, -1 where there is none.</summary>
    public int Eot { get; }

    /// <summary>Whether the file asks for a BOS before a text.</summary>
    public bool AddBos { get; }

    /// <summary>Whether the file asks for an EOS after a text.</summary>
    public bool AddEos { get; }

    /// <summary>Token ids of a text.</summary>
    /// <param name="text">Any text; its UTF-8 bytes are tokenized.</param>
    /// <param name="addSpecial">Add BOS and EOS as the file asks for them.</param>
    /// <param name="parseSpecial">Texts of special tokens become their single ids.</param>
    public int[] Tokenize(string text, bool addSpecial, bool parseSpecial)
    {
        ArgumentNullException.ThrowIfNull(text);
        var bytes = Encoding.UTF8.GetBytes(text);
        using var lease = new Lease<llama_model>(_model);
        var vocab = LlamaNative.llama_model_get_vocab(lease.Pointer);
        var tokens = new int[bytes.Length + 4];
        // The second round has the length that the first one asked for.
        for (var round = 0; ; round++)
        {
            int written;
            fixed (byte* textPointer = bytes)
            fixed (int* tokenPointer = tokens)
            {
                written = LlamaNative.llama_tokenize(
                    vocab,
                    (sbyte*)textPointer,
                    bytes.Length,
                    tokenPointer,
                    tokens.Length,
                    ToByte(addSpecial),
                    ToByte(parseSpecial)
                );
            }
            if (written >= 0)
            {
                return tokens[..written];
            }
            if (written == int.MinValue || round > 0)
            {
                throw new SlimmingException(
                    ExitCode.Failed,
                    $"{_path}: llama_tokenize failed on a text of {bytes.Length} bytes (answer {written})"
                );
            }
            tokens = new int[-written];
        }
    }

    /// <summary>Text of token ids; bytes that are no UTF-8 become U+FFFD.</summary>
    /// <param name="tokens">Ids of this vocabulary.</param>
    /// <param name="special">Render special tokens as their texts; otherwise they are dropped.</param>
    public string Detokenize(ReadOnlySpan<int> tokens, bool special)
    {
        foreach (var token in tokens)
        {
            CheckId(token);
        }
        using var lease = new Lease<llama_model>(_model);
        var vocab = LlamaNative.llama_model_get_vocab(lease.Pointer);
        var bytes = new byte[(tokens.Length * 8) + 16];
        for (var round = 0; ; round++)
        {
            int written;
            fixed (int* tokenPointer = tokens)
            fixed (byte* textPointer = bytes)
            {
                written = LlamaNative.llama_detokenize(
                    vocab,
                    tokenPointer,
                    tokens.Length,
                    (sbyte*)textPointer,
                    bytes.Length,
                    ToByte(false),
                    ToByte(special)
                );
            }
            if (written >= 0)
            {
                return Encoding.UTF8.GetString(bytes, 0, written);
            }
            if (round > 0)
            {
                throw new SlimmingException(
                    ExitCode.Failed,
                    $"{_path}: llama_detokenize failed on {tokens.Length} tokens (answer {written})"
                );
            }
            bytes = new byte[-written];
        }
    }

    /// <summary>The bytes that one token stands for; for special tokens the bytes of their text.</summary>
    public byte[] TokenBytes(int id)
    {
        CheckId(id);
        using var lease = new Lease<llama_model>(_model);
        var vocab = LlamaNative.llama_model_get_vocab(lease.Pointer);
        var bytes = new byte[64];
        for (var round = 0; ; round++)
        {
            int written;
            fixed (byte* pointer = bytes)
            {
                written = LlamaNative.llama_token_to_piece(vocab, id, (sbyte*)pointer, bytes.Length, 0, ToByte(true));
            }
            if (written >= 0)
            {
                return bytes[..written];
            }
            if (round > 0)
            {
                throw new SlimmingException(
                    ExitCode.Failed,
                    $"{_path}: llama_token_to_piece failed on token {id} (answer {written})"
                );
            }
            bytes = new byte[-written];
        }
    }

    /// <summary>The token's text as the file stores it.</summary>
    public string TokenText(int id)
    {
        CheckId(id);
        using var lease = new Lease<llama_model>(_model);
        var text = LlamaNative.llama_vocab_get_text(LlamaNative.llama_model_get_vocab(lease.Pointer), id);
        return Marshal.PtrToStringUTF8((nint)text) ?? "";
    }

    /// <summary>True for tokens that end a generation (EOS, end of turn and others that llama.cpp knows).</summary>
    public bool IsEndOfGeneration(int id)
    {
        CheckId(id);
        using var lease = new Lease<llama_model>(_model);
        return LlamaNative.llama_vocab_is_eog(LlamaNative.llama_model_get_vocab(lease.Pointer), id) != 0;
    }

    /// <summary>True for control tokens, which have no text of their own.</summary>
    public bool IsControl(int id)
    {
        CheckId(id);
        using var lease = new Lease<llama_model>(_model);
        return LlamaNative.llama_vocab_is_control(LlamaNative.llama_model_get_vocab(lease.Pointer), id) != 0;
    }

    private static byte ToByte(bool value) => value ? (byte)1 : (byte)0;

    private void CheckId(int id)
    {
        if ((uint)id >= (uint)Count)
        {
            throw new ArgumentOutOfRangeException(nameof(id), id, $"{_path}: token id outside 0..{Count - 1}");
        }
    }
}
