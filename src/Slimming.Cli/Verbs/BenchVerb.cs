using System.CommandLine;
using Slimming.Cli.Bench;
using Slimming.Cli.CommandLine;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Spectre.Console;

namespace Slimming.Cli.Verbs;

/// <summary><c>slimming bench</c>: scores a model on benchmark tasks, item by item.</summary>
internal static class BenchVerb
{
    public static Command Create()
    {
        Option<string?> model = new("--model") { Description = "GGUF file to score." };
        Option<string?> adapter = new("--adapter") { Description = "LoRA adapter in GGUF form, applied unmerged." };
        Option<float?> scale = new("--scale") { Description = "Scale of the adapter [1]." };
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
        Option<string> cache = new("--cache-type")
        {
            Description = "Key/value cache: f32, f16 or bf16.",
            DefaultValueFactory = _ => "f32",
        };
        Option<string> flash = new("--flash-attention")
        {
            Description = "on or off.",
            DefaultValueFactory = _ => "off",
        };
        Option<string> engine = new("--engine")
        {
            Description = "What runs the model: libllama.",
            DefaultValueFactory = _ => "libllama",
        };
        Option<bool> list = new("--list") { Description = "List the built-in tasks and end." };
        var force = SharedOptions.Force();
        var json = SharedOptions.Json();
        Command command = new("bench", "Scores a model on benchmark tasks and keeps every item.")
        {
            model,
            adapter,
            scale,
            tasks,
            dataDir,
            limit,
            offset,
            shots,
            output,
            threads,
            chat,
            bos,
            maxGen,
            cache,
            flash,
            engine,
            list,
            force,
            json,
        };
        return command
            .Handle(
                (parsed, context) =>
                    parsed.GetValue(list)
                        ? List(parsed.GetValue(json), context)
                        : Run(
                            new BenchRequest
                            {
                                Model = parsed.GetValue(model),
                                Adapter = parsed.GetValue(adapter),
                                Scale = parsed.GetValue(scale),
                                Tasks =
                                [
                                    .. (parsed.GetValue(tasks) ?? []).SelectMany(names =>
                                        names.Split(
                                            ',',
                                            StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries
                                        )
                                    ),
                                ],
                                DataDir = parsed.GetValue(dataDir)!,
                                Limit = parsed.GetValue(limit),
                                Offset = parsed.GetValue(offset),
                                Shots = parsed.GetValue(shots),
                                Out = parsed.GetValue(output),
                                Threads = parsed.GetValue(threads),
                                ChatTemplate = parsed.GetValue(chat),
                                Bos = parsed.GetValue(bos),
                                MaxGenTokens = parsed.GetValue(maxGen),
                                CacheType = parsed.GetValue(cache)!,
                                FlashAttention = parsed.GetValue(flash)!,
                                Engine = parsed.GetValue(engine)!,
                                Force = parsed.GetValue(force),
                            },
                            parsed.GetValue(json),
                            context
                        )
            )
            .WithExamples(
                "slimming bench --model base.gguf --tasks hellaswag,piqa --data-dir data --limit 100 --out results/base",
                "slimming bench --model base.gguf --adapter a.gguf --tasks my-task.yaml --chat-template --out results/tuned",
                "slimming bench --list"
            );
    }

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

    private static ExitCode List(bool json, VerbContext context)
    {
        if (json)
        {
            context.WriteJson(
                new
                {
                    Tasks = TaskCatalog.BuiltIn.Select(task => new
                    {
                        task.Name,
                        task.Version,
                        Kind = task.Kind.ToString(),
                        task.About,
                        task.Metrics,
                        task.Data,
                    }),
                }
            );
            return ExitCode.Done;
        }
        var table = new Table().Border(TableBorder.Minimal).AddColumns("task", "metrics", "what");
        foreach (var task in TaskCatalog.BuiltIn)
        {
            table.AddRow(Markup.Escape(task.Name), string.Join(", ", task.Metrics), Markup.Escape(task.About));
        }
        context.OutputConsole().Write(table);
        return ExitCode.Done;
    }
}
