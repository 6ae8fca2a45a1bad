namespace Slimming.Fuzz.Tests;

/// <summary>A short round of every target: a few seconds each, the same cases every time as far as they come.</summary>
public sealed class ShortRoundTests
{
    private const double Seconds = 3;

    public static TheoryData<string> Targets => [.. Target.All.Keys];

    [Theory]
    [MemberData(nameof(Targets))]
    public void Broken_files_are_answered_with_a_message(string name)
    {
        var report = Program.Run(name, Program.DefaultSeed, 0, 1_000_000, DateTime.UtcNow.AddSeconds(Seconds));
        using StringWriter text = new();
        report.Write(text, name, Program.DefaultSeed);
        TestContext.Current.TestOutputHelper?.WriteLine(text.ToString());
        report.Cases.ShouldBeGreaterThan(0);
        // What ends foreign code is counted apart: docs/reliability.md.
        report
            .Findings.Where(finding => !finding.What.StartsWith(ChildRounds.Foreign, StringComparison.Ordinal))
            .ShouldBeEmpty(text.ToString());
    }

    [Theory]
    [MemberData(nameof(Targets))]
    public void The_file_that_they_are_made_from_is_sound(string name)
    {
        using var target = Target.All[name]();
        var path = Path.Combine(Path.GetTempPath(), $"slimming-sound-{Guid.NewGuid():n}{target.Extension}");
        try
        {
            File.WriteAllBytes(path, target.Sound);
            Should.NotThrow(() => target.Read(path));
        }
        finally
        {
            File.Delete(path);
        }
    }
}
