namespace Slimming.Results.Tests;

/// <summary>A results folder has one writer; what a dead one left behind keeps nobody out.</summary>
public sealed class OneWriterTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("slimming-writer-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_second_one_is_refused_by_process_id()
    {
        using (Open())
        {
            var error = Should.Throw<ResultsException>(() => Open());
            error.Fault.ShouldBe(ResultsFault.Refused);
            error.Message.ShouldContain($"{_folder} is in use by process {Environment.ProcessId}");
            Should.Throw<ResultsException>(() => Open(force: true)).Fault.ShouldBe(ResultsFault.Refused);
            Directory.EnumerateDirectories(_folder).Count().ShouldBe(1, "a refused --force removes nothing");
        }
        using (Open()) { }
        File.Exists(Path.Combine(_folder, "lock")).ShouldBeFalse();
    }

    [Fact]
    public void A_lock_left_by_a_crash_keeps_nobody_out()
    {
        File.WriteAllText(Path.Combine(_folder, "lock"), "12345\n");
        using (Open()) { }
    }

    private ResultsStore Open(bool force = false) =>
        ResultsStore.OpenForWriting(
            _folder,
            new RunInfo { Settings = new SortedDictionary<string, string> { ["model"] = "m" } },
            force
        );
}
