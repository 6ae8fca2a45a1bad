using System.CommandLine;
using System.CommandLine.Parsing;
using Slimming.Training;

namespace Slimming.Cli.Training;

/// <summary>Makes the command line options of <c>train</c> out of their table; reading the texts is the table's reader's work.</summary>
internal sealed class TrainOptionBinder
{
    private const string NoShuffle = "no-shuffle";
    private readonly Dictionary<string, Option> _options = [];

    private TrainOptionBinder() { }

    public static TrainOptionBinder AddTo(Command command)
    {
        TrainOptionBinder binder = new();
        foreach (var spec in TrainOptionTable.All)
        {
            binder.Add(command, spec.Name, ToOption(spec));
            if (spec.Name == "shuffle")
            {
                binder.Add(
                    command,
                    NoShuffle,
                    new Option<bool>($"--{NoShuffle}") { Description = "Keep the order of the files." }
                );
            }
        }
        return binder;
    }

    /// <summary>Whether the command line gives any of them.</summary>
    public bool AnyGiven(ParseResult parsed) =>
        _options.Values.Any(option => parsed.GetResult(option) is OptionResult { Implicit: false });

    public TrainOptions Resolve(ParseResult parsed)
    {
        Dictionary<string, IReadOnlyList<string>> texts = [];
        foreach (var (name, option) in _options)
        {
            if (parsed.GetResult(option) is not OptionResult { Implicit: false } result)
            {
                continue;
            }
            if (option is Option<bool> flag)
            {
                var on = parsed.GetValue(flag);
                var (target, text) =
                    name == NoShuffle ? ("shuffle", on ? "false" : "true") : (name, on ? "true" : "false");
                if (texts.TryGetValue(target, out var other) && other[0] != text)
                {
                    throw new Gguf.SlimmingException(
                        Gguf.ExitCode.Usage,
                        "--shuffle and --no-shuffle exclude each other: give one of them"
                    );
                }
                texts[target] = [text];
                continue;
            }
            texts[name] = [.. result.Tokens.Select(token => token.Value)];
        }
        return TrainOptionsReader.Resolve(texts);
    }

    private void Add(Command command, string name, Option option)
    {
        command.Options.Add(option);
        _options.Add(name, option);
    }

    private static Option ToOption(OptionSpec spec)
    {
        if (spec.Kind == OptionKind.Flag)
        {
            return new Option<bool>($"--{spec.Name}") { Description = spec.Help };
        }
        var choices = spec.Choices.Count > 0 ? $" One of {string.Join(", ", spec.Choices)}." : "";
        var start = spec.Default is null ? "" : $" [default: {spec.Default}]";
        return new Option<string[]>($"--{spec.Name}")
        {
            Description = spec.Help + choices + start,
            HelpName = spec.Choices.Count > 0 ? string.Join('|', spec.Choices) : spec.Placeholder,
            AllowMultipleArgumentsPerToken = spec.Many,
            Arity = ArgumentArity.OneOrMore,
        };
    }
}
