using Slimming.Gguf;
using Slimming.Training;

namespace Slimming.Cli.CommandLine;

/// <summary>A model that the machine can never hold would be read from the disk again for every token.</summary>
internal static class ModelMemory
{
    /// <summary>The program, a cache of some hundred tokens and work space, as measured with a small model.</summary>
    private const long ProgramBytes = 150L << 20;

    /// <summary>Refuses models that <paramref name="verb"/> would serve from the disk.</summary>
    /// <exception cref="SlimmingException">Exit code 3: the files are larger than RAM or a control group's limit.</exception>
    public static void Require(string verb, MachineMemory machine, params IEnumerable<string?> models)
    {
        string[] paths = [.. models.OfType<string>().Distinct(StringComparer.Ordinal)];
        long files = 0;
        foreach (var path in paths)
        {
            using var file = GgufFile.Open(path);
            files += file.Length;
        }
        if (files + ProgramBytes > machine.Total)
        {
            throw new SlimmingException(
                ExitCode.Refused,
                $"{machine.TotalName} has {ByteSize.Format(machine.Total)} of memory: {verb} needs more than "
                    + $"{ByteSize.Format(files + ProgramBytes)} for {string.Join(" and ", paths)}; take a "
                    + "smaller type (slimming export --type q4_0), or a machine or control group with more memory"
            );
        }
    }
}
