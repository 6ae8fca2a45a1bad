using System.Globalization;
using Slimming.Gguf;

namespace Slimming.LlamaCpp;

/// <summary>
/// What llama.cpp v0.5.0 takes for granted in a file's vocabulary: where it does not hold, llama.cpp reads behind the end
/// of a list or ends the process.
/// </summary>
internal static class VocabCheck
{
    private const string ModelKey = "tokenizer.ggml.model";
    private const string TokensKey = "tokenizer.ggml.tokens";
    private const string MergesKey = "tokenizer.ggml.merges";
    private const string ScoresKey = "tokenizer.ggml.scores";
    private const string TypesKey = "tokenizer.ggml.token_type";
    private const int ByteType = 6;

    /// <summary>Four times the largest vocabularies; reading takes some 2 s for each million.</summary>
    private const int MostTokens = 1 << 20;

    /// <exception cref="GgufException">Names the key, what was expected and what was found.</exception>
    public static void Require(GgufFile file)
    {
        var kind = file.Metadata.GetString(ModelKey);
        if (kind is "none" or "no_vocab")
        {
            return;
        }
        if (kind is not ("llama" or "gpt2"))
        {
            throw new GgufException(file.Path, $"key '{ModelKey}'", "'llama' or 'gpt2'", $"'{kind}'");
        }
        var tokens = Tokens(file);
        RequireLength(file, ScoresKey, tokens.Count, GgufValueType.Float32);
        RequireLength(file, TypesKey, tokens.Count, GgufValueType.Int32, GgufValueType.UInt32);
        if (kind == "llama")
        {
            RequireBytes(file, tokens);
            RequireByteTexts(file);
        }
    }

    private static HashSet<string> Tokens(GgufFile file)
    {
        RequireFew(file, TokensKey);
        RequireFew(file, MergesKey);
        var tokens = file.Metadata.GetStrings(TokensKey);
        if (tokens.Length == 0)
        {
            throw new GgufException(file.Path, $"key '{TokensKey}'", "at least one token", "none");
        }
        var seen = new HashSet<string>(tokens.Length, StringComparer.Ordinal);
        for (var i = 0; i < tokens.Length; i++)
        {
            // llama.cpp ends a text at a NUL, and names empty ones so.
            var text = tokens[i].AsSpan();
            text = text.IndexOf('\0') is >= 0 and var end ? text[..end] : text;
            var token = text.Length > 0 ? text.ToString() : $"[EMPTY_{i.ToString(CultureInfo.InvariantCulture)}]";
            if (!seen.Add(token))
            {
                throw new GgufException(
                    file.Path,
                    $"key '{TokensKey}', element {i}",
                    "every token once",
                    $"'{token}', which is element {Array.IndexOf(tokens, token)} too"
                );
            }
        }
        return seen;
    }

    private static void RequireFew(GgufFile file, string key)
    {
        if (file.Metadata.TryGet(key, out var value) && value.Count > MostTokens)
        {
            throw new GgufException(file.Path, $"key '{key}'", $"at most {MostTokens} elements", $"{value.Count}");
        }
    }

    private static void RequireLength(GgufFile file, string key, int length, params GgufValueType[] types)
    {
        if (!file.Metadata.TryGet(key, out var value))
        {
            return;
        }
        var isList = value.ElementType is { } element && types.Contains(element);
        if (!isList || value.Count != length)
        {
            throw new GgufException(
                file.Path,
                $"key '{key}'",
                $"{length} elements of {string.Join(" or ", types)}, one for each of '{TokensKey}'",
                $"{value.Count} of {value.ElementType ?? value.Type}"
            );
        }
    }

    /// <summary>Text that no token covers becomes byte tokens; one that is absent ends the process.</summary>
    private static void RequireBytes(GgufFile file, HashSet<string> tokens)
    {
        for (var i = 0; i < 256; i++)
        {
            var name = $"<0x{i:X2}>";
            if (!tokens.Contains(name) && !(i < 128 && tokens.Contains(((char)i).ToString())))
            {
                throw new GgufException(
                    file.Path,
                    $"key '{TokensKey}'",
                    $"a token '{name}' for byte {i}, as a vocabulary of the kind 'llama' needs",
                    "none"
                );
            }
        }
    }

    /// <summary>llama.cpp reads the number in a byte token's text wherever it should stand.</summary>
    private static void RequireByteTexts(GgufFile file)
    {
        if (!file.Metadata.TryGet(TypesKey, out var table) || !table.TryIntegers(out var types))
        {
            return;
        }
        var tokens = file.Metadata.GetStrings(TokensKey);
        for (var i = 0; i < tokens.Length; i++)
        {
            var digits = tokens[i] is ['<', '0', 'x', .. var inner, '>'] ? inner : "";
            if (types[i] == ByteType && !(digits.Length == 2 && digits.All(char.IsAsciiHexDigit)))
            {
                throw new GgufException(
                    file.Path,
                    $"key '{TokensKey}', element {i}",
                    "a text such as '<0x0A>', for it is marked as a byte",
                    $"'{tokens[i]}'"
                );
            }
        }
    }
}
