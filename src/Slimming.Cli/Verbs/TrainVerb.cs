using System.CommandLine;
using System.Globalization;
using Slimming.Cli.CommandLine;
using Slimming.Cli.Training;
using Slimming.Gguf;
using Slimming.Training;

namespace Slimming.Cli.Verbs;

/// <summary><c>slimming train</c>: fine-tunes a GGUF file into a run folder.</summary>
internal static class TrainVerb
{
    public static Command Create()
    {
        var json = SharedOptions.Json();
        Command command = new("train", "Fine-tunes a GGUF file (LoRA by default) and leaves a run folder.") { json };
        var options = TrainOptionBinder.AddTo(command);
        Option<string> replay = new("--replay-batch")
        {
            Description =
                "Compute a batch that a run kept once more and show losses and gradients; trains and writes nothing. Alone it takes the options of the run that the file lies in.",
            HelpName = "F.jsonl",
        };
        command.Options.Add(replay);
        return command
            .Handle(
                (parsed, context) =>
                    parsed.GetValue(replay) is { } batch
                        ? Replay(
                            batch,
                            options.AnyGiven(parsed) ? options.Resolve(parsed) : null,
                            parsed.GetValue(json),
                            context
                        )
                        : Run(options.Resolve(parsed), parsed.GetValue(json), context)
            )
            .WithExamples(
                "slimming train --model base.gguf --data alpaca.json --out runs/a",
                "slimming train --model base.gguf --data chat.jsonl --eval-data held-out.jsonl --eval-every 50 --rank 8 --out runs/b",
                "slimming train --model small.gguf --data text.parquet --method full --loss-on all --packing --out runs/c",
                "slimming train --model base.gguf --data alpaca.json --out runs/d --steps 20 --profile",
                "slimming train --config runs/a.yaml --out runs/a --resume",
                "slimming train --replay-batch runs/a/nonfinite/step-000123.jsonl"
            );
    }

    private static ExitCode Replay(string batch, TrainOptions? options, bool json, VerbContext context)
    {
        var result = BatchReplay.Run(batch, options, new LineSink(context.Error), context.Token);
        if (json)
        {
            context.WriteJson(result);
            return ExitCode.Done;
        }
        context.Say($"{result.Batch} with the values of step {result.Step} of {result.Out}");
        foreach (var (i, sample) in result.Samples.Index())
        {
            context.Say(
                $"sample {i}  loss {Number(sample.Loss)}  {sample.Targets} targets of {sample.Tokens} tokens  {sample.Source} row {sample.Row}"
            );
        }
        foreach (var tensor in result.Tensors)
        {
            context.Say($"{tensor.Name}  gradient {Number(tensor.GradNorm)}  largest value {Number(tensor.Largest)}");
        }
        context.Say($"loss {Number(result.Loss)}  gradient {Number(result.GradNorm)}");
        foreach (var what in result.NonFinite)
        {
            context.Say($"not finite: {what}");
        }
        return ExitCode.Done;
    }

    private static string Number(double? value) => value?.ToString("G6", CultureInfo.InvariantCulture) ?? "not finite";

    internal static ExitCode Run(TrainOptions options, bool json, VerbContext context)
    {
        var result = TrainDisplay.Run(context, sink => Trainer.Run(options, sink, context.Token));
        if (result.Profile is { } rows)
        {
            ProfileTable.Write(context.ErrorConsole(), rows);
        }
        if (json)
        {
            context.WriteJson(result);
            return ExitCode.Done;
        }
        context.Output.WriteLine($"{result.Output}");
        return ExitCode.Done;
    }
}
