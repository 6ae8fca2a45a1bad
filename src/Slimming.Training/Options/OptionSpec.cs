namespace Slimming.Training;

/// <summary>What text an option takes.</summary>
public enum OptionKind
{
    Text,
    Flag,
    Whole,
    Real,
    Size,
}

/// <summary>
/// One option of <c>train</c>: the single source of its name, kind, default and help for the command line, the YAML
/// file and the resolved record.
/// </summary>
/// <param name="Name">Kebab case, without dashes.</param>
/// <param name="Kind">How its text is read.</param>
/// <param name="Default">Text used when it is given nowhere; null when there is none.</param>
/// <param name="Help">One line.</param>
public sealed record OptionSpec(string Name, OptionKind Kind, string? Default, string Help)
{
    /// <summary>What stands for the value in help.</summary>
    public string Placeholder { get; init; } = "";

    /// <summary>The only values accepted; empty: any.</summary>
    public IReadOnlyList<string> Choices { get; init; } = [];

    /// <summary>Whether it takes several values.</summary>
    public bool Many { get; init; }

    public bool Required { get; init; }

    /// <summary>Smallest number accepted.</summary>
    public double Minimum { get; init; } = double.NegativeInfinity;

    /// <summary>Numbers stay below it.</summary>
    public double Below { get; init; } = double.PositiveInfinity;

    /// <summary>Whether the smallest number itself is refused.</summary>
    public bool AboveMinimum { get; init; }

    /// <summary>Whether a YAML file may set it; what names a file or an act of one run may not.</summary>
    public bool InFile { get; init; } = true;
}
