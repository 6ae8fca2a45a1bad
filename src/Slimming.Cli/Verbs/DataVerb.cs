using System.CommandLine;
using System.Text.Json;
using Slimming.Cli.CommandLine;
using Slimming.Gguf;
using Slimming.LlamaCpp;
using Slimming.Training;
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
            Description =
                "Data files or patterns: .json, .jsonl, .csv, .tsv, .parquet; F:WEIGHT after each mixes them.",
            Required = true,
            AllowMultipleArgumentsPerToken = true,
        };
        var where = new Option<string?>("--where") { Description = TableHelp("where"), HelpName = "SQL" };
        var sample = new Option<int?>("--sample") { Description = TableHelp("sample"), HelpName = "N" };
        var evalFraction = new Option<double?>("--eval-fraction")
        {
            Description = TableHelp("eval-fraction"),
            HelpName = "X",
        };
        var seed = new Option<int>("--seed") { Description = TableHelp("seed"), DefaultValueFactory = _ => 42 };
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
            where,
            sample,
            evalFraction,
            seed,
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
                            Where = parsed.GetValue(where),
                            Sample = parsed.GetValue(sample),
                            EvalFraction = parsed.GetValue(evalFraction),
                            Seed = Seed(parsed.GetValue(seed)),
                            Template = parsed.GetRequiredValue(template),
                            MaxLength = parsed.GetValue(maxLength),
                            Overlong = parsed.GetValue(overlong),
                            LossOn = parsed.GetValue(lossOn),
                        },
                        parsed.GetResult(maxLength) is { Implicit: false },
                        parsed.GetValue(limit),
                        parsed.GetValue(json),
                        context
                    )
            )
            .WithExamples(
                "slimming data preview --model base.gguf --data alpaca.json --template alpaca",
                "slimming data preview --model base.gguf --data chat.jsonl --limit 1 --max-length 512",
                "slimming data preview --model base.gguf --data new.jsonl:0.8 old.parquet:0.2 --where \"lang = 'en'\" --sample 1000"
            );
        return new Command("data", "Looks at training data.") { preview };
    }

    /// <summary>Help of the options that <c>train</c> has too.</summary>
    private static string TableHelp(string name) => TrainOptionTable.All.First(spec => spec.Name == name).Help;

    private static ulong Seed(int seed) =>
        seed >= 0 ? (ulong)seed : throw new SlimmingException(ExitCode.Usage, $"--seed {seed}: expected 0 or more");

    /// <summary>Tokens that the model was trained for, as <c>train</c> reads them; null where the file does not say.</summary>
    private static int? ContextLength(string modelPath)
    {
        using var file = GgufFile.Open(modelPath);
        var key = $"{file.Metadata.GetString("general.architecture")}.context_length";
        var length = file.Metadata.GetInteger(key, 0);
        return length is > 0 and <= int.MaxValue ? (int)length : null;
    }

    private static void Refuse(DataOptions options, int limit)
    {
        if (limit < 0)
        {
            throw new SlimmingException(ExitCode.Usage, $"--limit {limit}: expected 0 or more");
        }
        if (options.Sample < 1)
        {
            throw new SlimmingException(ExitCode.Usage, $"--sample {options.Sample}: expected at least 1");
        }
        if (options.EvalFraction is { } fraction && !(fraction > 0 && fraction < 1))
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"--eval-fraction {fraction}: expected a number above 0 and below 1"
            );
        }
        if (string.IsNullOrWhiteSpace(options.Where) && options.Where is not null)
        {
            throw new SlimmingException(ExitCode.Usage, "--where: expected an SQL condition, found an empty text");
        }
    }

    internal static ExitCode Preview(
        string modelPath,
        DataOptions options,
        bool lengthGiven,
        int limit,
        bool json,
        VerbContext context
    )
    {
        Refuse(options, limit);
        using var model = LlamaModel.Load(modelPath, vocabOnly: true);
        options = options with { ContextLength = lengthGiven ? null : ContextLength(modelPath) };
        using var set = DataSet.Open(options, model.Vocab, model.ChatTemplate);
        if (set.Counts.WithoutEnd > 0)
        {
            context.Warn(
                $"{(set.Counts.Estimated ? "about " : "")}{set.Counts.WithoutEnd} of {set.Counts.Rows} rows end in no end-of-generation token of this model: "
                    + "a model trained on them may not stop; check --template"
            );
        }
        var histogram = LengthHistogram.Of(set.Lengths);
        if (json)
        {
            context.WriteJson(
                new
                {
                    set.Counts,
                    Mix = set.Mix is null ? null : Mix(options, set.Mix),
                    Remarks = set.Remarks.Select(Describe),
                    Template = set.TemplateName,
                    set.TemplateSha256,
                    Lengths = histogram,
                    Samples = set.First(limit).Select(s => Describe(s, model.Vocab)),
                }
            );
            return ExitCode.Done;
        }
        var console = context.OutputConsole();
        foreach (var sample in set.First(limit))
        {
            TokenPrinter.Print(console, sample, model.Vocab);
        }
        PrintCounts(console, set);
        PrintMix(console, options, set);
        PrintRemarks(console, set.Remarks);
        PrintHistogram(console, histogram, set.Counts.Estimated);
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

    private static void PrintCounts(IAnsiConsole console, DataSet set)
    {
        var counts = set.Counts;
        var table = new Table()
            .Border(TableBorder.None)
            .HideHeaders()
            .AddColumn("what")
            .AddColumn(new TableColumn("n").RightAligned());
        void Row(string what, long n) => table.AddRow(what, n.ToString("N0"));
        void Some(string what, long n)
        {
            if (n > 0)
            {
                Row(what, n);
            }
        }
        Row("rows", counts.Rows);
        Some("rows left out by --where", counts.Filtered);
        Some("rows not drawn by --sample", counts.NotDrawn);
        Some("rows held out for evaluation", counts.HeldOut);
        if (counts.Estimated)
        {
            Row("rows looked at, the rest estimated", counts.Examined ?? counts.Rows);
        }
        Row("samples kept", counts.Kept);
        Row("rows truncated", counts.Truncated);
        Row("rows dropped", counts.Dropped);
        Row("rows split", counts.Split);
        Row("rows without a target", counts.WithoutTarget);
        Some("rows with an empty answer", counts.EmptyAnswer);
        Some("rows without an end of generation", counts.WithoutEnd);
        Row("tokens", counts.Tokens);
        Row("targets (learnt tokens)", counts.Targets);
        console.Write(table);
        console.WriteLine($"template: {set.TemplateName ?? "none needed"}");
    }

    private static IEnumerable<object> Mix(DataOptions options, MixShares mix) =>
        options.Files.Select(
            (file, part) =>
                new
                {
                    Data = file,
                    Share = mix.Shares[part],
                    SamplesAnEpoch = mix.Drawn[part],
                    Samples = mix.Available[part],
                }
        );

    private static void PrintMix(IAnsiConsole console, DataOptions options, DataSet set)
    {
        for (var part = 0; set.Mix is { } mix && part < options.Files.Count; part++)
        {
            console.WriteLine(DataNotes.MixLine(mix, part, options.Files[part], set.IsStreamed));
        }
    }

    private static object Describe(RowRemark remark) =>
        new
        {
            Fate = JsonNamingPolicy.SnakeCaseLower.ConvertName($"{remark.Fate}"),
            remark.Source,
            remark.Row,
            remark.Why,
        };

    /// <summary>What is not learnt as it stands, and why; a few rows of each kind.</summary>
    private static void PrintRemarks(IAnsiConsole console, IReadOnlyList<RowRemark> remarks)
    {
        foreach (var kind in remarks.GroupBy(remark => remark.Fate).OrderBy(kind => kind.Key))
        {
            console.WriteLine();
            console.WriteLine(
                kind.Key switch
                {
                    RowFate.Dropped => "dropped (the first rows):",
                    RowFate.WithoutTarget => "left out without a target (the first rows):",
                    RowFate.Truncated => "truncated (the first rows):",
                    RowFate.Split => "split (the first rows):",
                    RowFate.EmptyAnswer => "kept with an empty answer (the first rows):",
                    _ => "kept without an end of generation (the first rows):",
                }
            );
            foreach (var remark in kind)
            {
                console.WriteLine($"  {remark.Source}, row {remark.Row}: {remark.Why}");
            }
        }
    }

    private static void PrintHistogram(IAnsiConsole console, IReadOnlyList<LengthBin> bins, bool estimated)
    {
        console.WriteLine();
        console.WriteLine(estimated ? "tokens per sample of the rows looked at" : "tokens per sample");
        var chart = new BarChart().Width(Math.Min(72, console.Profile.Width)).LeftAlignLabel();
        foreach (var bin in bins)
        {
            chart.AddItem($"{bin.From}-{bin.To}", bin.Samples, Color.Blue);
        }
        console.Write(chart);
    }
}
