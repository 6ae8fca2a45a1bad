using System.CommandLine;
using Slimming.Cli.CommandLine;
using Slimming.Gguf;
using Slimming.Shared;

namespace Slimming.Cli.Verbs;

/// <summary><c>slimming doctor</c>: what this machine and this installation can do.</summary>
internal static class DoctorVerb
{
    public static Command Create()
    {
        var json = SharedOptions.Json();
        Command command = new("doctor", "Lists the native libraries and checks them.") { json };
        return command
            .Handle((parsed, context) => Run(parsed.GetValue(json), context))
            .WithExamples("slimming doctor", "slimming doctor --json");
    }

    internal static ExitCode Run(bool json, VerbContext context)
    {
        if (json)
        {
            context.WriteJson(new { NativeFiles.Directory });
        }
        else
        {
            context.Output.WriteLine($"native libraries in {NativeFiles.Directory}");
        }
        return ExitCode.Done;
    }
}
