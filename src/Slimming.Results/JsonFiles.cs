using System.Text.Encodings.Web;
using System.Text.Json;
using Slimming.Shared;

namespace Slimming.Results;

/// <summary>Small JSON files, written beside and renamed.</summary>
internal static class JsonFiles
{
    public static JsonSerializerOptions Options { get; } =
        new()
        {
            PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
            WriteIndented = true,
            RespectNullableAnnotations = true,
            Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        };

    public static void Write<T>(string path, T value) =>
        Durable.WriteAtomically(path, stream => JsonSerializer.Serialize(stream, value, Options));

    public static T Read<T>(string path)
    {
        try
        {
            RegularFile.Require(path);
            return JsonSerializer.Deserialize<T>(File.ReadAllBytes(path), Options)
                ?? throw new ResultsException(ResultsFault.Usage, $"{path}: holds null");
        }
        catch (JsonException e)
        {
            throw new ResultsException(ResultsFault.Usage, $"{path}: not the JSON that was expected: {e.Message}", e);
        }
    }
}
