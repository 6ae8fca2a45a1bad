using System.Text.Json.Serialization;
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

    /// <summary>Distance of two models' next-token distributions over running text.</summary>
    Divergence,
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

    /// <summary>Windows of equal length at random places of random rows, drawn with Python's random.Random.</summary>
    Slices,
}

/// <summary>What of a choice the model is asked for.</summary>
public enum ChoiceScoring
{
    /// <summary>The log-likelihood of delimiter and choice, split from the context as lm-evaluation-harness does.</summary>
    Continuation,

    /// <summary>One token: the last of the choice tokenized alone, right after the context.</summary>
    LastToken,
}

/// <summary>Whether a text starts with BOS.</summary>
public enum BosRule
{
    /// <summary>As the run asks (--bos).</summary>
    Asked,

    /// <summary>Where the model's tokenizer adds one, and where the run asks.</summary>
    Tokenizer,
}

/// <summary>Which part of a shuffled file a task takes.</summary>
public enum SplitHalf
{
    First,
    Second,
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

    /// <summary>Rows of the whole published set, all variants together; 0 where that is not known.</summary>
    public int Items { get; set; }

    /// <summary>Where the data come from, for messages.</summary>
    public SourceDefinition Source { get; set; } = new();

    /// <summary>Candidate files below the data folder; the first that exists is read.</summary>
    public List<string> Data { get; set; } = [];

    /// <summary>Files taken where none of the above exists: other texts of the same kind, which a run warns about.</summary>
    public List<string> StandIns { get; set; } = [];

    /// <summary>Only the first rows of the file; 0 for all.</summary>
    public int FirstRows { get; set; }

    /// <summary>Half of the file's rows, shuffled.</summary>
    public SplitDefinition? Split { get; set; }

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
    public ChoiceScoring Scoring { get; set; } = ChoiceScoring.Continuation;
    public BosRule Bos { get; set; } = BosRule.Asked;
    public string Delimiter { get; set; } = " ";
    public string? Gold { get; set; }
    public List<string> GoldLabels { get; set; } = [];
    public string? GoldLabelsField { get; set; }

    /// <summary>The expected text; worked examples show it.</summary>
    public string? Target { get; set; }

    /// <summary>Field with the list of right answers, of which the closest counts; without it only <see cref="Target"/> is right.</summary>
    public string? TargetsField { get; set; }
    public List<string> Stops { get; set; } = [];
    public int MaxGenTokens { get; set; } = 256;
    public FewShotDefinition FewShot { get; set; } = new();
    public AnswerDefinition Answer { get; set; } = new();
    public WindowRule Windows { get; set; } = WindowRule.Rolling;

    /// <summary>Tokens of a window; 0 for the model's context length.</summary>
    public int WindowLength { get; set; }

    /// <summary>Most windows; 0 for all that there are.</summary>
    public int WindowCount { get; set; }

    /// <summary>Seed of the places of <see cref="WindowRule.Slices"/>.</summary>
    public uint WindowSeed { get; set; }

    public string Join { get; set; } = "";
    public List<string> Metrics { get; set; } = [];

    /// <summary>Words that stand for the star in <see cref="Name"/>.</summary>
    public List<string> Variants { get; set; } = [];

    /// <summary>The name under which all variants are run and reported together.</summary>
    public string? Group { get; set; }

    /// <summary>Names of parts of the group, with their variants.</summary>
    public Dictionary<string, List<string>> Subgroups { get; set; } = new(StringComparer.Ordinal);

    /// <summary>The word that took the star's place; templates name it {variant}.</summary>
    [YamlIgnore]
    public string Variant { get; init; } = "";

    /// <summary>Where the definition stands, for messages.</summary>
    [YamlIgnore]
    public string Origin { get; init; } = "";

    /// <summary>Text in windows instead of questions.</summary>
    [YamlIgnore, JsonIgnore]
    public bool IsRunningText => Kind is TaskKind.Perplexity or TaskKind.Divergence;

    /// <summary>One of the variants as a task of its own.</summary>
    /// <param name="variant">The word that takes the star's place.</param>
    public TaskDefinition Member(string variant) =>
        this with
        {
            Name = MemberName(variant),
            Variant = variant,
            Variants = [],
            Group = null,
            Subgroups = new Dictionary<string, List<string>>(StringComparer.Ordinal),
        };

    /// <summary>Items are windows of text, not rows.</summary>
    internal bool HasWindows =>
        Kind == TaskKind.Divergence || (Kind == TaskKind.Perplexity && Windows != WindowRule.Rolling);

    /// <summary>What stands between question and scored answer. Under a chat template the answer starts a turn of its own.</summary>
    internal string DelimiterOf(bool chat) => chat || Scoring == ChoiceScoring.LastToken ? "" : Delimiter;

    internal string MemberName(string variant) => Name.Replace("*", variant, StringComparison.Ordinal);
}

/// <summary>Where a task's files come from.</summary>
public sealed record SourceDefinition
{
    /// <summary>Id of the data set on the Hugging Face hub, or the address of its files.</summary>
    public string Hub { get; set; } = "";

    /// <summary>Files there, by the name that they get below the data folder.</summary>
    public Dictionary<string, string> Files { get; set; } = new(StringComparer.Ordinal);
}

/// <summary>A half of a file whose rows are put in the order of torch.randperm.</summary>
public sealed record SplitDefinition
{
    public uint Seed { get; set; }
    public SplitHalf Half { get; set; } = SplitHalf.First;
}

/// <summary>Worked examples before an item.</summary>
public sealed record FewShotDefinition
{
    public int Count { get; set; }
    public FewShotRule Rule { get; set; } = FewShotRule.Sample;

    /// <summary>Candidate files; empty: the task's own data.</summary>
    public List<string> Data { get; set; } = [];

    /// <summary>Rows written down in the task file, in place of a data file.</summary>
    public List<Dictionary<string, string>> Samples { get; set; } = [];

    /// <summary>Most tokens of a prompt: examples are dropped from the end until it fits; 0 for no limit.</summary>
    public int MaxTokens { get; set; }

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

    /// <summary>Text filters over answer and target, after <see cref="Remove"/>.</summary>
    public List<string> Filters { get; set; } = [];
}

public sealed record ExtractDefinition
{
    public string Regex { get; set; } = "";
    public MatchChoice Take { get; set; } = MatchChoice.First;
}
