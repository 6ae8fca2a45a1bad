// From sources to artifacts/slimming and the native libraries beside it.

Task("Runtimes")
    .Description("Brings the prebuilt native libraries and page scripts and stages them.")
    .IsDependentOn("Prerequisites")
    .IsDependentOn("Supply")
    .Does(() =>
{
    var modules = "native/runtimes/node_modules";
    var installed = new System.IO.FileInfo(modules + "/.package-lock.json");
    if (!installed.Exists || installed.LastWriteTimeUtc < System.IO.File.GetLastWriteTimeUtc("native/runtimes/package-lock.json"))
    {
        RunQuietly("npm", "ci --ignore-scripts --no-audit --no-fund --loglevel=error", "native/runtimes");
    }
    EnsureDirectoryExists(staged + Directory("llama"));
    EnsureDirectoryExists(staged + Directory("js"));
    CopyFiles(modules + "/@node-llama-cpp/linux-x64/bins/linux-x64/*.so", staged + Directory("llama"));
    CopyFiles(modules + "/@duckdb/node-bindings-linux-x64/libduckdb.so", staged);
    CopyFile(modules + "/@huggingface/jinja/dist/index.cjs", staged + File("js/jinja.cjs"));
    CopyFiles(modules + "/uplot/dist/uPlot.{iife.min.js,min.css}", staged + Directory("js"));
});

Task("Native")
    .Description("Builds libslimming and stages it.")
    .IsDependentOn("Prerequisites")
    .Does(() =>
{
    RunQuietly("cmake", "--preset release -DSLM_TESTS=OFF", "native");
    RunQuietly("cmake", $"--build --preset release --parallel {Environment.ProcessorCount}", "native");
    EnsureDirectoryExists(staged);
    CopyFile("native/build/release/libslimming.so", staged + File("libslimming.so"));
});

Task("Build")
    .Description("Leaves the program at artifacts/slimming with all it needs beside it.")
    .IsDependentOn("Runtimes")
    .IsDependentOn("Native")
    .Does(() => Run("dotnet", "publish src/Slimming.Cli -c Release --self-contained false -o artifacts --nologo -v q"
        + " -p:PublishDocumentationFiles=false -p:PublishReferencesDocumentationFiles=false"));

Task("Bindings")
    .Description("Writes the C# side of slimming.h again with ClangSharp, where its generator can be installed.")
    .Does(() =>
{
    const string version = "22.1.8";
    var tool = "tools/clangsharp/ClangSharpPInvokeGenerator";
    if (!FileExists(tool))
    {
        try
        {
            RunQuietly("dotnet", $"tool install ClangSharpPInvokeGenerator --version {version} --tool-path tools/clangsharp");
        }
        catch (CakeException)
        {
            throw new CakeException(
                $"ClangSharpPInvokeGenerator {version} cannot be installed from the configured package sources;"
                + " nothing was generated and the committed bindings stay as they are.");
        }
    }
    // The committed .rsp names folders by words, so that it holds on every machine.
    StartProcess("g++", new ProcessSettings { Arguments = "-print-file-name=include", RedirectStandardOutput = true }, out var answer);
    var folder = "src/Slimming.Interop/Interop";
    var text = System.IO.File.ReadAllText(folder + "/slimming.rsp")
        .Replace("SLIMMING/", MakeAbsolute(Directory(".")).FullPath + "/")
        .Replace("OUT/", MakeAbsolute(Directory(folder)).FullPath + "/")
        .Replace("CLANG_RESOURCE_INCLUDE", answer.First());
    System.IO.File.WriteAllText("tools/slimming.rsp", text);
    Run(MakeAbsolute(File(tool)).FullPath, "@tools/slimming.rsp");
});
