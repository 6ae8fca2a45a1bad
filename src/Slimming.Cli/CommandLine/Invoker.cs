using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Cli.CommandLine;

/// <summary>Runs a parsed command line and turns every error into one message and an exit code.</summary>
internal static class Invoker
{
    public static ExitCode Invoke(
        RootCommand root,
        string[] args,
        TextWriter output,
        TextWriter error,
        CancellationToken token
    )
    {
        root.Options.Add(SharedOptions.Verbose());
        foreach (var help in root.Options.OfType<HelpOption>())
        {
            help.Action = new HelpWithExamples((HelpAction)help.Action!);
        }
        var parsed = root.Parse(args);
        if (parsed.Errors.Count > 0 && parsed.Action is not { ClearsParseErrors: true })
        {
            error.WriteLine(ShownText.Message($"error: {Problem(parsed)}"));
            error.WriteLine($"See '{Verb.Path(parsed.CommandResult.Command)} --help'.");
            return ExitCode.Usage;
        }
        try
        {
            return (ExitCode)
                parsed
                    .InvokeAsync(
                        new InvocationConfiguration
                        {
                            Output = output,
                            Error = error,
                            EnableDefaultExceptionHandler = false,
                            // Ctrl-C is ours: a verb finishes its step first.
                            ProcessTerminationTimeout = null,
                        },
                        token
                    )
                    .GetAwaiter()
                    .GetResult();
        }
        catch (Exception exception)
        {
            return Report(exception, error, parsed.GetValue<bool>(SharedOptions.VerboseName));
        }
    }

    private static string Problem(ParseResult parsed)
    {
        var verbs = parsed.CommandResult.Command.Subcommands;
        return verbs.Count > 0 && parsed.UnmatchedTokens is [var word, ..] && !word.StartsWith('-')
            ? $"unknown verb '{word}'; expected one of {string.Join(", ", verbs.Select(verb => verb.Name))}"
            // The rest usually follows from the first: an unknown option makes its value unknown too.
            : parsed.Errors[0].Message;
    }

    /// <summary>One message on standard error; the stack trace only on request.</summary>
    internal static ExitCode Report(Exception exception, TextWriter error, bool verbose)
    {
        // A failed static constructor hides the message that helps.
        if (exception is TypeInitializationException { InnerException: { } cause })
        {
            exception = cause;
        }
        var (code, message) = exception switch
        {
            SlimmingException known => (known.Code, $"error: {known.Message}"),
            ResultsException results => (
                results.Fault switch
                {
                    ResultsFault.Usage => ExitCode.Usage,
                    ResultsFault.Refused => ExitCode.Refused,
                    _ => ExitCode.Failed,
                },
                $"error: {results.Message}"
            ),
            OperationCanceledException => (ExitCode.Cancelled, "cancelled"),
            IOException or UnauthorizedAccessException => (ExitCode.Failed, $"error: {exception.Message}"),
            _ => (
                ExitCode.Failed,
                $"error: unexpected {exception.GetType().Name}: {exception.Message}"
                    + (verbose ? "" : "\n(--verbose shows where it happened)")
            ),
        };
        error.WriteLine(ShownText.Message(message));
        if (verbose)
        {
            error.WriteLine(ShownText.Plain(exception.ToString()));
        }
        return code;
    }

    /// <summary>The usual help, then the verb's examples.</summary>
    private sealed class HelpWithExamples(HelpAction inner) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            var code = inner.Invoke(parseResult);
            if (Verb.Examples(parseResult.CommandResult.Command) is { Count: > 0 } examples)
            {
                var output = parseResult.InvocationConfiguration.Output;
                output.WriteLine("Examples:");
                foreach (var example in examples)
                {
                    output.WriteLine($"  {example}");
                }
                output.WriteLine();
            }
            return code;
        }
    }
}
