using Slimming.Gguf;
using static Slimming.Cli.Tests.BadInput.BadCase;

namespace Slimming.Cli.Tests.BadInput;

/// <summary>Chat templates, from files and from models.</summary>
internal static class BadTemplates
{
    private const string Chat = """{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"}]}""";

    public static IEnumerable<BadCase> Cases { get; } =
    [
        Usage(
            "missing template",
            w => w.Train(Workshop.Model, null, "--template", "absent.jinja"),
            "--template absent.jinja: expected auto, alpaca, chatml, or the path of a Jinja file; no such file"
        ),
        Template("a template that does not parse", "{% for m in messages %}{{ m.content }}", "does not parse"),
        Template("an expression that does not parse", "{{ messages[ }}", "does not parse"),
        Template("a template that is empty", "", "row 0", "cannot be told apart"),
        Template(
            "a template that loops for ever",
            "{% for i in range(1000000000000) %}x{% endfor %}",
            "does it loop for ever?"
        ),
        Template("a template that calls itself", "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", "for ever?"),
        Template("brackets without end", "{{ " + new string('(', 3_000), "does not parse"),
        Template(
            "a template that fills the memory",
            "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
            "expected at most 256 MiB of memory, found more"
        ),
        Template("a template that includes a file", "{% include '/etc/passwd' %}", "include"),
        Template("a template that imports a file", "{% from '/etc/passwd' import x %}", "does not parse"),
        Template("a template that opens a file", "{{ open('/etc/passwd').read() }}", "'open' is no function"),
        Template(
            "a template that reaches for the host",
            "{{ messages.constructor.constructor('return this')() }}",
            "'constructor' is no function"
        ),
        Template("a filter that is not supported", "{{ messages | tsv }}", "tsv"),
        Template("a test that is not supported", "{% if messages is prime %}x{% endif %}", "prime"),
        Template("a function that does not exist", "{{ now() }}", "'now' is no function or method that is supported"),
        Template("a date that is not supported", "{{ strftime_now('%Q') }}", "strftime_now: '%Q' is not supported"),
        Template("a template of half a pair", "{{ '\\ud800' }}", "t.jinja", "found one half of a surrogate pair"),
        Template("a refusal in half a pair", "{{ raise_exception('\\udfff') }}", "found one half of a surrogate pair"),
        Template("a template that refuses", "{{ raise_exception('no such talk') }}", "row 0", "no such talk"),
        Template(
            "a template without content",
            "{% for m in messages %}{{ m.role }}{% endfor %}",
            "row 0",
            "cannot be told apart"
        ),
        Usage(
            "a template that is no UTF-8",
            w => Run(w, w.Bytes("t.jinja", 0x7B, 0xFF, 0x7D)),
            "t.jinja",
            "byte 2: found 0xFF",
            "UTF-8"
        ),
        Usage(
            "a template that is a folder",
            w => Run(w, Directory.CreateDirectory(w["t.jinja"]).FullName),
            "--template",
            "t.jinja"
        ),
        Usage(
            "the model's own template loops for ever",
            w =>
                w.Train(
                    w.Spoilt(
                        "m.gguf",
                        m =>
                            m.Set(
                                "tokenizer.chat_template",
                                GgufValue.Of(
                                    "{% for i in range(999999999) %}{% for j in range(999999999) %}{% endfor %}{% endfor %}"
                                )
                            )
                    ),
                    w.Text("chat.jsonl", Chat)
                ),
            "chat template (the model's own): expected",
            "does it loop for ever?"
        ),
        Usage(
            "the model's own template is a number",
            w =>
                w.Train(
                    w.Spoilt("m.gguf", m => m.Set("tokenizer.chat_template", GgufValue.Of(3u))),
                    w.Text("chat.jsonl", Chat)
                ),
            "m.gguf: key 'tokenizer.chat_template': expected a string, found UInt32 3"
        ),
        Usage(
            "a conversation for a model without a template",
            w => w.Train(w.Spoilt("m.gguf", m => m.Remove("tokenizer.chat_template")), w.Text("chat.jsonl", Chat)),
            "chat.jsonl, row 0",
            "a conversation needs a chat template",
            "--template chatml or a Jinja file"
        ),
    ];

    private static BadCase Template(string name, string jinja, params string[] texts) =>
        Usage(name, w => Run(w, w.Text("t.jinja", jinja)), ["t.jinja", .. texts]);

    private static string[] Run(Workshop w, string template) =>
        w.Train(Workshop.Model, w.Text("chat.jsonl", Chat), "--template", template);
}
