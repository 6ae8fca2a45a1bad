using Slimming.Evaluation;
using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Tasks;
using Slimming.Training;
using Slimming.Training.Export;

var (model, data, work) = ("scripts/demo/model.gguf", "scripts/demo/tune/following.jsonl", args[0]);
var (run, adapter) = (Path.Combine(work, "run"), Path.Combine(work, "adapter.gguf"));
var trained = Trainer.Run(new() { Model = model, Data = [data], Out = run, Steps = 20, LearningRate = 1e-3, Threads = 1 });
Console.WriteLine($"loss {trained.Loss:0.000} after {trained.Steps} steps");
Exporter.Run(new() { Source = run, To = ExportKind.Adapter, Out = adapter, Threads = 1 });

var task = TaskCatalog.Find("scripts/demo/tasks/demo_prose.yaml");
foreach (var (name, tuned) in new[] { ("base", null), ("tuned", adapter) })
{
    using var engine = LlamaEngine.Open(new() { Model = model, Adapter = tuned, Threads = 1 });
    BenchOptions bench = new() { Tasks = [task], DataDir = "scripts/demo/eval", Limit = 8 };
    var score = Benchmark.Run(engine, bench, Path.Combine(work, "results", name)).Summary[0];
    Console.WriteLine($"{name} {score.Metric} {score.Value:0.000} over {score.N}");
}
