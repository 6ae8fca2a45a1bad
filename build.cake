var target = Argument("target", "Build");

var runtimes = Directory("native/runtimes");
var staged = Directory("artifacts/native");

void Run(string program, string arguments, string workingDirectory = ".")
{
    var exit = StartProcess(program, new ProcessSettings { Arguments = arguments, WorkingDirectory = workingDirectory });
    if (exit != 0)
    {
        throw new CakeException($"{program} {arguments} (in {workingDirectory}) ended with exit code {exit}");
    }
}

Task("Runtimes")
    .Description("Brings the prebuilt native libraries and page scripts and stages them.")
    .Does(() =>
{
    Run("npm", "ci --ignore-scripts --no-audit --no-fund", runtimes);
    EnsureDirectoryExists(staged + Directory("llama"));
    EnsureDirectoryExists(staged + Directory("js"));
    CopyFiles("native/runtimes/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64/*.so", staged + Directory("llama"));
    CopyFiles("native/runtimes/node_modules/@duckdb/node-bindings-linux-x64/libduckdb.so", staged);
    CopyFile("native/runtimes/node_modules/@huggingface/jinja/dist/index.cjs", staged + File("js/jinja.cjs"));
    CopyFiles("native/runtimes/node_modules/uplot/dist/uPlot.{iife.min.js,min.css}", staged + Directory("js"));
});

Task("Native")
    .Description("Builds libslimming and stages it.")
    .Does(() =>
{
    Run("cmake", "--preset release", "native");
    Run("cmake", "--build --preset release --parallel", "native");
    EnsureDirectoryExists(staged);
    CopyFile("native/build/release/libslimming.so", staged + File("libslimming.so"));
});

RunTarget(target);
