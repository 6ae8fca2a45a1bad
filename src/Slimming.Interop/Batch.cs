using Slimming.Gguf;

namespace Slimming.Interop;

/// <summary>
/// A packed micro-batch: whole sequences laid end to end; attention never crosses a sequence, but one with a parent goes
/// on from the parent's last token.
/// </summary>
public sealed class Batch
{
    /// <summary>[T] token ids.</summary>
    public required int[] Tokens { get; init; }

    /// <summary>[S+1]: Offsets[0] = 0, Offsets[S] = T.</summary>
    public required long[] Offsets { get; init; }

    /// <summary>[T] id predicted at the position, -1: no loss.</summary>
    public required int[] Targets { get; init; }

    /// <summary>[S] keys of the samples' random draws.</summary>
    public required ulong[] SampleKeys { get; init; }

    /// <summary>[T], or null for 0, 1, ... from the start of each sequence, of its first ancestor.</summary>
    public int[]? Positions { get; init; }

    /// <summary>[S] an earlier sequence, -1: none; or null: none has one. For calls without a backward.</summary>
    public long[]? Parents { get; init; }

    public int SequenceCount => Offsets.Length - 1;

    /// <summary>One sequence alone.</summary>
    public static Batch Single(int[] tokens, int[]? targets = null, ulong sampleKey = 0) =>
        new()
        {
            Tokens = tokens,
            Offsets = [0, tokens.Length],
            Targets = targets ?? [.. Enumerable.Repeat(-1, tokens.Length)],
            SampleKeys = [sampleKey],
        };

    /// <summary>The library sees pointers only: lengths are compared here, values there.</summary>
    internal void CheckLengths()
    {
        Check(Offsets.Length >= 2, "offsets", "at least 2", Offsets.Length);
        Check(Targets.Length == Tokens.Length, "targets", $"{Tokens.Length}, one per token", Targets.Length);
        Check(SampleKeys.Length == SequenceCount, "sample keys", $"{SequenceCount}", SampleKeys.Length);
        if (Positions != null)
        {
            Check(Positions.Length == Tokens.Length, "positions", $"{Tokens.Length}, one per token", Positions.Length);
        }
        if (Parents != null)
        {
            Check(Parents.Length == SequenceCount, "parents", $"{SequenceCount}", Parents.Length);
        }
    }

    private static void Check(bool good, string what, string expected, int found)
    {
        if (!good)
        {
            throw new SlimmingException(ExitCode.Usage, $"batch: expected {expected} {what}, found {found}");
        }
    }
}
