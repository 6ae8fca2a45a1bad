using System.Globalization;
using System.Text.RegularExpressions;
using Slimming.Evaluation.Tasks;
using Slimming.Evaluation.Text;

namespace Slimming.Evaluation.Scoring;

/// <summary>Takes answers out of generated text and compares them with the target (METHODS.md section 6, GSM8K filters).</summary>
internal sealed class AnswerExtraction(AnswerDefinition definition)
{
    /// <summary>What an extraction gives where nothing matches.</summary>
    public const string Invalid = "[invalid]";

    /// <summary>Answers closer than this count as equal in tol_flex.</summary>
    private const double Tolerance = 0.01;

    public string Strict(string generated) =>
        definition.Strict is { } rule ? Extract(rule, generated) : PythonText.Strip(generated);

    public string? Flexible(string generated) => definition.Flexible is { } rule ? Extract(rule, generated) : null;

    /// <summary>An answer or target as it is compared: patterns removed in order, then lower case where asked for, then the filters.</summary>
    public string Clean(string text)
    {
        text = definition.Remove.Aggregate(text, (current, pattern) => Regex.Replace(current, pattern, ""));
        text = definition.IgnoreCase ? PythonText.Lower(text) : text;
        return definition.Filters.Aggregate(text, (current, filter) => TextFilters.Apply(filter, current));
    }

    public bool Matches(string answer, string target) =>
        string.Equals(Clean(answer), Clean(CleanTarget(target)), StringComparison.Ordinal);

    /// <summary>Both are numbers less than 0.01 apart.</summary>
    public bool MatchesWithTolerance(string answer, string target) =>
        TryNumber(Clean(answer), out var given)
        && TryNumber(Clean(CleanTarget(target)), out var expected)
        && Math.Abs(given - expected) < Tolerance;

    // Without rules of its own a task compares trimmed texts on both sides.
    private string CleanTarget(string target) => definition.Strict is null ? PythonText.Strip(target) : target;

    private static bool TryNumber(string text, out double value) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value) && double.IsFinite(value);

    /// <summary>The first or last match; of its groups the first that is not empty, trimmed.</summary>
    private static string Extract(ExtractDefinition rule, string text)
    {
        var matches = Regex.Matches(text, rule.Regex);
        if (matches.Count == 0)
        {
            return Invalid;
        }
        var match = matches[rule.Take == MatchChoice.First ? 0 : matches.Count - 1];
        if (match.Groups.Count == 1)
        {
            return PythonText.Strip(match.Value);
        }
        var found = match.Groups.Values.Skip(1).FirstOrDefault(group => group.Length > 0);
        return found is null ? Invalid : PythonText.Strip(found.Value);
    }
}
