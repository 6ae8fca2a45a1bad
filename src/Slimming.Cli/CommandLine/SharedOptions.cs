using System.CommandLine;

namespace Slimming.Cli.CommandLine;

/// <summary>Options that more than one verb has, so that name and help are the same everywhere.</summary>
internal static class SharedOptions
{
    public const string VerboseName = "--verbose";

    public static Option<bool> Verbose() =>
        new(VerboseName) { Description = "Show where an unexpected error happened.", Recursive = true };

    public static Option<bool> Json() =>
        new("--json") { Description = "Write one machine-readable object to standard output." };

    public static Option<bool> Force() => new("--force") { Description = "Overwrite what is already there." };

    public static Option<int> Threads() =>
        new("--threads") { Description = "Threads; 0 for every usable core.", DefaultValueFactory = _ => 0 };
}
