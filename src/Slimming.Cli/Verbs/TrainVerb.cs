using System.CommandLine;
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
        return command
            .Handle((parsed, context) => Run(options.Resolve(parsed), parsed.GetValue(json), context))
            .WithExamples(
                "slimming train --model base.gguf --data alpaca.json --out runs/a",
                "slimming train --model base.gguf --data chat.jsonl --eval-data held-out.jsonl --eval-every 50 --rank 8 --out runs/b",
                "slimming train --model small.gguf --data text.parquet --method full --loss-on all --packing --out runs/c",
                "slimming train --model base.gguf --data alpaca.json --out runs/d --steps 20 --profile",
                "slimming train --config runs/a.yaml --out runs/a --resume"
            );
    }

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
