using System.CommandLine;
using Slimming.Cli.CommandLine;
using Slimming.Cli.Compare;
using Slimming.Evaluation.Comparing;
using Slimming.Gguf;

namespace Slimming.Cli.Verbs;

/// <summary><c>slimming compare</c>: what tuning gained and what it forgot, item by item.</summary>
internal static class CompareVerb
{
    private static readonly ComparisonOptions Defaults = new();

    public static Command Create()
    {
        var start = new Argument<string>("base") { Description = "Results folder of the model before tuning." };
        var tuned = new Argument<string[]>("tuned")
        {
            Description = "Results folders of tuned models; several runs of one base also get mean and spread.",
            Arity = ArgumentArity.OneOrMore,
        };
        Option<double> alpha = new("--alpha")
        {
            Description = "Chance of a false finding; intervals are at 1 - alpha.",
            DefaultValueFactory = _ => Defaults.Alpha,
        };
        Option<double> margin = new("--margin")
        {
            Description = "Difference that counts as none in the equivalence test: share of items, or nats.",
            DefaultValueFactory = _ => Defaults.Margin,
        };
        Option<int> resamples = new("--resamples")
        {
            Description = "Draws of the bootstrap.",
            DefaultValueFactory = _ => Defaults.Resamples,
        };
        Option<int> seed = new("--seed")
        {
            Description = "Seed of those draws.",
            DefaultValueFactory = _ => Defaults.Seed,
        };
        Option<int> items = new("--items")
        {
            Description = "Changed items printed of each task and kind; --json always has all.",
            DefaultValueFactory = _ => 0,
        };
        Option<string[]> trainRun = new("--train-run")
        {
            Description =
                "Training run folders whose data are searched for benchmark items [the folder of the scored adapter].",
        };
        Option<string[]> data = new("--data")
        {
            Description = "Training data files to search instead, in any form that train takes.",
            AllowMultipleArgumentsPerToken = true,
        };
        var json = SharedOptions.Json();
        Command command = new("compare", "Says with paired statistics what tuning gained and what it forgot.")
        {
            start,
            tuned,
            alpha,
            margin,
            resamples,
            seed,
            items,
            trainRun,
            data,
            json,
        };
        return command
            .Handle(
                (parsed, context) =>
                    Run(
                        parsed.GetRequiredValue(start),
                        parsed.GetRequiredValue(tuned),
                        new ComparisonOptions
                        {
                            Alpha = parsed.GetValue(alpha),
                            Margin = parsed.GetValue(margin),
                            Resamples = parsed.GetValue(resamples),
                            Seed = parsed.GetValue(seed),
                        },
                        parsed.GetValue(items),
                        parsed.GetValue(trainRun) ?? [],
                        parsed.GetValue(data) ?? [],
                        parsed.GetValue(json),
                        context
                    )
            )
            .WithExamples(
                "slimming compare results/base results/tuned",
                "slimming compare results/base results/seed-1 results/seed-2 results/seed-3 --margin 0.01",
                "slimming compare results/base results/tuned --train-run runs/a --items 5",
                "slimming compare results/base results/tuned --json | jq '.runs[0].tasks[].transitions.items'"
            );
    }

    internal static ExitCode Run(
        string start,
        string[] tuned,
        ComparisonOptions options,
        int items,
        string[] trainRuns,
        string[] data,
        bool json,
        VerbContext context
    )
    {
        Check(options.Alpha is > 0 and < 0.5, "--alpha", options.Alpha, "a number between 0 and 0.5");
        Check(options.Margin is > 0 and < 1, "--margin", options.Margin, "a number between 0 and 1");
        Check(options.Resamples >= 100, "--resamples", options.Resamples, "100 or more");
        Check(items >= 0, "--items", items, "0 or more");
        var comparison = RunComparer.Compare(start, tuned, options, context.Token);
        comparison = OverlapCheck.Add(comparison, trainRuns, data, context.Warn, context.Token);
        foreach (var run in comparison.Runs)
        {
            foreach (var warning in run.Warnings)
            {
                context.Warn(warning);
            }
            if (run.LeftOut.Count > 0)
            {
                context.Warn($"only in one of {start} and {run.Tuned}, left out: {string.Join(", ", run.LeftOut)}");
            }
        }
        if (json)
        {
            context.WriteJson(comparison);
        }
        else
        {
            CompareDisplay.Write(context, comparison, items);
        }
        return ExitCode.Done;
    }

    private static void Check<T>(bool holds, string option, T value, string expected)
    {
        if (!holds)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                FormattableString.Invariant($"{option} {value}: expected {expected}")
            );
        }
    }
}
