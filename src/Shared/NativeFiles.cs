namespace Slimming.Shared;

/// <summary>Where the native libraries lie: the folder <c>native</c> beside the program, or the one a test host names.</summary>
internal static class NativeFiles
{
    public static string Directory { get; } =
        AppContext.GetData("Slimming.NativeDirectory") as string ?? Path.Combine(AppContext.BaseDirectory, "native");
}
