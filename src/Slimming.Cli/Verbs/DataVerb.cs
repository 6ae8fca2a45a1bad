using System.CommandLine;
using Slimming.Cli.CommandLine;
using Slimming.Gguf;
using Slimming.LlamaCpp;
using Slimming.Training.Data;
using Spectre.Console;

namespace Slimming.Cli.Verbs;

/// <summary><c>slimming data preview</c>: what the model will be trained on, token by token.</summary>
internal static class DataVerb
{
    public static Command Create()
    {
        var model = new Option<string>("--model")
        {
            Description = "GGUF file whose tokenizer and template are used.",
            Required = true,
        };
        var data = new Option<string[]>("--data")
        {
            Description = "Data files or patterns: .json, .jsonl, .csv, .tsv, .parquet.",
            Required = true,
            AllowMultipleArgumentsPerToken = true,
        };
        var template = new Option<string>("--template")
        {
            Description = "auto, alpaca, chatml, or a Jinja file. auto: the model's own, else alpaca.",
            DefaultValueFactory = _ => "auto",
        };
        var maxLength = new Option<int>("--max-length")
        {
            Description = "Most tokens of a sample.",
            DefaultValueFactory = _ => 1024,
        };
        var overlong = new Option<Overlong>("--overlong")
        {
            Description = "What happens to longer samples: truncate, drop or split.",
            DefaultValueFactory = _ => Overlong.Truncate,
        };
        var lossOn = new Option<LossOn>("--loss-on")
        {
            Description = "What is learnt: answer or all.",
            DefaultValueFactory = _ => LossOn.Answer,
        };
        var limit = new Option<int>("--limit") { Description = "Samples to print.", DefaultValueFactory = _ => 3 };
        var json = SharedOptions.Json();
        Command preview = new("preview", "Prints tokens with the ones that are not learnt dimmed, counts and lengths.")
        {
            model,
            data,
            template,
            maxLength,
            overlong,
            lossOn,
            limit,
            json,
        };
        preview
            .Handle(
                (parsed, context) =>
                    Preview(
                        parsed.GetRequiredValue(model),
                        new DataOptions
                        {
                            Files = parsed.GetRequiredValue(data),
                            Template = parsed.GetRequiredValue(template),
                            MaxLength = parsed.GetValue(maxLength),
                            Overlong = parsed.GetValue(overlong),
                            LossOn = parsed.GetValue(lossOn),
                        },
                        parsed.GetValue(limit),
                        parsed.GetValue(json),
                        context
                    )
            )
            .WithExamples(
                "slimming data preview --model base.gguf --data alpaca.json --template alpaca",
                "slimming data preview --model base.gguf --data chat.jsonl --limit 1 --max-length 512"
            );
        return new Command("data", "Looks at training data.") { preview };
    }

    internal static ExitCode Preview(string modelPath, DataOptions options, int limit, bool json, VerbContext context)
    {
        if (limit < 0)
        {
            throw new SlimmingException(ExitCode.Usage, $"--limit {limit}: expected 0 or more");
        }
        using var model = LlamaModel.Load(modelPath, vocabOnly: true);
        var set = SampleSet.Load(options, model.Vocab, model.ChatTemplate);
        if (set.Counts.WithoutEnd > 0)
        {
            context.Warn(
                $"{set.Counts.WithoutEnd} of {set.Counts.Rows} rows end in no end-of-generation token of this model: "
                    + "a model trained on them may not stop; check --template"
            );
        }
        var histogram = LengthHistogram.Of(set.Samples.Select(s => s.Tokens.Length).ToArray());
        if (json)
        {
            context.WriteJson(
                new
                {
                    set.Counts,
                    Template = set.TemplateName,
                    set.TemplateSha256,
                    Lengths = histogram,
                    Samples = set.Samples.Take(limit).Select(s => Describe(s, model.Vocab)),
                }
            );
            return ExitCode.Done;
        }
        var console = context.OutputConsole();
        foreach (var sample in set.Samples.Take(limit))
        {
            TokenPrinter.Print(console, sample, model.Vocab);
        }
        PrintCounts(console, set);
        PrintHistogram(console, histogram);
        return ExitCode.Done;
    }

    private static object Describe(Sample sample, LlamaVocab vocab) =>
        new
        {
            sample.Source,
            sample.Row,
            InputIds = sample.Tokens,
            // Unshifted, as --data takes them.
            Labels = sample.Tokens.Select((_, t) => t > 0 && sample.Targets[t - 1] >= 0 ? sample.Targets[t - 1] : -100),
            Text = vocab.Detokenize(sample.Tokens, special: true),
            Learnt = vocab.Detokenize(sample.Targets.Where(t => t >= 0).ToArray(), special: true),
        };

    private static void PrintCounts(IAnsiConsole console, SampleSet set)
    {
        var counts = set.Counts;
        var table = new Table()
            .Border(TableBorder.None)
            .HideHeaders()
            .AddColumn("what")
            .AddColumn(new TableColumn("n").RightAligned());
        void Row(string what, long n) => table.AddRow(what, n.ToString("N0"));
        Row("rows", counts.Rows);
        Row("samples kept", counts.Kept);
        Row("rows truncated", counts.Truncated);
        Row("rows dropped", counts.Dropped);
        Row("rows split", counts.Split);
        Row("rows without a target", counts.WithoutTarget);
        Row("tokens", counts.Tokens);
        Row("targets (learnt tokens)", counts.Targets);
        console.Write(table);
        console.WriteLine($"template: {set.TemplateName ?? "none needed"}");
    }

    private static void PrintHistogram(IAnsiConsole console, IReadOnlyList<LengthBin> bins)
    {
        console.WriteLine();
        console.WriteLine("tokens per sample");
        var chart = new BarChart().Width(Math.Min(72, console.Profile.Width)).LeftAlignLabel();
        foreach (var bin in bins)
        {
            chart.AddItem($"{bin.From}-{bin.To}", bin.Samples, Color.Blue);
        }
        console.Write(chart);
    }
}
