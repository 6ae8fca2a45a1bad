using Slimming.Gguf;
using Slimming.Models;

namespace Slimming.Cli.Bench;

/// <summary>The options of <c>bench</c> as given.</summary>
internal sealed record BenchRequest
{
    public string? Model { get; init; }
    public string? Adapter { get; init; }
    public float? Scale { get; init; }
    public string? ReferenceModel { get; init; }
    public string? ReferenceAdapter { get; init; }
    public float? ReferenceScale { get; init; }
    public IReadOnlyList<string> Tasks { get; init; } = [];
    public string DataDir { get; init; } = "data";
    public int? Limit { get; init; }
    public int Offset { get; init; }
    public int? Shots { get; init; }
    public string? Out { get; init; }
    public int Threads { get; init; }
    public bool ChatTemplate { get; init; }
    public bool FewshotAsMultiturn { get; init; }
    public bool AllowMissing { get; init; }
    public bool Bos { get; init; }
    public int? MaxGenTokens { get; init; }
    public string? CacheType { get; init; }
    public string? FlashAttention { get; init; }
    public string Engine { get; init; } = "libllama";
    public string? Compute { get; init; }
    public bool Force { get; init; }

    public bool IsNative => Engine == "native";

    /// <summary>Refuses what cannot be honoured, before any file is opened.</summary>
    public void Check()
    {
        Require(Model is not null, "--model is missing: the GGUF file to score");
        Require(Tasks.Count > 0, "--tasks is missing; 'slimming bench --list' shows them");
        Require(Out is not null, "--out is missing: the folder that results go to");
        Require(Limit is null or > 0, $"--limit {Limit}: expected 1 or more");
        Require(Offset >= 0, $"--offset {Offset}: expected 0 or more");
        Require(Shots is null or >= 0, $"--shots {Shots}: expected 0 or more");
        Require(Threads >= 0, $"--threads {Threads}: expected 0 (all cores) or more");
        Require(MaxGenTokens is null or > 0, $"--max-gen-tokens {MaxGenTokens}: expected 1 or more");
        Require(ChatTemplate || !FewshotAsMultiturn, "--fewshot-as-multiturn needs --chat-template");
        Require(Scale is null || Adapter is not null, "--scale needs --adapter");
        Require(Scale is null || float.IsFinite(Scale.Value), $"--scale {Scale}: expected a finite number");
        Require(
            ReferenceAdapter is null || ReferenceModel is not null,
            "--reference-adapter needs --reference-model: the base that it is applied to"
        );
        Require(ReferenceScale is null || ReferenceAdapter is not null, "--reference-scale needs --reference-adapter");
        Require(
            ReferenceScale is null || float.IsFinite(ReferenceScale.Value),
            $"--reference-scale {ReferenceScale}: expected a finite number"
        );
        CheckEngine();
        var twice = Tasks.GroupBy(task => task, StringComparer.Ordinal).FirstOrDefault(group => group.Count() > 1);
        Require(twice is null, $"--tasks names {twice?.Key} twice");
    }

    private void CheckEngine()
    {
        Require(Engine is "libllama" or "native", $"--engine {Engine}: expected libllama or native");
        Require(FlashAttention is null or "on" or "off", $"--flash-attention {FlashAttention}: expected on or off");
        Require(CacheType is null or "f32" or "f16" or "bf16", $"--cache-type {CacheType}: expected f32, f16 or bf16");
        Require(!IsNative || FlashAttention is null, "--flash-attention is an option of --engine libllama");
        Require(!IsNative || CacheType is null, "--cache-type is an option of --engine libllama");
        Require(IsNative || Compute is null, "--compute is an option of --engine native");
        Require(
            Compute is null || ComputeChoice.Names.Contains(Compute, StringComparer.Ordinal),
            $"--compute {Compute}: expected one of {string.Join(", ", ComputeChoice.Names)}"
        );
    }

    private static void Require(bool holds, string problem)
    {
        if (!holds)
        {
            throw new SlimmingException(ExitCode.Usage, problem);
        }
    }
}
