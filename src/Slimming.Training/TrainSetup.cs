using System.Text.Json;
using System.Text.Json.Nodes;
using Slimming.Gguf;
using Slimming.Interop;
using Slimming.LlamaCpp;
using Slimming.Models;
using Slimming.Results;
using Slimming.Shared;
using Slimming.Training.Data;
using Slimming.Training.Templates;

namespace Slimming.Training;

/// <summary>All that a run needs before its first step, checked, and nothing written yet: also what <c>plan</c> shows.</summary>
internal sealed class TrainSetup : IDisposable
{
    private readonly NativeRuntime _runtime;

    private readonly LlamaModel? _vocabulary;

    private readonly MemoryPlanner _planner;

    private TrainSetup(
        TrainOptions options,
        NativeRuntime runtime,
        BaseModel model,
        NativeAdapter adapter,
        ComputeMode compute,
        (LlamaModel? Vocabulary, DataSet Train, DataSet? Eval) data
    )
    {
        Options = options;
        _runtime = runtime;
        Model = model;
        Adapter = adapter;
        (_vocabulary, TrainSet, EvalSet) = data;
        CarriedTemplate = TemplateChoice.ToCarry(TrainSet.TemplateName, model.ChatTemplate);
        Data = new TrainData(
            TrainSet.Steps(options),
            EvalSet?.All() ?? TrainSet.HeldOut(),
            Math.Max(TrainSet.Longest, EvalSet?.Longest ?? 0)
        );
        _planner = new MemoryPlanner(options, model, adapter, compute, new PlannedData(TrainSet, EvalSet, Data));
        (Context, Plan) = _planner.Choose();
    }

    /// <summary>As resolved: with an initial adapter its rank, scale and targets.</summary>
    public TrainOptions Options { get; }
    public BaseModel Model { get; }
    public NativeAdapter Adapter { get; }
    public DataSet TrainSet { get; }
    public DataSet? EvalSet { get; }

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
            TotalSteps = Data.Train.TotalSteps,
            Streamed = TrainSet.IsStreamed,
            LongestSample = Data.Longest,
            MicroBatchTokens = Context.MicroBatchTokens,
            TrainableTensors = Adapter.Trainables.Count,
            TrainableValues = Adapter.Trainables.Sum(trainable => trainable.Count),
            Plan = Plan,
            NeededBytes = _planner.Needed(Plan),
        };

    /// <summary>Without times.</summary>
    public TrainForecast Forecast
    {
        get
        {
            var machine = Options.Machine();
            return new TrainForecast(Summary)
            {
                Largest = _planner.Largest(Context),
                AvailableBytes = machine.Available,
                Refused = _planner.Problem(Plan, machine)?.Message,
            };
        }
    }

    /// <exception cref="SlimmingException">Exit code 3: the plan does not go with what the machine has.</exception>
    private void RequireMemory()
    {
        if (_planner.Problem(Plan, Options.Machine()) is { } problem)
        {
            throw problem;
        }
    }

    /// <param name="options">Resolved options.</param>
    /// <param name="templateDate">The day that a resumed run's template printed; null: today.</param>
    /// <param name="sink">Receives notes on the data.</param>
    /// <param name="mustFit">Refuse what needs more memory than there is, before the weights and where possible the data are read.</param>
    /// <exception cref="SlimmingException">What cannot be used, with its exit code.</exception>
    public static TrainSetup Open(TrainOptions options, DateOnly? templateDate, ITrainSink sink, bool mustFit)
    {
        options = InitialAdapter.Apply(options);
        NativeRuntime? runtime = null;
        BaseModel? model = null;
        NativeAdapter? adapter = null;
        (LlamaModel? Vocabulary, DataSet Train, DataSet? Eval) data = default;
        try
        {
            runtime = NativeRuntime.Create(options.Threads);
            model = BaseModel.Open(options.Model, runtime);
            adapter = new NativeAdapter(model.Native, AdapterParams(options));
            var isExact = options.IsFull && options.Compute == "auto";
            var compute = isExact
                ? ComputeMode.F32
                : ComputeChoice.Of(options.Compute, runtime.Info.Isa, model.File.Tensors);
            MemoryPlanner least = new(options, model, adapter, compute, null);
            if (mustFit && least.Hopeless(options.Machine()) is { } problem)
            {
                throw problem;
            }
            data = OpenData(options, templateDate, model, sink);
            if (options.InitAdapter is { } path)
            {
                adapter.Dispose();
                adapter = AdapterFile.Read(path, model, (float)options.Dropout);
            }
            TrainSetup setup = new(options, runtime, model, adapter, compute, data);
            if (mustFit)
            {
                setup.RequireMemory();
            }
            return setup;
        }
        catch
        {
            Close(data);
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
            DataShares = TrainSet.Mix?.Shares,
            EvalData = EvalSet is null ? [] : Sources(EvalSet),
            InitAdapter = Options.InitAdapter is { } path ? new HashedFile(path, Durable.Sha256(path)) : null,
            Template = TrainSet.TemplateName,
            TemplateSha256 = TrainSet.TemplateSha256,
            TemplateDate = TrainSet.TemplateDate ?? EvalSet?.TemplateDate,
            Libraries =
            [
                new HashedFile(SlimmingLibrary.Path, Durable.Sha256(SlimmingLibrary.Path)),
                new HashedFile(DuckDbLibrary.Path, DuckDbLibrary.Sha256),
                .. LlamaRuntime
                    .Libraries.Where(library => library.Name.StartsWith("libllama", StringComparison.Ordinal))
                    .Select(library => new HashedFile(library.Path, library.Sha256)),
            ],
            Counts = Counts(TrainSet.Counts, Data.Eval?.Counts),
            CpuName = _runtime.Info.CpuName,
        };
    }

    public void Dispose()
    {
        Close((_vocabulary, TrainSet, EvalSet));
        Adapter.Dispose();
        Model.Dispose();
        _runtime.Dispose();
    }

    /// <summary>The record's counts.</summary>
    public static JsonObject Counts(DataCounts train, DataCounts? eval)
    {
        JsonNode? Node(DataCounts? counts) => JsonSerializer.SerializeToNode(counts, RunRecord.JsonOptions);
        return new JsonObject { ["train"] = Node(train), ["eval"] = Node(eval) };
    }

    private static void Close((LlamaModel? Vocabulary, DataSet? Train, DataSet? Eval) data)
    {
        data.Eval?.Dispose();
        data.Train?.Dispose();
        data.Vocabulary?.Dispose();
    }

    /// <summary>The vocabulary comes along where rows are still to be tokenized.</summary>
    private static (LlamaModel? Vocabulary, DataSet Train, DataSet? Eval) OpenData(
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
            Limits = options.Limits,
        };
        var vocabulary = LlamaModel.Load(options.Model, vocabOnly: true);
        DataSet? train = null;
        DataSet? eval = null;
        try
        {
            train = DataSet.Open(all, vocabulary.Vocab, model.ChatTemplate);
            DataNotes.Write(options, train, sink);
            eval =
                options.EvalData.Count == 0 ? null : OpenEval(all with { Files = options.EvalData }, vocabulary, model);
            if (eval is not null)
            {
                sink.Note($"eval data: {DataNotes.Counts(eval.Counts, eval.TemplateName)}");
            }
            if (train.IsStreamed || eval is { IsStreamed: true })
            {
                return (vocabulary, train, eval);
            }
        }
        catch
        {
            Close((vocabulary, train, eval));
            throw;
        }
        vocabulary.Dispose();
        return (null, train, eval);
    }

    /// <summary>Condition and draws are for the training data.</summary>
    private static DataSet OpenEval(DataOptions options, LlamaModel vocabulary, BaseModel model)
    {
        options = options with { Where = null, Sample = null, EvalFraction = null };
        if (DataSource.ParseAll(options.Files)[0].Weight is not null)
        {
            throw new SlimmingException(
                ExitCode.Usage,
                $"--eval-data {options.Files[0]}: has a weight; only --data is mixed by weight"
            );
        }
        return DataSet.Open(options, vocabulary.Vocab, model.ChatTemplate);
    }

    internal static AdapterParams AdapterParams(TrainOptions options) =>
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

    private static HashedFile[] Sources(DataSet set) =>
        [.. set.Files.Distinct(StringComparer.Ordinal).Select(path => new HashedFile(path, Durable.Sha256(path)))];
}
