using Slimming.Evaluation.Engine;
using Slimming.Evaluation.Tasks;
using Slimming.Evaluation.Text;

namespace Slimming.Evaluation.Items;

/// <summary>Splits context and continuation into tokens as lm-evaluation-harness does (METHODS.md section 5).</summary>
internal sealed class PairEncoder(ITextCodec codec, bool addBos)
{
    /// <summary>As the task and the run want BOS.</summary>
    public static PairEncoder For(TaskDefinition task, ITextCodec codec, bool addBos) =>
        new(codec, addBos || (task.Bos == BosRule.Tokenizer && codec.AddsBos));

    /// <summary>
    /// Token ids of both parts. The text is tokenized jointly and cut after as many tokens as the context alone has;
    /// trailing whitespace of the context moves to the continuation first.
    /// </summary>
    public (int[] Context, int[] Continuation) Encode(string context, string continuation)
    {
        if (context.Length == 0)
        {
            var alone = codec.Tokenize(continuation);
            return alone.Length > 0 && alone[0] == codec.PrefixToken
                ? (alone[..1], alone[1..])
                : ([codec.PrefixToken], alone);
        }
        var spaces = PythonText.TrailingSpaces(context);
        var head = context[..^spaces];
        var whole = Encode(head + context[^spaces..] + continuation);
        var left = Encode(head);
        return (left, whole.Length > left.Length ? whole[left.Length..] : []);
    }

    /// <summary>The context's own tokens, and of the choice tokenized alone the last one.</summary>
    public (int[] Context, int[] Continuation) EncodeLastToken(string context, string choice)
    {
        var alone = codec.Tokenize(choice);
        return (context.Length == 0 ? [codec.PrefixToken] : Encode(context), alone.Length > 0 ? alone[^1..] : []);
    }

    /// <summary>Token ids of a text, with a BOS in front where asked for and not there yet.</summary>
    public int[] Encode(string text)
    {
        var tokens = codec.Tokenize(text);
        return addBos && codec.Bos >= 0 && (tokens.Length == 0 || tokens[0] != codec.Bos)
            ? [codec.Bos, .. tokens]
            : tokens;
    }
}
