using System.Globalization;
using Slimming.Gguf;

namespace Slimming.Training.Data;

/// <summary>One value of <c>--data</c>.</summary>
/// <param name="Pattern">A path or glob.</param>
/// <param name="Weight">Its weight in the mix; null where the files are not mixed but read one after another.</param>
public sealed record DataSource(string Pattern, double? Weight)
{
    /// <summary>
    /// Reads "path" or "path:weight". The text behind the last colon is a weight where it is a number and no file has
    /// the whole text as its name.
    /// </summary>
    /// <exception cref="SlimmingException">A weight is not above 0, or some have one and others not.</exception>
    public static IReadOnlyList<DataSource> ParseAll(IReadOnlyList<string> texts)
    {
        ArgumentNullException.ThrowIfNull(texts);
        var sources = texts.Select(Parse).ToArray();
        if (sources.FirstOrDefault(s => s.Weight is null) is { } plain && sources.Any(s => s.Weight is not null))
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"--data {plain.Pattern}: has no weight, others have one; give all of them one (FILE:WEIGHT) or none"
            );
        }
        return sources;
    }

    private static DataSource Parse(string text)
    {
        var colon = text.LastIndexOf(':');
        if (
            colon <= 0
            || File.Exists(text)
            || !double.TryParse(
                text.AsSpan(colon + 1),
                NumberStyles.Float,
                CultureInfo.InvariantCulture,
                out var weight
            )
        )
        {
            return new DataSource(text, null);
        }
        return double.IsFinite(weight) && weight > 0
            ? new DataSource(text[..colon], weight)
            : throw new SlimmingException(
                ExitCode.Usage,
                $"--data {text}: expected a weight above 0 behind the last colon, found '{text[(colon + 1)..]}'"
            );
    }
}
