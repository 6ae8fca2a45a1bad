using System.Text.Json;

namespace Slimming.Interop;

public static class IsaName
{
    /// <summary>scalar, avx2, avx_vnni, avx512, avx512_vnni, avx512_bf16, amx_bf16, neon, neon_bf16: as SLM_ISA in the environment spells it.</summary>
    public static string ToName(this Isa isa) => JsonNamingPolicy.SnakeCaseLower.ConvertName(isa.ToString());
}
