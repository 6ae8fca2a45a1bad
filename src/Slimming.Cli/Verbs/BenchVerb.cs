using System.CommandLine;
using Slimming.Cli.Bench;
using Slimming.Cli.CommandLine;
using Slimming.Gguf;

namespace Slimming.Cli.Verbs;

/// <summary><c>slimming bench</c>: scores a model on benchmark tasks, item by item.</summary>
internal static class BenchVerb
{
    public static Command Create()
    {
        Option<string?> model = new("--model") { Description = "GGUF file to score." };
        Option<string?> adapter = new("--adapter") { Description = "LoRA adapter in GGUF form, applied unmerged." };
        Option<float?> scale = new("--scale") { Description = "Scale of the adapter [1]." };
        Option<string?> reference = new("--reference-model")
        {
            Description = "GGUF file that task kl measures the distance from.",
        };
        Option<string?> referenceAdapter = new("--reference-adapter")
        {
            Description = "Adapter on that file: with the base it is what a merged file should equal.",
        };
        Option<float?> referenceScale = new("--reference-scale") { Description = "Scale of that adapter [1]." };
        Option<string[]> tasks = new("--tasks")
        {
            Description = "Task names or YAML files, separated by commas.",
            AllowMultipleArgumentsPerToken = true,
        };
        Option<string> dataDir = new("--data-dir")
        {
            Description = "Folder with one folder a task, files as the hub has them.",
            DefaultValueFactory = _ => "data",
        };
        Option<int?> limit = new("--limit") { Description = "Most items of a task [all]." };
        Option<int> offset = new("--offset") { Description = "First item, by row of the data file." };
        Option<int?> shots = new("--shots") { Description = "Worked examples before an item [the task's own number]." };
        Option<string?> output = new("--out") { Description = "Folder for results; holds one run=<id>." };
        var threads = SharedOptions.Threads();
        Option<bool> chat = new("--chat-template") { Description = "Put prompts into the model's own chat template." };
        Option<bool> bos = new("--bos") { Description = "Put a BOS token before every context." };
        Option<int?> maxGen = new("--max-gen-tokens")
        {
            Description = "Most tokens of a generated answer [the task's own number].",
        };
        Option<string?> cache = new("--cache-type")
        {
            Description = "libllama: key/value cache in f32, f16 or bf16 [f32].",
        };
        Option<string?> flash = new("--flash-attention") { Description = "libllama: on or off [off]." };
        Option<string> engine = new("--engine")
        {
            Description = "What runs the model: libllama, or native, which scores log-likelihoods faster.",
            DefaultValueFactory = _ => "libllama",
        };
        Option<string?> compute = new("--compute")
        {
            Description = "native: arithmetic of the products, auto, f32, bf16 or int8 [auto, as train chooses it].",
        };
        Option<bool> multiturn = new("--fewshot-as-multiturn")
        {
            Description = "With --chat-template: each worked example is a user's and an assistant's turn.",
        };
        Option<bool> allowMissing = new("--allow-missing")
        {
            Description = "Run a group (mmlu) without the members whose data are absent, labelled so.",
        };
        Option<bool> list = new("--list")
        {
            Description =
                "List tasks (all, or those of --tasks), what they measure and whether their data are below --data-dir.",
        };
        var force = SharedOptions.Force();
        var json = SharedOptions.Json();
        Command command = new("bench", "Scores a model on benchmark tasks and keeps every item.")
        {
            model,
            adapter,
            scale,
            reference,
            referenceAdapter,
            referenceScale,
            tasks,
            dataDir,
            limit,
            offset,
            shots,
            output,
            threads,
            chat,
            multiturn,
            allowMissing,
            bos,
            maxGen,
            cache,
            flash,
            engine,
            compute,
            list,
            force,
            json,
        };
        return command
            .Handle(
                (parsed, context) =>
                    parsed.GetValue(list)
                        ? TaskList.Write(
                            Names(parsed.GetValue(tasks)),
                            parsed.GetValue(dataDir)!,
                            parsed.GetValue(json),
                            context
                        )
                        : Run(
                            new BenchRequest
                            {
                                Model = parsed.GetValue(model),
                                Adapter = parsed.GetValue(adapter),
                                Scale = parsed.GetValue(scale),
                                ReferenceModel = parsed.GetValue(reference),
                                ReferenceAdapter = parsed.GetValue(referenceAdapter),
                                ReferenceScale = parsed.GetValue(referenceScale),
                                Tasks = Names(parsed.GetValue(tasks)),
                                DataDir = parsed.GetValue(dataDir)!,
                                Limit = parsed.GetValue(limit),
                                Offset = parsed.GetValue(offset),
                                Shots = parsed.GetValue(shots),
                                Out = parsed.GetValue(output),
                                Threads = parsed.GetValue(threads),
                                ChatTemplate = parsed.GetValue(chat),
                                FewshotAsMultiturn = parsed.GetValue(multiturn),
                                AllowMissing = parsed.GetValue(allowMissing),
                                Bos = parsed.GetValue(bos),
                                MaxGenTokens = parsed.GetValue(maxGen),
                                CacheType = parsed.GetValue(cache),
                                FlashAttention = parsed.GetValue(flash),
                                Engine = parsed.GetValue(engine)!,
                                Compute = parsed.GetValue(compute),
                                Force = parsed.GetValue(force),
                            },
                            parsed.GetValue(json),
                            context
                        )
            )
            .WithExamples(
                "slimming bench --model base.gguf --tasks hellaswag,piqa --data-dir data --limit 100 --out results/base",
                "slimming bench --model base.gguf --adapter a.gguf --tasks my-task.yaml --chat-template --out results/tuned",
                "slimming bench --model base.gguf --tasks mmlu,squad --shots 5 --data-dir data --out results/base",
                "slimming bench --model merged.gguf --tasks kl --reference-model base.gguf --reference-adapter a.gguf --limit 40 --out results/merged",
                "slimming bench --model base.gguf --tasks hellaswag --engine native --data-dir data --out results/base",
                "slimming bench --list --data-dir data"
            );
    }

    private static string[] Names(string[]? tasks) =>
        [
            .. (tasks ?? []).SelectMany(names =>
                names.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            ),
        ];

    internal static ExitCode Run(BenchRequest request, bool json, VerbContext context)
    {
        var (folder, summary) = BenchSession.Run(request, context);
        if (json)
        {
            context.WriteJson(new { Folder = folder, Metrics = summary });
        }
        else
        {
            BenchDisplay.WriteTable(context, summary);
            context.Output.WriteLine(folder);
        }
        return ExitCode.Done;
    }
}
