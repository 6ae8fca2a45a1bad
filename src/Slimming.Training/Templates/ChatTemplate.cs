using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Jint;
using Jint.Native;
using Jint.Runtime;
using Slimming.Gguf;
using Slimming.Shared;

namespace Slimming.Training.Templates;

/// <summary>A Jinja chat template, rendered as transformers renders it.</summary>
/// <remarks>
/// Templates come from model files, so they are untrusted: they run in a JavaScript interpreter without access to the
/// host, with bounds on time, memory and recursion. Use from one thread at a time.
/// </remarks>
public sealed class ChatTemplate : IDisposable
{
    private const long MemoryBytes = 256L << 20;
    private const int RecursionDepth = 400;
    private static readonly TimeSpan s_time = TimeSpan.FromSeconds(5);
    private static readonly Lazy<Prepared<Acornima.Ast.Script>> s_package = new(LoadPackage);

    private readonly Lazy<(Engine Engine, JsValue Render)> _script;
    private readonly string? _bos;
    private readonly string? _eos;

    /// <param name="name">What messages call it: a built-in name, a path, or "the model's own template".</param>
    /// <param name="source">The Jinja text.</param>
    /// <param name="bos">Text behind bos_token; null leaves the variable undefined.</param>
    /// <param name="eos">Text behind eos_token; null leaves the variable undefined.</param>
    /// <param name="date">The day that strftime_now reads.</param>
    /// <param name="deferred">Parse it when it is first rendered: until then no interpreter is loaded.</param>
    /// <exception cref="SlimmingException">The template does not parse.</exception>
    public ChatTemplate(string name, string source, string? bos, string? eos, DateOnly date, bool deferred = false)
    {
        ArgumentNullException.ThrowIfNull(source);
        (Name, Source, Date, _bos, _eos) = (name, source, date, bos, eos);
        Sha256 = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(source)));
        _script = new Lazy<(Engine, JsValue)>(Parse);
        if (!deferred)
        {
            _ = _script.Value;
        }
    }

    public string Name { get; }

    public string Source { get; }

    public DateOnly Date { get; }

    /// <summary>Of the source's UTF-8 bytes.</summary>
    public string Sha256 { get; }

    /// <summary>Whether the text changes with the day.</summary>
    public bool UsesDate => Source.Contains("strftime_now", StringComparison.Ordinal);

    /// <exception cref="TemplateRefusedException">The template raised an exception of its own.</exception>
    /// <exception cref="SlimmingException">The template failed, or went beyond its bounds.</exception>
    public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt)
    {
        ArgumentNullException.ThrowIfNull(messages);
        var (engine, render) = _script.Value;
        string answer;
        try
        {
            answer = engine.Invoke(render, Input(messages, addGenerationPrompt)).AsString();
        }
        catch (Exception e) when (IsScriptFailure(e))
        {
            throw new SlimmingException(ExitCode.Usage, $"chat template ({Name}): {Reason(e)}", e);
        }
        using var parsed = JsonDocument.Parse(answer);
        try
        {
            return parsed.RootElement.TryGetProperty("raised", out var raised)
                ? throw new TemplateRefusedException(raised.GetString()!)
                : parsed.RootElement.GetProperty("text").GetString()!;
        }
        catch (InvalidOperationException e)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"chat template ({Name}): expected a text in Unicode, found one half of a surrogate pair (\\ud800 to \\udfff) in what it wrote",
                e
            );
        }
    }

    public void Dispose()
    {
        if (_script.IsValueCreated)
        {
            _script.Value.Engine.Dispose();
        }
    }

    private (Engine Engine, JsValue Render) Parse()
    {
        var engine = new Engine(options =>
        {
            // Calls of several functions in turn count as recursion of none: the stack itself is looked at too.
            options.Constraints.MaxExecutionStackCount = 0;
            options
                .LimitMemory(MemoryBytes)
                .LimitRecursion(RecursionDepth)
                .TimeoutInterval(s_time)
                .RegexTimeoutInterval(s_time)
                .DisableStringCompilation();
        });
        try
        {
            engine.Execute(s_package.Value);
            engine.Invoke("load", Source);
        }
        catch (Exception e) when (IsScriptFailure(e))
        {
            engine.Dispose();
            throw new SlimmingException(ExitCode.Usage, $"chat template ({Name}): does not parse: {Reason(e)}", e);
        }
        return (engine, engine.GetValue("render"));
    }

    private static bool IsScriptFailure(Exception e) =>
        e
            is JintException
                or Acornima.ParseErrorException
                or TimeoutException
                or System.Text.RegularExpressions.RegexMatchTimeoutException
                or InsufficientExecutionStackException;

    private static string Reason(Exception e) =>
        e switch
        {
            TimeoutException or System.Text.RegularExpressions.RegexMatchTimeoutException =>
                $"expected it to finish within {s_time.TotalSeconds} s, found it still at work; does it loop for ever?",
            MemoryLimitExceededException =>
                $"expected at most {MemoryBytes >> 20} MiB of memory, found more; does it loop for ever?",
            RecursionDepthOverflowException or InsufficientExecutionStackException =>
                $"expected at most {RecursionDepth} nested calls, found more; does it call itself for ever?",
            _ => e.Message,
        };

    private static Prepared<Acornima.Ast.Script> LoadPackage()
    {
        var path = Path.Combine(NativeFiles.Directory, "js", "jinja.cjs");
        if (!File.Exists(path))
        {
            throw new SlimmingException(
                ExitCode.Failed,
                $"{path} is missing: it renders chat templates; build with 'dotnet cake --target=Build'"
            );
        }
        using var glue = typeof(ChatTemplate).Assembly.GetManifestResourceStream("render.js")!;
        using var reader = new StreamReader(glue);
        var script =
            $"const jinja = (() => {{ const module = {{ exports: {{}} }}; let exports = module.exports;\n"
            + $"{File.ReadAllText(path)}\nreturn module.exports; }})();\n{reader.ReadToEnd()}";
        return Engine.PrepareScript(script, path);
    }

    private string Input(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt)
    {
        var variables = new Dictionary<string, object>(StringComparer.Ordinal)
        {
            ["messages"] = messages.Select(m => new { role = m.Role, content = m.Content }),
            ["add_generation_prompt"] = addGenerationPrompt,
        };
        if (_bos is not null)
        {
            variables["bos_token"] = _bos;
        }
        if (_eos is not null)
        {
            variables["eos_token"] = _eos;
        }
        var date = new
        {
            year = Date.Year,
            month = Date.Month,
            day = Date.Day,
            weekday = (int)Date.DayOfWeek,
            yearDay = Date.DayOfYear,
        };
        return JsonSerializer.Serialize(new { variables, date });
    }
}
