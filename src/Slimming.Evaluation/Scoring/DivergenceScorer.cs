using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Items;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Evaluation.Scoring;

/// <summary>Distance of the scored model from a reference over running text, window by window.</summary>
internal sealed class DivergenceScorer(TaskDefinition task, IScoringEngine engine, ModelDivergence models, bool addBos)
{
    /// <summary>A window of tokens; its hash makes it the same item on resume.</summary>
    internal sealed record Window(long Index, int[] Tokens, string Hash)
    {
        public ItemKey Key(string task) => new(task, Index, Hash);
    }

    /// <summary>All rows joined and cut into windows, the last one shorter.</summary>
    public IReadOnlyList<Window> CutWindows(IEnumerable<TaskItem> items)
    {
        var text = string.Join(task.Join, items.Select(item => item.Contexts[0]));
        models.RequireSameTokens(text, engine.Codec.Tokenize(text));
        var tokens = PairEncoder.For(task, engine.Codec, addBos).Encode(text);
        if (tokens.Length == 0)
        {
            throw new SlimmingException(ExitCode.Usage, $"task {task.Name}: the text has no tokens");
        }
        var windows = tokens
            .Chunk(Length)
            .Select((window, index) => new Window(index, window, TokenWindow.HashOf(window)));
        return [.. task.WindowCount > 0 ? windows.Take(task.WindowCount) : windows];
    }

    public ItemRow Score(Window window, CancellationToken cancellation)
    {
        var found = models.Compare(window.Tokens, cancellation);
        var wrong = Array.FindIndex(found, token => !double.IsFinite(token.Kl));
        if (wrong >= 0)
        {
            throw new SlimmingException(
                ExitCode.Failed,
                $"task {task.Name}, window {window.Index}, token {wrong}: the divergence is {found[wrong].Kl}"
            );
        }
        return new ItemRow
        {
            Task = task.Name,
            TaskVersion = task.Version,
            Doc = window.Index,
            ItemHash = window.Hash,
            PromptHash = window.Hash,
            // More digits than the f32 logits have would only fill the disk.
            Kl = [.. found.Select(token => (double)(float)token.Kl)],
            SameTop1 = found.LongCount(token => token.SameTop),
            NTokens = found.Length,
            ContIds = [Array.ConvertAll(window.Tokens, token => (long)token)],
        };
    }

    private int Length => TokenWindow.Length(task, engine);
}
