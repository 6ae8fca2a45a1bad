using System.Text.Json;
using Slimming.Training.Data;

namespace Slimming.Training.Tests.Data;

/// <summary>A folder for one test's data files.</summary>
public abstract class DataFolder : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("slimming-data-").FullName;

    public void Dispose()
    {
        Directory.Delete(_folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    protected string Write(string name, params string[] lines)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllText(path, string.Join('\n', lines));
        return path;
    }

    protected string WriteRows(string name, params object[] rows) =>
        Write(name, rows.Select(r => JsonSerializer.Serialize(r)).ToArray());

    protected string InFolder(string name) => Path.Combine(_folder, name);

    internal static SampleSet Load(
        ByteTokenizer tokenizer,
        string template,
        string file,
        Func<DataOptions, DataOptions>? change = null,
        string? modelTemplate = null
    )
    {
        var options = new DataOptions { Files = [file], Template = template };
        return SampleSet.Load(change is null ? options : change(options), tokenizer, modelTemplate);
    }
}
