using System.Text;
using Slimming.Training.Data;

namespace Slimming.Training.Tests.Data;

/// <summary>One token a byte, and the special tokens given; small enough to check by eye.</summary>
internal sealed class ByteTokenizer : ITokenizer
{
    private readonly string[] _special;
    private readonly HashSet<int> _ends;

    /// <summary>A blank before each text and after each special token, as SentencePiece models of Llama 2 have it.</summary>
    private readonly bool _blankFirst;

    public ByteTokenizer(
        string[]? special = null,
        string bos = "<s>",
        string eos = "</s>",
        string[]? ends = null,
        bool addBos = false,
        bool blankFirst = false
    )
    {
        _special = special ?? ["<s>", "</s>", "<|im_start|>", "<|im_end|>"];
        _blankFirst = blankFirst;
        Bos = Id(bos);
        Eos = Id(eos);
        _ends = [.. (ends ?? ["</s>", "<|im_end|>"]).Select(Id)];
        AddBos = addBos;
    }

    public int Count => 256 + _special.Length;
    public int Bos { get; }
    public int Eos { get; }
    public int Eot => -1;
    public bool AddBos { get; }

    public int Id(string special) => Array.IndexOf(_special, special) is var i and >= 0 ? 256 + i : -1;

    public int[] Tokenize(string text, bool parseSpecial)
    {
        var ids = new List<int>();
        var start = 0;
        var fresh = true;
        for (var i = 0; i <= text.Length; i++)
        {
            var special = parseSpecial
                ? _special.FirstOrDefault(s => string.CompareOrdinal(text, i, s, 0, s.Length) == 0)
                : null;
            if (i < text.Length && special is null)
            {
                continue;
            }
            if (i > start)
            {
                ids.AddRange(
                    Encoding.UTF8.GetBytes((_blankFirst && fresh ? " " : "") + text[start..i]).Select(b => (int)b)
                );
                fresh = false;
            }
            if (special is not null && i < text.Length)
            {
                ids.Add(Id(special));
                fresh = true;
                i += special.Length - 1;
                start = i + 1;
            }
        }
        return [.. ids];
    }

    public bool IsEndOfGeneration(int id) => _ends.Contains(id);

    public byte[] TokenBytes(int id) => id < 256 ? [(byte)id] : Encoding.UTF8.GetBytes(_special[id - 256]);

    public string TokenText(int id) => Encoding.UTF8.GetString(TokenBytes(id));

    public string Text(IEnumerable<int> ids) => Encoding.UTF8.GetString(ids.SelectMany(TokenBytes).ToArray());

    /// <summary>The whole sample with each run of learnt tokens in double angle quotes.</summary>
    public string Marked(Sample sample)
    {
        var text = new StringBuilder();
        var run = new List<int>();
        var learnt = false;
        for (var t = 0; t < sample.Tokens.Length; t++)
        {
            var now = t > 0 && sample.Targets[t - 1] >= 0;
            if (now)
            {
                sample.Targets[t - 1].ShouldBe(sample.Tokens[t]);
            }
            if (now != learnt)
            {
                text.Append(Text(run)).Append(now ? "«" : "»");
                run.Clear();
                learnt = now;
            }
            run.Add(sample.Tokens[t]);
        }
        return text.Append(Text(run)).Append(learnt ? "»" : "").ToString();
    }
}
