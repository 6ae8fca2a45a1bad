using System.Globalization;

namespace Slimming.Training;

/// <summary>Sizes in bytes as people write them: 600MiB, 2GiB (powers of 1024; K, M, G alone too), 2GB (powers of 1000).</summary>
public static class ByteSize
{
    private static readonly (string Suffix, double Factor)[] Units =
    [
        ("KiB", 1024.0),
        ("MiB", 1024.0 * 1024),
        ("GiB", 1024.0 * 1024 * 1024),
        ("TiB", 1024.0 * 1024 * 1024 * 1024),
        ("KB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
        ("K", 1024.0),
        ("M", 1024.0 * 1024),
        ("G", 1024.0 * 1024 * 1024),
        ("T", 1024.0 * 1024 * 1024 * 1024),
        ("B", 1),
        ("", 1),
    ];

    public static bool TryParse(string text, out long bytes)
    {
        bytes = 0;
        var (suffix, factor) = Units.First(unit => text.EndsWith(unit.Suffix, StringComparison.OrdinalIgnoreCase));
        var number = text[..^suffix.Length].Trim();
        if (
            !double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value)
            || !(value * factor >= 1 && value * factor < long.MaxValue)
        )
        {
            return false;
        }
        bytes = (long)(value * factor);
        return true;
    }

    /// <summary>"585.9 MiB"</summary>
    public static string Format(long bytes) =>
        bytes switch
        {
            < 1024 => $"{bytes} B",
            < 1024 * 1024 => Text(bytes / 1024.0, "KiB"),
            < 1024L * 1024 * 1024 => Text(bytes / (1024.0 * 1024), "MiB"),
            _ => Text(bytes / (1024.0 * 1024 * 1024), "GiB"),
        };

    private static string Text(double value, string unit) =>
        value.ToString("0.0", CultureInfo.InvariantCulture) + " " + unit;
}
