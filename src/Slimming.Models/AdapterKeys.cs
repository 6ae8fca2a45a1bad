namespace Slimming.Models;

/// <summary>Metadata keys of an adapter file: llama.cpp's own and ours, which it ignores.</summary>
internal static class AdapterKeys
{
    public const string Type = "general.type";
    public const string Architecture = "general.architecture";
    public const string AdapterType = "adapter.type";
    public const string Alpha = "adapter.lora.alpha";

    /// <summary>SHA-256 of the base model's file.</summary>
    public const string BaseSha256 = "slimming.base.sha256";

    /// <summary>SHA-256 of the chat template that the adapter was trained with.</summary>
    public const string TemplateSha256 = "slimming.chat_template.sha256";
}
