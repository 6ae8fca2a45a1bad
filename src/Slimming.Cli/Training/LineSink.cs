using Slimming.Training;

namespace Slimming.Cli.Training;

/// <summary>Plain lines, for a file or a pipe.</summary>
internal sealed class LineSink(TextWriter writer) : ITrainSink
{
    private readonly ProgressText _text = new();

    public void Note(string text) => writer.WriteLine(text);

    public void Warning(string text) => writer.WriteLine($"warning: {text}");

    public void Started(TrainStarted started) => writer.WriteLine(_text.Start(started));

    public void Stepped(StepRow row) => writer.WriteLine(_text.Step(row));

    public void Evaluated(EvalRow row) => writer.WriteLine(ProgressText.Evaluation(row));

    public void CheckpointWritten(string path) => writer.WriteLine($"checkpoint {path}");

    public void Finished(TrainResult result) => writer.WriteLine(_text.Finish(result));
}
