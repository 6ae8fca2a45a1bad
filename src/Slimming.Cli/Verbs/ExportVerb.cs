using System.CommandLine;
using System.Globalization;
using Slimming.Cli.CommandLine;
using Slimming.Gguf;
using Slimming.Training.Export;
using Spectre.Console;

namespace Slimming.Cli.Verbs;

/// <summary><c>slimming export</c>: adapter, merged and PEFT files out of a run, an adapter file or a base alone.</summary>
internal static class ExportVerb
{
    public static Command Create()
    {
        Argument<string?> source = new("run-or-adapter")
        {
            Description =
                "A finished run folder, an adapter GGUF or a folder that PEFT saved; without it the base alone is written in another type.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        Option<string?> to = new("--to")
        {
            Description = "What to make: adapter (the default), merged (the default without a run or adapter), peft.",
        };
        to.AcceptOnlyFromAmong("adapter", "merged", "peft");
        Option<string?> type = new("--type")
        {
            Description =
                "Type of the merged file's 2-D weights; same (the default) keeps each tensor's own. 1-D tensors keep theirs.",
        };
        type.AcceptOnlyFromAmong([.. TypePlan.Names]);
        Option<string[]> tensorTypes = new("--tensor-type")
        {
            Description =
                "PATTERN=TYPE: another type for the 2-D weights whose names the regular expression finds; repeatable, the last match counts.",
        };
        Option<string?> imatrix = new("--imatrix")
        {
            Description =
                "File of llama-imatrix: the importance of each weight's columns, used for the types that gain by it; iq1_s, iq1_m, iq2_xxs, iq2_xs, iq2_s and iq3_xxs need one.",
        };
        Option<double?> scale = new("--scale") { Description = "Factor on the adapter's contribution; default 1." };
        Option<string?> model = new("--model") { Description = "The base GGUF; a run folder knows its own." };
        Option<string> output = new("--out") { Description = "The file (peft: folder) to make.", Required = true };
        var threads = SharedOptions.Threads();
        var force = SharedOptions.Force();
        var json = SharedOptions.Json();
        Command command = new(
            "export",
            "Writes an adapter, a merged model or a PEFT folder, and compares it with llama.cpp."
        )
        {
            source,
            to,
            type,
            tensorTypes,
            imatrix,
            scale,
            model,
            output,
            threads,
            force,
            json,
        };
        return command
            .Handle(
                (parsed, context) =>
                    Run(
                        new ExportRequest
                        {
                            Source = parsed.GetValue(source),
                            To = parsed.GetValue(to) is { } name
                                ? Enum.Parse<ExportKind>(name, ignoreCase: true)
                                : null,
                            Type = parsed.GetValue(type),
                            TensorTypes = parsed.GetValue(tensorTypes) ?? [],
                            Imatrix = parsed.GetValue(imatrix),
                            Scale = parsed.GetValue(scale),
                            Model = parsed.GetValue(model),
                            Out = parsed.GetRequiredValue(output),
                            Force = parsed.GetValue(force),
                            Threads = parsed.GetValue(threads),
                        },
                        parsed.GetValue(json),
                        context
                    )
            )
            .WithExamples(
                "slimming export runs/a --out a.gguf",
                "slimming export runs/a --to merged --type q8_0 --out a-q8_0.gguf",
                "slimming export --model base.gguf --type q4_k --tensor-type attn_v=q8_0 --out base-mixed.gguf",
                "slimming export runs/a --to merged --type iq4_xs --imatrix base.imatrix.gguf --out a-iq4_xs.gguf",
                "slimming export my-peft-adapter --model base.gguf --out a.gguf",
                "slimming export --model base.gguf --type f32 --out base-f32.gguf"
            );
    }

    internal static ExitCode Run(ExportRequest request, bool json, VerbContext context)
    {
        var result = Exporter.Run(request, line => Progress(line, context), context.Token);
        if (context.ErrorIsTerminal)
        {
            context.Error.Write("\r\u001b[K");
        }
        WarnOfFallbacks(result, context);
        WarnOfMissingImportance(result, context);
        if (result.Verification?.Warning is { } warning)
        {
            context.Warn(warning);
        }
        if (result.NotCompared is { } reason)
        {
            context.Warn($"{result.Path}: not compared: {reason}");
        }
        if (json)
        {
            context.WriteJson(ToJson(result));
        }
        else
        {
            Print(result, context);
        }
        return ExitCode.Done;
    }

    /// <summary>One line for all layers' tensors of a name; <c>--json</c> lists every tensor.</summary>
    private static void WarnOfFallbacks(ExportResult result, VerbContext context)
    {
        var groups = result.Fallbacks.GroupBy(f => (Name: AnyLayer(f.Tensor), f.RowLength, f.Wanted, f.Used));
        foreach (var group in groups)
        {
            context.Warn(
                $"{group.Key.Name} ({group.Count()} tensors): rows of {group.Key.RowLength} values do not divide into {GgmlTypes.Name(group.Key.Wanted)} blocks, written as {GgmlTypes.Name(group.Key.Used)}"
            );
        }
    }

    private static void WarnOfMissingImportance(ExportResult result, VerbContext context)
    {
        foreach (var group in (result.Importance?.Without ?? []).GroupBy(AnyLayer))
        {
            context.Warn(
                $"{group.Key} ({group.Count()} tensors): {result.Importance!.Path} has no entry, quantized without"
            );
        }
    }

    /// <summary>blk.7.attn_q.weight reads blk.*.attn_q.weight.</summary>
    private static string AnyLayer(string tensor)
    {
        var parts = tensor.Split('.', 3);
        return parts.Length == 3 && parts[0] == "blk" ? $"blk.*.{parts[2]}" : tensor;
    }

    /// <summary>One line that is overwritten on a terminal; silence in a log.</summary>
    private static void Progress(string line, VerbContext context)
    {
        if (context.ErrorIsTerminal)
        {
            context.Error.Write($"\r\u001b[K{line}");
        }
    }

    private static void Print(ExportResult result, VerbContext context)
    {
        context.Say(
            string.Create(CultureInfo.InvariantCulture, $"{result.Path}: {Kind(result)}, {result.Bytes:N0} bytes")
        );
        context.Say($"base: {result.Base}");
        context.Say(
            result.Kind == ExportKind.Merged
                ? $"tensors: {result.Adapted} merged, {result.Converted} converted, {result.Copied} copied byte for byte"
                : $"adapted weights: {result.Adapted}"
        );
        if (result.Types.Count > 0)
        {
            context.Say(
                $"types: {string.Join(", ", result.Types.Select(t => $"{t.Tensors} {GgmlTypes.Name(t.Type)}"))}"
            );
        }
        if (result.Importance is { } importance)
        {
            context.Say(
                $"importance matrix: {importance.Path}, {importance.Entries} entries; {importance.Used} tensors quantized with it"
            );
        }
        if (result.CarriesTrainedTemplate)
        {
            context.Say("chat template: the one that it was trained with, not the base's");
        }
        if (result.Verification is not { } verification)
        {
            return;
        }
        var table = new Table().Border(TableBorder.Simple);
        table.AddColumn("compared");
        foreach (
            var name in new[]
            {
                "positions",
                "mean KL",
                "other top token",
                "of these clear",
                "largest logit difference",
            }
        )
        {
            table.AddColumn(new TableColumn(name).RightAligned());
        }
        foreach (
            var row in new[] { verification.Base, verification.Exported, verification.Stored }.OfType<Comparison>()
        )
        {
            var d = row.Distance;
            table.AddRow(
                row.What,
                $"{d.Positions}",
                d.MeanKl.ToString("0.00e+00", CultureInfo.InvariantCulture),
                $"{d.ArgmaxDiffers}",
                $"{d.ArgmaxDiffersClearly}",
                d.MaxAbs.ToString("0.00e+00", CultureInfo.InvariantCulture)
            );
        }
        context.OutputConsole().Write(table);
    }

    private static string Kind(ExportResult result) => result.Kind.ToString().ToLowerInvariant();

    private static object ToJson(ExportResult result) =>
        new
        {
            result.Path,
            Kind = Kind(result),
            result.Bytes,
            result.Base,
            result.Adapted,
            result.Converted,
            result.Copied,
            Types = result.Types.Select(t => new { Type = GgmlTypes.Name(t.Type), t.Tensors }),
            Fallbacks = result.Fallbacks.Select(f => new
            {
                f.Tensor,
                f.RowLength,
                Wanted = GgmlTypes.Name(f.Wanted),
                Used = GgmlTypes.Name(f.Used),
            }),
            result.Importance,
            result.CarriesTrainedTemplate,
            result.Verification,
            result.NotCompared,
        };
}
