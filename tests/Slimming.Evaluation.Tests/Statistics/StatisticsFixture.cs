using System.Text.Json;
using Slimming.Evaluation.Statistics;
using Slimming.TestSupport;

namespace Slimming.Evaluation.Tests.Statistics;

/// <summary>Reads the reference values and compares: 1e-9 relative; p values below 1e-12 by that much absolutely.</summary>
internal static class StatisticsFixture
{
    private const double Relative = 1e-9;
    private const double Absolute = 1e-12;

    public static JsonElement Read(string name)
    {
        using var json = JsonDocument.Parse(
            File.ReadAllText(SharedFiles.Require(Path.Combine("fixtures", "statistics", name + ".json")))
        );
        return json.RootElement.Clone();
    }

    public static IEnumerable<JsonElement> Cases(string name)
    {
        var cases = Read(name).GetProperty("cases").EnumerateArray().ToList();
        cases.Count.ShouldBeGreaterThan(0);
        return cases;
    }

    public static double Number(this JsonElement row, string key) => row.GetProperty(key).GetDouble();

    public static long Whole(this JsonElement row, string key) => row.GetProperty(key).GetInt64();

    public static double[] Numbers(this JsonElement row, string key) =>
        [.. row.GetProperty(key).EnumerateArray().Select(value => value.GetDouble())];

    /// <summary>An absent key or null in the fixture expects null.</summary>
    public static void Expect(this JsonElement row, string key, double? actual)
    {
        var expected = row.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Number;
        if (!expected)
        {
            actual.ShouldBeNull($"{key}: {row}");
            return;
        }
        actual.ShouldNotBeNull($"{key}: {row}");
        Near(actual.Value, value.GetDouble(), $"{key}: {Short(row)}");
    }

    public static void Expect(this JsonElement row, string key, Interval? actual)
    {
        if (!row.TryGetProperty(key, out var value) || value[0].ValueKind == JsonValueKind.Null)
        {
            actual.ShouldBeNull($"{key}: {row}");
            return;
        }
        actual.ShouldNotBeNull($"{key}: {row}");
        Near(actual.Value.Low, value[0].GetDouble(), $"{key}[0]: {Short(row)}");
        Near(actual.Value.High, value[1].GetDouble(), $"{key}[1]: {Short(row)}");
    }

    /// <summary>A NaN is never near.</summary>
    public static void Near(double actual, double expected, string what) =>
        (Math.Abs(actual - expected) <= Math.Max(Absolute, Relative * Math.Abs(expected))).ShouldBeTrue(
            $"{what}: expected {expected:R}, found {actual:R}"
        );

    private static string Short(JsonElement row) =>
        row.GetRawText() is { Length: > 300 } text ? text[..300] : row.GetRawText();
}
