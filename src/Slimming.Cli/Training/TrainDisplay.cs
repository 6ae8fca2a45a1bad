using Slimming.Cli.CommandLine;
using Slimming.Training;
using Spectre.Console;

namespace Slimming.Cli.Training;

/// <summary>Runs a training with a live bar on a terminal and with plain lines elsewhere.</summary>
internal static class TrainDisplay
{
    public static TrainResult Run(VerbContext context, Func<ITrainSink, TrainResult> train)
    {
        if (!context.ErrorIsTerminal)
        {
            return train(new LineSink(context.Error));
        }
        var console = context.ErrorConsole();
        return console
            .Progress()
            .Columns(new ProgressBarColumn { Width = 18 }, new TaskDescriptionColumn { Alignment = Justify.Left })
            .Start(progress => train(new BarSink(console, progress)));
    }

    /// <summary>One bar that shows the newest step; everything else scrolls above it.</summary>
    private sealed class BarSink(IAnsiConsole console, ProgressContext progress) : ITrainSink
    {
        private readonly ProgressText _text = new();
        private ProgressTask? _task;

        public void Note(string text) => console.WriteLine(text);

        public void Warning(string text) => console.MarkupLineInterpolated($"[yellow]warning:[/] {text}");

        public void Started(TrainStarted started)
        {
            console.WriteLine(_text.Start(started));
            _task = progress.AddTask("starting", maxValue: Math.Max(1, _text.Total));
            _task.Value = started.FirstStep;
        }

        public void Stepped(StepRow row)
        {
            _task!.Value = row.Step;
            _task.Description = Markup.Escape(_text.Bar(row));
        }

        public void Evaluated(EvalRow row) => console.WriteLine(ProgressText.Evaluation(row));

        public void CheckpointWritten(string path) => console.MarkupLineInterpolated($"[dim]checkpoint {path}[/]");

        public void Finished(TrainResult result) => console.WriteLine(_text.Finish(result));
    }
}
