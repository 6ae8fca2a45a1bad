using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Items;
using Slimming.Evaluation.Tasks;
using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Evaluation.Scoring;

/// <summary>Asks the engine about items of one task and turns the answers into rows.</summary>
internal sealed class ItemScorer(TaskDefinition task, IScoringEngine engine, bool addBos, int maxGenTokens)
{
    private readonly PairEncoder _encoder = PairEncoder.For(task, engine.Codec, addBos);

    public List<ItemRow> Score(IReadOnlyList<TaskItem> items, CancellationToken cancellation) =>
        task.Kind switch
        {
            TaskKind.MultipleChoice => ScoreChoices(items, cancellation),
            TaskKind.GenerateUntil => Generate(items, cancellation),
            _ => throw new InvalidOperationException($"{task.Kind} has windows, not items"),
        };

    /// <summary>Tokens that all contexts of some items begin with: a task's worked examples. Empty for a single item.</summary>
    public int[] CommonStart(IReadOnlyList<TaskItem> items)
    {
        if (items.Count < 2)
        {
            return [];
        }
        var contexts = items.SelectMany(item => item.Contexts).Select(_encoder.Encode).ToList();
        var length = contexts.Min(context => contexts[0].AsSpan().CommonPrefixLength(context));
        return contexts[0][..length];
    }

    private List<ItemRow> ScoreChoices(IReadOnlyList<TaskItem> items, CancellationToken cancellation)
    {
        var requests = new List<ScoreRequest>();
        foreach (var item in items)
        {
            for (var choice = 0; choice < item.Continuations.Count; choice++)
            {
                requests.Add(Encode(item, choice));
            }
        }
        var answers = Ask(requests, cancellation);
        var rows = new List<ItemRow>();
        var next = 0;
        foreach (var item in items)
        {
            var count = item.Continuations.Count;
            rows.Add(ChoiceRow(item, requests.GetRange(next, count), answers.Skip(next).Take(count).ToArray()));
            next += count;
        }
        return rows;
    }

    private ScoreRequest Encode(TaskItem item, int choice)
    {
        var (context, continuation) =
            task.Scoring == ChoiceScoring.LastToken
                ? _encoder.EncodeLastToken(item.ContextOf(choice), item.Continuations[choice])
                : _encoder.Encode(item.ContextOf(choice), item.Continuations[choice]);
        if (context.Length == 0 || continuation.Length == 0)
        {
            var part = context.Length == 0 ? "context" : "continuation";
            throw new SlimmingException(
                ExitCode.Usage,
                $"task {task.Name}, doc {item.Doc}, choice {choice}: the {part} has no tokens of its own "
                    + $"(context \"{Tail(item.ContextOf(choice))}\", continuation \"{item.Continuations[choice]}\")"
            );
        }
        if (continuation.Length > engine.MaxLength)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"task {task.Name}, doc {item.Doc}, choice {choice}: its {continuation.Length} tokens do not fit the "
                    + $"model's context of {engine.MaxLength}; take a model with a longer one, or leave the item out"
            );
        }
        return new ScoreRequest(context, continuation);
    }

    /// <summary>One finite answer for each request, or an error: nothing missing is ever averaged away.</summary>
    private IReadOnlyList<ScoreAnswer> Ask(List<ScoreRequest> requests, CancellationToken cancellation)
    {
        var answers = engine.Score(requests, cancellation);
        return answers.Count == requests.Count
            ? answers
            : throw new SlimmingException(
                ExitCode.Failed,
                $"task {task.Name}: engine {engine.Name} gave {answers.Count} answers to {requests.Count} questions"
            );
    }

    private ItemRow ChoiceRow(TaskItem item, List<ScoreRequest> requests, ScoreAnswer[] answers)
    {
        for (var choice = 0; choice < answers.Length; choice++)
        {
            if (!double.IsFinite(answers[choice].LogLikelihood))
            {
                throw new SlimmingException(
                    ExitCode.Failed,
                    $"task {task.Name}, doc {item.Doc}, choice {choice}: log-likelihood is {answers[choice].LogLikelihood}"
                );
            }
        }
        var likelihoods = Array.ConvertAll(answers, answer => answer.LogLikelihood);
        var shared = item.Contexts.Count == 1;
        var contexts = shared ? requests[..1] : requests;
        return RowScoring.WithChoices(Start(item), task, likelihoods, item.Lengths, item.Gold) with
        {
            NCtx = [.. contexts.Select(request => (long)request.Context.Length)],
            NCont = [.. requests.Select(request => (long)request.Continuation.Length)],
            Greedy = [.. answers.Select(answer => answer.Greedy)],
            Truncated = answers.Any(answer => answer.Truncated),
            Continuations = item.Continuations,
            CtxIds = [.. contexts.Select(request => Widen(request.Context))],
            ContIds = [.. requests.Select(request => Widen(request.Continuation))],
        };
    }

    private List<ItemRow> Generate(IReadOnlyList<TaskItem> items, CancellationToken cancellation)
    {
        if (maxGenTokens >= engine.MaxLength)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"task {task.Name}: {maxGenTokens} tokens to generate leave no room for a prompt in the model's context "
                    + $"of {engine.MaxLength}; pass a smaller --max-gen-tokens"
            );
        }
        var requests = items
            .Select(item =>
            {
                var tokens = _encoder.Encode(item.Contexts[0]);
                return tokens.Length > 0
                    ? new GenerationRequest(tokens, maxGenTokens, task.Stops)
                    : throw new SlimmingException(
                        ExitCode.Usage,
                        $"task {task.Name}, doc {item.Doc}: the prompt has no tokens"
                    );
            })
            .ToList();
        var answers = engine.Generate(requests, cancellation);
        if (answers.Count != requests.Count)
        {
            throw new SlimmingException(
                ExitCode.Failed,
                $"task {task.Name}: engine {engine.Name} gave {answers.Count} answers to {requests.Count} questions"
            );
        }
        return [.. items.Select((item, i) => GenerationRow(item, requests[i], answers[i]))];
    }

    private ItemRow GenerationRow(TaskItem item, GenerationRequest request, GenerationAnswer answer) =>
        RowScoring.WithAnswer(Start(item), task, answer.Text, item.Targets) with
        {
            NCtx = [request.Prompt.Length],
            NCont = [answer.Tokens.Length],
            Truncated = answer.Truncated,
            Continuations = item.Targets,
            CtxIds = [Widen(request.Prompt)],
            ContIds = [Widen(answer.Tokens)],
        };

    private ItemRow Start(TaskItem item) =>
        new()
        {
            Task = task.Name,
            TaskVersion = task.Version,
            Doc = item.Doc,
            ItemHash = item.Hash,
            PromptHash = item.PromptHash,
            Subject = task.Variant.Length > 0 ? task.Variant : null,
            Cluster = item.Cluster,
            Contexts = item.Contexts,
            Questions = item.Questions,
        };

    private static long[] Widen(int[] tokens) => Array.ConvertAll(tokens, token => (long)token);

    private static string Tail(string text) => text.Length <= 40 ? text : "..." + text[^40..];
}
