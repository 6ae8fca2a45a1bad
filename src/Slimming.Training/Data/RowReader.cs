using Slimming.Training.Templates;

namespace Slimming.Training.Data;

/// <summary>Turns rows into sequences of tokens: finds each file's format, applies the template.</summary>
internal sealed class RowReader : IDisposable
{
    private readonly TemplateChoice _template;
    private readonly SequenceBuilder _builder;
    private readonly Dictionary<string, DatasetFormat> _formats = new(StringComparer.Ordinal);
    private bool _usesTemplate;

    /// <exception cref="Gguf.SlimmingException">The options or the template cannot be used.</exception>
    public RowReader(DataOptions options, ITokenizer tokenizer, string? modelTemplate)
    {
        var date = options.Date ?? DateOnly.FromDateTime(DateTime.UtcNow);
        _template = TemplateChoice.Resolve(options.Template, modelTemplate, tokenizer, date);
        _builder = new SequenceBuilder(tokenizer, _template, options.LossOn);
    }

    /// <summary>alpaca, chatml, model or a path; null where the rows so far needed no template.</summary>
    public string? TemplateName => _usesTemplate ? _template.Name : null;

    /// <summary>Hash of the chat template's text; null without one.</summary>
    public string? TemplateSha256 => _usesTemplate ? _template.Chat?.Sha256 : null;

    /// <summary>The day in the rendered text, where the template prints it.</summary>
    public DateOnly? TemplateDate => _usesTemplate && _template.Chat is { UsesDate: true } chat ? chat.Date : null;

    /// <summary>Whether a row of the file was seen: the first one decides on its format.</summary>
    public bool Knows(string file) => _formats.ContainsKey(file);

    /// <exception cref="Gguf.SlimmingException">The row cannot be read.</exception>
    public void Read(RawRow raw, SampleCollector collector)
    {
        using var parsed = raw.Parse();
        DataRow row = new(raw.File, raw.Number, parsed.RootElement, raw.Part);
        if (!_formats.TryGetValue(raw.File, out var format))
        {
            format = DatasetFormat.Detect(row);
            _formats.Add(raw.File, format);
        }
        var example = format.Parse(row);
        _usesTemplate |= example is Example.Conversation or Example.Instruction;
        var emptyAnswer = example is Example.Instruction { Output: "" } or Example.Completion { Text: "" };
        collector.Add(_builder.Build(example, row), emptyAnswer, row);
    }

    public void Dispose() => _template.Dispose();
}
