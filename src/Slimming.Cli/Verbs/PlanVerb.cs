using System.CommandLine;
using System.Globalization;
using Slimming.Cli.CommandLine;
using Slimming.Cli.Training;
using Slimming.Gguf;
using Slimming.Training;
using Spectre.Console;

namespace Slimming.Cli.Verbs;

/// <summary><c>slimming plan</c>: what <c>train</c> with the same options would take, without doing it.</summary>
internal static class PlanVerb
{
    public static Command Create()
    {
        var json = SharedOptions.Json();
        Command command = new("plan", "Shows steps and memory of a training before anything runs.") { json };
        var options = TrainOptionBinder.AddTo(command);
        return command
            .Handle((parsed, context) => Run(options.Resolve(parsed), parsed.GetValue(json), context))
            .WithExamples("slimming plan --model base.gguf --data alpaca.json --out runs/a --memory 2GiB");
    }

    internal static ExitCode Run(TrainOptions options, bool json, VerbContext context)
    {
        var summary = Trainer.Plan(options, new LineSink(context.Error));
        if (json)
        {
            context.WriteJson(summary);
            return ExitCode.Done;
        }
        var table = new Table().Border(TableBorder.Minimal).AddColumns("what", "value");
        table.Columns[1].RightAligned();
        foreach (var (what, value) in Rows(summary))
        {
            table.AddRow(Markup.Escape(what), Markup.Escape(value));
        }
        context.OutputConsole().Write(table);
        return ExitCode.Done;
    }

    private static IEnumerable<(string What, string Value)> Rows(TrainSummary summary)
    {
        var plan = summary.Plan;
        yield return ("architecture", summary.Architecture);
        yield return ("method", summary.Method);
        yield return ("steps", Number(summary.TotalSteps));
        yield return ("longest sample, tokens", Number(summary.LongestSample));
        yield return ("micro-batch, tokens", Number(summary.MicroBatchTokens));
        yield return ("trainable values", Number(summary.TrainableValues));
        yield return ("compute", $"{summary.Compute}, {summary.Isa}, {summary.Threads} threads");
        yield return ("operations per token", $"{plan.FlopsPerToken / 1e9:0.000} GFLOP");
        yield return ("base weights (mapped file)", ByteSize.Format(plan.WeightBytes));
        yield return ("trainables", ByteSize.Format(plan.ParameterBytes));
        yield return ("gradients and moments", ByteSize.Format(plan.OptimizerBytes));
        yield return ("activations", ByteSize.Format(plan.ActivationBytes));
        yield return ("logits", ByteSize.Format(plan.LogitBytes));
        yield return ("unpacked weights", ByteSize.Format(plan.PackBytes));
        yield return (
            "program (measured allowance)",
            ByteSize.Format(summary.NeededBytes - plan.TotalBytes - plan.WeightBytes)
        );
        yield return ("total", ByteSize.Format(summary.NeededBytes));
    }

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
