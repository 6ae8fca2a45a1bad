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
        Option<bool> noCalibration = new("--no-calibration")
        {
            Description = "Compute no micro-batch; memory is shown, times are not.",
        };
        Command command = new("plan", "Shows steps, memory and time of a training before anything is written.")
        {
            json,
            noCalibration,
        };
        var options = TrainOptionBinder.AddTo(command);
        return command
            .Handle(
                (parsed, context) =>
                    Run(options.Resolve(parsed), !parsed.GetValue(noCalibration), parsed.GetValue(json), context)
            )
            .WithExamples(
                "slimming plan --model base.gguf --data alpaca.json --out runs/a",
                "slimming plan --model base.gguf --data alpaca.json --out runs/a --memory 2GiB --no-calibration"
            );
    }

    internal static ExitCode Run(TrainOptions options, bool calibrate, bool json, VerbContext context)
    {
        var summary = Trainer.Forecast(options, calibrate, new LineSink(context.Error), context.Token);
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

    private static IEnumerable<(string What, string Value)> Rows(TrainForecast summary)
    {
        var plan = summary.Plan;
        yield return ("architecture", summary.Architecture);
        yield return ("method", summary.Method);
        yield return ("steps", Number(summary.TotalSteps));
        yield return (
            summary.Streamed ? "longest possible sample, tokens" : "longest sample, tokens",
            Number(summary.LongestSample)
        );
        yield return ("micro-batch, tokens", Number(summary.MicroBatchTokens));
        yield return ("trainable values", Number(summary.TrainableValues));
        yield return ("compute", $"{summary.Compute}, {summary.Isa}, {summary.Threads} threads");
        yield return ("operations per token", $"{plan.FlopsPerToken / 1e9:0.000} GFLOP");
        yield return ("base weights (mapped file)", ByteSize.Format(plan.WeightBytes));
        yield return ("trainables", ByteSize.Format(plan.ParameterBytes));
        yield return ("gradients and moments", ByteSize.Format(plan.OptimizerBytes));
        yield return ("activations", ByteSize.Format(plan.ActivationBytes));
        yield return ("what logits add", ByteSize.Format(plan.LogitBytes));
        yield return ("unpacked weights", ByteSize.Format(plan.PackBytes));
        yield return (
            "program, file header, data",
            ByteSize.Format(summary.NeededBytes - plan.TotalBytes - plan.WeightBytes)
        );
        yield return ("total", ByteSize.Format(summary.NeededBytes));
        yield return ("available", ByteSize.Format(summary.AvailableBytes));
        if (summary.Refused is { } refused)
        {
            yield return ("train would refuse", refused);
        }
        if (summary.Largest is { } largest)
        {
            yield return ("largest --micro-batch-tokens in --memory", Number(largest.MicroBatchTokens));
            yield return ("longest sample in --memory, tokens", Number(largest.Length));
        }
        if (summary.NotCalibrated is { } reason)
        {
            yield return ("time", $"not measured: {reason}");
            yield break;
        }
        yield return ("tokens per step", Number((long)Math.Round(summary.TokensPerStep!.Value)));
        yield return ("tokens/s", Number((long)Math.Round(summary.TokensPerS!.Value)));
        yield return ("time of the run", ProgressText.Time(TimeSpan.FromSeconds(summary.Seconds!.Value)));
    }

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
