using System.CommandLine;
using System.Globalization;
using Slimming.Cli.CommandLine;
using Slimming.Gguf;
using Spectre.Console;

namespace Slimming.Cli.Verbs;

/// <summary><c>slimming inspect</c>: metadata, tensors, types and sizes of any GGUF file.</summary>
internal static class InspectVerb
{
    private const int ValueWidth = 100;

    public static Command Create()
    {
        Argument<string> path = new("file") { Description = "A GGUF file: model or adapter." };
        Option<bool> tensors = new("--tensors") { Description = "List every tensor, not only the sums by type." };
        var json = SharedOptions.Json();
        Command command = new("inspect", "Shows metadata, tensors, types and sizes of a GGUF file.")
        {
            path,
            tensors,
            json,
        };
        return command
            .Handle(
                (parsed, context) =>
                    Run(parsed.GetRequiredValue(path), parsed.GetValue(tensors), parsed.GetValue(json), context)
            )
            .WithExamples(
                "slimming inspect base.gguf",
                "slimming inspect base.gguf --tensors",
                "slimming inspect base.gguf --json"
            );
    }

    internal static ExitCode Run(string path, bool tensors, bool json, VerbContext context)
    {
        using var file = GgufFile.Open(path);
        if (json)
        {
            context.WriteJson(ToJson(file));
            return ExitCode.Done;
        }
        context.Say(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{path}: GGUF version {file.Version}, {file.Length:N0} bytes, alignment {file.Alignment}, {file.Tensors.Sum(t => t.ValueCount):N0} values"
            )
        );
        var console = context.OutputConsole();
        console.Write(MetadataTable(file));
        console.Write(TypeTable(file));
        if (tensors)
        {
            console.Write(TensorTable(file));
        }
        return ExitCode.Done;
    }

    private static Table MetadataTable(GgufFile file)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns("key", "type", "value");
        foreach (var (key, value) in file.Metadata)
        {
            // A template's line breaks would tear the table.
            var text = value.ToText(ValueWidth).ReplaceLineEndings("\\n");
            table.AddRow(Markup.Escape(key), Markup.Escape(TypeName(value)), Markup.Escape(text));
        }
        return table;
    }

    private static Table TypeTable(GgufFile file)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns("type");
        foreach (var name in new[] { "tensors", "values", "bytes", "bits a value" })
        {
            table.AddColumn(new TableColumn(name).RightAligned());
        }
        foreach (var group in file.Tensors.GroupBy(t => t.Type).OrderByDescending(g => g.Sum(t => t.ByteCount)))
        {
            var values = group.Sum(t => t.ValueCount);
            var bytes = group.Sum(t => t.ByteCount);
            table.AddRow(
                GgmlTypes.Name(group.Key),
                $"{group.Count()}",
                values.ToString("N0", CultureInfo.InvariantCulture),
                bytes.ToString("N0", CultureInfo.InvariantCulture),
                (8.0 * bytes / values).ToString("0.00", CultureInfo.InvariantCulture)
            );
        }
        return table;
    }

    private static Table TensorTable(GgufFile file)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns("tensor", "type", "shape");
        table.AddColumn(new TableColumn("bytes").RightAligned());
        table.AddColumn(new TableColumn("offset").RightAligned());
        foreach (var tensor in file.Tensors)
        {
            table.AddRow(
                Markup.Escape(tensor.Name),
                GgmlTypes.Name(tensor.Type),
                Markup.Escape(tensor.ShapeText),
                tensor.ByteCount.ToString("N0", CultureInfo.InvariantCulture),
                $"{tensor.Offset}"
            );
        }
        return table;
    }

    private static string TypeName(GgufValue value) =>
        (value.ElementType is { } element ? $"{element}[{value.Count}]" : $"{value.Type}").ToLowerInvariant();

    private static object ToJson(GgufFile file) =>
        new
        {
            file.Path,
            file.Version,
            file.Alignment,
            Bytes = file.Length,
            // Keys are the file's own, so they are no properties that a naming policy may change.
            Metadata = file.Metadata.ToDictionary(pair => pair.Key, pair => JsonValue(pair.Value)),
            Tensors = file.Tensors.Select(t => new
            {
                t.Name,
                Type = GgmlTypes.Name(t.Type),
                t.Shape,
                t.Offset,
                Bytes = t.ByteCount,
            }),
        };

    /// <summary>Scalars as they are; arrays whole, those of arrays as a text.</summary>
    private static object JsonValue(GgufValue value)
    {
        if (value.TryString(out var text))
        {
            return text;
        }
        if (value.TryBool(out var flag))
        {
            return flag;
        }
        if (value.TryInteger(out var integer))
        {
            return integer;
        }
        if (value.TryFloat(out var number))
        {
            return number;
        }
        if (value.TryStrings(out var texts))
        {
            return texts;
        }
        if (value.TryFloats(out var floats))
        {
            return floats;
        }
        return value.TryIntegers(out var integers) ? integers : value.ToText(ValueWidth);
    }
}
