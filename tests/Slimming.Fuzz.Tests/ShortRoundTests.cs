namespace Slimming.Fuzz.Tests;

/// <summary>A short round of every target: the same cases on every machine.</summary>
public sealed class ShortRoundTests
{
    public static TheoryData<string> Targets => [.. Target.All.Keys];

    [Theory]
    [MemberData(nameof(Targets))]
    public void Broken_files_are_answered_with_a_message(string name)
    {
        int cases;
        using (var target = Target.All[name]())
        {
            cases = target.RoundCases;
        }
        var report = Program.Run(name, Program.DefaultSeed, 0, cases, until: null);
        using StringWriter text = new();
        report.Write(text, name, Program.DefaultSeed);
        TestContext.Current.TestOutputHelper?.WriteLine(text.ToString());
        report.Cases.ShouldBe(cases);
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
