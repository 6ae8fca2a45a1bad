namespace Slimming.Training.Data;

/// <summary>One sequence to train on.</summary>
/// <remarks>
/// Tokens [T] and Targets [T], already shifted: Targets[t] is the id predicted at t, or -1 for no loss. TargetCount is
/// the number of targets that are not -1. Source is the file, Row its row there, from 0;
/// Part is the value of <c>--data</c> that it came by.
/// </remarks>
public sealed record Sample(int[] Tokens, int[] Targets, int TargetCount, string Source, long Row, int Part = 0);
