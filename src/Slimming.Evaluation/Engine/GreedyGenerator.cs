using Slimming.Gguf;
using Slimming.LlamaCpp;

namespace Slimming.Evaluation.Engine;

/// <summary>Makes a context: cells, sequences, whether cells are shared.</summary>
internal delegate LlamaContext ContextFactory(int cells, int sequences, bool unified);

/// <summary>Greedy answers to several prompts at once, each in a cache of its own.</summary>
internal sealed class GreedyGenerator(LlamaModel model, ITextCodec codec, ContextFactory newContext)
{
    /// <summary>Cache cells of all prompts that run together: bounds memory, not results.</summary>
    private const int TotalCells = 4096;
    private const int MostTogether = 8;

    public List<GenerationAnswer> Generate(IReadOnlyList<GenerationRequest> requests, CancellationToken cancellation)
    {
        var answers = new List<GenerationAnswer>();
        var prompts = requests.Select(Prepare).ToList();
        for (var start = 0; start < prompts.Count; )
        {
            var longest = 0;
            var count = 0;
            while (start + count < prompts.Count && count < MostTogether)
            {
                var next = Math.Max(longest, prompts[start + count].Cells);
                if (count > 0 && next * (count + 1) > TotalCells)
                {
                    break;
                }
                longest = next;
                count++;
            }
            answers.AddRange(Together(prompts.GetRange(start, count), longest, cancellation));
            start += count;
        }
        return answers;
    }

    private State Prepare(GenerationRequest request)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(request.MaxTokens, 1);
        ArgumentOutOfRangeException.ThrowIfZero(request.Prompt.Length);
        var room = model.ContextLength - request.MaxTokens;
        if (room < 1)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"{request.MaxTokens} tokens to generate leave no room for a prompt in the model's context of {model.ContextLength}"
            );
        }
        var cut = request.Prompt.Length > room;
        var prompt = cut ? request.Prompt[^room..] : request.Prompt;
        // The text of EOS counts as a stop too, where a model spells it out.
        var end = model.Vocab.Eos >= 0 ? model.Vocab.TokenText(model.Vocab.Eos) : "";
        IReadOnlyList<string> stops = [.. request.Stops.Append(end).Where(stop => stop.Length > 0)];
        return new State(prompt, request.MaxTokens, stops, cut);
    }

    private List<GenerationAnswer> Together(List<State> states, int cells, CancellationToken cancellation)
    {
        // Cells are padded per sequence so that none borrows from its neighbour.
        var each = (cells + 255) / 256 * 256;
        using var context = newContext(each * states.Count, states.Count, unified: states.Count == 1);
        var batch = new LlamaBatch();
        for (var s = 0; s < states.Count; s++)
        {
            Prefill(context, batch, states[s], s, cancellation);
        }
        while (true)
        {
            var indexes = new List<(State State, int Index)>();
            for (var s = 0; s < states.Count; s++)
            {
                var state = states[s];
                if (!state.Done)
                {
                    var position = state.Prompt.Length + state.Tokens.Count - 1;
                    indexes.Add((state, batch.Add(state.Tokens[^1], position, [s], output: true)));
                }
            }
            if (indexes.Count == 0)
            {
                break;
            }
            context.Decode(batch, cancellation);
            batch.Clear();
            foreach (var (state, index) in indexes)
            {
                Take(state, context.Logits(index));
            }
        }
        return states.ConvertAll(state => new GenerationAnswer(state.Text(codec), [.. state.Tokens], state.Truncated));
    }

    private void Prefill(
        LlamaContext context,
        LlamaBatch batch,
        State state,
        int sequence,
        CancellationToken cancellation
    )
    {
        var last = -1;
        for (var t = 0; t < state.Prompt.Length; t++)
        {
            if (batch.Count == context.Options.BatchTokens)
            {
                context.Decode(batch, cancellation);
                batch.Clear();
            }
            last = batch.Add(state.Prompt[t], t, [sequence], output: t == state.Prompt.Length - 1);
        }
        context.Decode(batch, cancellation);
        batch.Clear();
        Take(state, context.Logits(last));
    }

    private void Take(State state, ReadOnlySpan<float> logits)
    {
        var best = 0;
        for (var i = 0; i < logits.Length; i++)
        {
            if (!float.IsFinite(logits[i]))
            {
                throw new SlimmingException(
                    ExitCode.Failed,
                    $"{model.Path}: logit of token {i} is {logits[i]} while generating"
                );
            }
            best = logits[i] > logits[best] ? i : best;
        }
        state.Tokens.Add(best);
        state.Done =
            state.Tokens.Count == state.MaxTokens
            || codec.EndsAnswer(best)
            || state.HasStop(codec.Detokenize([.. state.Tokens]));
    }

    private sealed class State(int[] prompt, int maxTokens, IReadOnlyList<string> stops, bool truncated)
    {
        public int[] Prompt { get; } = prompt;
        public int MaxTokens { get; } = maxTokens;
        public bool Truncated { get; } = truncated;
        public List<int> Tokens { get; } = [];
        public bool Done { get; set; }
        public int Cells => Prompt.Length + MaxTokens;

        public bool HasStop(string text) => stops.Any(stop => text.Contains(stop, StringComparison.Ordinal));

        /// <summary>Decoded text up to the first occurrence of each stop, in list order.</summary>
        public string Text(ITextCodec codec) =>
            stops.Aggregate(
                codec.Detokenize([.. Tokens]),
                (text, stop) => text.IndexOf(stop, StringComparison.Ordinal) is >= 0 and var at ? text[..at] : text
            );
    }
}
