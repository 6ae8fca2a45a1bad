using Slimming.Gguf;
using Slimming.Shared;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Slimming.Training;

/// <summary>Reads the <c>--config</c> file: option names as keys, scalars or lists of scalars as values.</summary>
internal static class YamlOptions
{
    /// <summary>Texts by option name, and where each stands ("a.yaml, line 3").</summary>
    public static Dictionary<string, (IReadOnlyList<string> Values, string Place)> Read(string path)
    {
        if (!File.Exists(path))
        {
            throw new SlimmingException(ExitCode.Usage, $"--config: no such file: {path}");
        }
        var text = StrictText.Read(path);
        if (YamlText.Problem(text) is var (problem, line))
        {
            throw NotYaml(path, line, problem, null);
        }
        YamlStream stream = [];
        try
        {
            stream.Load(new StringReader(text));
        }
        catch (YamlException exception)
        {
            throw NotYaml(path, exception.Start.Line, exception.Message, exception);
        }
        catch (Exception exception) when (exception is InvalidOperationException or ArgumentException)
        {
            // The loader's answer to a document that ends where a value should stand.
            throw NotYaml(path, 1, "does a bracket never close, or a key have no value?", exception);
        }
        Dictionary<string, (IReadOnlyList<string>, string)> found = [];
        if (stream.Documents.Count == 0)
        {
            return found;
        }
        if (stream.Documents.Count > 1)
        {
            var second = stream.Documents[1].RootNode.Start.Line;
            throw new SlimmingException(
                ExitCode.Usage,
                $"{path}, line {second}: expected one document, found {stream.Documents.Count} with '---' between them"
            );
        }
        if (stream.Documents[0].RootNode is not YamlMappingNode root)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"{path}: expected 'option: value' lines, found {Describe(stream.Documents[0].RootNode)}"
            );
        }
        foreach (var (key, value) in root.Children)
        {
            var place = $"{path}, line {key.Start.Line}";
            var name = (key as YamlScalarNode)?.Value ?? "";
            var spec = TrainOptionTable.All.FirstOrDefault(spec => spec.Name == name);
            if (spec is not { InFile: true })
            {
                var known = TrainOptionTable.All.Where(spec => spec.InFile).Select(spec => spec.Name);
                throw new SlimmingException(
                    ExitCode.Usage,
                    $"{place}: unknown option '{name}'; known are {string.Join(", ", known)}"
                );
            }
            found.Add(name, (Values(value, spec, place), place));
        }
        return found;
    }

    private static SlimmingException NotYaml(string path, long line, string problem, Exception? inner) =>
        new(ExitCode.Usage, $"{path}, line {line}: not valid YAML: {problem}", inner);

    private static List<string> Values(YamlNode node, OptionSpec spec, string place)
    {
        if (node is YamlScalarNode { Value: { Length: > 0 } text } && !text.Contains('\0', StringComparison.Ordinal))
        {
            return [text];
        }
        // targets: [q, v] reads better than a string with commas.
        if (node is YamlSequenceNode list && (spec.Many || spec.Name == "targets"))
        {
            var items = list.Select(item => (item as YamlScalarNode)?.Value ?? "").ToList();
            if (items.Count > 0 && items.TrueForAll(item => item.Length > 0))
            {
                return spec.Many ? items : [string.Join(',', items)];
            }
        }
        throw new SlimmingException(
            ExitCode.Usage,
            $"{place}: {spec.Name}: expected {(spec.Many ? "a value or a list" : "one value")}, found {Describe(node)}"
        );
    }

    private static string Describe(YamlNode node) =>
        node switch
        {
            YamlMappingNode => "a mapping",
            YamlSequenceNode list => $"a list of {list.Children.Count}",
            YamlScalarNode { Value: { Length: > 0 } text } => $"'{text}'",
            _ => "nothing",
        };
}
