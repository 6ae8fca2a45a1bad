using Slimming.Gguf;
using Slimming.Shared;
using Slimming.Training.Data;

namespace Slimming.Training.Templates;

/// <summary>What <c>--template</c> came to: a chat template, or Alpaca's text.</summary>
public sealed class TemplateChoice : IDisposable
{
    private const string ChatMl =
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' "
        + "+ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

    private TemplateChoice(string name, ChatTemplate? chat) => (Name, Chat) = (name, chat);

    /// <summary>alpaca, chatml, the file's path, or "model" for the model's own.</summary>
    public string Name { get; }

    /// <summary>Null for alpaca.</summary>
    public ChatTemplate? Chat { get; }

    /// <param name="option">auto, alpaca, chatml, or the path of a Jinja file.</param>
    /// <param name="modelTemplate">The model file's own template; auto takes it, or else alpaca.</param>
    /// <param name="tokenizer">Gives the texts behind bos_token and eos_token.</param>
    /// <param name="date">The day that strftime_now reads.</param>
    /// <exception cref="SlimmingException">
    /// An unknown name, an unreadable file, or a template that does not parse; with auto that is found when a row needs it.
    /// </exception>
    public static TemplateChoice Resolve(string option, string? modelTemplate, ITokenizer tokenizer, DateOnly date)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        return option switch
        {
            "alpaca" => new TemplateChoice("alpaca", null),
            "chatml" => Make("chatml", ChatMl),
            "auto" => modelTemplate is null ? new TemplateChoice("alpaca", null) : Make("model", modelTemplate),
            _ => Make(option, ReadFile(option)),
        };

        TemplateChoice Make(string name, string source) =>
            new(
                name,
                new ChatTemplate(
                    name == "model" ? "the model's own" : name,
                    source,
                    tokenizer.Bos < 0 ? null : tokenizer.TokenText(tokenizer.Bos),
                    tokenizer.Eos < 0 ? null : tokenizer.TokenText(tokenizer.Eos),
                    date,
                    deferred: option == "auto"
                )
            );
    }

    /// <summary>
    /// The template that a tuned file must carry in place of its base's: one from a Jinja file, or chatml where the
    /// base has none. Null: the base's stands.
    /// </summary>
    /// <param name="name">As <see cref="Name"/>; null where no row needed a template.</param>
    /// <param name="modelTemplate">The model file's own template.</param>
    public static string? ToCarry(string? name, string? modelTemplate) =>
        name switch
        {
            null or "alpaca" or "model" => null,
            "chatml" => modelTemplate is null ? ChatMl : null,
            _ => ReadFile(name),
        };

    public void Dispose() => Chat?.Dispose();

    private static string ReadFile(string option)
    {
        if (!File.Exists(option))
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"--template {option}: expected auto, alpaca, chatml, or the path of a Jinja file; no such file"
            );
        }
        return StrictText.Read(option);
    }
}
