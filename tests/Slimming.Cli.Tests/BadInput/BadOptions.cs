using Slimming.Gguf;
using static Slimming.Cli.Tests.BadInput.BadCase;

namespace Slimming.Cli.Tests.BadInput;

/// <summary>Command lines, configurations and places to write to.</summary>
internal static class BadOptions
{
    public static IEnumerable<BadCase> Cases { get; } =
    [
        Usage("unknown option", w => w.Train(Workshop.Model, null, "--rnak", "3"), "--rnak"),
        Usage("unknown verb", _ => ["tune"], "unknown verb 'tune'; expected one of train, export"),
        Usage("missing option", w => ["train", "--data", w.Good, "--out", w["run"]], "--model is missing"),
        Usage(
            "rank 0",
            w => w.Train(Workshop.Model, null, "--rank", "0"),
            "--rank: expected a whole number of at least 1, found '0'"
        ),
        Usage(
            "a rank of words",
            w => w.Train(Workshop.Model, null, "--rank", "many"),
            "--rank: expected a whole number of at least 1, found 'many'"
        ),
        Usage(
            "a rate that is NaN",
            w => w.Train(Workshop.Model, null, "--learning-rate", "NaN"),
            "--learning-rate: expected",
            "found 'NaN'"
        ),
        Usage(
            "unknown target",
            w => w.Train(Workshop.Model, null, "--targets", "q,attn"),
            "--targets: unknown target 'attn'",
            "q, k, v, o, gate, up, down"
        ),
        Usage("an unknown method", w => w.Train(Workshop.Model, null, "--method", "magic"), "--method", "lora, full"),
        Usage(
            "steps and epochs",
            w => w.Train(Workshop.Model, null, "--steps", "1", "--epochs", "1"),
            "--steps and --epochs exclude each other"
        ),
        Usage("a size of words", w => w.Train(Workshop.Model, null, "--memory", "lots"), "--memory", "'lots'"),
        Usage(
            "a missing configuration",
            w => w.Train(Workshop.Model, null, "--config", w["no.yaml"]),
            "--config: no such file:",
            "no.yaml"
        ),
        Yaml("YAML with an open bracket", "rank: [1\nalpha: 2", "not valid YAML", "bracket"),
        Yaml("YAML that does not parse", "epochs: 1\n\trank: 2", "line", "not valid YAML: While"),
        Yaml("YAML without end of levels", "rank: " + new string('[', 100_000), "line 1: not valid YAML"),
        Yaml("YAML that is a list", "- rank\n", "expected 'option: value' lines, found a list of 1"),
        Yaml("an unknown key in YAML", "epochs: 1\nrnak: 3", "line 2: unknown option 'rnak'; known are"),
        Yaml(
            "a wrong value in YAML",
            "epochs: 1\nrank: 0",
            "line 2: rank: expected a whole number of at least 1, found '0'"
        ),
        Yaml("a list for one value in YAML", "rank: [1, 2]", "line 1: rank: expected one value, found a list of 2"),
        Yaml("nothing for a value in YAML", "rank:\n", "line 1: rank: expected one value, found nothing"),
        Yaml("a key twice in YAML", "rank: 1\nrank: 2", "not valid YAML"),
        Yaml("YAML that is no UTF-8", "rank: 1 # \u00ff", "UTF-8"),
        Yaml("two documents", "rank: 1\n---\nrank: 2\n", "line 3: expected one document, found 2"),
        Yaml("YAML with a NUL", "rank: 1\n\0rank: 2\n", "line 2: not valid YAML: found the control character U+0000"),
        Yaml("YAML without end", "#" + new string('x', 1 << 20), "expected a text of at most 1 MiB, found more"),
        Yaml("a path with a NUL", "init-adapter: \"a\\0b\"\n", "line 1: init-adapter: expected one value"),
        Yaml("a value that moves the cursor", "rank: \"\\e[2J\"\n", "found '\\u001b[2J'"),
        Yaml("a value without end", "rank: " + new string('9', 500_000), "found '999", "characters left out", "9'"),
        Device("a device as configuration", (w, path) => w.Train(Workshop.Model, null, "--config", path)),
        Device("a device as template", (w, path) => w.Train(Workshop.Model, null, "--template", path)),
        Device("a device as model", (w, path) => w.Train(path, null)),
        Device("a device as data", (w, path) => w.Train(Workshop.Model, path)),
        Device("a device as adapter", (w, path) => w.Train(Workshop.Model, null, "--init-adapter", path)),
        Device("a device as importance", (w, path) => w.Export("--model", Workshop.Model, "--imatrix", path)),
        Usage(
            "more tokens than a number holds",
            _ => ["generate", "--model", Workshop.Model, "--prompt", "a", "--max-tokens", "2147483647"],
            "2147483647 new ones do not fit the model's context"
        ),
        Curve("a key twice in a curve", """{"step":1,"loss":1,"step":2}""", "expected the JSON of a run"),
        Curve("a loss without end in a curve", """{"step":1,"loss":1e999}""", "row 0 (from 0): a number was expected"),
        Usage(
            "results without settings",
            w =>
            {
                Directory.CreateDirectory(w["r/run=0123456789abcdef"]);
                w.Text("r/run=0123456789abcdef/run.json", """{"settings":null}""");
                w.Text("r/run=0123456789abcdef/DONE", "");
                return ["compare", w["r"], w["r"]];
            },
            "run.json: not the JSON that was expected"
        ),
        new("output exists", w => Into(w, Filled(w)), ExitCode.Refused, ["filled", "--resume", "--force"]),
        new(
            "output is a file",
            w => Into(w, w.Text("note.txt", "")),
            ExitCode.Refused,
            ["note.txt", "expected a folder, found a file"]
        ),
        new("unwritable folder", w => Into(w, "/proc/slimming/run"), ExitCode.Failed, ["/proc/slimming"]),
        new(
            "does not fit",
            w => w.Train(Workshop.Model, null, "--memory", "1MiB"),
            ExitCode.Refused,
            ["--memory 1.0 MiB", "no setting makes it fit", "MiB is the least"]
        ),
        new(
            "an export over a file",
            w => ["export", "--model", Workshop.Model, "--type", "f16", "--out", w.Text("taken.gguf", "mine")],
            ExitCode.Refused,
            ["taken.gguf: exists already; use --force to replace it"]
        ),
        new(
            "an export over its base",
            w =>
            {
                File.Copy(Workshop.Model, w["m.gguf"]);
                return ["export", "--model", w["m.gguf"], "--type", "f16", "--out", w["m.gguf"], "--force"];
            },
            ExitCode.Refused,
            ["m.gguf: it is an input of this export; choose another name"]
        ),
        new(
            "an export into no folder",
            w => ["export", "--model", Workshop.Model, "--type", "f16", "--out", w["no/such/x.gguf"]],
            ExitCode.Failed,
            ["x.gguf: the folder", "does not exist"]
        ),
    ];

    private static BadCase Yaml(string name, string latin1, params string[] texts) =>
        Usage(name, w => w.Train(Workshop.Model, null, "--config", w.Latin1("c.yaml", latin1)), ["c.yaml", .. texts]);

    private static BadCase Curve(string name, string row, params string[] texts) =>
        Usage(
            name,
            w =>
            {
                Directory.CreateDirectory(w["r"]);
                w.Text("r/run.json", "{}");
                w.Text("r/metrics.jsonl", row);
                return ["report", w["r"], "--out", w["x.html"]];
            },
            ["metrics.jsonl", .. texts]
        );

    private static BadCase Device(string name, Func<Workshop, string, string[]> arrange) =>
        Usage(
            name,
            w =>
            {
                File.CreateSymbolicLink(w["zero.jsonl"], "/dev/zero");
                return arrange(w, w["zero.jsonl"]);
            },
            "zero.jsonl",
            "is a pipe, a device or a socket"
        );

    private static string[] Into(Workshop w, string folder) =>
        ["train", "--model", Workshop.Model, "--data", w.Good, "--out", folder];

    private static string Filled(Workshop w)
    {
        Directory.CreateDirectory(w["filled"]);
        w.Text("filled/thesis.txt", "");
        return w["filled"];
    }
}
