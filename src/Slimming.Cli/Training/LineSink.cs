using Slimming.Cli.CommandLine;
using Slimming.Training;

namespace Slimming.Cli.Training;

/// <summary>Plain lines, for a file or a pipe.</summary>
internal sealed class LineSink(TextWriter writer) : ITrainSink
{
    private readonly ProgressText _text = new();

    public void Note(string text) => Write(text);

    public void Warning(string text) => Write($"warning: {text}");

    public void Started(TrainStarted started) => Write(_text.Start(started));

    public void Stepped(StepRow row) => Write(_text.Step(row));

    public void Evaluated(EvalRow row) => Write(ProgressText.Evaluation(row));

    public void CheckpointWritten(string path) => Write($"checkpoint {path}");

    public void Finished(TrainResult result) => Write(_text.Finish(result));

    private void Write(string line) => writer.WriteLine(ShownText.Message(line));
}
