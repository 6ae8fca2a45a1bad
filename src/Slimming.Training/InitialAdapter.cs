using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Models;

namespace Slimming.Training;

/// <summary>What <c>--init-adapter</c> and <c>--targets</c> mean for the native adapter.</summary>
internal static class InitialAdapter
{
    private static readonly (string Name, LoraTargets Target)[] Names =
    [
        ("q", LoraTargets.AttnQ),
        ("k", LoraTargets.AttnK),
        ("v", LoraTargets.AttnV),
        ("o", LoraTargets.AttnOutput),
        ("gate", LoraTargets.FfnGate),
        ("up", LoraTargets.FfnUp),
        ("down", LoraTargets.FfnDown),
    ];

    public static LoraTargets Targets(TrainOptions options) =>
        options.Targets.Aggregate(
            LoraTargets.None,
            (targets, name) => targets | Names.Single(known => known.Name == name).Target
        );

    /// <summary>Takes rank, scale and targets from the file; an option that says otherwise is refused.</summary>
    /// <exception cref="SlimmingException">Exit code 2: a contradiction, or no adapter file.</exception>
    public static TrainOptions Apply(TrainOptions options)
    {
        if (options.InitAdapter is not { } path)
        {
            return options;
        }
        var info = AdapterFile.Describe(path);
        var targets = Names.Where(known => info.Targets.HasFlag(known.Target)).Select(known => known.Name).ToArray();
        if (options.Given.Contains("rank") && options.Rank != info.Rank)
        {
            throw Contradiction(path, "rank", $"{info.Rank}", $"{options.Rank}");
        }
        if (options.Given.Contains("targets") && !options.Targets.SequenceEqual(targets))
        {
            throw Contradiction(path, "targets", string.Join(',', targets), string.Join(',', options.Targets));
        }
        var scale = (options with { Rank = info.Rank }).Scale;
        var scaleGiven = options.Given.Contains("alpha") || options.Given.Contains("rslora");
        if (scaleGiven && Math.Abs(scale - info.Scale) > 1e-6 * Math.Abs(scale))
        {
            var name = options.Given.Contains("alpha") ? "alpha" : "rslora";
            throw Contradiction(path, name, $"scale {info.Scale}", $"scale {scale:G9}");
        }
        return options with
        {
            Rank = info.Rank,
            Alpha = (double)info.Scale * info.Rank,
            Rslora = false,
            Targets = targets,
        };
    }

    private static SlimmingException Contradiction(string path, string name, string file, string option) =>
        new(ExitCode.Usage, $"--{name}: {path} has {file}, the option says {option}; leave the option out");
}
