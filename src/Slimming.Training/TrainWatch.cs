using Slimming.Interop;

namespace Slimming.Training;

/// <summary>
/// Warns of what does not end a run but spoils it: a step's loss above 3 times the median of the up to 50 steps before
/// it (at least 10) and more than 0.5 nats above it, told once in 50 steps; and LoRA's B still all zero after 20 steps
/// with a learning rate. Counted from where this process began the run.
/// </summary>
internal sealed class TrainWatch(NativeAdapter adapter, ITrainSink sink)
{
    private const int Window = 50;
    private const int FewestLosses = 10;
    private const double SpikeFactor = 3;
    private const double SpikeNats = 0.5;
    private const int DeadAfter = 20;
    private const int NamesShown = 3;
    private readonly Queue<double> _losses = [];
    private int _quietUntil;
    private int _moving;

    public void Stepped(StepRow row)
    {
        if (row.Loss is not { } loss)
        {
            return;
        }
        if (row.Step >= _quietUntil && _losses.Count >= FewestLosses)
        {
            var median = _losses.Order().ElementAt(_losses.Count / 2);
            if (loss > SpikeFactor * median && loss > median + SpikeNats)
            {
                sink.Warning(
                    FormattableString.Invariant(
                        $"step {row.Step}: loss {loss:0.0000} is more than {SpikeFactor} times the median {median:0.0000} of the last {_losses.Count} steps"
                    )
                );
                _quietUntil = row.Step + Window;
            }
        }
        if (_losses.Count == Window)
        {
            _losses.Dequeue();
        }
        _losses.Enqueue(loss);
        if (row.Lr > 0 && ++_moving == DeadAfter)
        {
            WarnOfDead(row.Step);
        }
    }

    private void WarnOfDead(int step)
    {
        var dead = adapter
            .Trainables.Where(trainable =>
                trainable.Name.EndsWith(".lora_b", StringComparison.Ordinal)
                && !adapter.ValuesOf(trainable).ContainsAnyExcept(0f)
            )
            .Select(trainable => trainable.Name)
            .ToList();
        if (dead.Count > 0)
        {
            var more = dead.Count > NamesShown ? $" and {dead.Count - NamesShown} more" : "";
            sink.Warning(
                $"step {step}: {string.Join(", ", dead.Take(NamesShown))}{more}: still all zero after {DeadAfter} steps, so the adapter changes nothing there"
            );
        }
    }
}
