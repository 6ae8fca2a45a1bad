using Slimming.Gguf;
using Slimming.LlamaCpp;
using Slimming.Training.Templates;

namespace Slimming.Training.Data;

/// <summary>The samples of some data files, in file and row order, ready to train or evaluate on.</summary>
public sealed class SampleSet
{
    private SampleSet(IReadOnlyList<Sample> samples, DataCounts counts, TemplateChoice template, bool usesTemplate)
    {
        Samples = samples;
        Counts = counts;
        TemplateName = usesTemplate ? template.Name : null;
        TemplateSha256 = usesTemplate ? template.Chat?.Sha256 : null;
        TemplateDate = usesTemplate && template.Chat is { UsesDate: true } ? template.Chat.Date : null;
    }

    public IReadOnlyList<Sample> Samples { get; }

    public DataCounts Counts { get; }

    /// <summary>alpaca, chatml, model or a path; null where the rows need no template (text, prompt/completion, ids).</summary>
    public string? TemplateName { get; }

    /// <summary>Hash of the chat template's text; null without one.</summary>
    public string? TemplateSha256 { get; }

    /// <summary>The day in the rendered text, where the template prints it: repeat a run with the same one.</summary>
    public DateOnly? TemplateDate { get; }

    /// <summary>Longest sample, in tokens.</summary>
    public int LongestTokens => Samples.Max(s => s.Tokens.Length);

    public static SampleSet Load(DataOptions options, LlamaVocab vocab, string? modelTemplate) =>
        Load(options, new VocabTokenizer(vocab), modelTemplate);

    /// <exception cref="SlimmingException">A file or row cannot be used, or no sample is left.</exception>
    public static SampleSet Load(DataOptions options, ITokenizer tokenizer, string? modelTemplate)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.MaxLength < 2)
        {
            throw new SlimmingException(ExitCode.Usage, $"--max-length {options.MaxLength}: expected at least 2");
        }
        var date = options.Date ?? DateOnly.FromDateTime(DateTime.UtcNow);
        using var template = TemplateChoice.Resolve(options.Template, modelTemplate, tokenizer, date);
        var builder = new SequenceBuilder(tokenizer, template, options.LossOn);
        var collector = new SampleCollector(options, tokenizer);
        var usesTemplate = false;
        string? file = null;
        DatasetFormat? format = null;
        foreach (var row in DatasetReader.Read(options.Files))
        {
            if (row.File != file)
            {
                format = DatasetFormat.Detect(row);
                file = row.File;
            }
            var example = format!.Parse(row);
            usesTemplate |= example is Example.Conversation or Example.Instruction;
            collector.Add(builder.Build(example, row), row);
        }
        var counts = collector.Counts;
        if (counts.Kept == 0)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"{string.Join(", ", options.Files)}: no sample is left of {counts.Rows} rows "
                    + $"({counts.WithoutTarget} without a target, {counts.Dropped} longer than --max-length "
                    + $"{options.MaxLength} tokens and dropped)"
            );
        }
        return new SampleSet(collector.Samples, counts, template, usesTemplate);
    }
}
