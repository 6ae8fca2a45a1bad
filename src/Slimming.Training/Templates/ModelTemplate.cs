using Slimming.Gguf;
using Slimming.LlamaCpp;
using Slimming.Models;
using Slimming.Training.Data;

namespace Slimming.Training.Templates;

/// <summary>The chat template that a model file carries.</summary>
public static class ModelTemplate
{
    /// <summary>For today; dispose it after use.</summary>
    /// <param name="model">An open model file.</param>
    /// <param name="adapterPath">An adapter of it, whose template takes the model's place where it carries one.</param>
    /// <exception cref="SlimmingException">The file has none.</exception>
    public static ChatTemplate Open(LlamaModel model, string? adapterPath = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        using var adapter = adapterPath == null ? null : GgufFile.Open(adapterPath);
        var source =
            adapter?.Metadata.GetString(Tokenizer.TemplateKey, null)
            ?? model.ChatTemplate
            ?? throw new SlimmingException(
                ExitCode.Usage,
                $"{model.Path}: key 'tokenizer.chat_template' is absent; the prompt can only be used as it is"
            );
        var today = DateOnly.FromDateTime(DateTime.Today);
        return TemplateChoice.Resolve("auto", source, new VocabTokenizer(model.Vocab), today).Chat!;
    }
}
