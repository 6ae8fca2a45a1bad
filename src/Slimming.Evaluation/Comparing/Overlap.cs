namespace Slimming.Evaluation.Comparing;

/// <summary>A row that a model was trained on, all of its texts together.</summary>
public readonly record struct TrainingText(string Source, long Row, string Text);

/// <summary>Benchmark items that share words in a row with training rows: their scores may be remembered instead of known.</summary>
/// <param name="Words">How many in a row.</param>
/// <param name="Rows">Training rows read.</param>
/// <param name="Tasks">Every task whose items have texts.</param>
public sealed record Overlap(int Words, long Rows, IReadOnlyList<TaskOverlap> Tasks)
{
    public IEnumerable<TaskOverlap> Found => Tasks.Where(task => task.Found.Count > 0);
}

/// <param name="Task">Its name.</param>
/// <param name="Items">Items with texts.</param>
/// <param name="TooShort">Of them, those of too few words to be looked for.</param>
/// <param name="Found">Items that overlap, in the order of the data.</param>
public sealed record TaskOverlap(string Task, long Items, long TooShort, IReadOnlyList<OverlapItem> Found);

/// <param name="Doc">Row of the benchmark's data file.</param>
/// <param name="ItemHash">Of its raw data.</param>
/// <param name="Shared">Its n-grams that are in the training rows.</param>
/// <param name="Of">All its n-grams.</param>
/// <param name="Source">Data file of the first training row that shares one.</param>
/// <param name="Row">That row, from 0.</param>
/// <param name="Text">The words, as compared.</param>
public sealed record OverlapItem(long Doc, string ItemHash, int Shared, int Of, string Source, long Row, string Text);
