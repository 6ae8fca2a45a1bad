using System.CommandLine;
using System.Runtime.CompilerServices;
using Slimming.Gguf;

namespace Slimming.Cli.CommandLine;

/// <summary>What every verb's <c>Create</c> uses to become a command.</summary>
internal static class Verb
{
    private static readonly ConditionalWeakTable<Command, IReadOnlyList<string>> ExamplesByCommand = [];

    /// <summary>Gives a command its handler; what it throws becomes a message and an exit code.</summary>
    public static Command Handle(this Command command, Func<ParseResult, VerbContext, ExitCode> handler)
    {
        command.SetAction(
            (parsed, token) =>
            {
                VerbContext context = new(
                    parsed.InvocationConfiguration.Output,
                    parsed.InvocationConfiguration.Error,
                    parsed.GetValue<bool>(SharedOptions.VerboseName),
                    token
                );
                return Task.FromResult((int)handler(parsed, context));
            }
        );
        return command;
    }

    /// <summary>Command lines that <c>--help</c> prints below the options.</summary>
    public static Command WithExamples(this Command command, params string[] examples)
    {
        ExamplesByCommand.AddOrUpdate(command, examples);
        return command;
    }

    public static IReadOnlyList<string> Examples(Command command) =>
        ExamplesByCommand.TryGetValue(command, out var examples) ? examples : [];

    /// <summary>"slimming data preview": the words that lead to a command.</summary>
    public static string Path(Command command)
    {
        var parent = command.Parents.OfType<Command>().FirstOrDefault();
        return parent is null ? "slimming" : $"{Path(parent)} {command.Name}";
    }
}
