using System.Text.Json;
using Spectre.Console;

namespace Slimming.Cli.CommandLine;

/// <summary>What a verb's handler gets beside its options.</summary>
/// <param name="Output">Results.</param>
/// <param name="Error">Progress and warnings.</param>
/// <param name="Verbose">Whether stack traces of unexpected errors are wanted.</param>
/// <param name="Token">Set by Ctrl-C.</param>
internal sealed record VerbContext(TextWriter Output, TextWriter Error, bool Verbose, CancellationToken Token)
{
    /// <summary>Width for tables that go to a file or a pipe, so that long paths are not broken.</summary>
    private const int PipeWidth = 240;

    private static readonly JsonSerializerOptions JsonOptions = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        NumberHandling = System.Text.Json.Serialization.JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Whether <see cref="Error"/> is a terminal, on which a live display makes sense.</summary>
    public bool ErrorIsTerminal => ReferenceEquals(Error, Console.Error) && !Console.IsErrorRedirected;

    private bool OutputIsTerminal => ReferenceEquals(Output, Console.Out) && !Console.IsOutputRedirected;

    /// <summary>Writes the one machine-readable object of <c>--json</c>; keys become snake_case.</summary>
    public void WriteJson<T>(T value) => Output.WriteLine(JsonSerializer.Serialize(value, JsonOptions));

    /// <summary>A line of results for people.</summary>
    public void Say(string line) => Output.WriteLine(ShownText.Plain(line));

    /// <summary>A piece of what a model wrote: as it is for a file or a program, plain on a terminal.</summary>
    public void SayPart(string text) => Output.Write(OutputIsTerminal ? ShownText.Plain(text) : text);

    public void Warn(string message) => Error.WriteLine(ShownText.Message($"warning: {message}"));

    /// <summary>A console for tables on standard output; plain text where that is no terminal.</summary>
    public IAnsiConsole OutputConsole() => CreateConsole(Output, OutputIsTerminal);

    /// <summary>A console for progress on standard error.</summary>
    public IAnsiConsole ErrorConsole() => CreateConsole(Error, ErrorIsTerminal);

    private static IAnsiConsole CreateConsole(TextWriter writer, bool terminal)
    {
        var console = AnsiConsole.Create(
            new AnsiConsoleSettings
            {
                Out = new AnsiConsoleOutput(writer),
                Ansi = terminal ? AnsiSupport.Detect : AnsiSupport.No,
                ColorSystem = terminal ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
                Interactive = terminal ? InteractionSupport.Detect : InteractionSupport.No,
            }
        );
        if (!terminal)
        {
            console.Profile.Width = PipeWidth;
        }
        console.Pipeline.Attach(new ShownText.Hook());
        return console;
    }
}
