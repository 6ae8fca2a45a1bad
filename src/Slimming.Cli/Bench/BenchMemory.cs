using Slimming.Gguf;
using Slimming.Training;

namespace Slimming.Cli.Bench;

/// <summary>A model that the machine can never hold would be read from the disk again for every token.</summary>
internal static class BenchMemory
{
    /// <summary>The program, a cache of some hundred tokens and work space, as measured with a small model.</summary>
    private const long ProgramBytes = 150L << 20;

    /// <exception cref="SlimmingException">Exit code 3: the files are larger than RAM or a control group's limit.</exception>
    public static void Require(BenchRequest request, MachineMemory machine)
    {
        string?[] paths = [request.Model, request.ReferenceModel];
        long files = 0;
        foreach (var path in paths.OfType<string>().Distinct(StringComparer.Ordinal))
        {
            using var file = GgufFile.Open(path);
            files += file.Length;
        }
        if (files + ProgramBytes > machine.Total)
        {
            throw new SlimmingException(
                ExitCode.Refused,
                $"{machine.TotalName} has {ByteSize.Format(machine.Total)} of memory: bench needs more than "
                    + $"{ByteSize.Format(files + ProgramBytes)} for {string.Join(" and ", paths.OfType<string>())}; take a "
                    + "smaller type (slimming export --type q4_0), or a machine or control group with more memory"
            );
        }
    }
}
