using Slimming.Gguf;
using Slimming.Training.Data;

namespace Slimming.Training.Tests.Data;

public sealed class OverlongTests : DataFolder
{
    private static readonly ByteTokenizer s_bytes = new();

    private SampleSet LoadRows(Overlong overlong, int maxLength)
    {
        var file = WriteRows(
            "p.jsonl",
            new { prompt = "ab", completion = "cd" },
            new { prompt = "ab", completion = "cdefgh" },
            new { prompt = "abcdefgh", completion = "i" }
        );
        return Load(s_bytes, "auto", file, o => o with { Overlong = overlong, MaxLength = maxLength });
    }

    [Fact]
    public void TruncateKeepsTheFirstTokens()
    {
        var set = LoadRows(Overlong.Truncate, 5);
        set.Samples.Select(s_bytes.Marked).ShouldBe(["ab«cd</s>»", "ab«cde»"]);
        set.Samples[1].Targets[^1].ShouldBe(-1);
        set.Counts.ShouldBe(
            new DataCounts
            {
                Rows = 3,
                Kept = 2,
                Truncated = 1,
                WithoutTarget = 1,
                Tokens = 10,
                Targets = 6,
            }
        );
    }

    [Fact]
    public void DropLeavesThemOut()
    {
        var set = LoadRows(Overlong.Drop, 5);
        set.Samples.Select(s_bytes.Marked).ShouldBe(["ab«cd</s>»"]);
        set.Counts.ShouldBe(
            new DataCounts
            {
                Rows = 3,
                Kept = 1,
                Dropped = 2,
                Tokens = 5,
                Targets = 3,
            }
        );
    }

    [Fact]
    public void SplitKeepsEveryTarget()
    {
        var set = LoadRows(Overlong.Split, 5);
        set.Samples.Select(s => s_bytes.Text(s.Tokens)).ShouldBe(["abcd</s>", "abcde", "fgh</s>", "fghi</s>"]);
        set.Samples.Select(s => s.TargetCount).ShouldBe([3, 4, 3, 2]);
        // The piece's last token still predicts the first one of the next piece.
        set.Samples[1].Targets[^1].ShouldBe('f');
        set.Counts.ShouldBe(
            new DataCounts
            {
                Rows = 3,
                Kept = 4,
                Split = 2,
                Tokens = 19,
                Targets = 12,
            }
        );
    }

    [Fact]
    public void NothingLeftIsAnErrorWithTheCounts()
    {
        var error = Should.Throw<SlimmingException>(() => LoadRows(Overlong.Drop, 3));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain("no sample is left of 3 rows");
        error.Message.ShouldContain("dropped");
        var file = WriteRows("i.jsonl", new { input_ids = new[] { 1, 2 }, labels = new[] { -100, -100 } });
        Should.Throw<SlimmingException>(() => Load(s_bytes, "auto", file)).Message.ShouldContain("1 without a target");
    }
}
