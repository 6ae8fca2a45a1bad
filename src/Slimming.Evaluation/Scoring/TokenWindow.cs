using System.Security.Cryptography;
using System.Text.Json;
using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;

namespace Slimming.Evaluation.Scoring;

/// <summary>What the tasks that cut a text into windows of tokens share.</summary>
internal static class TokenWindow
{
    /// <summary>Window length in tokens: the task's, or the model's context where the task names none.</summary>
    /// <exception cref="SlimmingException">The task's does not fit the model's context.</exception>
    public static int Length(TaskDefinition task, IScoringEngine engine) =>
        task.WindowLength == 0 ? engine.MaxLength
        : task.WindowLength <= engine.MaxLength ? task.WindowLength
        : throw new SlimmingException(
            ExitCode.Usage,
            $"task {task.Name}: windows of {task.WindowLength} tokens do not fit the model's context of {engine.MaxLength}"
        );

    /// <summary>Names a window by its tokens: 32 hex digits.</summary>
    public static string HashOf(int[] window) =>
        Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(window)))[..32];
}
