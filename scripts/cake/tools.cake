// Running other programs, and naming the ones that are missing before anything starts.

var artifacts = Directory("artifacts");
var staged = Directory("artifacts/native");

/// Runs a program and passes its output on; a non-zero exit code ends the task.
void Run(string program, string arguments, string workingDirectory = ".", IDictionary<string, string> environment = null)
{
    var settings = new ProcessSettings { Arguments = arguments, WorkingDirectory = workingDirectory };
    if (environment != null)
    {
        settings.EnvironmentVariables = environment;
    }
    var exit = StartProcess(program, settings);
    if (exit != 0)
    {
        throw new CakeException($"{program} {arguments} (in {workingDirectory}) ended with exit code {exit}");
    }
}

/// Runs a program whose output matters only when it fails: then all of it is printed.
void RunQuietly(string program, string arguments, string workingDirectory = ".")
{
    var settings = new ProcessSettings
    {
        Arguments = arguments,
        WorkingDirectory = workingDirectory,
        RedirectStandardOutput = true,
        RedirectStandardError = true,
    };
    var exit = StartProcess(program, settings, out var output, out var errors);
    if (exit != 0)
    {
        foreach (var line in output.Concat(errors))
        {
            Console.Error.WriteLine(line);
        }
        throw new CakeException($"{program} {arguments} (in {workingDirectory}) ended with exit code {exit}");
    }
}

/// Throws with the Debian package of each program that is not on the path.
void Require(params (string Program, string Package)[] needed)
{
    var missing = needed.Where(tool => Context.Tools.Resolve(tool.Program) == null).ToList();
    if (missing.Count > 0)
    {
        var lines = missing.Select(tool => $"  {tool.Program}: Debian package {tool.Package}");
        var packages = string.Join(" ", missing.Select(tool => tool.Package).Distinct());
        throw new CakeException(
            "Programs that the build needs are missing:\n" + string.Join("\n", lines) + $"\nInstall them with: apt-get install {packages}");
    }
}

Task("Prerequisites")
    .Description("Names each missing program with its Debian package.")
    .Does(() => Require(("cmake", "cmake"), ("make", "make"), ("g++", "g++"), ("node", "nodejs"), ("npm", "npm")));

Task("TestPrerequisites")
    .Description("The same for what only the tests need: GoogleTest and clang-format.")
    .IsDependentOn("Prerequisites")
    .Does(() =>
{
    Require(("ctest", "cmake"), ("clang-format", "clang-format"));
    try
    {
        RunQuietly("g++", "-x c++ -E -include gtest/gtest.h -o /dev/null /dev/null");
    }
    catch (CakeException)
    {
        throw new CakeException("gtest/gtest.h is missing: Debian package libgtest-dev\nInstall it with: apt-get install libgtest-dev");
    }
});
