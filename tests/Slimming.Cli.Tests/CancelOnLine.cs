namespace Slimming.Cli.Tests;

/// <summary>Standard error that presses Ctrl-C when a line begins with a text.</summary>
internal sealed class CancelOnLine(string start) : StringWriter
{
    private readonly CancellationTokenSource _source = new();

    public CancellationToken Token => _source.Token;

    public override void WriteLine(string? value)
    {
        base.WriteLine(value);
        if (value?.StartsWith(start, StringComparison.Ordinal) == true)
        {
            _source.Cancel();
        }
    }

    protected override void Dispose(bool disposing)
    {
        _source.Dispose();
        base.Dispose(disposing);
    }
}
