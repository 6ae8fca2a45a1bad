using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Slimming.Results;

/// <summary>What a bench run was asked to do and with what; <c>run.json</c> of its folder.</summary>
/// <remarks>
/// <see cref="Settings"/> are what changes a score (model and adapter hash, tasks, shots, limits, cache type, template):
/// they alone make <see cref="Id"/>. <see cref="Environment"/> is told but does not make another run.
/// </remarks>
public sealed record RunInfo
{
    /// <summary>Shown in reports: base, adapter, merged, or a file name.</summary>
    public string Label { get; init; } = "";

    public required SortedDictionary<string, string> Settings { get; init; }

    public SortedDictionary<string, string> Environment { get; init; } = new(StringComparer.Ordinal);

    /// <summary>16 hex digits of the SHA-256 of the settings.</summary>
    [JsonPropertyName("id")]
    public string Id =>
        Convert.ToHexStringLower(
            SHA256.HashData(
                JsonSerializer.SerializeToUtf8Bytes(
                    new SortedDictionary<string, string>(Settings, StringComparer.Ordinal),
                    JsonFiles.Options
                )
            )
        )[..16];

    /// <exception cref="ResultsException">The file is no such record.</exception>
    internal static RunInfo Read(string path)
    {
        var info = JsonFiles.Read<RunInfo>(path);
        // The serializer minds no null that is an element.
        return info.Settings.Concat(info.Environment).FirstOrDefault(pair => pair.Value is null).Key is { } key
            ? throw new ResultsException(ResultsFault.Usage, $"{path}: {key}: found null, expected a text")
            : info;
    }

    /// <summary>The settings in which two runs differ, worded for a message; empty where they agree.</summary>
    public static string Differences(RunInfo there, RunInfo asked)
    {
        ArgumentNullException.ThrowIfNull(there);
        ArgumentNullException.ThrowIfNull(asked);
        var keys = there.Settings.Keys.Union(asked.Settings.Keys, StringComparer.Ordinal).Order(StringComparer.Ordinal);
        var lines =
            from key in keys
            let old = there.Settings.GetValueOrDefault(key, "(not set)")
            let now = asked.Settings.GetValueOrDefault(key, "(not set)")
            where old != now
            select $"{key}: there {old}, asked {now}";
        return string.Join("; ", lines);
    }
}
