using Slimming.Gguf;

namespace Slimming.Models;

/// <summary>The metadata of a model file that says how text becomes tokens.</summary>
internal static class Tokenizer
{
    public const string TemplateKey = "tokenizer.chat_template";

    private const string Prefix = "tokenizer.";

    /// <summary>Copies vocabulary, merges, special tokens and chat templates as their bytes are.</summary>
    public static void Copy(GgufMetadata from, GgufMetadata to)
    {
        foreach (var (key, value) in from.Where(pair => pair.Key.StartsWith(Prefix, StringComparison.Ordinal)))
        {
            to.Set(key, value);
        }
    }
}
