using Slimming.Gguf;
using Slimming.Interop;
using Slimming.LlamaCpp;
using Slimming.Models;

namespace Slimming.Training.Export;

/// <summary>Makes adapter and merged files and proves them against llama.cpp before they stay.</summary>
public sealed class Exporter : IDisposable
{
    private readonly ExportRequest _request;
    private readonly ExportSource _source;
    private readonly ExportKind _kind;
    private readonly GgmlType? _type;
    private readonly List<TypeOverride> _overrides;
    private readonly Action<string> _progress;
    private readonly NativeRuntime _runtime;
    private readonly BaseModel _model;
    private readonly PeftAdapter? _peft;
    private readonly NativeAdapter? _adapter;
    private readonly GgufFile? _trained;
    private readonly ImportanceMatrix? _importance;

    /// <summary>A chat template other than the base's that the source carries.</summary>
    private readonly string? _template;

    private Exporter(ExportRequest request, Action<string> progress)
    {
        _request = request;
        _progress = progress;
        _source = ExportSource.Resolve(request);
        _kind = _source.KindFor(request);
        _type = TypePlan.Parse(request.Type ?? "same");
        _overrides = [.. request.TensorTypes.Select(TypeOverride.Parse)];
        CheckOut();
        _runtime = NativeRuntime.Create(request.Threads);
        try
        {
            _model = BaseModel.Open(_source.ModelPath, _runtime);
            CheckRunBase();
            WeightCheck.RequireFinite(_model.File, _runtime.Info.Threads);
            _peft = _source.IsPeft ? PeftAdapter.Read(_source.AdapterPath!, _model) : null;
            _adapter = OpenAdapter();
            _trained = _source.TrainedPath is { } trained ? GgufFile.Open(trained) : null;
            _importance = ReadImportance();
            _template = TrainedTemplate();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Runs one export from start to end.</summary>
    /// <param name="request">What is wanted.</param>
    /// <param name="progress">Receives short lines; null for nobody.</param>
    /// <param name="token">Stops between tensors; nothing stays of the file.</param>
    /// <exception cref="SlimmingException">Wrong input (2), refused (3), or the file came out wrong and was removed (1).</exception>
    public static ExportResult Run(
        ExportRequest request,
        Action<string>? progress = null,
        CancellationToken token = default
    )
    {
        ArgumentNullException.ThrowIfNull(request);
        using var exporter = new Exporter(request, progress ?? (static _ => { }));
        return exporter._kind switch
        {
            ExportKind.Adapter => exporter.ToAdapter(),
            ExportKind.Merged => exporter.ToMerged(token),
            _ => exporter.ToPeft(),
        };
    }

    public void Dispose()
    {
        _trained?.Dispose();
        _adapter?.Dispose();
        _model?.Dispose();
        _runtime?.Dispose();
    }

    private ExportResult ToAdapter()
    {
        // PEFT does not record a template: the base's stands.
        var template = _peft == null ? AdapterFile.Describe(_source.AdapterPath!).TemplateSha256 : null;
        AdapterFile.Write(_request.Out, _model, _adapter!, _request.Force, template, _template);
        return Finish(
            new ExportResult(
                _request.Out,
                ExportKind.Adapter,
                new FileInfo(_request.Out).Length,
                _source.ModelPath,
                _adapter!.Trainables.Count / 2,
                0,
                0,
                [],
                null
            )
            {
                CarriesTrainedTemplate = _template != null,
            },
            VerifyAdapter
        );
    }

    private ExportResult ToMerged(CancellationToken token)
    {
        var weights = Weights();
        var unknown = weights.Added.FirstOrDefault(a => !ModelConfig.KnowsBias(a.Name));
        var plans = TypePlan.For(_model.File, _type, weights, _overrides, _importance);
        var metadata = MergedFile.Metadata(_model.File, _type, _importance, _template);
        MergedFile.Write(
            _request.Out,
            new MergedContent(_model.File, metadata, plans, weights, _importance),
            _request.Force,
            done => _progress($"tensor {done} of {plans.Count}"),
            token
        );
        return Finish(
            new ExportResult(
                _request.Out,
                ExportKind.Merged,
                new FileInfo(_request.Out).Length,
                _source.ModelPath,
                plans.Count(p => p.IsAdapted) + weights.Added.Count,
                plans.Count(p => !p.IsAdapted && !p.IsCopied),
                plans.Count(p => p.IsCopied),
                [
                    .. plans
                        .Where(p => p.FellBackFrom != null)
                        .Select(p => new TypeFallback(
                            p.Source.Name,
                            p.Source.RowLength,
                            p.FellBackFrom!.Value,
                            p.Type
                        )),
                ],
                null,
                unknown == null ? null : $"the native forward has no '{unknown.Name}'; llama.cpp loaded the file"
            )
            {
                Types =
                [
                    .. plans
                        .CountBy(p => p.Type)
                        .OrderByDescending(c => c.Value)
                        .ThenBy(c => c.Key)
                        .Select(c => new TypeCount(c.Key, c.Value)),
                ],
                Importance = UseOf(plans),
                CarriesTrainedTemplate = _template != null,
            },
            unknown == null ? VerifyMerged : LoadMerged
        );
    }

    private ImportanceMatrix? ReadImportance()
    {
        if (_request.Imatrix == null)
        {
            return null;
        }
        var matrix = ImportanceMatrix.Read(_request.Imatrix);
        matrix.CheckModel(_model.File);
        return matrix;
    }

    private ImportanceUse? UseOf(IReadOnlyList<TensorPlan> plans)
    {
        if (_importance == null)
        {
            return null;
        }
        var users = plans.Where(p => p.UsesImportance).ToLookup(p => _importance.Of(p.Source.Name) != null);
        return new ImportanceUse(
            _importance.Path,
            _importance.Count,
            users[true].Count(),
            [.. users[false].Select(p => p.Source.Name)]
        );
    }

    private string? TrainedTemplate()
    {
        var carried =
            _trained != null ? _trained.Metadata.GetString(Tokenizer.TemplateKey, null)
            : _adapter != null && _peft == null ? AdapterFile.Describe(_source.AdapterPath!).ChatTemplate
            : null;
        return carried == _model.ChatTemplate ? null : carried;
    }

    private ExportResult ToPeft()
    {
        PeftFolder.Write(_request.Out, _model, _adapter!, _request.Force);
        return new ExportResult(
            _request.Out,
            ExportKind.Peft,
            new DirectoryInfo(_request.Out).EnumerateFiles().Sum(f => f.Length),
            _source.ModelPath,
            _adapter!.Trainables.Count / 2,
            0,
            0,
            [],
            null
        );
    }

    /// <summary>Null also for a PEFT adapter that can only be merged.</summary>
    private NativeAdapter? OpenAdapter()
    {
        if (_peft?.ReasonToMerge is { } reason)
        {
            if (_kind != ExportKind.Merged)
            {
                throw new SlimmingException(ExitCode.Usage, $"{_source.AdapterPath}: {reason}; use --to merged");
            }
            return _request.Scale == null
                ? null
                : throw new SlimmingException(ExitCode.Usage, $"--scale: expected it with LoRA only: {reason}");
        }
        var scale = _request.Scale ?? 1;
        return _peft != null ? _peft.ToNative(scale)
            : _source.AdapterPath is { } path ? AdapterFile.Read(path, _model, forTraining: false, scale: scale)
            : null;
    }

    private IWeightSource Weights()
    {
        if (_adapter != null)
        {
            return new MergedWeights(_adapter);
        }
        if (_peft != null)
        {
            return new PeftWeights(_peft, _model.File);
        }
        if (_trained == null)
        {
            return new UnchangedWeights();
        }
        var trained = new TrainedWeights(_trained, _model.File);
        trained.CheckBase();
        return trained;
    }

    /// <summary>A file that llama.cpp cannot load or that computes something else does not stay.</summary>
    private ExportResult Finish(ExportResult result, Func<Verification?> verify)
    {
        try
        {
            _progress("comparing with llama.cpp");
            var verification = verify();
            MappedFiles.Check();
            return verification?.Failure == null
                ? result with
                {
                    Verification = verification,
                }
                : throw new SlimmingException(
                    ExitCode.Failed,
                    $"{result.Path}: {verification!.Failure}; the file was removed"
                );
        }
        catch
        {
            File.Delete(result.Path);
            throw;
        }
    }

    private Verification VerifyAdapter()
    {
        using var llama = LlamaModel.Load(_source.ModelPath);
        using var loaded = LlamaAdapter.Load(llama, _request.Out);
        var probe = new LogitProbe(llama.Vocab, _model.ContextLength, _request.CheckedPositions);
        var threads = _runtime.Info.Threads;
        var noise = Compare(
            "base, llama.cpp against native",
            probe.Native(_model.Native, null),
            probe.Llama(llama, null, threads)
        );
        var exported = Compare(
            "adapter, llama.cpp against native",
            probe.Native(_model.Native, _adapter),
            probe.Llama(llama, loaded, threads)
        );
        var precision = Precision(_model.File);
        return Verification.Judge(noise, exported, null, precision, precision);
    }

    /// <summary>llama.cpp refuses a file with a tensor that its architecture has no use for.</summary>
    private Verification? LoadMerged()
    {
        using var merged = LlamaModel.Load(_request.Out);
        var probe = new LogitProbe(merged.Vocab, _model.ContextLength, _request.CheckedPositions);
        return probe.Llama(merged, null, _runtime.Info.Threads).TrueForAll(row => Array.TrueForAll(row, float.IsFinite))
            ? null
            : throw new SlimmingException(
                ExitCode.Failed,
                $"{_request.Out}: expected finite logits in llama.cpp, found others; the file was removed"
            );
    }

    private Verification VerifyMerged()
    {
        using var llamaBase = LlamaModel.Load(_source.ModelPath);
        using var llamaMerged = LlamaModel.Load(_request.Out);
        using var merged = BaseModel.Open(_request.Out, _runtime);
        var probe = new LogitProbe(llamaBase.Vocab, _model.ContextLength, _request.CheckedPositions);
        var threads = _runtime.Info.Threads;
        var noise = Compare(
            "base, llama.cpp against native",
            probe.Native(_model.Native, null),
            probe.Llama(llamaBase, null, threads)
        );
        var stored = probe.Native(merged.Native, null);
        // DoRA and (IA)3 exist natively only as merged.
        var hasWanted = _peft == null || _adapter != null;
        var wanted = hasWanted ? NativeWanted(probe) : stored;
        var served = probe.Llama(llamaMerged, null, threads);
        var precision = Precision(merged.File);
        // An f32 file must be the wanted function itself; a rounded one is judged against its own weights.
        var exported = Compare(
            "merged, llama.cpp against native",
            precision == WeightPrecision.Exact ? wanted : stored,
            served
        );
        return Verification.Judge(
            noise,
            exported,
            hasWanted ? Compare("stored against wanted, native", wanted, stored) : null,
            Precision(_model.File),
            precision
        );
    }

    private List<float[]> NativeWanted(LogitProbe probe)
    {
        if (_source.TrainedPath is not { } path)
        {
            return probe.Native(_model.Native, _adapter);
        }
        using var trained = BaseModel.Open(path, _runtime);
        return probe.Native(trained.Native, null);
    }

    private Comparison Compare(string what, List<float[]> reference, List<float[]> other) =>
        new(what, LogitDistance.Between(reference, other, _model.Parameters.NVocab));

    private static WeightPrecision Precision(GgufFile file)
    {
        var types = file.Tensors.Where(t => t.Shape.Count >= 2).Select(t => t.Type).ToHashSet();
        return types.All(t => t == GgmlType.F32) ? WeightPrecision.Exact
            : types.All(t => t is GgmlType.F32 or GgmlType.F16 or GgmlType.BF16) ? WeightPrecision.Half
            : WeightPrecision.Quantized;
    }

    private void CheckOut()
    {
        foreach (var input in new[] { _source.ModelPath, _source.AdapterPath, _source.TrainedPath })
        {
            if (input != null && Path.GetFullPath(input) == Path.GetFullPath(_request.Out))
            {
                throw new SlimmingException(
                    ExitCode.Refused,
                    $"--out {_request.Out}: it is an input of this export; choose another name"
                );
            }
        }
        if (Path.Exists(_request.Out) && !_request.Force)
        {
            throw new SlimmingException(
                ExitCode.Refused,
                $"--out {_request.Out}: exists already; use --force to replace it"
            );
        }
    }

    private void CheckRunBase()
    {
        if (_source.BaseSha256 is { } expected && expected != _model.Sha256)
        {
            throw new GgufException(
                _source.ModelPath,
                "SHA-256",
                $"{expected}, the base of {_request.Source}",
                _model.Sha256
            );
        }
    }
}
