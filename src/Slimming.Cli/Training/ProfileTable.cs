using System.Globalization;
using Slimming.Training;
using Spectre.Console;

namespace Slimming.Cli.Training;

/// <summary>Time and bytes by phase, as <c>train --profile</c> shows them.</summary>
internal static class ProfileTable
{
    public static void Write(IAnsiConsole console, IReadOnlyList<ProfileRow> rows)
    {
        var table = new Table()
            .Border(TableBorder.Minimal)
            .AddColumns("phase", "seconds", "share", "bytes", "GB/s", "stretches");
        foreach (var column in table.Columns.Skip(1))
        {
            column.RightAligned();
        }
        foreach (var row in rows)
        {
            table.AddRow(
                row.Phase,
                row.Seconds.ToString("0.000", CultureInfo.InvariantCulture),
                row.Share.ToString("0.0 %", CultureInfo.InvariantCulture),
                ByteSize.Format(row.Bytes),
                row.Seconds > 0 ? (row.Bytes / row.Seconds / 1e9).ToString("0.0", CultureInfo.InvariantCulture) : "-",
                row.Calls.ToString("N0", CultureInfo.InvariantCulture)
            );
        }
        console.Write(table);
    }
}
