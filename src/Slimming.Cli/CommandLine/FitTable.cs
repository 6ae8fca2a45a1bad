using Spectre.Console;
using Spectre.Console.Rendering;

namespace Slimming.Cli.CommandLine;

/// <summary>
/// Rows of figures: a table where the console is wide enough for it, else every row by itself, its names on a line and
/// below them "column value" one after the other. Figures broken over several lines of a narrow cell cannot be read.
/// </summary>
/// <param name="names">Leading columns that name a row; the others are figures.</param>
/// <param name="columns">Headings.</param>
internal sealed class FitTable(int names, params string[] columns)
{
    private const string Indent = "  ";
    private readonly List<string[]> _rows = [];

    public bool IsEmpty => _rows.Count == 0;

    /// <param name="cells">Plain text, one for each column; an empty one is left out where rows stand by themselves.</param>
    public void AddRow(params string[] cells) => _rows.Add(cells);

    public void Write(IAnsiConsole console)
    {
        var table = new Table().Border(TableBorder.Minimal);
        for (var column = 0; column < columns.Length; column++)
        {
            var heading = new TableColumn(Markup.Escape(columns[column])) { NoWrap = column >= names };
            table.AddColumn(column < names ? heading : heading.RightAligned());
        }
        _rows.ForEach(row => table.AddRow([.. row.Select(Markup.Escape)]));
        var natural = ((IRenderable)table).Measure(
            new RenderOptions(console.Profile.Capabilities, new Size(int.MaxValue, console.Profile.Height)),
            int.MaxValue
        );
        if (natural.Max <= console.Profile.Width)
        {
            console.Write(table);
            return;
        }
        console.WriteLine();
        foreach (var row in _rows)
        {
            WriteRow(console, row);
        }
    }

    private void WriteRow(IAnsiConsole console, string[] row)
    {
        console.WriteLine(string.Join(", ", row[..names]));
        var figures = columns[names..].Zip(row[names..]).Where(cell => cell.Second.Length > 0).ToList();
        var line = Indent;
        for (var i = 0; i < figures.Count; i++)
        {
            var figure = $"{figures[i].First} {figures[i].Second}{(i + 1 < figures.Count ? ";" : "")}";
            if (line.Length > Indent.Length && line.Length + 1 + figure.Length > console.Profile.Width)
            {
                console.WriteLine(line);
                line = Indent;
            }
            line += line.Length > Indent.Length ? " " + figure : figure;
        }
        console.WriteLine(line);
    }
}
