namespace Slimming.Training;

/// <summary>
/// Learning rates by step, as transformers computes them: steps count from 0, so the first step of a warm-up run has
/// rate 0 (<c>get_linear_schedule_with_warmup</c> and its siblings).
/// </summary>
/// <param name="Kind">linear, cosine or constant.</param>
/// <param name="LearningRate">The peak.</param>
/// <param name="WarmupSteps">Steps over which the rate rises linearly from 0.</param>
/// <param name="TotalSteps">Steps of the whole run.</param>
public sealed record Schedule(string Kind, double LearningRate, int WarmupSteps, int TotalSteps)
{
    /// <summary>The rate used in the step of this 0-based index.</summary>
    public double At(int index) => LearningRate * Factor(index);

    private double Factor(int index)
    {
        if (index < WarmupSteps)
        {
            return (double)index / Math.Max(1, WarmupSteps);
        }
        double rest = Math.Max(1, TotalSteps - WarmupSteps);
        return Kind switch
        {
            "linear" => Math.Max(0, (TotalSteps - index) / rest),
            "cosine" => Math.Max(0, 0.5 * (1 + Math.Cos(Math.PI * ((index - WarmupSteps) / rest)))),
            "constant" => 1,
            _ => throw new InvalidOperationException($"unknown schedule '{Kind}'"),
        };
    }
}
