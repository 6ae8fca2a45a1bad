using Slimming.Training.Data;

namespace Slimming.Training;

/// <summary>The samples of a run: those of each step, and those evaluated on.</summary>
internal sealed record TrainData(ITrainSteps Train, IEvalPass? Eval, int Longest);
