using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using AngleSharp.Dom;
using AngleSharp.Html.Parser;
using Slimming.Results;

namespace Slimming.Cli.Tests.Reliability;

/// <summary>
/// A report full of hostile texts is the page that it is with harmless ones: element by element, attribute by
/// attribute, and in a browser.
/// </summary>
public sealed class HostilePageTests : IDisposable
{
    private const int LongestFileName = 255;
    private const int BrowserSeconds = 120;
    private readonly TempFolder _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void Hostile_texts_add_no_element_and_no_attribute()
    {
        var harmless = Parse(Page("harmless", _ => "words"));
        var page = Page("hostile", text => text);
        var hostile = Parse(page);
        var elements = Elements(hostile).ToList();
        elements.Count.ShouldBeGreaterThan(10 * HostileTexts.All.Count);
        foreach (var (found, expected) in elements.Zip(Elements(harmless)))
        {
            found.ShouldBe(expected);
        }
        elements.Count.ShouldBe(Elements(harmless).Count());
        hostile.Descendants<IComment>().ShouldBeEmpty();
        // Each text stands there whole: as a task, an option's name and value, a question, an answer, a file.
        var shown = Plain(hostile.Body!.TextContent);
        foreach (var text in HostileTexts.All)
        {
            shown.Split(Plain(text)).Length.ShouldBeGreaterThan(8, text);
        }
        var data = JsonNode.Parse(hostile.GetElementById("data")!.TextContent)!;
        // One for each text, one for the runs from elsewhere.
        data["calibration"]!.AsArray().Count.ShouldBe(HostileTexts.All.Count + 1);
    }

    /// <summary>The test above would see a text that is not escaped.</summary>
    [Fact]
    public void A_text_that_is_not_escaped_is_seen()
    {
        var before = Elements(Parse("<table><tr><td>words</td></tr></table>")).ToList();
        var seen = HostileTexts.All.Count(text =>
            !Elements(Parse($"<table><tr><td>{text}</td></tr></table>")).SequenceEqual(before)
        );
        seen.ShouldBeGreaterThan(35);
    }

    /// <summary>Once as it is, and once without the policy that forbids other scripts: escaping alone must do.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_browser_runs_nothing_and_complains_of_nothing(bool policy)
    {
        var browser = Browser();
        Assert.SkipWhen(browser is null, "no chromium on the path");
        var page = Page("hostile", text => text);
        if (!policy)
        {
            var meta = Parse(page).QuerySelector("meta[http-equiv]")!.GetAttribute("content")!;
            page = page.Replace($"content=\"{meta}\"", "content=\"\"", StringComparison.Ordinal);
            Parse(page).QuerySelector("meta[http-equiv]")!.GetAttribute("content").ShouldBe("");
        }
        var path = _temp.Write("shown.html", page);
        var (dom, log) = Show(browser!, path);
        log.ShouldNotContain("CONSOLE");
        var shown = Parse(dom);
        shown.QuerySelectorAll(".uplot").Length.ShouldBe((2 * HostileTexts.All.Count) + 1, "the plots are drawn");
        foreach (var plot in shown.QuerySelectorAll(".chart"))
        {
            plot.TextContent = "";
        }
        // The width of a plot is a style of its place; all else is as it was written.
        Elements(shown).ShouldBe(Elements(Parse(page)));
    }

    /// <summary>A browser that runs a script is heard: the log is the right place to look.</summary>
    [Fact]
    public void A_browser_that_runs_something_is_heard()
    {
        var browser = Browser();
        Assert.SkipWhen(browser is null, "no chromium on the path");
        var path = _temp.Write("heard.html", "<!DOCTYPE html><p><img src=x onerror=console.error('owned')>");
        Show(browser!, path).Log.ShouldContain("CONSOLE");
    }

    private static IDocument Parse(string html) =>
        new HtmlParser(new HtmlParserOptions { IsScripting = true }).ParseDocument(html);

    /// <summary>Every element with its depth and attributes; <c>wbr</c> only says where a name may break.</summary>
    private static IEnumerable<string> Elements(IDocument page) =>
        page
            .All.Where(element => element.LocalName != "wbr" || element.Attributes.Length > 0)
            .Select(element =>
                $"{element.Ancestors().Count()} {element.LocalName} "
                + string.Join(' ', element.Attributes.Select(a => $"{a.Name}={a.Value}").Order(StringComparer.Ordinal))
            );

    /// <summary>As an HTML parser leaves it: no NUL, nothing that is no character, and one kind of line end.</summary>
    private static string Plain(string text) =>
        text.Replace("\0", "", StringComparison.Ordinal)
            .Replace("\ufffd", "", StringComparison.Ordinal)
            .Replace("\ufffe", "", StringComparison.Ordinal)
            .Replace("\uffff", "", StringComparison.Ordinal)
            .Replace("\r\n", "\n", StringComparison.Ordinal)
            .Replace('\r', '\n');

    private string Page(string name, Func<string, string> put)
    {
        var root = Directory.CreateDirectory(_temp[name]).FullName;
        string[] texts = [.. HostileTexts.All.Select((text, i) => $"{put(text)} {i}")];
        List<string> folders = [.. texts.Select(text => Training(root, text))];
        folders.AddRange(new[] { 0, 1 }.Select(run => Scored(root, texts, run)));
        folders.AddRange(texts.Chunk(8).Select((some, i) => OddRun(root, some, i)));
        var file = Path.Combine(root, "report.html");
        Cli.Done(["report", .. folders, "--out", file]);
        return File.ReadAllText(file);
    }

    private static string Training(string root, string text)
    {
        var run = Directory.CreateDirectory(Path.Combine(root, "t " + FileName(text))).FullName;
        JsonObject record = new()
        {
            ["model"] = new JsonObject { ["path"] = text, ["sha256"] = text },
            ["resolved"] = new JsonObject { ["method"] = text, ["compute"] = text },
            ["options"] = new JsonObject { [text] = new JsonArray(text, text) },
        };
        File.WriteAllText(Path.Combine(run, "run.json"), record.ToJsonString());
        File.WriteAllText(
            Path.Combine(run, "metrics.jsonl"),
            """
            {"step":1,"loss":2.5,"tokens":9,"seconds":0.5}
            {"step":2,"loss":2.25,"tokens":9,"seconds":0.5}

            """
        );
        File.WriteAllText(Path.Combine(run, "DONE"), "");
        return run;
    }

    /// <summary>Every text as a task of two kinds, with its question and answers; run 0 is the base.</summary>
    private static string Scored(string root, string[] texts, int run)
    {
        var settings = ScoredFolder.Settings(
            $"{texts[run]} model",
            [.. texts, .. texts.Select(text => $"choose {text}")]
        );
        var rows = texts.SelectMany(text =>
            new[]
            {
                ScoredFolder.Generation(text, 0, strict: run == 1, flexible: run == 1) with
                {
                    Generated = $"{text} said",
                    Contexts = [$"{text} asked"],
                    Continuations = [text],
                },
                ScoredFolder.Choice($"choose {text}", 0, right: run == 0) with
                {
                    Contexts = [$"{text} asked"],
                    Continuations = [text, $"{text} too"],
                },
            }
        );
        var folder = Path.Combine(root, FileName($"run {run} {texts[run]}"));
        return ScoredFolder.Write(folder, settings, rows, machine: texts[run], adapter: texts[run]);
    }

    /// <summary>A results folder from elsewhere: texts where the program itself writes names of its own.</summary>
    private static string OddRun(string root, string[] texts, int run)
    {
        var folder = Path.Combine(root, FileName($"odd {run} {string.Concat(texts)}"));
        SortedDictionary<string, string> pairs(string place) =>
            new(texts.ToDictionary(text => $"{place} {text}", text => text), StringComparer.Ordinal);
        using var store = ResultsStore.OpenForWriting(
            folder,
            new RunInfo
            {
                Label = string.Concat(texts),
                Settings = pairs("setting"),
                Environment = pairs("environment"),
            }
        );
        store.Append(ScoredFolder.Choice("choose", 0, right: true));
        store.Complete([
            .. texts.Select(text => new MetricRow(text, text, text, 0.5, 1, 0.1, 0.4, 0.6, text, text, text)),
        ]);
        return folder;
    }

    /// <summary>The text as far as a folder's name can hold it.</summary>
    private static string FileName(string text)
    {
        var name = text.Replace('/', '\u2215').Replace("\0", "", StringComparison.Ordinal);
        while (Encoding.UTF8.GetByteCount(name) > LongestFileName)
        {
            name = name[..^1];
        }
        return name;
    }

    private static string? Browser() =>
        new[] { "chromium", "chromium-browser", "google-chrome" }
            .SelectMany(name =>
                (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Select(f => Path.Combine(f, name))
            )
            .FirstOrDefault(File.Exists);

    /// <summary>The page as the browser has it after its scripts ran, and the browser's log with the console's lines.</summary>
    private (string Dom, string Log) Show(string browser, string path)
    {
        ProcessStartInfo start = new(
            browser,
            [
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                $"--user-data-dir={_temp["browser"]}",
                "--enable-logging=stderr",
                "--virtual-time-budget=2000",
                "--dump-dom",
                new Uri(path).AbsoluteUri,
            ]
        )
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        using var process = Process.Start(start)!;
        var log = process.StandardError.ReadToEndAsync();
        var dom = process.StandardOutput.ReadToEndAsync();
        var ended = process.WaitForExit(TimeSpan.FromSeconds(BrowserSeconds));
        if (!ended)
        {
            process.Kill(entireProcessTree: true);
        }
        ended.ShouldBeTrue($"{browser} took longer than {BrowserSeconds} s");
        return (dom.Result, log.Result);
    }
}
