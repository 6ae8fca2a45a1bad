using YamlDotNet.Serialization;

namespace Slimming.Evaluation.Tasks;

/// <summary>How a task is scored.</summary>
public enum TaskKind
{
    /// <summary>The choice with the largest log-likelihood.</summary>
    MultipleChoice,

    /// <summary>Greedy text up to a stop, compared with a target.</summary>
    GenerateUntil,

    /// <summary>Negative log-likelihood of running text.</summary>
    Perplexity,
}

/// <summary>Which rows precede an item as worked examples.</summary>
public enum FewShotRule
{
    /// <summary>A fresh draw for each item by Python's random.Random(1234).sample, one generator for the whole task.</summary>
    Sample,

    /// <summary>The same with one row more, from which the item itself is taken out (METHODS: k+1 drawn).</summary>
    SampleOthers,

    /// <summary>The first rows of the file, the same for all items.</summary>
    FirstN,
}

/// <summary>How rows of a text become windows of a perplexity task.</summary>
public enum WindowRule
{
    /// <summary>Every token is scored once; a row starts from BOS; a window begins with the token before it.</summary>
    Rolling,

    /// <summary>All rows joined, cut into windows of equal length; the first token of each is not scored.</summary>
    Disjoint,
}

/// <summary>What a row of a plain text file is.</summary>
public enum TextRows
{
    File,
    Lines,
}

/// <summary>Which match of a regular expression is the answer.</summary>
public enum MatchChoice
{
    First,
    Last,
}

/// <summary>A benchmark task as its YAML file states it; every key is in docs/tasks.md.</summary>
public sealed record TaskDefinition
{
    public string Name { get; set; } = "";
    public string Version { get; set; } = "1";
    public string About { get; set; } = "";
    public TaskKind? Kind { get; set; }

    /// <summary>Candidate files below the data folder; the first that exists is read.</summary>
    public List<string> Data { get; set; } = [];

    /// <summary>Column names of a CSV file without header row.</summary>
    public List<string> Columns { get; set; } = [];

    /// <summary>Names of ours for fields that files name differently: the first path that a row has is taken.</summary>
    public Dictionary<string, List<string>> Fields { get; set; } = new(StringComparer.Ordinal);

    public TextRows Rows { get; set; } = TextRows.File;
    public string Description { get; set; } = "";

    /// <summary>Text that several items share; their errors are then taken together.</summary>
    public string? Cluster { get; set; }
    public string? Prompt { get; set; }
    public List<string> PromptFilters { get; set; } = [];
    public List<string> Choices { get; set; } = [];
    public string? ChoicesField { get; set; }
    public List<string> ChoiceFilters { get; set; } = [];
    public List<string> Contexts { get; set; } = [];
    public string? Continuation { get; set; }
    public string Delimiter { get; set; } = " ";
    public string? Gold { get; set; }
    public List<string> GoldLabels { get; set; } = [];
    public string? GoldLabelsField { get; set; }
    public string? Target { get; set; }
    public List<string> Stops { get; set; } = [];
    public int MaxGenTokens { get; set; } = 256;
    public FewShotDefinition FewShot { get; set; } = new();
    public AnswerDefinition Answer { get; set; } = new();
    public WindowRule Windows { get; set; } = WindowRule.Rolling;

    /// <summary>Tokens of a window; 0 for the model's context length.</summary>
    public int WindowLength { get; set; }

    public string Join { get; set; } = "";
    public List<string> Metrics { get; set; } = [];

    /// <summary>Words that stand for the star in <see cref="Name"/>.</summary>
    public List<string> Variants { get; set; } = [];

    /// <summary>The word that took the star's place; templates name it {variant}.</summary>
    [YamlIgnore]
    public string Variant { get; init; } = "";

    /// <summary>Where the definition stands, for messages.</summary>
    [YamlIgnore]
    public string Origin { get; init; } = "";
}

/// <summary>Worked examples before an item.</summary>
public sealed record FewShotDefinition
{
    public int Count { get; set; }
    public FewShotRule Rule { get; set; } = FewShotRule.Sample;

    /// <summary>Candidate files; empty: the task's own data.</summary>
    public List<string> Data { get; set; } = [];

    public string Separator { get; set; } = "\n\n";
}

/// <summary>How an answer is taken out of generated text and compared.</summary>
public sealed record AnswerDefinition
{
    /// <summary>Without one the whole text, trimmed, is the strict answer.</summary>
    public ExtractDefinition? Strict { get; set; }
    public ExtractDefinition? Flexible { get; set; }

    /// <summary>Regular expressions removed, in this order, from answer and target before they are compared.</summary>
    public List<string> Remove { get; set; } = [];
    public bool IgnoreCase { get; set; }
}

public sealed record ExtractDefinition
{
    public string Regex { get; set; } = "";
    public MatchChoice Take { get; set; } = MatchChoice.First;
}
