using System.Globalization;
using System.Text.RegularExpressions;
using Slimming.Evaluation.Tasks;
using Slimming.Evaluation.Text;
using Slimming.Gguf;

namespace Slimming.Evaluation.Scoring;

/// <summary>Takes answers out of generated text and compares them with the target (METHODS.md section 6, GSM8K filters).</summary>
internal sealed class AnswerExtraction(AnswerDefinition definition)
{
    /// <summary>What an extraction gives where nothing matches.</summary>
    public const string Invalid = "[invalid]";

    /// <summary>Answers closer than this count as equal in tol_flex.</summary>
    private const double Tolerance = 0.01;

    /// <summary>A pattern of a task file may need time without end on some text.</summary>
    private static readonly TimeSpan PatternLimit = TimeSpan.FromSeconds(1);

    public string Strict(string generated) =>
        definition.Strict is { } rule ? Extract(rule, generated) : PythonText.Strip(generated);

    public string? Flexible(string generated) => definition.Flexible is { } rule ? Extract(rule, generated) : null;

    /// <summary>An answer or target as it is compared: patterns removed in order, then lower case where asked for, then the filters.</summary>
    public string Clean(string text)
    {
        text = definition.Remove.Aggregate(
            text,
            (current, pattern) =>
                Bounded(pattern, () => Regex.Replace(current, pattern, "", RegexOptions.None, PatternLimit))
        );
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

    /// <exception cref="SlimmingException">The pattern took too long on a generated text.</exception>
    private static T Bounded<T>(string pattern, Func<T> search)
    {
        try
        {
            return search();
        }
        catch (RegexMatchTimeoutException error)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"the task's regular expression {pattern} took longer than {PatternLimit.TotalSeconds} s on an answer of "
                    + $"{error.Input.Length} characters; repeat nothing that repeats itself, as in (a+)+",
                error
            );
        }
    }

    /// <summary>The first or last match; of its groups the first that is not empty, trimmed.</summary>
    private static string Extract(ExtractDefinition rule, string text)
    {
        // The limit is of each match, and matches are looked for as they are asked for.
        var match = Bounded(
            rule.Regex,
            () =>
            {
                var matches = Regex.Matches(text, rule.Regex, RegexOptions.None, PatternLimit);
                return rule.Take == MatchChoice.First ? matches.FirstOrDefault() : matches.LastOrDefault();
            }
        );
        if (match is null)
        {
            return Invalid;
        }
        if (match.Groups.Count == 1)
        {
            return PythonText.Strip(match.Value);
        }
        var found = match.Groups.Values.Skip(1).FirstOrDefault(group => group.Length > 0);
        return found is null ? Invalid : PythonText.Strip(found.Value);
    }
}
