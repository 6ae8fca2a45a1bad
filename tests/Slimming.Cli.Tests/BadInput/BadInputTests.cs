using Slimming.Gguf;

namespace Slimming.Cli.Tests.BadInput;

/// <summary>Everything that can be wrong with what the user gives: one code, one message, nothing left behind.</summary>
public sealed class BadInputTests : IDisposable
{
    private static readonly Dictionary<string, BadCase> All = BadGguf
        .Cases.Concat(BadModels.Cases)
        .Concat(BadData.Cases)
        .Concat(BadTemplates.Cases)
        .Concat(BadAdapters.Cases)
        .Concat(BadOptions.Cases)
        .Concat(BadTasks.Cases)
        .Concat(BadFolders.Cases)
        .ToDictionary(c => c.Name, StringComparer.Ordinal);

    private readonly TempFolder _temp = new();

    public static TheoryData<string> Names => [.. All.Keys];

    public void Dispose() => _temp.Dispose();

    [Theory]
    [MemberData(nameof(Names))]
    public void Is_answered_with_one_message_and_leaves_nothing(string name)
    {
        var (_, arrange, code, texts) = All[name];
        var args = arrange(new Workshop(_temp));
        var before = Files();

        var answer = Cli.Run(args);

        answer.Code.ShouldBe(code, answer.Error);
        answer.Output.ShouldBeEmpty();
        foreach (var text in texts)
        {
            answer.Error.ShouldContain(text, Case.Sensitive);
        }
        answer.Error.Split("error:").Length.ShouldBe(2, answer.Error);
        answer.Error.ShouldNotContain("   at ");
        answer.Error.Length.ShouldBeLessThan(5000);
        answer.Error.Where(c => char.IsControl(c) && c is not ('\n' or '\t')).ShouldBeEmpty(answer.Error);
        answer.Error.ShouldNotContain("error: unexpected");
        Files().ShouldBe(before);
    }

    private List<string> Files() =>
        [.. Directory.EnumerateFileSystemEntries(_temp.Path, "*", SearchOption.AllDirectories).Order()];
}

/// <summary>One wrong input.</summary>
/// <param name="Name">Of the case.</param>
/// <param name="Arrange">Makes the files and answers the command line.</param>
/// <param name="Code">Expected exit code.</param>
/// <param name="Texts">What the message must hold: the file, the place, expected, found.</param>
internal sealed record BadCase(string Name, Func<Workshop, string[]> Arrange, ExitCode Code, string[] Texts)
{
    /// <summary>Wrong usage or input, exit code 2.</summary>
    public static BadCase Usage(string name, Func<Workshop, string[]> arrange, params string[] texts) =>
        new(name, arrange, ExitCode.Usage, texts);
}
