using Slimming.Evaluation.Engine;
using Slimming.Interop;

namespace Slimming.ScoreBench;

/// <summary>HellaSwag items a second: libslimming in each of its modes against libllama, on the same items in turn.</summary>
internal static class Engines
{
    private const double Bar = 4;

    public static int Run(LlamaEngine llama, string dataDir, int threads, int rounds)
    {
        const int group = 32;
        var modes = Enum.GetValues<ComputeMode>();
        var engines = modes.Select(mode => Open(llama.Run.Model, mode, threads)).ToList();
        var items = Measure.Requests(llama, "hellaswag", dataDir, null, group * rounds);
        // Caches and work space are made by the first call.
        foreach (var engine in engines.Prepend<IScoringEngine>(llama))
        {
            engine.Score(items[0]);
        }
        var ratios = modes.ToDictionary(mode => mode, _ => new List<double>());
        foreach (var part in items.Chunk(group))
        {
            List<ScoreRequest> requests = [.. part.SelectMany(item => item)];
            var one = part.Length / Measure.Seconds(() => llama.Score(requests));
            Console.Write($"{part.Length} items: libllama {one:0.0} items/s");
            foreach (var (mode, engine) in modes.Zip(engines))
            {
                var own = part.Length / Measure.Seconds(() => engine.Score(requests));
                ratios[mode].Add(own / one);
                Console.Write($", native {mode} {own:0.0} ({Measure.Text(own / one)} times)");
            }
            Console.WriteLine();
        }
        engines.ForEach(engine => engine.Dispose());
        foreach (var mode in modes)
        {
            Console.WriteLine($"native {mode}: {Measure.Text(Measure.Median(ratios[mode]))} times libllama's items/s");
        }
        return Measure.Verdict("best mode over libllama", modes.Max(mode => Measure.Median(ratios[mode])), Bar);
    }

    private static NativeEngine Open(string model, ComputeMode mode, int threads) =>
        NativeEngine.Open(
            new NativeEngineOptions
            {
                Model = model,
                Compute = mode.ToString().ToLowerInvariant(),
                Threads = threads,
            }
        );
}
