using System.CommandLine;
using System.Diagnostics;
using Slimming.Cli.CommandLine;
using Slimming.Evaluation.Engine;
using Slimming.Gguf;
using Slimming.Training;
using Slimming.Training.Templates;

namespace Slimming.Cli.Verbs;

/// <summary><c>slimming generate</c>: goes on from a prompt, to look at what a model has learned.</summary>
internal static class GenerateVerb
{
    public static Command Create()
    {
        Option<string> model = new("--model") { Description = "GGUF file.", Required = true };
        Option<string?> adapter = new("--adapter") { Description = "LoRA adapter in GGUF form, applied unmerged." };
        Option<float?> scale = new("--scale") { Description = "Scale of the adapter [1]." };
        Option<string> prompt = new("--prompt") { Description = "Text to go on from.", Required = true };
        Option<bool> chat = new("--chat")
        {
            Description = "Put the prompt into the model's chat template as the user's turn.",
        };
        Option<int> maxTokens = new("--max-tokens")
        {
            Description = "Most tokens to generate.",
            DefaultValueFactory = _ => 256,
        };
        Option<double> temperature = new("--temperature")
        {
            Description = "0: the most likely token; else draws.",
            DefaultValueFactory = _ => 0,
        };
        Option<uint> seed = new("--seed") { Description = "Seed of the draws.", DefaultValueFactory = _ => 42 };
        Option<int> beams = new("--beams") { Description = "Beams of a beam search.", DefaultValueFactory = _ => 1 };
        var threads = SharedOptions.Threads();
        var json = SharedOptions.Json();
        Command command = new("generate", "Generates text from a prompt.")
        {
            model,
            adapter,
            scale,
            prompt,
            chat,
            maxTokens,
            temperature,
            seed,
            beams,
            threads,
            json,
        };
        return command
            .Handle(
                (parsed, context) =>
                    Run(
                        new GenerateRequest
                        {
                            Model = parsed.GetValue(model)!,
                            Adapter = parsed.GetValue(adapter),
                            Scale = parsed.GetValue(scale),
                            Prompt = parsed.GetValue(prompt)!,
                            Chat = parsed.GetValue(chat),
                            MaxTokens = parsed.GetValue(maxTokens),
                            Temperature = parsed.GetValue(temperature),
                            Seed = parsed.GetValue(seed),
                            Beams = parsed.GetValue(beams),
                            Threads = parsed.GetValue(threads),
                        },
                        parsed.GetValue(json),
                        context
                    )
            )
            .WithExamples(
                "slimming generate --model base.gguf --prompt \"The capital of France is\" --max-tokens 16",
                "slimming generate --model base.gguf --adapter runs/a/adapter.gguf --chat --prompt \"Who are you?\" --beams 3"
            );
    }

    internal static ExitCode Run(GenerateRequest request, bool json, VerbContext context)
    {
        request.Check();
        ModelMemory.Require("generate", MachineMemory.Read(), request.Model);
        using var engine = LlamaEngine.Open(
            new LlamaEngineOptions
            {
                Model = request.Model,
                Adapter = request.Adapter,
                Scale = request.Scale ?? 1,
                Threads = request.Threads,
            }
        );
        var text = request.Prompt;
        if (request.Chat)
        {
            using var template = ModelTemplate.Open(engine.Model, request.Adapter);
            text = template.Render([new ChatMessage("user", request.Prompt)], addGenerationPrompt: true);
        }
        var tokens = engine.Codec.Tokenize(text);
        var vocab = engine.Model.Vocab;
        if (vocab.AddBos && (tokens.Length == 0 || tokens[0] != vocab.Bos))
        {
            tokens = [vocab.Bos, .. tokens];
        }
        var clock = Stopwatch.StartNew();
        if (request.Beams > 1)
        {
            WriteBeams(
                new BeamSearch(engine, request.Beams).Search(tokens, request.MaxTokens, context.Token),
                text,
                tokens,
                json,
                context
            );
            return ExitCode.Done;
        }
        var options = new GenerateOptions
        {
            MaxTokens = request.MaxTokens,
            Temperature = request.Temperature,
            Seed = request.Seed,
        };
        var generation = new TextGenerator(engine).Generate(
            tokens,
            options,
            json ? null : context.SayPart,
            context.Token
        );
        if (json)
        {
            context.WriteJson(
                new
                {
                    Prompt = text,
                    PromptIds = tokens,
                    generation.Text,
                    Ids = generation.Tokens,
                    Logprobs = generation.LogProbs,
                    generation.StoppedBy,
                    Seconds = clock.Elapsed.TotalSeconds,
                }
            );
            return ExitCode.Done;
        }
        context.Output.WriteLine();
        return ExitCode.Done;
    }

    private static void WriteBeams(
        IReadOnlyList<BeamHypothesis> beams,
        string text,
        int[] tokens,
        bool json,
        VerbContext context
    )
    {
        if (json)
        {
            context.WriteJson(
                new
                {
                    Prompt = text,
                    PromptIds = tokens,
                    beams[0].Text,
                    Beams = beams.Select(beam => new
                    {
                        beam.Text,
                        Ids = beam.Tokens,
                        beam.Score,
                        SumLogprob = beam.SumLogProb,
                        beam.StoppedBy,
                    }),
                }
            );
            return;
        }
        context.SayPart(beams[0].Text);
        context.Output.WriteLine();
    }
}

/// <summary>The options of <c>generate</c> as given.</summary>
internal sealed record GenerateRequest
{
    public required string Model { get; init; }
    public string? Adapter { get; init; }
    public float? Scale { get; init; }
    public required string Prompt { get; init; }
    public bool Chat { get; init; }
    public int MaxTokens { get; init; } = 256;
    public double Temperature { get; init; }
    public uint Seed { get; init; } = 42;
    public int Beams { get; init; } = 1;
    public int Threads { get; init; }

    /// <summary>Refuses what cannot be honoured, before the model is opened.</summary>
    public void Check()
    {
        Require(MaxTokens > 0, $"--max-tokens {MaxTokens}: expected 1 or more");
        Require(double.IsFinite(Temperature) && Temperature >= 0, $"--temperature {Temperature}: expected 0 or more");
        Require(Beams is >= 1 and <= BeamSearch.MostBeams, $"--beams {Beams}: expected 1 to {BeamSearch.MostBeams}");
        Require(
            Beams == 1 || Temperature == 0,
            "--beams ranks the most likely texts and cannot draw: leave out --temperature"
        );
        Require(Scale is null || Adapter is not null, "--scale needs --adapter");
        Require(Scale is null || float.IsFinite(Scale.Value), $"--scale {Scale}: expected a finite number");
        Require(Threads >= 0, $"--threads {Threads}: expected 0 (all cores) or more");
    }

    private static void Require(bool holds, string problem)
    {
        if (!holds)
        {
            throw new SlimmingException(ExitCode.Usage, problem);
        }
    }
}
