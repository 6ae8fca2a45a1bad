using System.Globalization;
using System.Text.Json;
using Slimming.Gguf;

namespace Slimming.Training;

/// <summary>Holds a record to the bounds of <see cref="TrainOptionTable"/>, however it was made.</summary>
internal static class TrainOptionsCheck
{
    /// <exception cref="SlimmingException">Exit code 2: a value out of bounds, an unknown choice, or a contradiction.</exception>
    public static void Check(TrainOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        RefuseNonFinite(options);
        var values = RunRecord.OptionsOf(options);
        foreach (var spec in TrainOptionTable.All)
        {
            var value = values[spec.Name];
            switch (value?.GetValueKind())
            {
                case JsonValueKind.Number:
                    CheckNumber(spec, double.Parse(value.ToJsonString(), CultureInfo.InvariantCulture));
                    break;
                case JsonValueKind.String:
                    CheckText(spec, value.GetValue<string>());
                    break;
                case JsonValueKind.Array when spec.Required && value.AsArray().Count == 0:
                    throw Wrong(spec, "at least one", "none");
                case null when spec.Required:
                    throw Wrong(spec, "a value", "null");
            }
        }
        var unknown = options.Targets.FirstOrDefault(name => !TrainOptions.TargetNames.Contains(name));
        if (unknown is not null || options.Targets.Count == 0)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"--targets: expected some of {string.Join(", ", TrainOptions.TargetNames)}, found '{unknown}'"
            );
        }
        TrainOptionsReader.RefuseConflicts(options);
    }

    /// <summary>JSON has no such numbers, so they are looked for before.</summary>
    private static void RefuseNonFinite(TrainOptions options)
    {
        foreach (var property in typeof(TrainOptions).GetProperties())
        {
            if (property.CanWrite && property.GetValue(options) is double value && !double.IsFinite(value))
            {
                var name = JsonNamingPolicy.KebabCaseLower.ConvertName(property.Name);
                throw new SlimmingException(
                    ExitCode.Usage,
                    $"--{name}: expected a finite number, found {value.ToString(CultureInfo.InvariantCulture)}"
                );
            }
        }
    }

    private static void CheckNumber(OptionSpec spec, double value)
    {
        var low = spec.AboveMinimum ? value > spec.Minimum : value >= spec.Minimum;
        if (!low || value >= spec.Below)
        {
            var bound = (spec.AboveMinimum ? "above " : "at least ") + Text(spec.Minimum);
            throw Wrong(
                spec,
                double.IsFinite(spec.Below) ? $"{bound} and below {Text(spec.Below)}" : bound,
                Text(value)
            );
        }
    }

    private static void CheckText(OptionSpec spec, string value)
    {
        if (value.Length == 0)
        {
            throw Wrong(spec, "a value", "''");
        }
        if (spec.Choices.Count > 0 && !spec.Choices.Contains(value))
        {
            throw Wrong(spec, $"one of {string.Join(", ", spec.Choices)}", $"'{value}'");
        }
    }

    private static string Text(double value) => value.ToString(CultureInfo.InvariantCulture);

    private static SlimmingException Wrong(OptionSpec spec, string expected, string found) =>
        new(ExitCode.Usage, $"--{spec.Name}: expected {expected}, found {found}");
}
