using Slimming.Interop;

namespace Slimming.Models;

/// <summary>What an adapter file says of itself.</summary>
/// <param name="Path">The file.</param>
/// <param name="Architecture">Of its base model.</param>
/// <param name="Alpha">adapter.lora.alpha; 0 means a scale of 1.</param>
/// <param name="Rank">The largest rank.</param>
/// <param name="HasOneRank">All tensors have <paramref name="Rank"/>; llama.cpp's scale is alpha/r of each tensor.</param>
/// <param name="Targets">Linears that it adapts in at least one layer.</param>
/// <param name="BaseSha256">Of the base file, when the writer recorded it.</param>
/// <param name="TemplateSha256">Of the chat template it was trained with, when the writer recorded it.</param>
/// <param name="ChatTemplate">The chat template that the file carries.</param>
public sealed record AdapterInfo(
    string Path,
    string Architecture,
    float Alpha,
    int Rank,
    bool HasOneRank,
    LoraTargets Targets,
    string? BaseSha256,
    string? TemplateSha256,
    string? ChatTemplate
)
{
    /// <summary>Factor on B (A x), computed as llama.cpp does.</summary>
    public float Scale => ScaleOf(Alpha, Rank);

    internal static float ScaleOf(float alpha, long rank) => alpha == 0 ? 1 : alpha / rank;
}
