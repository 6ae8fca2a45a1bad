using Slimming.Interop;

namespace Slimming.Models;

/// <summary>The option <c>--compute</c>: what products are computed in.</summary>
public static class ComputeChoice
{
    public static IReadOnlyList<string> Names { get; } = ["auto", "f32", "bf16", "int8"];

    /// <summary>
    /// auto is f32 where scores are compared with those of other programs; training has a measured table for it.
    /// </summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    public static ComputeMode Of(string name) =>
        name == "auto" ? ComputeMode.F32 : Enum.Parse<ComputeMode>(name, ignoreCase: true);
}
