using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Slimming.Demo;

/// <summary>
/// Writes everything about the embedded model that is not learnt: <c>data DIR</c> the committed tuning and evaluation files,
/// <c>pretrain DIR</c> the text that the model is made from and its first weights; the same bytes every time. <c>table BASE ADAPTER MERGED</c> compares three results.
/// </summary>
public static class Program
{
    private static readonly JsonSerializerOptions Json = new()
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public static int Main(string[] arguments)
    {
        if (arguments is ["table", _, _, _])
        {
            return ScoreTable.Print(["base", "adapter", "merged"], arguments[1..], Console.Out);
        }
        if (arguments is not [("data" or "pretrain") and var what, var folder])
        {
            Console.Error.WriteLine("usage: Slimming.Demo data|pretrain DIR, or table BASE ADAPTER MERGED");
            return 2;
        }
        if (what == "data")
        {
            WriteData(folder);
        }
        else
        {
            WritePretraining(folder);
        }
        return 0;
    }

    /// <summary>tune/following.jsonl (chat rows) and one folder per task under eval/.</summary>
    public static void WriteData(string folder)
    {
        var corpus = new Corpus(pretrainingRows: 0);
        Lines(folder, "tune/following.jsonl", corpus.FollowingTraining.Select(Chat));
        Lines(folder, "eval/demo_reverse/test.jsonl", corpus.ReverseEvaluation.Select(Item));
        Lines(folder, "eval/demo_larger/test.jsonl", corpus.LargerEvaluation.Select(Item));
        Lines(folder, "eval/demo_following/test.jsonl", corpus.FollowingEvaluation.Select(Item));
        Lines(
            folder,
            "eval/demo_facts/test.jsonl",
            corpus.FactEvaluation.Select(item =>
                (object)
                    new
                    {
                        question = item.Question,
                        choices = item.Choices,
                        answer = item.Gold,
                    }
            )
        );
        Lines(folder, "eval/demo_prose/test.jsonl", corpus.ProseEvaluation().Select(text => (object)new { text }));
    }

    /// <summary>init.gguf, chat.jsonl (old skills) and prose.jsonl.</summary>
    public static void WritePretraining(string folder)
    {
        var corpus = new Corpus();
        Lines(folder, "chat.jsonl", corpus.Pretraining.Select(Chat));
        Lines(folder, "prose.jsonl", corpus.Prose.Select(text => (object)new { text }));
        ModelWriter.Write(Path.Combine(folder, "init.gguf"), corpus);
    }

    private static object Item(Exchange item) => new { question = item.Question, answer = item.Answer };

    private static object Chat(Exchange item) =>
        new
        {
            messages = new object[]
            {
                new { role = "user", content = item.Question },
                new { role = "assistant", content = item.Answer },
            },
        };

    private static void Lines(string folder, string name, IEnumerable<object> rows)
    {
        var path = Path.Combine(folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var text = new StringBuilder();
        foreach (var row in rows)
        {
            text.Append(JsonSerializer.Serialize(row, Json)).Append('\n');
        }
        File.WriteAllText(path, text.ToString());
    }
}
