using System.Text.RegularExpressions;
using Slimming.Gguf;
using Slimming.LlamaCpp;
using Slimming.Models;

namespace Slimming.Training.Export;

/// <summary>How one tensor is written.</summary>
/// <param name="Source">In the base.</param>
/// <param name="Type">In the new file.</param>
/// <param name="FellBackFrom">The type that was asked for but cannot divide the rows.</param>
/// <param name="IsAdapted">Its values change, not only its type.</param>
public sealed record TensorPlan(GgufTensor Source, GgmlType Type, GgmlType? FellBackFrom, bool IsAdapted)
{
    /// <summary>The base's bytes are the new file's.</summary>
    public bool IsCopied => !IsAdapted && Type == Source.Type;

    /// <summary>An importance matrix changes how it is quantized.</summary>
    internal bool UsesImportance => !IsCopied && Quantizer.UsesImportance(Type);
}

/// <summary>A type for the tensors whose names a pattern finds.</summary>
/// <param name="Pattern">Regular expression, found anywhere in the name.</param>
/// <param name="Type">Null keeps the tensor's own.</param>
public sealed record TypeOverride(string Pattern, GgmlType? Type)
{
    private static readonly TimeSpan PatternLimit = TimeSpan.FromSeconds(1);

    /// <summary>PATTERN=TYPE; the last '=' separates them.</summary>
    /// <exception cref="SlimmingException">No such form, type or pattern.</exception>
    public static TypeOverride Parse(string text)
    {
        var at = text.LastIndexOf('=');
        if (at < 1)
        {
            throw Wrong("PATTERN=TYPE, such as attn_v=q8_0", $"'{text}'");
        }
        var found = new TypeOverride(text[..at], TypePlan.Parse(text[(at + 1)..], "--tensor-type"));
        found.Matches("");
        return found;
    }

    public bool Matches(string tensor)
    {
        try
        {
            return Regex.IsMatch(tensor, Pattern, RegexOptions.CultureInvariant, PatternLimit);
        }
        catch (Exception e) when (e is ArgumentException or RegexMatchTimeoutException)
        {
            throw Wrong("a regular expression", $"'{Pattern}': {e.Message}");
        }
    }

    internal static SlimmingException Wrong(string expected, string found) =>
        new(ExitCode.Usage, $"--tensor-type: expected {expected}, found {found}");
}

/// <summary>Chooses the type of each tensor of a merged file.</summary>
public static class TypePlan
{
    /// <summary>Types that <c>--type</c> knows, with the number llama.cpp gives a file of them (llama_ftype).</summary>
    private static readonly (GgmlType Type, uint FileType)[] Known =
    [
        (GgmlType.F32, 0),
        (GgmlType.F16, 1),
        (GgmlType.BF16, 32),
        (GgmlType.Q8_0, 7),
        (GgmlType.Q4_0, 2),
        (GgmlType.Q4_1, 3),
        (GgmlType.Q5_0, 8),
        (GgmlType.Q5_1, 9),
        (GgmlType.Q6_K, 18),
        (GgmlType.Q5_K, 16),
        (GgmlType.Q4_K, 14),
        (GgmlType.Q3_K, 11),
        (GgmlType.Q2_K, 10),
        (GgmlType.IQ4_NL, 25),
        (GgmlType.IQ4_XS, 30),
        (GgmlType.IQ3_S, 26),
        (GgmlType.IQ3_XXS, 23),
        (GgmlType.IQ2_S, 28),
        (GgmlType.IQ2_XS, 20),
        (GgmlType.IQ2_XXS, 19),
        (GgmlType.IQ1_M, 31),
        (GgmlType.IQ1_S, 24),
    ];

    public static IReadOnlyList<string> Names { get; } = ["same", .. Known.Select(k => GgmlTypes.Name(k.Type))];

    /// <summary>Null for "same".</summary>
    public static GgmlType? Parse(string name, string option = "--type")
    {
        if (name == "same")
        {
            return null;
        }
        return GgmlTypes.TryParse(name, out var type) && Known.Any(k => k.Type == type)
            ? type
            : throw new SlimmingException(
                ExitCode.Usage,
                $"{option}: expected one of {string.Join(", ", Names)}, found '{name}'"
            );
    }

    /// <summary>Value of general.file_type.</summary>
    public static uint FileType(GgmlType type) => Known.First(k => k.Type == type).FileType;

    /// <summary>
    /// 2-D weights take <paramref name="type"/>; 1-D tensors keep theirs. Null keeps every type. Of the overrides that
    /// match a tensor the last counts; each must match a 2-D weight. A tensor whose blocks need an importance matrix
    /// must have its entry in <paramref name="importance"/>.
    /// </summary>
    internal static IReadOnlyList<TensorPlan> For(
        GgufFile model,
        GgmlType? type,
        IWeightSource weights,
        IReadOnlyList<TypeOverride>? overrides = null,
        ImportanceMatrix? importance = null
    )
    {
        overrides ??= [];
        foreach (var rule in overrides)
        {
            if (!model.Tensors.Any(t => t.Shape.Count >= 2 && rule.Matches(t.Name)))
            {
                throw TypeOverride.Wrong($"a pattern that finds a 2-D weight of {model.Path}", $"'{rule.Pattern}'");
            }
        }
        TensorPlan[] plans =
        [
            .. model.Tensors.Select(tensor =>
            {
                var rule = tensor.Shape.Count >= 2 ? overrides.LastOrDefault(o => o.Matches(tensor.Name)) : null;
                return Plan(tensor, rule == null ? type : rule.Type, weights.Changes(tensor.Name), importance);
            }),
        ];
        if (importance != null && !plans.Any(p => p.UsesImportance && importance.Of(p.Source.Name) != null))
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"--imatrix {importance.Path}: expected a tensor to quantize that it has an entry for and whose type uses one, found none in this export"
            );
        }
        return plans;
    }

    private static TensorPlan Plan(GgufTensor tensor, GgmlType? type, bool isAdapted, ImportanceMatrix? importance)
    {
        var isWeight = tensor.Shape.Count >= 2 && ModelConfig.IsWeightType(tensor.Type);
        var wanted = isWeight ? type ?? tensor.Type : tensor.Type;
        var found = Dividing(wanted, tensor.RowLength);
        if ((isAdapted || found != tensor.Type) && !Quantizer.Supports(found))
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"tensor '{tensor.Name}': type {GgmlTypes.Name(found)} cannot be written; choose another --type"
            );
        }
        var plan = new TensorPlan(tensor, found, found == wanted ? null : wanted, isAdapted);
        if (!plan.IsCopied && Quantizer.RequiresImportance(found) && importance?.Of(tensor.Name) == null)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"tensor '{tensor.Name}': type {GgmlTypes.Name(found)} needs an importance matrix, expected its entry in "
                    + (
                        importance == null
                            ? "the file of --imatrix, found no such option"
                            : $"{importance.Path}, found none"
                    )
                    + "; or choose another type for it with --tensor-type"
            );
        }
        return plan;
    }

    /// <summary>llama.cpp's own ladder for rows that are no whole number of blocks.</summary>
    private static GgmlType Dividing(GgmlType type, long rowLength)
    {
        while (GgmlTypes.IsKnown(type) && rowLength % GgmlTypes.BlockValues(type) != 0)
        {
            type = type switch
            {
                GgmlType.Q4_K => GgmlType.Q5_0,
                GgmlType.Q5_K => GgmlType.Q5_1,
                GgmlType.Q6_K => GgmlType.Q8_0,
                GgmlType.TQ1_0 or GgmlType.TQ2_0 => GgmlType.Q4_0,
                _ when GgmlTypes.BlockValues(type) == 256 => GgmlType.IQ4_NL,
                _ => GgmlType.F16,
            };
        }
        return type;
    }
}
