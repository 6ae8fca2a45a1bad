namespace Slimming.Cli.Tests.Reliability;

/// <summary>Load beside a test: a spinning thread per core, and one that writes and syncs a file beside the run.</summary>
internal sealed class BusyMachine : IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Thread> _threads = [];

    public BusyMachine(string folder)
    {
        for (var i = 0; i < Environment.ProcessorCount; i++)
        {
            Begin(Spin);
        }
        Begin(() => WriteAndSync(Path.Combine(folder, "ballast")));
    }

    public void Dispose()
    {
        _stop.Cancel();
        _threads.ForEach(thread => thread.Join());
        _stop.Dispose();
    }

    private void Begin(Action body)
    {
        Thread thread = new(() => body()) { IsBackground = true };
        thread.Start();
        _threads.Add(thread);
    }

    private void Spin()
    {
        while (!_stop.IsCancellationRequested)
        {
            Thread.SpinWait(1000);
        }
    }

    private void WriteAndSync(string path)
    {
        var bytes = new byte[1 << 20];
        while (!_stop.IsCancellationRequested)
        {
            using var stream = File.Create(path);
            stream.Write(bytes);
            stream.Flush(flushToDisk: true);
        }
    }
}
