namespace Slimming.Evaluation.Statistics;

/// <summary>
/// Two one-sided tests (Schuirmann 1987) that a mean difference lies between two margins: a small p is evidence that
/// nothing of that size happened. Equivalent at alpha is the same as the 1 - 2 alpha interval lying inside the margins.
/// </summary>
public sealed record Equivalence
{
    private Equivalence(double low, double high) => (Low, High) = (low, high);

    public double Low { get; }
    public double High { get; }

    /// <summary>Null where the tests came from counts of unchanged items.</summary>
    public double? TLow { get; private init; }
    public double? THigh { get; private init; }

    /// <summary>One-sided, against a mean at or below the low margin.</summary>
    public double PLow { get; private init; }

    /// <summary>One-sided, against a mean at or above the high margin.</summary>
    public double PHigh { get; private init; }

    public double P => Math.Max(PLow, PHigh);

    /// <summary>From a mean and its error; null where the error is 0 or unknown.</summary>
    public static Equivalence? Of(TTest test, double low, double high)
    {
        if (test.T is null)
        {
            return null;
        }
        var error = test.StandardError!.Value;
        var (tLow, tHigh) = ((test.Mean - low) / error, (test.Mean - high) / error);
        return new(low, high)
        {
            TLow = tLow,
            THigh = tHigh,
            PLow = Distributions.StudentTail(tLow, test.Df),
            PHigh = Distributions.StudentTail(-tHigh, test.Df),
        };
    }

    /// <summary>
    /// n items scored from 0 to 1 of which not one changed: a difference as large as the margin needs as large a share of changed items,
    /// and none among n then has probability (1 - margin)^n.
    /// </summary>
    public static Equivalence OfUnchanged(long n, double low, double high) =>
        new(low, high) { PLow = Math.Pow(1 - Math.Min(1, -low), n), PHigh = Math.Pow(1 - Math.Min(1, high), n) };
}
