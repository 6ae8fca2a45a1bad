using System.Text;
using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Items;
using Slimming.Evaluation.Tasks;
using Slimming.Evaluation.Text;
using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Evaluation.Scoring;

/// <summary>Negative log-likelihood of text, in windows (METHODS.md section 6).</summary>
internal sealed class PerplexityScorer(TaskDefinition task, IScoringEngine engine, bool addBos)
{
    /// <summary>Window length in tokens: the task's, at most the model's.</summary>
    public int Length => TokenWindow.Length(task, engine);

    /// <summary>One row of text, every token scored once.</summary>
    public ItemRow ScoreRow(TaskItem item, CancellationToken cancellation)
    {
        var tokens = engine.Codec.Tokenize(item.Contexts[0]);
        var requests = RollingWindows(tokens, engine.Codec.PrefixToken, Length).ToList();
        var nll = Nll(requests, item.Doc, cancellation);
        return Row(item.Doc, item.Hash, item.PromptHash, nll, tokens.Length) with
        {
            NWords = PythonText.CountWords(item.Raw),
            NBytes = Encoding.UTF8.GetByteCount(item.Raw),
            Contexts = item.Contexts,
        };
    }

    /// <summary>The windows of a task that has windows for items, by its rule.</summary>
    /// <param name="items">All rows of the text.</param>
    /// <exception cref="SlimmingException">The text does not fill one.</exception>
    public List<int[]> CutWindows(IReadOnlyList<TaskItem> items) =>
        task.Windows == WindowRule.Slices ? Slices(items) : Joined(items);

    /// <summary>All rows joined and cut into windows of equal length; what is left over is not scored.</summary>
    private List<int[]> Joined(IReadOnlyList<TaskItem> items)
    {
        var text = string.Join(task.Join, items.Select(item => item.Contexts[0]));
        var tokens = PairEncoder.For(task, engine.Codec, addBos).Encode(text);
        var windows = tokens.Chunk(Length).Where(window => window.Length == Length);
        List<int[]> taken = [.. task.WindowCount > 0 ? windows.Take(task.WindowCount) : windows];
        return taken.Count > 0
            ? taken
            : throw new SlimmingException(
                ExitCode.Usage,
                $"task {task.Name}: {tokens.Length} tokens of text do not fill one window of {Length}"
            );
    }

    /// <summary>Rows are drawn until one is longer than a window, then a place in it; as often as windows are wanted.</summary>
    private List<int[]> Slices(IReadOnlyList<TaskItem> items)
    {
        var encoder = PairEncoder.For(task, engine.Codec, addBos);
        var random = new PythonRandom(task.WindowSeed);
        var rows = new int[items.Count][];
        var unseen = items.Count;
        var usable = false;
        var windows = new List<int[]>();
        while (windows.Count < task.WindowCount)
        {
            var row = random.RandInt(0, items.Count - 1);
            if (rows[row] is null)
            {
                unseen--;
                var tokens = encoder.Encode(items[row].Contexts[0]);
                // Of a row that is too short only this needs to be known.
                rows[row] = tokens.Length > Length ? tokens : [];
                usable |= tokens.Length > Length;
            }
            if (rows[row].Length > 0)
            {
                var start = random.RandInt(0, rows[row].Length - Length - 1);
                windows.Add(rows[row][start..(start + Length)]);
            }
            else if (!usable && unseen == 0)
            {
                throw new SlimmingException(
                    ExitCode.Usage,
                    $"task {task.Name}: none of {items.Count} rows has more than {Length} tokens"
                );
            }
        }
        return windows;
    }

    public ItemRow ScoreWindow(long index, int[] window, string hash, CancellationToken cancellation) =>
        Row(
            index,
            hash,
            hash,
            Nll([new ScoreRequest(window[..1], window[1..])], index, cancellation),
            window.Length - 1
        ) with
        {
            ContIds = [Array.ConvertAll(window, token => (long)token)],
        };

    /// <summary>
    /// Windows that together score every token once: the first starts from the prefix token, each later one from the
    /// token before it, and a short last one is filled up with earlier tokens as context.
    /// </summary>
    internal static IEnumerable<ScoreRequest> RollingWindows(int[] tokens, int prefix, int length)
    {
        if (tokens.Length == 0)
        {
            yield break;
        }
        var first = Math.Min(length, tokens.Length);
        yield return new ScoreRequest([prefix], tokens[..first]);
        for (var done = first; done < tokens.Length; )
        {
            var scored = Math.Min(length, tokens.Length - done);
            var end = done + scored;
            // Fed are the last `length` tokens before the final one; all up to `done` are context.
            yield return new ScoreRequest(tokens[(end - length - 1)..done], tokens[done..end]);
            done = end;
        }
    }

    private double Nll(List<ScoreRequest> requests, long doc, CancellationToken cancellation)
    {
        var answers = engine.Score(requests, cancellation);
        if (answers.Count != requests.Count)
        {
            throw new SlimmingException(
                ExitCode.Failed,
                $"task {task.Name}: engine {engine.Name} gave {answers.Count} answers to {requests.Count} questions"
            );
        }
        var sum = answers.Sum(answer => answer.LogLikelihood);
        return double.IsFinite(sum)
            // Not -sum: a row without tokens has 0, not -0.
            ? 0 - sum
            : throw new SlimmingException(ExitCode.Failed, $"task {task.Name}, doc {doc}: log-likelihood is {sum}");
    }

    private ItemRow Row(long doc, string hash, string promptHash, double nll, long tokens) =>
        new()
        {
            Task = task.Name,
            TaskVersion = task.Version,
            Doc = doc,
            ItemHash = hash,
            PromptHash = promptHash,
            Nll = nll,
            NTokens = tokens,
        };
}
