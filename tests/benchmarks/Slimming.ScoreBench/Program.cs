using System.Globalization;
using Slimming.Evaluation.Engine;
using Slimming.ScoreBench;

// Speeds of the scoring engine against llama.cpp's own, interleaved, as medians over rounds.
//   Slimming.ScoreBench <model.gguf> <data folder> <what: hellaswag|mmlu|generation|native> [threads] [rounds]
if (args.Length < 3)
{
    Console.Error.WriteLine(
        "usage: Slimming.ScoreBench model.gguf data-dir hellaswag|mmlu|generation|native [threads] [rounds]"
    );
    return 2;
}
var threads = args.Length > 3 ? int.Parse(args[3], CultureInfo.InvariantCulture) : Environment.ProcessorCount;
var rounds = args.Length > 4 ? int.Parse(args[4], CultureInfo.InvariantCulture) : 3;
using var engine = LlamaEngine.Open(new LlamaEngineOptions { Model = args[0], Threads = threads });
return args[2] switch
{
    "hellaswag" => Likelihoods.HellaSwag(engine, args[1], rounds),
    "mmlu" => Likelihoods.Mmlu(engine, args[1], rounds),
    "native" => Engines.Run(engine, args[1], threads, rounds),
    "generation" => Generations.Run(engine, args[1], rounds),
    _ => 2,
};
