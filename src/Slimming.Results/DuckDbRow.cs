namespace Slimming.Results;

/// <summary>One row of a query: values by position or by column name.</summary>
public sealed class DuckDbRow(IReadOnlyList<string> columns, object?[] values)
{
    public IReadOnlyList<string> Columns { get; } = columns;

    public object? this[int column] => values[column];

    /// <exception cref="ResultsException">The query has no such column.</exception>
    public object? this[string column]
    {
        get
        {
            for (var i = 0; i < Columns.Count; i++)
            {
                if (string.Equals(Columns[i], column, StringComparison.Ordinal))
                {
                    return values[i];
                }
            }
            throw new ResultsException(
                ResultsFault.Failed,
                $"no column '{column}' in the result; found: {string.Join(", ", Columns)}"
            );
        }
    }

    public string? Text(string column) => (string?)this[column];

    public long? Integer(string column) => (long?)this[column];

    public double? Number(string column) => this[column] is long whole ? whole : (double?)this[column];

    public bool? Flag(string column) => (bool?)this[column];

    /// <summary>A list column's elements, or null.</summary>
    /// <exception cref="ResultsException">An element is null or of another type.</exception>
    public T[]? List<T>(string column) => this[column] is Array list ? Elements<T>(list, column) : null;

    /// <summary>A column of lists of lists, or null.</summary>
    /// <exception cref="ResultsException">An element is null or of another type.</exception>
    public T[][]? Lists<T>(string column) =>
        List<Array>(column) is { } lists ? [.. lists.Select(list => Elements<T>(list, column))] : null;

    private static T[] Elements<T>(Array list, string column)
    {
        var elements = new T[list.Length];
        var at = 0;
        foreach (var element in list)
        {
            elements[at++] = element is T value
                ? value
                : throw new ResultsException(
                    ResultsFault.Failed,
                    $"column '{column}', element {at - 1} (from 0): found {element?.GetType().Name ?? "null"}, expected {typeof(T).Name}"
                );
        }
        return elements;
    }
}
