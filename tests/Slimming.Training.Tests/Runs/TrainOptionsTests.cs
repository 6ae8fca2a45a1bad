using System.Text.Json.Nodes;
using Slimming.Gguf;

namespace Slimming.Training.Tests.Runs;

public sealed class TrainOptionsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("slimming-options-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Every_option_reaches_the_resolved_record()
    {
        // One value per option that is not its default; flags are turned around.
        Dictionary<string, string> values = new()
        {
            ["model"] = "m.gguf",
            ["data"] = "d.json",
            ["where"] = "n = 1",
            ["sample"] = "35",
            ["eval-data"] = "e.json",
            ["out"] = "o",
            ["config"] = Config("rank: 16"),
            ["method"] = "lora",
            ["rank"] = "3",
            ["alpha"] = "5.5",
            ["rslora"] = "true",
            ["dropout"] = "0.25",
            ["targets"] = "v,q",
            ["init-adapter"] = "i.gguf",
            ["steps"] = "7",
            ["batch-size"] = "9",
            ["accumulation"] = "11",
            ["max-length"] = "13",
            ["overlong"] = "split",
            ["packing"] = "true",
            ["learning-rate"] = "0.125",
            ["schedule"] = "cosine",
            ["warmup-steps"] = "17",
            ["weight-decay"] = "0.5",
            ["max-grad-norm"] = "2.5",
            ["adam-beta1"] = "0.75",
            ["adam-beta2"] = "0.875",
            ["adam-epsilon"] = "1e-5",
            ["shuffle"] = "false",
            ["seed"] = "19",
            ["loss-on"] = "all",
            ["template"] = "alpaca",
            ["compute"] = "f32",
            ["threads"] = "21",
            ["memory"] = "1KiB",
            ["micro-batch-tokens"] = "23",
            ["checkpoint-every"] = "25",
            ["keep"] = "27",
            ["resume"] = "true",
            ["eval-every"] = "29",
            ["patience"] = "31",
            ["on-nonfinite"] = "skip",
            ["profile"] = "true",
        };
        // These exclude something above and have tests of their own.
        string[] apart = ["eval-fraction", "epochs", "decay-norms", "force"];
        TrainOptionTable.All.Select(spec => spec.Name).Except(apart).ShouldBe(values.Keys, ignoreOrder: true);

        var record = RunRecord.OptionsOf(Resolve(values));

        foreach (var (name, text) in values)
        {
            var expected = name switch
            {
                "data" or "eval-data" => $"[\"{text}\"]",
                "targets" => "[\"q\",\"v\"]",
                "memory" => "1024",
                "adam-epsilon" => "1E-05",
                _ when double.TryParse(text, out _) || text is "true" or "false" => text,
                _ => $"\"{text}\"",
            };
            record.ContainsKey(name).ShouldBeTrue(name);
            record[name]!.ToJsonString().ShouldBe(expected, name);
        }
        Resolve(Minimal(("eval-fraction", "0.25"), ("eval-every", "3"))).EvalFraction.ShouldBe(0.25);
        Resolve(Minimal(("epochs", "2.5"))).Epochs.ShouldBe(2.5);
        Resolve(Minimal(("method", "full"), ("decay-norms", "true"))).DecayNorms.ShouldBeTrue();
        Resolve(Minimal(("force", "true"))).Force.ShouldBeTrue();
    }

    [Fact]
    public void Defaults_are_those_of_the_table()
    {
        var defaults = RunRecord.OptionsOf(Resolve(Minimal()));
        foreach (var spec in TrainOptionTable.All.Where(spec => spec.Default is not null && spec.Name != "targets"))
        {
            var found = defaults[spec.Name]!;
            if (spec.Kind is OptionKind.Real or OptionKind.Whole)
            {
                double.Parse(found.ToJsonString()).ShouldBe(double.Parse(spec.Default!), spec.Name);
            }
            else
            {
                found.ToJsonString().Trim('"').ShouldBe(spec.Default, spec.Name);
            }
        }
        Resolve(Minimal()).LearningRate.ShouldBe(2e-4);
        Resolve(Minimal(("method", "full"))).LearningRate.ShouldBe(2e-5);
    }

    [Fact]
    public void A_flag_wins_over_the_file_and_the_file_over_the_default()
    {
        var config = Config(
            """
            rank: 8
            alpha: 32
            targets: [q, v]
            data:
              - a.jsonl
              - b.jsonl
            """
        );
        var options = Resolve(
            new()
            {
                ["model"] = "m",
                ["out"] = "o",
                ["config"] = config,
                ["rank"] = "4",
            }
        );
        options.Rank.ShouldBe(4);
        options.Alpha.ShouldBe(32);
        options.BatchSize.ShouldBe(4);
        options.Targets.ShouldBe(["q", "v"]);
        options.Data.ShouldBe(["a.jsonl", "b.jsonl"]);
    }

    [Theory]
    [InlineData("rnak: 8", "line 1: unknown option 'rnak'; known are model, data")]
    [InlineData("rank: 8\nforce: true", "line 2: unknown option 'force'")]
    [InlineData("seed: 1\nrank: 0", "line 2: rank: expected a whole number of at least 1, found '0'")]
    [InlineData("rank: [1, 2]", "line 1: rank: expected one value, found a list of 2")]
    [InlineData("- rank", "expected 'option: value' lines, found a list of 1")]
    [InlineData("rank: 8\nrank: 9", "not valid YAML")]
    [InlineData("rank:", "line 1: rank: expected one value, found nothing")]
    public void A_wrong_file_is_refused_with_its_place(string yaml, string expected)
    {
        var config = Config(yaml);
        var error = Should.Throw<SlimmingException>(() => Resolve(Minimal(("config", config))));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain(expected);
        error.Message.ShouldContain(config);
    }

    [Theory]
    [InlineData("rank", "0", "--rank: expected a whole number of at least 1, found '0'")]
    [InlineData("rank", "1.5", "--rank: expected a whole number of at least 1, found '1.5'")]
    [InlineData("rank", "99999999999", "--rank: expected a whole number")]
    [InlineData("dropout", "1", "--dropout: expected a number of at least 0 and below 1, found '1'")]
    [InlineData("epochs", "1e30", "--epochs: expected a number above 0 and below 1000000, found '1e30'")]
    [InlineData("alpha", "0", "--alpha: expected a number above 0, found '0'")]
    [InlineData("learning-rate", "NaN", "--learning-rate: expected a number of at least 0, found 'NaN'")]
    [InlineData("targets", "q,attn", "--targets: unknown target 'attn'; known are all, q, k, v, o, gate, up, down")]
    [InlineData("targets", "q,", "--targets: unknown target ''")]
    [InlineData("method", "dora", "--method: expected one of lora, full, found 'dora'")]
    [InlineData("schedule", "step", "--schedule: expected one of linear, cosine, constant, found 'step'")]
    [InlineData("memory", "much", "--memory: expected a size such as 600MiB")]
    [InlineData("config", "absent.yaml", "--config: no such file: absent.yaml")]
    [InlineData("eval-every", "5", "--eval-every needs --eval-data or --eval-fraction")]
    [InlineData("eval-fraction", "1", "--eval-fraction: expected a number above 0 and below 1, found '1'")]
    [InlineData("eval-fraction", "0", "--eval-fraction: expected a number above 0 and below 1, found '0'")]
    [InlineData("sample", "0", "--sample: expected a whole number of at least 1, found '0'")]
    [InlineData("where", "", "--where: expected a value")]
    [InlineData("patience", "5", "--patience needs --eval-every")]
    [InlineData("decay-norms", "true", "--decay-norms belongs to --method full")]
    public void A_wrong_value_is_refused_by_name(string name, string text, string expected)
    {
        var error = Should.Throw<SlimmingException>(() => Resolve(Minimal((name, text))));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain(expected);
    }

    [Fact]
    public void Options_that_exclude_each_other_are_refused()
    {
        Refused(("steps", "3"), ("epochs", "1")).ShouldContain("--steps and --epochs");
        Refused(("eval-data", "e"), ("eval-fraction", "0.1")).ShouldContain("--eval-data and --eval-fraction");
        Refused(("resume", "true"), ("force", "true")).ShouldContain("--resume");
        foreach (
            var (name, text) in new[]
            {
                ("rank", "4"),
                ("alpha", "4"),
                ("rslora", "true"),
                ("dropout", "0.1"),
                ("targets", "q"),
                ("init-adapter", "a"),
            }
        )
        {
            Refused(("method", "full"), (name, text)).ShouldContain($"--{name} belongs to --method lora");
        }
    }

    [Fact]
    public void A_missing_option_is_named()
    {
        foreach (var name in new[] { "model", "data", "out" })
        {
            var values = Minimal();
            values.Remove(name);
            Should.Throw<SlimmingException>(() => Resolve(values)).Message.ShouldContain($"--{name} is missing");
        }
    }

    [Fact]
    public void The_stored_options_read_back()
    {
        JsonNode.Parse(RunRecord.OptionsOf(Resolve(Minimal())).ToJsonString())!["learning-rate"]!
            .GetValue<double>()
            .ShouldBe(2e-4);
    }

    [Theory]
    [InlineData("600MiB", 600L << 20)]
    [InlineData("2GiB", 2L << 30)]
    [InlineData("2G", 2L << 30)]
    [InlineData("1.5K", 1536)]
    [InlineData("2GB", 2_000_000_000)]
    [InlineData("1234", 1234)]
    [InlineData("12b", 12)]
    public void Sizes_are_read(string text, long expected)
    {
        ByteSize.TryParse(text, out var bytes).ShouldBeTrue();
        bytes.ShouldBe(expected);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("-1K")]
    [InlineData("K")]
    [InlineData("1e3")]
    [InlineData("99999999T")]
    public void Odd_sizes_are_not(string text) => ByteSize.TryParse(text, out _).ShouldBeFalse();

    private string Config(string yaml)
    {
        var path = Path.Combine(_folder, $"{Guid.NewGuid():N}.yaml");
        File.WriteAllText(path, yaml);
        return path;
    }

    private static string Refused(params (string, string)[] more)
    {
        var error = Should.Throw<SlimmingException>(() => Resolve(Minimal(more)));
        error.Code.ShouldBe(ExitCode.Usage);
        return error.Message;
    }

    private static Dictionary<string, string> Minimal(params (string Name, string Text)[] more)
    {
        Dictionary<string, string> values = new()
        {
            ["model"] = "m",
            ["data"] = "d",
            ["out"] = "o",
        };
        foreach (var (name, text) in more)
        {
            values[name] = text;
        }
        return values;
    }

    private static TrainOptions Resolve(Dictionary<string, string> values) =>
        TrainOptionsReader.Resolve(values.ToDictionary(pair => pair.Key, pair => (IReadOnlyList<string>)[pair.Value]));
}
