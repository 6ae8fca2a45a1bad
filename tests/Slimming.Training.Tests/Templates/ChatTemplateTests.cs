using System.Globalization;
using System.Text.Json;
using Slimming.Gguf;
using Slimming.TestSupport;
using Slimming.Training.Templates;

namespace Slimming.Training.Tests.Templates;

public sealed class ChatTemplateTests
{
    private static readonly DateOnly s_day = new(2026, 3, 15);

    private static string Render(string source, params ChatMessage[] messages)
    {
        using var template = new ChatTemplate("test", source, "<s>", "</s>", s_day);
        return template.Render(messages, addGenerationPrompt: false);
    }

    [Fact]
    public void EveryReferenceCaseRendersTheSame()
    {
        var lines = File.ReadAllLines(SharedFiles.Require("fixtures/templates/cases.jsonl"));
        var templates = new Dictionary<string, ChatTemplate>(StringComparer.Ordinal);
        var wrong = new List<string>();
        foreach (var line in lines)
        {
            using var parsed = JsonDocument.Parse(line);
            var c = parsed.RootElement;
            var name = c.GetProperty("name").GetString()!;
            if (!templates.TryGetValue(name, out var template))
            {
                template = new ChatTemplate(
                    name,
                    c.GetProperty("template").GetString()!,
                    c.GetProperty("bos").GetString(),
                    c.GetProperty("eos").GetString(),
                    DateOnly.Parse(c.GetProperty("date").GetString()!, CultureInfo.InvariantCulture)
                );
                templates.Add(name, template);
            }
            var messages = c.GetProperty("messages")
                .EnumerateArray()
                .Select(m => new ChatMessage(m.GetProperty("role").GetString()!, m.GetProperty("content").GetString()!))
                .ToArray();
            var expected = c.TryGetProperty("error", out var error)
                ? "raised: " + error.GetString()
                : c.GetProperty("rendered").GetString()!;
            string found;
            try
            {
                found = template.Render(messages, c.GetProperty("add_generation_prompt").GetBoolean());
            }
            catch (TemplateRefusedException e)
            {
                found = "raised: " + e.Message;
            }
            if (!string.Equals(found, expected, StringComparison.Ordinal))
            {
                wrong.Add($"{name} / {c.GetProperty("conversation").GetString()}: {found}");
            }
        }
        foreach (var template in templates.Values)
        {
            template.Dispose();
        }
        lines.Length.ShouldBe(174);
        wrong.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("{{ strftime_now('%d %b %Y %B %A %-d %j %F') }}", "15 Mar 2026 March Sunday 15 074 2026-03-15")]
    [InlineData("{{ bos_token }}|{{ nothing }}|{% if tools %}x{% endif %}", "<s>||")]
    [InlineData("  {% if true %}\nx\n  {% endif %}\ny\n", "x\ny")]
    [InlineData("{{ '\ufeff a \u2003\u0085' | trim }}.", "\ufeff a.")]
    [InlineData("{% for i in range(3) %}{{ i }}{% endfor %}", "012")]
    public void SettingsAreThoseOfTransformers(string source, string expected) => Render(source).ShouldBe(expected);

    [Fact]
    public void MessageTextIsDataAlone() =>
        Render("{{ messages[0].content }}", new ChatMessage("user", "{{ 1 + 1 }} </script> \\n \u2028 \"'"))
            .ShouldBe("{{ 1 + 1 }} </script> \\n \u2028 \"'");

    [Fact]
    public void AnEndlessTemplateIsStopped()
    {
        const string loops = "{% for a in range(100000) %}{% for b in range(100000) %}{{ a }}{% endfor %}{% endfor %}";
        var error = Should.Throw<SlimmingException>(() => Render(loops));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain("chat template (test)");
    }

    [Fact]
    public void TheHostIsOutOfReach()
    {
        Render("{{ System }}{{ importNamespace }}{{ globalThis }}").ShouldBe("");
        Should
            .Throw<SlimmingException>(() => Render("{{ messages.constructor.constructor('return 1')() }}"))
            .Code.ShouldBe(ExitCode.Usage);
    }

    [Fact]
    public void ABrokenTemplateIsNamed() =>
        Should.Throw<SlimmingException>(() => Render("{% if %}")).Message.ShouldContain("does not parse");
}
