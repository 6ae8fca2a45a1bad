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
    public int Length =>
        task.WindowLength == 0 ? engine.MaxLength
        : task.WindowLength <= engine.MaxLength ? task.WindowLength
        : throw new SlimmingException(
            ExitCode.Usage,
            $"task {task.Name}: windows of {task.WindowLength} tokens do not fit the model's context of {engine.MaxLength}"
        );

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

    /// <summary>All rows joined and cut into windows of equal length; what is left over is not scored.</summary>
    public List<int[]> CutWindows(IEnumerable<TaskItem> items)
    {
        var text = string.Join(task.Join, items.Select(item => item.Contexts[0]));
        var tokens = new PairEncoder(engine.Codec, addBos).Encode(text);
        var windows = tokens.Chunk(Length).Where(window => window.Length == Length).ToList();
        return windows.Count > 0
            ? windows
            : throw new SlimmingException(
                ExitCode.Usage,
                $"task {task.Name}: {tokens.Length} tokens of text do not fill one window of {Length}"
            );
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
            ? -sum
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
