using Slimming.Training.Data;

namespace Slimming.Training;

/// <summary>The samples of a run and which step takes which.</summary>
internal sealed record TrainData(IReadOnlyList<Sample> Train, IReadOnlyList<Sample> Eval, StepPlanner Planner)
{
    public int Longest => Train.Concat(Eval).Max(sample => sample.Tokens.Length);
}
