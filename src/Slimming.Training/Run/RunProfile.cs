using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Slimming.Interop;
using Slimming.Shared;

namespace Slimming.Training;

/// <summary>One row of <c>train --profile</c>.</summary>
/// <param name="Phase">forward, backward, attention, head, adapter, optimizer, data; evaluation where there was one.</param>
/// <param name="Seconds">Wall time, without the phases that ran inside it.</param>
/// <param name="Share">Of all rows' time.</param>
/// <param name="Bytes">Weights and values that its operations read or wrote; of data the ids handed over.</param>
/// <param name="Calls">Stretches of it.</param>
public sealed record ProfileRow(string Phase, double Seconds, double Share, long Bytes, long Calls);

/// <summary>
/// Listens to a run: what each step adds to the context's sums, and every stretch of the first steps for a trace viewer.
/// Data is what is left of a step's time: rows and ids on their way to the first product.
/// </summary>
internal sealed class RunProfile(ITrainSink inner, NativeContext context) : ITrainSink
{
    public const int TracedSteps = 4;
    private const int TraceCapacity = 1 << 18;
    private const int BytesPerToken = 2 * sizeof(int);

    private readonly PhaseTotal[] _sums = new PhaseTotal[Enum.GetValues<NativePhase>().Length];
    private readonly List<(int Step, long AfterNs, long UntilNs, double Seconds)> _traced = [];
    private PhaseTotal[] _last = [];
    private IReadOnlyList<TraceEvent> _events = [];
    private long _lost;
    private bool _tracing;
    private long _mark;
    private int _steps;
    private double _stepSeconds;
    private long _tokens;
    private double _evalSeconds;
    private long _evalBytes;
    private int _evals;

    public IReadOnlyList<ProfileRow> Rows
    {
        get
        {
            var native = _sums.Sum(sum => sum.Time.TotalSeconds);
            var whole = Math.Max(_stepSeconds + _evalSeconds, double.Epsilon);
            ProfileRow Row(string name, double seconds, long bytes, long calls) =>
                new(name, seconds, seconds / whole, bytes, calls);
            List<ProfileRow> rows =
            [
                .. _sums.Select((sum, i) => Row(Name((NativePhase)i), sum.Time.TotalSeconds, sum.Bytes, sum.Calls)),
                Row("data", Math.Max(0, _stepSeconds - native), _tokens * BytesPerToken, _steps),
            ];
            if (_evals > 0)
            {
                rows.Add(Row("evaluation", _evalSeconds, _evalBytes, _evals));
            }
            return rows;
        }
    }

    public void Note(string text) => inner.Note(text);

    public void Warning(string text) => inner.Warning(text);

    public void Started(TrainStarted started)
    {
        _last = context.Profile();
        _mark = Now();
        StartTrace();
        inner.Started(started);
    }

    public void Stepped(StepRow row)
    {
        var totals = context.Profile();
        for (var i = 0; i < _sums.Length; i++)
        {
            _sums[i] = new PhaseTotal(
                totals[i].Phase,
                _sums[i].Time + totals[i].Time - _last[i].Time,
                _sums[i].Bytes + totals[i].Bytes - _last[i].Bytes,
                _sums[i].Calls + totals[i].Calls - _last[i].Calls
            );
        }
        _last = totals;
        _stepSeconds += row.Seconds;
        _tokens += row.Tokens;
        _steps++;
        if (_tracing)
        {
            _traced.Add((row.Step, _mark, Now(), row.Seconds));
        }
        if (_steps == TracedSteps)
        {
            StopTrace();
        }
        inner.Stepped(row);
        _mark = Now();
    }

    public void Evaluated(EvalRow row)
    {
        var totals = context.Profile();
        _evalBytes += totals.Zip(_last, (now, before) => now.Bytes - before.Bytes).Sum();
        _last = totals;
        _evalSeconds += row.Seconds;
        _evals++;
        if (_steps == 0)
        {
            StartTrace(); // an evaluation before the first step may have filled it
        }
        inner.Evaluated(row);
        _mark = Now();
    }

    public void CheckpointWritten(string path) => inner.CheckpointWritten(path);

    public void Finished(TrainResult result) => inner.Finished(result);

    /// <summary>Rows and trace as one file that Perfetto and chrome://tracing open.</summary>
    public void Write(string path)
    {
        StopTrace();
        Durable.WriteAtomically(
            path,
            stream =>
            {
                using Utf8JsonWriter json = new(stream);
                json.WriteStartObject();
                json.WriteString("displayTimeUnit", "ms");
                json.WriteNumber("steps", _steps);
                json.WriteNumber("traced_steps", Math.Min(_steps, TracedSteps));
                json.WriteNumber("lost_events", _lost);
                json.WritePropertyName("phases");
                JsonSerializer.Serialize(json, Rows, RunRecord.JsonOptions);
                WriteEvents(json);
                json.WriteEndObject();
            }
        );
    }

    private void StartTrace()
    {
        context.StartTrace(TraceCapacity);
        _tracing = true;
    }

    private void StopTrace()
    {
        if (!_tracing)
        {
            return;
        }
        (_events, _lost) = context.StopTrace();
        _tracing = false;
    }

    private void WriteEvents(Utf8JsonWriter json)
    {
        long? start = null;
        json.WriteStartArray("traceEvents");
        foreach (var (step, after, until, seconds) in _traced)
        {
            var inside = _events.Where(item => item.BeginNs >= after && item.EndNs <= until).ToArray();
            if (inside.Length == 0)
            {
                continue; // they did not fit
            }
            // The update is the last thing that a step does.
            var end = inside.Max(item => item.EndNs);
            var begin = end - (long)(seconds * 1e9);
            var zero = start ??= begin;
            WriteEvent(json, $"step {step}", begin - zero, end - zero, null);
            WriteEvent(json, "data", begin - zero, inside.Min(item => item.BeginNs) - zero, null);
            foreach (var item in inside)
            {
                int? layer = item.Layer >= 0 ? item.Layer : null;
                WriteEvent(json, Name(item.Phase), item.BeginNs - zero, item.EndNs - zero, layer);
            }
        }
        json.WriteEndArray();
    }

    /// <summary>A complete event of the Trace Event Format, in microseconds.</summary>
    private static void WriteEvent(Utf8JsonWriter json, string name, long begin, long end, int? layer)
    {
        json.WriteStartObject();
        json.WriteString("name", name);
        json.WriteString("ph", "X");
        json.WriteNumber("ts", begin / 1e3);
        json.WriteNumber("dur", (end - begin) / 1e3);
        json.WriteNumber("pid", 1);
        json.WriteNumber("tid", 1);
        if (layer is { } number)
        {
            json.WriteStartObject("args");
            json.WriteNumber("layer", number);
            json.WriteEndObject();
        }
        json.WriteEndObject();
    }

    /// <summary>The clock of the native events: both read the system's monotonic one.</summary>
    private static long Now() => (long)(Stopwatch.GetTimestamp() * (1e9 / Stopwatch.Frequency));

    private static string Name(NativePhase phase) => phase.ToString().ToLower(CultureInfo.InvariantCulture);
}
