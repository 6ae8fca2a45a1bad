using System.Globalization;
using Slimming.Gguf;

namespace Slimming.Training;

/// <summary>Merges default, YAML file and flags (later wins) into one record and refuses what does not go together.</summary>
public static class TrainOptionsReader
{
    /// <param name="flags">Texts of the command line by option name; a flag's text is "true" or "false".</param>
    /// <exception cref="SlimmingException">Exit code 2: an unknown, missing, wrong or contradictory option.</exception>
    public static TrainOptions Resolve(IReadOnlyDictionary<string, IReadOnlyList<string>> flags)
    {
        var file = flags.TryGetValue(TrainOptionTable.Config, out var config) ? YamlOptions.Read(config[^1]) : [];
        Values values = new(flags, file);
        var method = values.Choice("method");
        var steps = values.OptionalWhole("steps");
        TrainOptions options = new()
        {
            Model = values.Text("model"),
            Data = values.Many("data"),
            Where = values.OptionalText("where"),
            Sample = values.OptionalWhole("sample"),
            EvalData = values.Many("eval-data"),
            EvalFraction = values.OptionalReal("eval-fraction"),
            Out = values.Text("out"),
            Config = values.OptionalText(TrainOptionTable.Config),
            Method = method,
            Rank = values.Whole("rank"),
            Alpha = values.Real("alpha"),
            Rslora = values.Flag("rslora"),
            Dropout = values.Real("dropout"),
            Targets = Targets(values),
            InitAdapter = values.OptionalText("init-adapter"),
            Epochs = steps is null ? values.Real("epochs") : null,
            Steps = steps,
            BatchSize = values.Whole("batch-size"),
            Accumulation = values.Whole("accumulation"),
            MaxLength = values.Whole("max-length"),
            Overlong = values.Choice("overlong"),
            Packing = values.Flag("packing"),
            LearningRate = values.OptionalReal("learning-rate") ?? (method == "full" ? 2e-5 : 2e-4),
            Schedule = values.Choice("schedule"),
            WarmupSteps = values.Whole("warmup-steps"),
            WeightDecay = values.Real("weight-decay"),
            DecayNorms = values.Flag("decay-norms"),
            MaxGradNorm = values.Real("max-grad-norm"),
            AdamBeta1 = values.Real("adam-beta1"),
            AdamBeta2 = values.Real("adam-beta2"),
            AdamEpsilon = values.Real("adam-epsilon"),
            Shuffle = values.Flag("shuffle"),
            Seed = values.Whole("seed"),
            LossOn = values.Choice("loss-on"),
            Template = values.Text("template"),
            Compute = values.Choice("compute"),
            Threads = values.Whole("threads"),
            Memory = values.OptionalSize("memory"),
            MicroBatchTokens = values.Whole("micro-batch-tokens"),
            CheckpointEvery = values.Whole("checkpoint-every"),
            Keep = values.Whole("keep"),
            Resume = values.Flag("resume"),
            EvalEvery = values.Whole("eval-every"),
            Patience = values.Whole("patience"),
            OnNonfinite = values.Choice("on-nonfinite"),
            Profile = values.Flag("profile"),
            Force = values.Flag("force"),
            Given = values.Given,
        };
        RefuseConflicts(options);
        return options;
    }

    /// <exception cref="SlimmingException">Exit code 2: options that contradict each other.</exception>
    internal static void RefuseConflicts(TrainOptions options)
    {
        var given = options.Given;
        if (given.Contains("steps") && given.Contains("epochs"))
        {
            throw Conflict("--steps and --epochs exclude each other: give one of them");
        }
        if (options.Resume && options.Force)
        {
            throw Conflict("--resume goes on with the run that --force would replace: give one of them");
        }
        if (options.IsFull)
        {
            string[] lora = ["rank", "alpha", "rslora", "dropout", "targets", "init-adapter"];
            if (lora.Where(given.Contains).FirstOrDefault() is { } name)
            {
                throw Conflict($"--{name} belongs to --method lora, not to --method full");
            }
        }
        else if (given.Contains("decay-norms") && options.DecayNorms)
        {
            throw Conflict("--decay-norms belongs to --method full: LoRA trains no norm and no bias");
        }
        if (options.EvalData.Count > 0 && options.EvalFraction is not null)
        {
            throw Conflict("--eval-data and --eval-fraction exclude each other: give one of them");
        }
        if (options.EvalData.Count == 0 && options.EvalFraction is null && options.EvalEvery > 0)
        {
            throw Conflict("--eval-every needs --eval-data or --eval-fraction");
        }
        if (options.Patience > 0 && options.EvalEvery == 0)
        {
            throw Conflict("--patience needs --eval-every (and --eval-data or --eval-fraction)");
        }
        if ((long)options.BatchSize * options.Accumulation > int.MaxValue)
        {
            throw Conflict($"--batch-size {options.BatchSize} x --accumulation {options.Accumulation} is too large");
        }
    }

    private static string[] Targets(Values values)
    {
        var text = values.Text("targets");
        var names = text.Split(',', StringSplitOptions.TrimEntries);
        if (names is ["all"])
        {
            return [.. TrainOptions.TargetNames];
        }
        foreach (var name in names)
        {
            if (!TrainOptions.TargetNames.Contains(name))
            {
                throw new SlimmingException(
                    ExitCode.Usage,
                    $"{values.Place("targets")}: unknown target '{name}'; known are all, {string.Join(", ", TrainOptions.TargetNames)}"
                );
            }
        }
        return [.. TrainOptions.TargetNames.Where(names.Contains)];
    }

    private static SlimmingException Conflict(string message) => new(ExitCode.Usage, message);

    /// <summary>The merged texts, read as what each option takes.</summary>
    private sealed class Values
    {
        private readonly Dictionary<string, OptionSpec> _specs = TrainOptionTable.All.ToDictionary(spec => spec.Name);
        private readonly Dictionary<string, (IReadOnlyList<string> Texts, string Place)> _texts;

        public Values(
            IReadOnlyDictionary<string, IReadOnlyList<string>> flags,
            Dictionary<string, (IReadOnlyList<string> Values, string Place)> file
        )
        {
            _texts = new(file);
            foreach (var (name, texts) in flags)
            {
                if (!_specs.ContainsKey(name))
                {
                    throw Conflict($"--{name}: unknown option");
                }
                _texts[name] = (texts, $"--{name}");
            }
            Given = _texts.Keys.ToHashSet();
        }

        public HashSet<string> Given { get; }

        /// <summary>How a message calls the place that set an option.</summary>
        public string Place(string name) =>
            _texts.TryGetValue(name, out var found) && !found.Place.StartsWith("--", StringComparison.Ordinal)
                ? $"{found.Place}: {name}"
                : $"--{name}";

        public IReadOnlyList<string> Many(string name)
        {
            var texts = _texts.TryGetValue(name, out var found) ? found.Texts : [];
            if (texts.Count == 0 && _specs[name].Required)
            {
                throw Missing(name);
            }
            return texts.Any(text => text.Length == 0) ? throw Wrong(name, "a file name", "") : texts;
        }

        public string? OptionalText(string name)
        {
            if (!_texts.TryGetValue(name, out var found))
            {
                return _specs[name].Default;
            }
            return found.Texts switch
            {
                [{ Length: > 0 } text] => text,
                [] or [""] => throw Wrong(name, "a value", ""),
                _ => throw Conflict($"{Place(name)}: given {found.Texts.Count} times, expected once"),
            };
        }

        public string Text(string name) => OptionalText(name) ?? throw Missing(name);

        public string Choice(string name)
        {
            var text = Text(name);
            return _specs[name].Choices.Contains(text)
                ? text
                : throw Wrong(name, $"one of {string.Join(", ", _specs[name].Choices)}", text);
        }

        public bool Flag(string name) =>
            Text(name) switch
            {
                "true" => true,
                "false" => false,
                var text => throw Wrong(name, "true or false", text),
            };

        public int Whole(string name) => OptionalWhole(name) ?? throw Missing(name);

        public int? OptionalWhole(string name)
        {
            if (OptionalText(name) is not { } text)
            {
                return null;
            }
            return
                int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value)
                && InRange(_specs[name], value)
                ? value
                : throw Wrong(name, $"a whole number{Range(_specs[name])}", text);
        }

        public double Real(string name) => OptionalReal(name) ?? throw Missing(name);

        public double? OptionalReal(string name)
        {
            if (OptionalText(name) is not { } text)
            {
                return null;
            }
            return
                double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value)
                && double.IsFinite(value)
                && InRange(_specs[name], value)
                ? value
                : throw Wrong(name, $"a number{Range(_specs[name])}", text);
        }

        public long? OptionalSize(string name) =>
            OptionalText(name) is not { } text ? null
            : ByteSize.TryParse(text, out var bytes) ? bytes
            : throw Wrong(name, "a size such as 600MiB, 2GiB or 2GB", text);

        private static bool InRange(OptionSpec spec, double value) =>
            (spec.AboveMinimum ? value > spec.Minimum : value >= spec.Minimum) && value < spec.Below;

        private static string Range(OptionSpec spec) =>
            (spec.AboveMinimum ? " above " : " of at least ")
            + spec.Minimum.ToString(CultureInfo.InvariantCulture)
            + (double.IsFinite(spec.Below) ? $" and below {spec.Below.ToString(CultureInfo.InvariantCulture)}" : "");

        private static SlimmingException Missing(string name) =>
            new(ExitCode.Usage, $"--{name} is missing; give it as a flag or in the --config file");

        private SlimmingException Wrong(string name, string expected, string found) =>
            new(ExitCode.Usage, $"{Place(name)}: expected {expected}, found '{found}'");
    }
}
