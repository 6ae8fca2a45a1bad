namespace Slimming.Evaluation.Statistics;

/// <summary>Bounds of an estimate.</summary>
public readonly record struct Interval(double Low, double High)
{
    /// <summary>Estimate plus and minus a half-width.</summary>
    public static Interval Around(double center, double half) => new(center - half, center + half);

    /// <summary>The interval with its sign changed: bounds swap.</summary>
    public static Interval operator -(Interval value) => new(-value.High, -value.Low);

    public static Interval operator *(double factor, Interval value) =>
        factor >= 0 ? new(factor * value.Low, factor * value.High) : new(factor * value.High, factor * value.Low);

    public static Interval Negate(Interval item) => -item;

    public static Interval Multiply(double left, Interval right) => left * right;
}
