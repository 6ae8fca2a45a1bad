using System.Text.Json.Nodes;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.LlamaCpp;
using Slimming.Results;
using Slimming.Shared;
using Slimming.Training.Data;
using Slimming.Training.Export;
using Slimming.Training.Models;
using Slimming.Training.Templates;

namespace Slimming.Training;

/// <summary>All that a run needs before its first step, checked, and nothing written yet: also what <c>plan</c> shows.</summary>
internal sealed class TrainSetup : IDisposable
{
    private readonly NativeRuntime _runtime;

    private TrainSetup(
        TrainOptions options,
        NativeRuntime runtime,
        BaseModel model,
        NativeAdapter adapter,
        SampleSet train,
        SampleSet? eval
    )
    {
        Options = options;
        _runtime = runtime;
        Model = model;
        Adapter = adapter;
        TrainSet = train;
        EvalSet = eval;
        CarriedTemplate = TemplateChoice.ToCarry(train.TemplateName, model.ChatTemplate);
        var lengths = train.Samples.Select(sample => sample.Tokens.Length).ToArray();
        Data = new TrainData(
            train.Samples,
            eval?.Samples ?? train.HeldOut,
            new StepPlanner(lengths, options, train.Mixture)
        );
        (Context, Plan) = MemoryPlanner.Choose(
            options,
            Data.Longest,
            ComputeOf(options),
            parameters => NativeContext.Plan(model.Native, adapter, parameters)
        );
    }

    /// <summary>As resolved: with an initial adapter its rank, scale and targets.</summary>
    public TrainOptions Options { get; }
    public BaseModel Model { get; }
    public NativeAdapter Adapter { get; }
    public SampleSet TrainSet { get; }
    public SampleSet? EvalSet { get; }

    /// <summary>See <see cref="TemplateChoice.ToCarry"/>.</summary>
    public string? CarriedTemplate { get; }
    public TrainData Data { get; }
    public ContextParams Context { get; }
    public Plan Plan { get; }

    public TrainSummary Summary =>
        new()
        {
            Model = Options.Model,
            Architecture = Model.Architecture,
            Method = Options.Method,
            Compute = Context.Compute.ToString().ToLowerInvariant(),
            Isa = _runtime.Info.Isa.ToName(),
            Threads = _runtime.Info.Threads,
            TotalSteps = Data.Planner.TotalSteps,
            LongestSample = Data.Longest,
            MicroBatchTokens = Context.MicroBatchTokens,
            TrainableTensors = Adapter.Trainables.Count,
            TrainableValues = Adapter.Trainables.Sum(trainable => trainable.Count),
            Plan = Plan,
            NeededBytes = MemoryPlanner.Needed(Plan),
        };

    /// <summary>Without times.</summary>
    public TrainForecast Forecast =>
        new(Summary)
        {
            Largest = MemoryPlanner.Largest(
                Options,
                Context,
                Model.ContextLength,
                parameters => NativeContext.Plan(Model.Native, Adapter, parameters)
            ),
        };

    /// <param name="options">Resolved options.</param>
    /// <param name="templateDate">The day that a resumed run's template printed; null: today.</param>
    /// <param name="sink">Receives notes on the data.</param>
    public static TrainSetup Open(TrainOptions options, DateOnly? templateDate, ITrainSink sink)
    {
        options = InitialAdapter.Apply(options);
        NativeRuntime? runtime = null;
        BaseModel? model = null;
        NativeAdapter? adapter = null;
        try
        {
            runtime = NativeRuntime.Create(options.Threads);
            model = BaseModel.Open(options.Model, runtime);
            var (train, eval) = LoadData(options, templateDate, model, sink);
            adapter = options.InitAdapter is { } path
                ? AdapterFile.Read(path, model, (float)options.Dropout)
                : new NativeAdapter(model.Native, AdapterParams(options));
            return new TrainSetup(options, runtime, model, adapter, train, eval);
        }
        catch
        {
            adapter?.Dispose();
            model?.Dispose();
            runtime?.Dispose();
            throw;
        }
    }

    public RunRecord Record()
    {
        var (version, commit) = RunRecord.Build();
        return new RunRecord
        {
            Version = version,
            Commit = commit,
            Options = RunRecord.OptionsOf(Options),
            Seed = Options.Seed,
            Resolved = Summary,
            Model = new HashedFile(Options.Model, Model.Sha256),
            Data = Sources(TrainSet),
            DataShares = TrainSet.Mixture?.Shares,
            EvalData = EvalSet is null ? [] : Sources(EvalSet),
            InitAdapter = Options.InitAdapter is { } path ? new HashedFile(path, Durable.Sha256(path)) : null,
            Template = TrainSet.TemplateName,
            TemplateSha256 = TrainSet.TemplateSha256,
            TemplateDate = TrainSet.TemplateDate ?? EvalSet?.TemplateDate,
            Libraries =
            [
                new HashedFile(SlimmingLibrary.Path, Durable.Sha256(SlimmingLibrary.Path)),
                new HashedFile(DuckDbLibrary.Path, Durable.Sha256(DuckDbLibrary.Path)),
                .. LlamaRuntime
                    .Libraries.Where(library => library.Name.StartsWith("libllama", StringComparison.Ordinal))
                    .Select(library => new HashedFile(library.Path, library.Sha256)),
            ],
            Counts = new JsonObject
            {
                ["train"] = Counts(TrainSet.Counts),
                ["eval"] =
                    EvalSet is not null ? Counts(EvalSet.Counts)
                    : TrainSet.HeldOut.Count > 0 ? Counts(TrainSet.HeldOutCounts)
                    : null,
            },
            CpuName = _runtime.Info.CpuName,
        };
    }

    public void Dispose()
    {
        Adapter.Dispose();
        Model.Dispose();
        _runtime.Dispose();
    }

    private static (SampleSet Train, SampleSet? Eval) LoadData(
        TrainOptions options,
        DateOnly? templateDate,
        BaseModel model,
        ITrainSink sink
    )
    {
        if (options.MaxLength > model.ContextLength && options.Given.Contains("max-length"))
        {
            sink.Warning(
                $"--max-length {options.MaxLength}: {options.Model} was trained for {model.ContextLength} tokens"
            );
        }
        using var vocabulary = LlamaModel.Load(options.Model, vocabOnly: true);
        DataOptions all = new()
        {
            Files = options.Data,
            Where = options.Where,
            Sample = options.Sample,
            EvalFraction = options.EvalFraction,
            Seed = (ulong)options.Seed,
            Template = options.Template,
            MaxLength = options.MaxLength,
            ContextLength = options.Given.Contains("max-length") ? null : model.ContextLength,
            Overlong = Enum.Parse<Overlong>(options.Overlong, ignoreCase: true),
            LossOn = Enum.Parse<LossOn>(options.LossOn, ignoreCase: true),
            Date = templateDate,
        };
        var train = SampleSet.Load(all, vocabulary.Vocab, model.ChatTemplate);
        DataNotes.Write(options.Data, train, sink);
        if (options.EvalData.Count == 0)
        {
            return (train, null);
        }
        // Condition and draws are for the training data.
        var evalOptions = all with
        {
            Files = options.EvalData,
            Where = null,
            Sample = null,
            EvalFraction = null,
        };
        var eval = SampleSet.Load(evalOptions, vocabulary.Vocab, model.ChatTemplate);
        if (eval.Mixture is not null)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"--eval-data {options.EvalData[0]}: has a weight; only --data is mixed by weight"
            );
        }
        sink.Note($"eval data: {DataNotes.Counts(eval.Counts, eval.TemplateName)}");
        return (train, eval);
    }

    /// <summary>
    /// auto is f32, the mode that reference runs are compared in. A choice by instruction set needs measured losses of
    /// bf16 runs first.
    /// </summary>
    private static ComputeMode ComputeOf(TrainOptions options) =>
        options.Compute == "auto" ? ComputeMode.F32 : Enum.Parse<ComputeMode>(options.Compute, ignoreCase: true);

    private static AdapterParams AdapterParams(TrainOptions options) =>
        options.IsFull
            ? new AdapterParams { Method = TrainMethod.Full, Seed = (ulong)options.Seed }
            : new AdapterParams
            {
                Method = TrainMethod.Lora,
                Targets = InitialAdapter.Targets(options),
                Rank = options.Rank,
                Scale = (float)options.Scale,
                Dropout = (float)options.Dropout,
                Seed = (ulong)options.Seed,
            };

    private static HashedFile[] Sources(SampleSet set) =>
        [.. set.Files.Distinct(StringComparer.Ordinal).Select(path => new HashedFile(path, Durable.Sha256(path)))];

    private static JsonNode? Counts(DataCounts counts) =>
        System.Text.Json.JsonSerializer.SerializeToNode(counts, RunRecord.JsonOptions);
}
