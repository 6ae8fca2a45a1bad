// C# by csharpier, C++ by clang-format 14 (another version may lay lines differently).

const string ManagedFolders = "src tests scripts";

string NativeSources() => string.Join(" ",
    GetFiles("native/{include,src}/**/*.{h,hpp,cpp}").Concat(GetFiles("tests/native/**/*.{h,hpp,cpp}")).Select(file => $"\"{file}\""));

Task("Format")
    .Description("Formats every C# and C++ file in place.")
    .Does(() =>
{
    Require(("clang-format", "clang-format"));
    Run("dotnet", "csharpier format " + ManagedFolders);
    Run("clang-format", "-i " + NativeSources());
});

Task("FormatCheck")
    .Description("Fails when a file is not as the formatters write it.")
    .Does(() =>
{
    CheckFormat("C#", () => RunQuietly("dotnet", "csharpier check " + ManagedFolders));
    CheckFormat("C++", () =>
    {
        Require(("clang-format", "clang-format"));
        RunQuietly("clang-format", "--dry-run -Werror " + NativeSources());
    });
});

// Within Test a badly formatted file is one failed check among others; alone it ends the task.
void CheckFormat(string language, Action check)
{
    try
    {
        check();
    }
    catch (Exception failure) when (tally.Wanted(target))
    {
        tally.Fail($"format, {language}", failure);
    }
}
