namespace Slimming.Training.Templates;

/// <summary>Stanford Alpaca's prompt, to the letter.</summary>
internal static class AlpacaTemplate
{
    private const string WithInput =
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        + "Write a response that appropriately completes the request.\n\n";

    private const string WithoutInput =
        "Below is an instruction that describes a task. "
        + "Write a response that appropriately completes the request.\n\n";

    /// <summary>The prompt; the answer follows it directly.</summary>
    public static string Prompt(string instruction, string input) =>
        input.Length == 0
            ? $"{WithoutInput}### Instruction:\n{instruction}\n\n### Response:"
            : $"{WithInput}### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:";
}
