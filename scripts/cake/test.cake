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
        RunQuietly("cmake", $"--build --preset {preset} --parallel {Environment.ProcessorCount}", "native");
        RunQuietly("ctest", $"--preset {preset} --parallel {Environment.ProcessorCount} --output-junit \"{report}\"", "native");
    }, () => Tally.ReadJUnit(report));
}

// One project after another: the native code uses every core already, and each project has a result file of its own.
void RunManaged(string filter)
{
    Run("dotnet", "build Slimming.slnx -c Release --nologo -v q");
    foreach (var project in GetFiles("tests/*/*.Tests.csproj").OrderBy(path => path.FullPath))
    {
        var name = project.GetFilenameWithoutExtension().FullPath;
        var report = results.CombineWithFilePath(name + ".trx").FullPath;
        tally.Check(name, () =>
        {
            if (FileExists(report))
            {
                DeleteFile(report);
            }
            var chosen = filter == null ? "" : $" --filter \"{filter}\"";
            RunQuietly("dotnet", $"test \"{project}\" -c Release --no-build --nologo -v q --blame-hang-timeout 15m"
                + $" --logger \"trx;LogFileName={name}.trx\" --logger \"console;verbosity=minimal\" --results-directory \"{results}\"{chosen}");
        }, () => Tally.ReadTrx(report));
    }
}

Task("NativeTest")
    .Description("GoogleTest over the native library, release preset.")
    .IsDependentOn("TestPrerequisites")
    .Does(() => RunCtest("release", "native tests"));

Task("NativeSanitize")
    .Description("The same tests under AddressSanitizer and UBSan.")
    .IsDependentOn("TestPrerequisites")
    .Does(() => RunCtest("asan", "native tests, sanitizers"));

Task("NativeArm")
    .Description("The kernels for AArch64, cross-compiled and run under qemu-user, where both are installed.")
    .IsDependentOn("TestPrerequisites")
    .Does(() =>
{
    var packages = new[] { ("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu"), ("qemu-aarch64", "qemu-user") }
        .Where(tool => Context.Tools.Resolve(tool.Item1) == null).Select(tool => tool.Item2)
        .Concat(DirectoryExists("/usr/src/googletest") ? [] : ["googletest"]).ToList();
    if (packages.Count > 0)
    {
        tally.Skip("native tests, AArch64", "needs the Debian packages " + string.Join(" ", packages));
        return;
    }
    RunCtest("aarch64", "native tests, AArch64");
});

Task("ManagedTest")
    .Description("The C# tests without the slow ones.")
    .IsDependentOn("TestPrerequisites")
    .IsDependentOn("Build")
    .Does(() => RunManaged(SlowFilter));

Task("ManagedTestAll")
    .Description("The C# tests with the slow ones.")
    .IsDependentOn("TestPrerequisites")
    .IsDependentOn("Pack")
    .Does(() => RunManaged(null));

Task("Test")
    .Description("Every test but the slow ones, and the format check.")
    .IsDependentOn("TestPrerequisites")
    .IsDependentOn("FormatCheck")
    .IsDependentOn("NativeTest")
    .IsDependentOn("NativeSanitize")
    .IsDependentOn("NativeArm")
    .IsDependentOn("ManagedTest");

Task("TestAll")
    .Description("Test with the slow ones (trait Category=Slow) too.")
    .IsDependentOn("TestPrerequisites")
    .IsDependentOn("FormatCheck")
    .IsDependentOn("NativeTest")
    .IsDependentOn("NativeSanitize")
    .IsDependentOn("NativeArm")
    .IsDependentOn("ManagedTestAll");
