// The embedded model: made again by DemoModel, fine-tuned, exported and scored by Train.

var program = MakeAbsolute(File("artifacts/slimming")).FullPath;
var demoTasks = string.Join(",", new[] { "following", "facts", "reverse", "larger", "prose" }
    .Select(name => $"scripts/demo/tasks/demo_{name}.yaml"));

void RunDemo(string arguments) =>
    Run("dotnet", "run --project scripts/demo/Slimming.Demo -c Release -v q -- " + arguments);

// One thread: this model is so small that threads would spend their time waiting for each other.
void BenchDemo(string model, string options, string folder, string more = "") =>
    RunQuietly(program, $"bench --model {model} {options} --tasks {demoTasks}{more} --data-dir scripts/demo/eval --chat-template --threads 1 --out {folder}");

Task("DemoData")
    .Description("Writes the tuning and evaluation data of the embedded model again.")
    .Does(() => RunDemo("data scripts/demo"));

Task("DemoModel")
    .Description("Makes the embedded model again: full-parameter training on generated text, then Q8_0.")
    .IsDependentOn("Build")
    .IsDependentOn("DemoData")
    .Does(() =>
{
    CleanDirectory("artifacts/demo-model");
    RunDemo("pretrain artifacts/demo-model");
    Run(program, "train --config scripts/demo/pretrain.yaml --out artifacts/demo-model/run");
    Run(program, "export artifacts/demo-model/run --to merged --type q8_0 --out scripts/demo/model.gguf --force");
});

Task("Train")
    .Description("Fine-tunes the embedded model, exports, scores base, adapter and merged file, writes report.html.")
    .IsDependentOn("Build")
    .Does(() =>
{
    CleanDirectory("artifacts/demo");
    var model = "scripts/demo/model.gguf";
    Run(program, "train --config scripts/demo/tune.yaml --out artifacts/demo/run");
    Run(program, "export artifacts/demo/run --to adapter --out artifacts/demo/adapter.gguf");
    Run(program, "export artifacts/demo/run --to merged --type same --out artifacts/demo/merged.gguf");
    BenchDemo(model, "", "artifacts/demo/results/base");
    BenchDemo(model, "--adapter artifacts/demo/adapter.gguf", "artifacts/demo/results/adapter");
    // What merging and requantizing changed, against the base with its adapter.
    BenchDemo("artifacts/demo/merged.gguf", $"--reference-model {model} --reference-adapter artifacts/demo/adapter.gguf",
        "artifacts/demo/results/merged", ",scripts/demo/tasks/demo_kl.yaml");
    RunDemo("table artifacts/demo/results/base artifacts/demo/results/adapter artifacts/demo/results/merged");
    Run(program, "report artifacts/demo/run artifacts/demo/results/base artifacts/demo/results/adapter artifacts/demo/results/merged --out report.html --force");
});
