// NuGet packages with the native files inside: the libraries, and the program as a .NET tool.

Task("Pack")
    .Description("Leaves the packages and the .NET tool in artifacts/packages.")
    .IsDependentOn("Build")
    .Does(() =>
{
    var folder = MakeAbsolute(Directory("artifacts/packages")).FullPath;
    CleanDirectory(folder);
    foreach (var name in new[] { "Gguf", "Interop", "LlamaCpp", "Models", "Results", "Training", "Evaluation", "Cli" })
    {
        var tool = name == "Cli" ? " -p:Packing=true" : "";
        RunQuietly("dotnet", $"pack src/Slimming.{name} -c Release --no-restore --nologo -v q -o \"{folder}\"{tool}");
    }
});
