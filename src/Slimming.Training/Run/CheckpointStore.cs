using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Slimming.Gguf;
using Slimming.Shared;

namespace Slimming.Training;

/// <summary>
/// The folder <c>checkpoints</c> of a run: one folder a checkpoint, named by its step. Each holds the blocks as raw
/// little-endian f32, <c>state.json</c>, and <c>SHA256SUMS</c> over all of them. A checkpoint is written beside its
/// place, synced, and renamed: what has a number is whole.
/// </summary>
public sealed class CheckpointStore(string folder)
{
    /// <summary>Values of one read or write: a span of bytes holds at most 2 GiB.</summary>
    private const int ChunkValues = 1 << 22;
    private const string SumsName = "SHA256SUMS";
    private const string StateName = "state.json";
    private const string PartialSuffix = ".partial";
    private static readonly string[] BlockNames = ["parameters.f32", "moment1.f32", "moment2.f32"];
    private static readonly JsonSerializerOptions JsonOptions = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        UnmappedMemberHandling = System.Text.Json.Serialization.JsonUnmappedMemberHandling.Disallow,
    };

    /// <summary>Steps that have a checkpoint, newest first.</summary>
    public IReadOnlyList<int> Steps =>
        !Directory.Exists(folder)
            ? []
            :
            [
                .. Directory
                    .EnumerateDirectories(folder)
                    .Select(path =>
                        int.TryParse(
                            Path.GetFileName(path),
                            NumberStyles.None,
                            CultureInfo.InvariantCulture,
                            out var step
                        )
                            ? step
                            : -1
                    )
                    .Where(step => step >= 0)
                    .OrderDescending(),
            ];

    public string PathOf(int step) => Path.Combine(folder, step.ToString("D6", CultureInfo.InvariantCulture));

    /// <summary>Writes the checkpoint of <c>state.Step</c> and removes all but the newest <paramref name="keep"/>.</summary>
    /// <param name="state">Everything but the blocks.</param>
    /// <param name="blocks">Parameters and moments.</param>
    /// <param name="keep">Checkpoints that stay.</param>
    /// <param name="writeExtra">Adds files to the folder it is given, e.g. the adapter for llama.cpp; may be null.</param>
    public string Write(TrainState state, TrainBlocks blocks, int keep, Action<string>? writeExtra = null)
    {
        ArgumentNullException.ThrowIfNull(state);
        Directory.CreateDirectory(folder);
        RemovePartial();
        var path = PathOf(state.Step);
        var partial = path + PartialSuffix;
        try
        {
            Directory.CreateDirectory(partial);
            WriteBlock(Path.Combine(partial, BlockNames[0]), blocks.Parameters);
            WriteBlock(Path.Combine(partial, BlockNames[1]), blocks.Moment1);
            WriteBlock(Path.Combine(partial, BlockNames[2]), blocks.Moment2);
            WriteSynced(Path.Combine(partial, StateName), JsonSerializer.SerializeToUtf8Bytes(state, JsonOptions));
            writeExtra?.Invoke(partial);
            WriteSynced(Path.Combine(partial, SumsName), System.Text.Encoding.UTF8.GetBytes(Sums(partial)));
            Durable.SyncFolder(partial);
            if (Directory.Exists(path))
            {
                // Only after a return to an earlier checkpoint; what is there now was found damaged or is made again.
                Directory.Delete(path, recursive: true);
            }
            Directory.Move(partial, path);
            Durable.SyncFolder(folder);
        }
        catch
        {
            RemovePartial();
            throw;
        }
        foreach (var old in Steps.Skip(keep))
        {
            Directory.Delete(PathOf(old), recursive: true);
        }
        return path;
    }

    /// <summary>
    /// Reads the newest sound checkpoint into <paramref name="blocks"/>. Damaged newer ones are named to
    /// <paramref name="warn"/>; null when there is no checkpoint at all.
    /// </summary>
    /// <exception cref="SlimmingException">Exit code 1: there are checkpoints and all are damaged.</exception>
    public TrainState? ReadNewest(TrainBlocks blocks, Action<string> warn)
    {
        ArgumentNullException.ThrowIfNull(warn);
        var steps = Steps;
        List<string> problems = [];
        foreach (var step in steps)
        {
            if (Problem(step, blocks.Parameters.Length) is { } problem)
            {
                problems.Add(problem);
                continue;
            }
            foreach (var earlier in problems)
            {
                warn($"damaged checkpoint passed over: {earlier}");
            }
            var path = PathOf(step);
            ReadBlock(Path.Combine(path, BlockNames[0]), blocks.Parameters);
            ReadBlock(Path.Combine(path, BlockNames[1]), blocks.Moment1);
            ReadBlock(Path.Combine(path, BlockNames[2]), blocks.Moment2);
            return ReadState(path);
        }
        return steps.Count == 0
            ? null
            : throw new SlimmingException(
                ExitCode.Failed,
                $"no sound checkpoint in {folder}; start again with --force.\n  {string.Join("\n  ", problems)}"
            );
    }

    /// <summary>Why a checkpoint cannot be used; null when it is sound.</summary>
    private string? Problem(int step, int valueCount)
    {
        var path = PathOf(step);
        try
        {
            var sums = Path.Combine(path, SumsName);
            RegularFile.Require(sums);
            var stated = File.ReadAllText(sums);
            foreach (var name in BlockNames.Append(StateName))
            {
                if (!stated.Contains($"  {name}\n", StringComparison.Ordinal))
                {
                    return $"{path}: {SumsName} does not list {name}";
                }
            }
            HashSet<string> names = new(StringComparer.Ordinal);
            foreach (var line in stated.Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                var parts = line.Split("  ", 2);
                if (
                    parts.Length != 2
                    || parts[1] != Path.GetFileName(parts[1])
                    || parts[1].Contains('\0', StringComparison.Ordinal)
                )
                {
                    return $"{path}: {SumsName}: unreadable line '{line}'";
                }
                if (!names.Add(parts[1]))
                {
                    return $"{path}: {SumsName} lists {parts[1]} twice";
                }
                var found = Durable.Sha256(Path.Combine(path, parts[1]));
                if (found != parts[0])
                {
                    return $"{Path.Combine(path, parts[1])}: SHA-256 expected {parts[0]}, found {found}";
                }
            }
            foreach (var name in BlockNames)
            {
                var bytes = new FileInfo(Path.Combine(path, name)).Length;
                if (bytes != (long)valueCount * sizeof(float))
                {
                    return $"{Path.Combine(path, name)}: expected {(long)valueCount * sizeof(float)} bytes, found {bytes}";
                }
            }
            var state = ReadState(path);
            return state.Step != step ? $"{path}: {StateName} is of step {state.Step}"
                : state.Fault is { } fault ? $"{path}: {StateName}: {fault}"
                : null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or JsonException)
        {
            return $"{path}: {exception.Message}";
        }
    }

    private static TrainState ReadState(string path) =>
        JsonSerializer.Deserialize<TrainState>(File.ReadAllBytes(Path.Combine(path, StateName)), JsonOptions)
        ?? throw new JsonException("empty state");

    private static string Sums(string path) =>
        string.Concat(
            Directory
                .EnumerateFiles(path)
                .Select(file => Path.GetFileName(file))
                .Order(StringComparer.Ordinal)
                .Select(name => $"{Durable.Sha256(Path.Combine(path, name))}  {name}\n")
        );

    private void RemovePartial()
    {
        foreach (var left in Directory.EnumerateDirectories(folder, "*" + PartialSuffix))
        {
            Directory.Delete(left, recursive: true);
        }
    }

    private static void WriteBlock(string path, ReadOnlySpan<float> values)
    {
        using var stream = File.Create(path);
        for (; values.Length > 0; values = values[Math.Min(ChunkValues, values.Length)..])
        {
            stream.Write(MemoryMarshal.AsBytes(values[..Math.Min(ChunkValues, values.Length)]));
        }
        stream.Flush(flushToDisk: true);
    }

    private static void WriteSynced(string path, ReadOnlySpan<byte> bytes)
    {
        using var stream = File.Create(path);
        stream.Write(bytes);
        stream.Flush(flushToDisk: true);
    }

    private static void ReadBlock(string path, Span<float> values)
    {
        using var stream = File.OpenRead(path);
        for (; values.Length > 0; values = values[Math.Min(ChunkValues, values.Length)..])
        {
            stream.ReadExactly(MemoryMarshal.AsBytes(values[..Math.Min(ChunkValues, values.Length)]));
        }
    }
}
