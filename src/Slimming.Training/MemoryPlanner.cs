using Slimming.Gguf;
using Slimming.Interop;
using Slimming.Models;
using Slimming.Training.Data;

namespace Slimming.Training;

/// <summary>
/// What a run's process needs at most, and the micro-batch: the asked one, or with <c>--memory</c> the largest halving of
/// it that fits. A function of options, model file and data alone.
/// </summary>
/// <param name="options">Resolved.</param>
/// <param name="model">Its header; no weight is read for a plan.</param>
/// <param name="adapter">Of the options; its values are not asked for.</param>
/// <param name="compute">Of the options.</param>
/// <param name="data">Null before the data are read: then the least that any data would need.</param>
internal sealed class MemoryPlanner(
    TrainOptions options,
    BaseModel model,
    NativeAdapter adapter,
    ComputeMode compute,
    PlannedData? data
)
{
    private const int LogitRows = 256;
    private const int MostMicroBatchTokens = 1 << 16;

    private int Longest => data?.Longest ?? 2;

    /// <summary>The context to create, and what it will touch.</summary>
    /// <exception cref="SlimmingException">Exit code 3: nothing fits <c>--memory</c>; the message names what would.</exception>
    public (ContextParams Parameters, Plan Plan) Choose()
    {
        var found = Planned(options.MicroBatchTokens, Longest);
        for (var tokens = options.MicroBatchTokens; Needed(found.Plan) > options.Memory; tokens /= 2)
        {
            found = tokens > 0 ? Planned(tokens, Longest) : throw BeyondMemory(found.Plan, options.Memory.Value);
        }
        return found;
    }

    /// <summary>The largest micro-batch and the longest sample that fit <c>--memory</c>; null without it.</summary>
    /// <param name="used">The context in use.</param>
    public LargestFit? Largest(ContextParams used) =>
        options.Memory is not { } limit
            ? null
            : new LargestFit(
                LargestThat(
                    used.MicroBatchTokens,
                    MostMicroBatchTokens,
                    tokens => Needed(Planned(tokens, used.MaxSequenceTokens).Plan) <= limit
                ),
                LargestThat(
                    used.MaxSequenceTokens,
                    Math.Max(model.ContextLength, used.MaxSequenceTokens),
                    tokens => Needed(Planned(used.MicroBatchTokens, tokens).Plan) <= limit
                )
            );

    /// <summary>
    /// Bytes of the whole process at its peak: the mapped file, all of which is read; the blocks of the plan; the program
    /// with what it holds of file and data.
    /// </summary>
    public long Needed(Plan plan) => model.File.Length + plan.TotalBytes + ProgramMemory.Bytes(model.File, data);

    /// <summary>Why no samples of any length would fit; null: short ones would.</summary>
    public SlimmingException? Hopeless(MachineMemory machine)
    {
        var least = Planned(1, Longest).Plan;
        return options.Memory is { } limit && Needed(least) > limit
            ? BeyondMemory(least, limit)
            : Problem(least, machine);
    }

    /// <summary>Why a plan does not go with what the machine has; null: it does.</summary>
    public SlimmingException? Problem(Plan plan, MachineMemory machine)
    {
        var needed = Needed(plan);
        if (needed > machine.Total)
        {
            return Refused(plan, machine.Total, $"{machine.TotalName} has {ByteSize.Format(machine.Total)} of memory");
        }
        // Free memory changes by the moment: who says how much the run may use is believed.
        return needed > machine.Available && options.Memory is null
            ? Refused(
                plan,
                machine.Available,
                $"{machine.AvailableName} has {ByteSize.Format(machine.Available)} of memory free",
                $"; or end other programs, or let it use memory that is in use now with --memory {(needed >> 20) + 1}MiB"
            )
            : null;
    }

    private (ContextParams Parameters, Plan Plan) Planned(int tokens, int longest) =>
        Planned(adapter, compute, tokens, longest);

    private (ContextParams Parameters, Plan Plan) Planned(
        NativeAdapter method,
        ComputeMode mode,
        int tokens,
        int longest
    )
    {
        ContextParams parameters = new()
        {
            MicroBatchTokens = tokens,
            MaxSequenceTokens = longest,
            Compute = mode,
            Training = true,
            DropoutSeed = (ulong)options.Seed,
        };
        var plan = NativeContext.Plan(model.Native, method, parameters);
        // Memory that no batch of this run comes to is reserved, but never touched.
        var most = data?.Most(plan.FillTokens, longest) ?? new BatchSize(Longest, 1);
        var touched = parameters with { LogitRows = Math.Min(LogitRows, most.Targets) };
        if (most.Tokens < plan.FillTokens)
        {
            touched = touched with { MicroBatchTokens = 2 * most.Tokens, MaxSequenceTokens = most.Tokens };
        }
        return (parameters, NativeContext.Plan(model.Native, method, touched) with { FillTokens = plan.FillTokens });
    }

    /// <summary>By halving; <paramref name="known"/> fits.</summary>
    private static int LargestThat(int known, int most, Func<int, bool> fits)
    {
        while (known < most)
        {
            var middle = known + (most - known + 1) / 2;
            (known, most) = fits(middle) ? (middle, most) : (known, middle - 1);
        }
        return known;
    }

    private SlimmingException BeyondMemory(Plan least, long limit) =>
        Refused(
            least,
            limit,
            $"--memory {ByteSize.Format(limit)}",
            $"; --memory {(Needed(least) >> 20) + 1}MiB is {(data is null ? "the least that any data need" : "enough")}"
        );

    private SlimmingException Refused(Plan plan, long limit, string has, string other = "")
    {
        var needed = Needed(plan);
        var parts =
            $"model file {ByteSize.Format(model.File.Length)}, trainables and optimizer "
            + $"{ByteSize.Format(plan.ParameterBytes + plan.OptimizerBytes)}, activations and logits "
            + $"{ByteSize.Format(plan.TotalBytes - plan.ParameterBytes - plan.OptimizerBytes)}, the program the rest";
        var what = data is null ? "the smallest plan" : $"the run with samples of up to {Longest} tokens";
        var fitting = Nearest(limit) is { } nearest ? $"; {nearest} would fit" : "; no setting makes it fit";
        return new SlimmingException(
            ExitCode.Refused,
            $"{has}: {what} needs {ByteSize.Format(needed)} ({parts}){fitting}{other}"
        );
    }

    /// <summary>
    /// The setting that changes least: the micro-batch changes no bit of a LoRA run, the products' format little; then comes
    /// the method, and the data last.
    /// </summary>
    private string? Nearest(long limit)
    {
        using var lora = options.IsFull
            ? new NativeAdapter(model.Native, TrainSetup.AdapterParams(options with { Method = "lora" }))
            : null;
        List<(NativeAdapter Method, ComputeMode Mode, string Text)> others = [(adapter, compute, "")];
        if (compute == ComputeMode.F32)
        {
            others.Add((adapter, ComputeMode.Bf16, "--compute bf16"));
        }
        if (lora is not null)
        {
            others.Add((lora, compute, "--method lora"));
        }
        foreach (var (method, mode, text) in others)
        {
            for (var tokens = options.MicroBatchTokens; tokens > 0; tokens /= 2)
            {
                if (Needed(Planned(method, mode, tokens, Longest).Plan) <= limit)
                {
                    return $"{text}{(tokens == options.MicroBatchTokens ? "" : $" --micro-batch-tokens {tokens}")}".Trim();
                }
            }
        }
        var (last, lastMode, lastText) = others[^1];
        for (var length = Longest / 2; length >= 2; length /= 2)
        {
            if (Needed(Planned(last, lastMode, 1, length).Plan) <= limit)
            {
                return $"{lastText} --micro-batch-tokens 1 --max-length {length}".Trim();
            }
        }
        return null;
    }
}
