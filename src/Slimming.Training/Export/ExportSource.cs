using Slimming.Gguf;

namespace Slimming.Training.Export;

/// <summary>Where the weights come from, resolved from a run folder, an adapter file, a PEFT folder or a base alone.</summary>
/// <param name="ModelPath">The base.</param>
/// <param name="AdapterPath">An adapter of it: a LoRA adapter file or a PEFT folder.</param>
/// <param name="TrainedPath">The model of a full-parameter run.</param>
/// <param name="BaseSha256">What the run says its base was.</param>
internal sealed record ExportSource(string ModelPath, string? AdapterPath, string? TrainedPath, string? BaseSha256)
{
    /// <summary>The adapter is a folder that PEFT saved.</summary>
    public bool IsPeft => AdapterPath != null && Directory.Exists(AdapterPath);

    public static ExportSource Resolve(ExportRequest request)
    {
        if (request.Source == null)
        {
            return new ExportSource(RequireModel(request, "without a run or adapter"), null, null, null);
        }
        if (!Directory.Exists(request.Source))
        {
            return new ExportSource(RequireModel(request, "with an adapter file"), request.Source, null, null);
        }
        if (PeftAdapter.IsFolder(request.Source))
        {
            return new ExportSource(RequireModel(request, "with a PEFT folder"), request.Source, null, null);
        }
        var record = RunRecord.Read(request.Source);
        if (!File.Exists(Path.Combine(request.Source, RunFolder.DoneName)))
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"{request.Source}: the run is not finished (no {RunFolder.DoneName}); finish it with train --resume, or give an adapter file of its checkpoints"
            );
        }
        var model = request.Model ?? record.Model.Path;
        var adapter = Path.Combine(request.Source, "adapter.gguf");
        var trained = Path.Combine(request.Source, "model.gguf");
        return File.Exists(trained)
            ? new ExportSource(model, null, trained, record.Model.Sha256)
            : new ExportSource(model, adapter, null, record.Model.Sha256);
    }

    /// <summary>The kind that was asked for, after refusing combinations that mean nothing.</summary>
    public ExportKind KindFor(ExportRequest request)
    {
        var hasNothingToMerge = AdapterPath == null && TrainedPath == null;
        var kind = request.To ?? (AdapterPath != null ? ExportKind.Adapter : ExportKind.Merged);
        if (kind != ExportKind.Merged && AdapterPath == null)
        {
            throw Usage(
                $"--to {kind.ToString().ToLowerInvariant()}",
                "a LoRA run or an adapter file",
                hasNothingToMerge ? "a base alone" : "a full-parameter run; use --to merged"
            );
        }
        if (kind != ExportKind.Merged && request.Type != null)
        {
            throw Usage("--type", "it with --to merged only", $"--to {kind.ToString().ToLowerInvariant()}");
        }
        if (kind != ExportKind.Merged && request.TensorTypes.Count > 0)
        {
            throw Usage("--tensor-type", "it with --to merged only", $"--to {kind.ToString().ToLowerInvariant()}");
        }
        if (kind != ExportKind.Merged && request.Imatrix != null)
        {
            throw Usage("--imatrix", "it with --to merged only", $"--to {kind.ToString().ToLowerInvariant()}");
        }
        if (request.Scale is { } scale && AdapterPath == null)
        {
            throw Usage("--scale", "an adapter to scale", $"{scale} without one");
        }
        if (request.Scale is { } factor && !(double.IsFinite(factor) && factor != 0))
        {
            throw Usage("--scale", "a finite number that is not 0", $"{factor}");
        }
        return kind;
    }

    private static string RequireModel(ExportRequest request, string when) =>
        request.Model ?? throw Usage("--model", $"the base model's file {when}", "nothing");

    private static SlimmingException Usage(string option, string expected, string found) =>
        new(ExitCode.Usage, $"{option}: expected {expected}, found {found}");
}
