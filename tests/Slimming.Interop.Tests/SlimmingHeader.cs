using System.Text.RegularExpressions;
using Slimming.TestSupport;

namespace Slimming.Interop.Tests;

/// <summary>What native/include/slimming.h declares, read from its text: the outside reference of the bindings.</summary>
internal static partial class SlimmingHeader
{
    /// <param name="Name">Of the field.</param>
    /// <param name="Type">C type without const, e.g. "uint64_t" or "char *".</param>
    /// <param name="Length">Of an array, else 1.</param>
    public sealed record Field(string Name, string Type, int Length);

    public sealed record Function(string Name, string Returns, int ParameterCount);

    private static readonly string Code = Comments()
        .Replace(File.ReadAllText(Path.Combine(SharedFiles.RepoRoot, "native", "include", "slimming.h")), "");

    public static IReadOnlyDictionary<string, IReadOnlyDictionary<string, uint>> Enums { get; } =
        EnumPattern()
            .Matches(Code)
            .ToDictionary(
                m => m.Groups["name"].Value,
                m =>
                    (IReadOnlyDictionary<string, uint>)
                        EnumValue()
                            .Matches(m.Groups["body"].Value)
                            .ToDictionary(v => v.Groups["name"].Value, v => uint.Parse(v.Groups["value"].Value))
            );

    public static IReadOnlyDictionary<string, IReadOnlyList<Field>> Structs { get; } =
        StructPattern()
            .Matches(Code)
            .ToDictionary(m => m.Groups["name"].Value, m => (IReadOnlyList<Field>)Fields(m.Groups["body"].Value));

    public static IReadOnlyList<Function> Functions { get; } =
    [
        .. FunctionPattern()
            .Matches(Code)
            .Select(m => new Function(
                m.Groups["name"].Value,
                m.Groups["returns"].Value,
                m.Groups["parameters"].Value.Trim() == "void" ? 0 : m.Groups["parameters"].Value.Split(',').Length
            )),
    ];

    /// <summary>Bytes of a C type on every 64-bit platform; its alignment is the same.</summary>
    public static int SizeOf(string type) =>
        type.EndsWith('*')
            ? 8
            : type switch
            {
                "char" => 1,
                "int32_t" or "uint32_t" or "float" => 4,
                "int64_t" or "uint64_t" or "double" => 8,
                _ => throw new InvalidOperationException($"unknown C type {type}"),
            };

    private static List<Field> Fields(string body) =>
        [
            .. FieldPattern()
                .Matches(body)
                .Select(m => new Field(
                    m.Groups["name"].Value,
                    m.Groups["type"].Value.Replace("const", "", StringComparison.Ordinal).Trim(),
                    m.Groups["length"].Value switch
                    {
                        "" => 1,
                        "SLM_MAX_NAME" => (int)SlimmingNative.SLM_MAX_NAME,
                        var n => int.Parse(n),
                    }
                )),
        ];

    [GeneratedRegex(@"/\*.*?\*/", RegexOptions.Singleline)]
    private static partial Regex Comments();

    [GeneratedRegex(@"typedef enum (?<name>\w+) \{(?<body>.*?)\}", RegexOptions.Singleline)]
    private static partial Regex EnumPattern();

    [GeneratedRegex(@"(?<name>\w+) = (?<value>\d+)")]
    private static partial Regex EnumValue();

    [GeneratedRegex(@"typedef struct (?<name>\w+) \{(?<body>.*?)\}", RegexOptions.Singleline)]
    private static partial Regex StructPattern();

    [GeneratedRegex(@"(?<type>[\w ]+?[ *]+)(?<name>\w+)(?:\[(?<length>\w+)\])?;")]
    private static partial Regex FieldPattern();

    [GeneratedRegex(@"SLM_API (?<returns>\w+) (?<name>\w+)\((?<parameters>[^)]*)\);", RegexOptions.Singleline)]
    private static partial Regex FunctionPattern();
}
