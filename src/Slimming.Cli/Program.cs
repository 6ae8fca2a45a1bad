using System.CommandLine;
using Slimming.Cli.CommandLine;
using Slimming.Cli.Verbs;
using Slimming.Gguf;

namespace Slimming.Cli;

/// <summary>The program <c>slimming</c>: one command a verb, each in its own file under <c>Verbs</c>.</summary>
public static class Program
{
    public static int Main(string[] args)
    {
        StandardStreams.Guard();
        using CancelSignals signals = new();
        return (int)Run(args, Console.Out, Console.Error, signals.Token);
    }

    /// <summary>
    /// Parses and runs one command line. Results go to <paramref name="output"/>, progress, warnings and errors to
    /// <paramref name="error"/>. Nothing is thrown.
    /// </summary>
    public static ExitCode Run(string[] args, TextWriter output, TextWriter error, CancellationToken token = default) =>
        Invoker.Invoke(CreateRoot(), args, output, error, token);

    internal static RootCommand CreateRoot() =>
        new("Fine-tunes quantized GGUF files in place and scores them before and after.")
        {
            TrainVerb.Create(),
            ExportVerb.Create(),
            InspectVerb.Create(),
            PlanVerb.Create(),
            DataVerb.Create(),
            BenchVerb.Create(),
            GenerateVerb.Create(),
            ResultsVerb.Create(),
            RescoreVerb.Create(),
            CompareVerb.Create(),
            ReportVerb.Create(),
            DoctorVerb.Create(),
        };
}
