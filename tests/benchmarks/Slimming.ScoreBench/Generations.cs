using Slimming.Evaluation.Engine;

namespace Slimming.ScoreBench;

/// <summary>Greedy answers: tokens a second of many together against one alone and against prefill.</summary>
internal static class Generations
{
    public static int Run(LlamaEngine engine, string dataDir, int rounds)
    {
        const int together = 16;
        const int length = 64;
        var prompts = Measure
            .Requests(engine, "hellaswag", dataDir, null, together)
            .ConvertAll(item => item[0].Context);
        int[] text = [.. prompts.SelectMany(prompt => prompt).Take(Measure.PromptTokens)];
        // Of one token, so that all time goes into new tokens: prompts are not counted.
        prompts = prompts.ConvertAll(prompt => prompt[..1]);
        using var context = engine.NewContext(Measure.PromptTokens, 1, unified: true);
        List<double> ratios = [];
        for (var round = 0; round < rounds; round++)
        {
            var many = Speed(engine, [.. prompts.Select(prompt => new GenerationRequest(prompt, length, []))]);
            var one = Speed(engine, [new GenerationRequest(prompts[round % together], length, [])]);
            var prefill = text.Length / Measure.Seconds(() => Measure.Prefill(context, text, _ => true));
            ratios.Add(many / one / (prefill / one));
            Console.WriteLine(
                $"{together} together {many:0.0} tokens/s, one {one:0.0}, prefill with all logits {prefill:0.0}: {Measure.Text(many / one)} times one, prefill {Measure.Text(prefill / one)} times"
            );
        }
        return Measure.Verdict(
            $"gain of {together} sequences over one, against that of prefill over one",
            Measure.Median(ratios),
            0.8
        );
    }

    private static double Speed(LlamaEngine engine, IReadOnlyList<GenerationRequest> requests)
    {
        var tokens = 0;
        var seconds = Measure.Seconds(() => tokens = engine.Generate(requests).Sum(answer => answer.Tokens.Length));
        return tokens / seconds;
    }
}
