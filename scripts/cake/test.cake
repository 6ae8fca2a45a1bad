// The test runners. Each adds its result file to the tally, which decides the exit code.

const string SlowFilter = "Category!=Slow";
var results = MakeAbsolute(Directory("artifacts/test-results"));

void RunCtest(string preset, string name)
{
    var report = results.CombineWithFilePath($"native-{preset}.xml").FullPath;
    EnsureDirectoryExists(results);
    tally.Check(name, () =>
    {
        if (FileExists(report))
        {
            DeleteFile(report);
        }
        RunQuietly("cmake", $"--preset {preset} -DSLM_TESTS=ON", "native");
        RunQuietly("cmake", $"--build --preset {preset} --parallel", "native");
        RunQuietly("ctest", $"--preset {preset} --parallel {Environment.ProcessorCount} --output-junit \"{report}\"", "native");
    }, () => Tally.ReadJUnit(report));
}

void RunManaged(string name, string filter)
{
    var folder = results.Combine("managed").FullPath;
    tally.Check(name, () =>
    {
        CleanDirectory(folder);
        Run("dotnet", "build Slimming.slnx -c Release --nologo -v q");
        var chosen = filter == null ? "" : $" --filter \"{filter}\"";
        Run("dotnet", $"test Slimming.slnx -c Release --no-build --nologo -v q --logger trx --results-directory \"{folder}\"{chosen}");
    }, () => Tally.ReadTrx(folder));
}

Task("NativeTest")
    .Description("GoogleTest over the native library, release preset.")
    .IsDependentOn("TestPrerequisites")
    .Does(() => RunCtest("release", "native tests"));

Task("NativeSanitize")
    .Description("The same tests under AddressSanitizer and UBSan.")
    .IsDependentOn("TestPrerequisites")
    .Does(() => RunCtest("asan", "native tests, sanitizers"));

Task("ManagedTest")
    .Description("The C# tests without the slow ones.")
    .IsDependentOn("TestPrerequisites")
    .IsDependentOn("Build")
    .Does(() => RunManaged("C# tests", SlowFilter));

Task("ManagedTestAll")
    .Description("The C# tests with the slow ones.")
    .IsDependentOn("TestPrerequisites")
    .IsDependentOn("Build")
    .Does(() => RunManaged("C# tests, slow ones too", null));

Task("Test")
    .Description("Every test but the slow ones, and the format check.")
    .IsDependentOn("TestPrerequisites")
    .IsDependentOn("FormatCheck")
    .IsDependentOn("NativeTest")
    .IsDependentOn("NativeSanitize")
    .IsDependentOn("ManagedTest");

Task("TestAll")
    .Description("Test with the slow ones (trait Category=Slow) too.")
    .IsDependentOn("TestPrerequisites")
    .IsDependentOn("FormatCheck")
    .IsDependentOn("NativeTest")
    .IsDependentOn("NativeSanitize")
    .IsDependentOn("ManagedTestAll");
