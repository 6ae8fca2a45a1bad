using Slimming.Interop;

namespace Slimming.Cli.Doctor;

/// <summary>Kernels of one instruction set that are in the library.</summary>
/// <param name="Name">As SLM_ISA in the environment spells it.</param>
/// <param name="Offered">They run on this machine.</param>
/// <param name="Note">What to know about them; mostly null.</param>
internal sealed record LevelState(string Name, bool Offered, string? Note)
{
    private const string NeverRun =
        "never run on such hardware by this project, only on a model of its instructions; proven by small products before its first use";

    private const string Wrong = "its products came out wrong on this machine, so it is not used";

    public static LevelState Of(Isa isa, RuntimeInfo info)
    {
        var offered = info.OfferedLevels.Contains(isa);
        const CpuFeatures Needed = CpuFeatures.AmxBf16 | CpuFeatures.Avx512Bf16 | CpuFeatures.Avx512Vnni;
        var note =
            isa != Isa.AmxBf16 ? null
            : !offered && info.CpuFeatures.HasFlag(Needed) ? Wrong
            : NeverRun;
        return new LevelState(isa.ToName(), offered, note);
    }
}
