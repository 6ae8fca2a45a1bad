using System.Text.Json;
using Slimming.Gguf;
using Slimming.Shared;

namespace Slimming.Training;

/// <summary><c>metrics.jsonl</c>: one row a step or evaluation, numbers in shortest round-trip form.</summary>
internal sealed class MetricsFile : IDisposable
{
    private static readonly JsonSerializerOptions JsonOptions = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
    };

    private readonly FileStream _stream;

    /// <param name="path">The file.</param>
    /// <param name="keepBytes">Rows to keep from an earlier part of the run; the rest is cut off.</param>
    /// <exception cref="SlimmingException">Exit code 1: the file is shorter than the checkpoint says.</exception>
    public MetricsFile(string path, long keepBytes)
    {
        _stream = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
        if (_stream.Length < keepBytes)
        {
            var found = _stream.Length;
            _stream.Dispose();
            throw new SlimmingException(
                ExitCode.Failed,
                $"{path}: expected at least {keepBytes} bytes from before the checkpoint, found {found}"
            );
        }
        _stream.SetLength(keepBytes);
        _stream.Position = keepBytes;
    }

    /// <summary>The numbers that tell rows apart: a step has a loss, an evaluation an eval_loss.</summary>
    internal sealed record Row(int Step, double? Loss, double? EvalLoss, bool Skipped = false);

    /// <summary>Reads the rows of a finished run.</summary>
    /// <exception cref="SlimmingException">Exit code 2: a line is no such row.</exception>
    public static IEnumerable<Row> Read(string path)
    {
        RegularFile.Require(path);
        return File.ReadLines(path).Select((line, number) => Parse(path, line, number));
    }

    private static Row Parse(string path, string line, int number)
    {
        try
        {
            return JsonSerializer.Deserialize<Row>(line, JsonOptions) ?? throw new JsonException("found null");
        }
        catch (JsonException exception)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"{path}, row {number} (from 0): expected a row of metrics: {exception.Message}",
                exception
            );
        }
    }

    public void Add<T>(T row)
    {
        JsonSerializer.Serialize(_stream, row, JsonOptions);
        _stream.WriteByte((byte)'\n');
        _stream.Flush();
    }

    /// <summary>Makes the rows durable and tells where they end.</summary>
    public long Sync()
    {
        _stream.Flush(flushToDisk: true);
        return _stream.Length;
    }

    public void Dispose() => _stream.Dispose();
}
