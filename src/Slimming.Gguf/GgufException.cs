namespace Slimming.Gguf;

/// <summary>A GGUF file that cannot be used as it is: names the file, the place in it, what was expected and what was found.</summary>
public sealed class GgufException : SlimmingException
{
    public GgufException(string file, string place, string problem)
        : base(ExitCode.Usage, $"{file}: {place}: {problem}")
    {
        File = file;
        Place = place;
    }

    public GgufException(string file, string place, string expected, string found)
        : this(file, place, $"expected {expected}, found {found}") { }

    public string File { get; }

    /// <summary>Key, tensor or byte offset.</summary>
    public string Place { get; }
}
