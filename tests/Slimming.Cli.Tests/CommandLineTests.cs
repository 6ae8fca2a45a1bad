using System.CommandLine;
using Slimming.Cli.CommandLine;
using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Cli.Tests;

public sealed class CommandLineTests
{
    [Fact]
    public void Every_verb_says_what_it_does_and_shows_an_example()
    {
        foreach (var command in Leaves(Program.CreateRoot()))
        {
            var path = Verb.Path(command);
            command.Description.ShouldNotBeNullOrEmpty(path);
            Verb.Examples(command).ShouldNotBeEmpty(path);
            Verb.Examples(command).ShouldAllBe(example => example.StartsWith(path), path);
            command.Options.ShouldAllBe(option => !string.IsNullOrEmpty(option.Description), path);
            Cli.Done([.. path.Split(' ')[1..], "--help"]).Output.ShouldContain("Examples:");
        }
    }

    /// <summary>The examples that need no file of theirs parse without complaint.</summary>
    [Fact]
    public void Every_example_parses()
    {
        foreach (var command in Leaves(Program.CreateRoot()))
        {
            foreach (var example in Verb.Examples(command))
            {
                var parsed = Program.CreateRoot().Parse(example.Split(" | ")[0]["slimming ".Length..]);
                parsed.Errors.ShouldBeEmpty(example);
                Verb.Path(parsed.CommandResult.Command).ShouldBe(Verb.Path(command), example);
            }
        }
    }

    [Theory]
    [InlineData("", "slimming --help")]
    [InlineData("trian", "slimming --help")]
    [InlineData("train --rnak 3", "slimming train --help")]
    public void Wrong_usage_ends_with_2_and_points_to_help(string line, string expected)
    {
        var answer = Cli.Run(line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        answer.Code.ShouldBe(ExitCode.Usage);
        answer.Output.ShouldBeEmpty();
        answer.Error.ShouldContain("error:");
        answer.Error.ShouldContain(expected);
    }

    [Fact]
    public void Every_kind_of_error_has_its_code()
    {
        Code(new SlimmingException(ExitCode.Refused, "x")).ShouldBe(ExitCode.Refused);
        Code(new GgufException("f", "key 'k'", "a", "b")).ShouldBe(ExitCode.Usage);
        Code(new OperationCanceledException()).ShouldBe(ExitCode.Cancelled);
        Code(new IOException("disk full")).ShouldBe(ExitCode.Failed);
        Code(new ResultsException(ResultsFault.Refused, "x")).ShouldBe(ExitCode.Refused);
        Code(new ResultsException(ResultsFault.Usage, "x")).ShouldBe(ExitCode.Usage);
        Code(new InvalidOperationException("a bug")).ShouldBe(ExitCode.Failed);

        static ExitCode Code(Exception exception) => Invoker.Report(exception, TextWriter.Null, verbose: false);
    }

    [Fact]
    public void A_stack_trace_comes_only_on_request()
    {
        using StringWriter plain = new();
        using StringWriter verbose = new();
        try
        {
            throw new InvalidOperationException("a bug");
        }
        catch (InvalidOperationException exception)
        {
            Invoker.Report(exception, plain, verbose: false);
            Invoker.Report(exception, verbose, verbose: true);
        }
        plain.ToString().ShouldContain("unexpected InvalidOperationException: a bug");
        plain.ToString().ShouldContain("--verbose");
        plain.ToString().ShouldNotContain("   at ");
        verbose.ToString().ShouldContain("   at ");
    }

    private static IEnumerable<Command> Leaves(Command command) =>
        command.Subcommands.Count == 0 ? [command] : command.Subcommands.SelectMany(Leaves);
}
