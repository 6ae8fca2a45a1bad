// Adds up what the test runners wrote into their result files, and prints the one closing line.
using System.Xml.Linq;

class Tally
{
    static readonly string[] TestTargets = { "Test", "TestAll", "NativeTest", "NativeSanitize", "NativeArm", "ManagedTest", "ManagedTestAll" };
    int passed, failed, skipped;

    public bool Wanted(string target) => TestTargets.Contains(target, StringComparer.OrdinalIgnoreCase);

    /// Runs one runner and reads its results with `read`. One that ends badly without a failed test in its results counts as one
    /// failed test, and so does one that leaves no results; the runners after it still run.
    public void Check(string name, Action run, Func<(int Passed, int Failed, int Skipped)> read)
    {
        Exception failure = null;
        try
        {
            run();
        }
        catch (Exception exception)
        {
            failure = exception;
        }
        var counts = (Passed: 0, Failed: 0, Skipped: 0);
        try
        {
            counts = read();
        }
        catch (Exception exception)
        {
            failure ??= exception;
        }
        if (failure == null && counts == (0, 0, 0))
        {
            failure = new CakeException("ran no test");
        }
        passed += counts.Passed;
        failed += counts.Failed;
        skipped += counts.Skipped;
        Console.WriteLine($"{name}: {counts.Passed} passed, {counts.Failed} failed, {counts.Skipped} skipped");
        if (failure != null && counts.Failed == 0)
        {
            Fail(name, failure);
        }
    }

    /// A runner that this machine cannot run counts as one skipped test.
    public void Skip(string name, string reason)
    {
        skipped++;
        Console.WriteLine($"{name}: skipped, {reason}");
    }

    public void Fail(string name, Exception failure)
    {
        failed++;
        Console.Error.WriteLine($"{name}: {failure.Message}");
    }

    /// Prints the closing line; 0 only when something passed and nothing failed.
    public int Close()
    {
        if (passed + failed == 0)
        {
            Console.Error.WriteLine("No test ran.");
            failed = 1;
        }
        Console.Error.Flush();
        Console.WriteLine($"{passed} passed, {failed} failed, {skipped} skipped");
        Console.Out.Flush();
        return failed == 0 ? 0 : 1;
    }

    /// Results as ctest writes them with --output-junit.
    public static (int Passed, int Failed, int Skipped) ReadJUnit(string path)
    {
        var suite = XDocument.Load(path).Root;
        int Number(string name) => (int?)suite.Attribute(name) ?? 0;
        var skips = Number("skipped") + Number("disabled");
        var fails = Number("failures") + Number("errors");
        return (Number("tests") - fails - skips, fails, skips);
    }

    /// Results as `dotnet test --logger trx` writes them.
    public static (int Passed, int Failed, int Skipped) ReadTrx(string path)
    {
        XNamespace ns = "http://microsoft.com/schemas/VisualStudio/TeamTest/2010";
        var outcomes = XDocument.Load(path).Descendants(ns + "UnitTestResult")
            .Select(result => (string)result.Attribute("outcome")).ToList();
        var passes = outcomes.Count(outcome => outcome == "Passed");
        var skips = outcomes.Count(outcome => outcome == "NotExecuted");
        return (passes, outcomes.Count - passes - skips, skips);
    }
}

var tally = new Tally();
