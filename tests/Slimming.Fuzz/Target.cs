namespace Slimming.Fuzz;

/// <summary>Makes broken files of one kind and hands them to the code that reads them.</summary>
internal abstract class Target : IDisposable
{
    public abstract string Name { get; }

    /// <summary>Ending of the files' names.</summary>
    public abstract string Extension { get; }

    /// <summary>Whether foreign native code sees the file behind our checks; then it runs in a child process.</summary>
    public virtual bool IsForeign => false;

    /// <summary>Cases of the round in the test suite: some four seconds of them.</summary>
    public virtual int RoundCases => 30_000;

    /// <summary>Most that reading a file may allocate in all, beside four times its size.</summary>
    public virtual long FreeBytes => 16L << 20;

    /// <summary>A file that is read without an error.</summary>
    public abstract byte[] Sound { get; }

    /// <summary>One file. The same random numbers make the same bytes.</summary>
    /// <param name="random">Keyed by seed and number of the case.</param>
    /// <param name="kind">What was done to it.</param>
    public abstract byte[] Make(Random random, out string kind);

    /// <summary>Reads the file as the program does; an error meant for the user is the expected answer.</summary>
    public abstract void Read(string path);

    public void Dispose() => Close();

    protected virtual void Close() { }

    public static IReadOnlyDictionary<string, Func<Target>> All { get; } =
        new SortedDictionary<string, Func<Target>>(StringComparer.Ordinal)
        {
            ["gguf"] = () => new GgufTarget(),
            ["split"] = () => new SplitTarget(),
            ["adapter"] = () => new AdapterTarget(),
            ["safetensors"] = () => new SafetensorsTarget(),
            ["peft-config"] = () => new PeftConfigTarget(),
            ["options"] = () => new OptionsTarget(),
            ["task"] = () => new TaskTarget(),
            ["template"] = () => new TemplateTarget(),
            ["llama"] = () => new LlamaTarget(),
            ["imatrix"] = () => new ImatrixTarget(),
            ["jsonl"] = () => new DataTarget("jsonl"),
            ["csv"] = () => new DataTarget("csv"),
            ["parquet"] = () => new DataTarget("parquet"),
            ["checkpoint"] = () => new CheckpointTarget(),
            ["run"] = () => new RunTarget(),
            ["results"] = () => new ResultsTarget(),
        };
}
