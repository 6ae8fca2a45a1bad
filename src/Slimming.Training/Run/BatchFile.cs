using System.Text.Json;
using Slimming.Gguf;
using Slimming.Shared;
using Slimming.Training.Data;

namespace Slimming.Training;

/// <summary>
/// The samples of one step as JSONL rows that <c>--data</c> reads (<c>input_ids</c>, <c>labels</c>), with the file and row
/// that each came from and the key of its random draws.
/// </summary>
internal static class BatchFile
{
    private const int NoLoss = -100;

    private static readonly JsonSerializerOptions JsonOptions = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>What a row says beside the ids; from hand-made files some of it may be missing.</summary>
    internal sealed record Origin(string? Source = null, long? Row = null, ulong? Key = null);

    public static void Write(string path, IReadOnlyList<KeyedSample> samples)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        Durable.WriteAtomically(
            path,
            stream =>
            {
                foreach (var (sample, key) in samples)
                {
                    var row = new
                    {
                        InputIds = sample.Tokens,
                        // Unshifted, as --data takes them.
                        Labels = sample.Tokens.Select(
                            (_, t) => t > 0 && sample.Targets[t - 1] >= 0 ? sample.Targets[t - 1] : NoLoss
                        ),
                        sample.Source,
                        sample.Row,
                        Key = key,
                    };
                    JsonSerializer.Serialize(stream, row, JsonOptions);
                    stream.WriteByte((byte)'\n');
                }
            }
        );
    }

    /// <summary>Of each row, in order.</summary>
    /// <exception cref="SlimmingException">Exit code 2: a line that is no such row.</exception>
    public static IReadOnlyList<Origin> Origins(string path)
    {
        RegularFile.Require(path);
        List<Origin> origins = [];
        foreach (var line in File.ReadLines(path).Where(line => !string.IsNullOrWhiteSpace(line)))
        {
            try
            {
                origins.Add(JsonSerializer.Deserialize<Origin>(line, JsonOptions) ?? new Origin());
            }
            catch (JsonException exception)
            {
                throw new SlimmingException(
                    ExitCode.Usage,
                    $"--replay-batch {path}, row {origins.Count} (from 0): expected one JSON object a line: {exception.Message}",
                    exception
                );
            }
        }
        return origins;
    }
}
