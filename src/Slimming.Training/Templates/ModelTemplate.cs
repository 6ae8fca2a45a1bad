using Slimming.Gguf;
using Slimming.LlamaCpp;
using Slimming.Training.Data;

namespace Slimming.Training.Templates;

/// <summary>The chat template that a model file carries.</summary>
public static class ModelTemplate
{
    /// <summary>For today; dispose it after use.</summary>
    /// <exception cref="SlimmingException">The file has none.</exception>
    public static ChatTemplate Open(LlamaModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var source =
            model.ChatTemplate
            ?? throw new SlimmingException(
                ExitCode.Usage,
                $"{model.Path}: key 'tokenizer.chat_template' is absent; the prompt can only be used as it is"
            );
        var today = DateOnly.FromDateTime(DateTime.Today);
        return TemplateChoice.Resolve("auto", source, new VocabTokenizer(model.Vocab), today).Chat!;
    }
}
