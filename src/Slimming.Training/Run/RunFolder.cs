using Slimming.Gguf;
using Slimming.Shared;

namespace Slimming.Training;

/// <summary>The folder that a run fills; one process holds it at a time.</summary>
internal sealed class RunFolder : IDisposable
{
    public const string RecordName = "run.json";
    public const string MetricsName = "metrics.jsonl";
    public const string DoneName = "DONE";
    public const string ProfileName = "profile.json";
    public const string NonFiniteName = "nonfinite";
    private const string CheckpointsName = "checkpoints";
    private static readonly string[] Outputs =
    [
        "adapter.gguf",
        "adapter-best.gguf",
        "model.gguf",
        "model-best.gguf",
        ProfileName,
    ];

    private FolderLock? _lock;

    private readonly bool _mayClear;

    private RunFolder(string path, bool resuming, bool mayClear)
    {
        Path = path;
        Resuming = resuming;
        _mayClear = mayClear;
        Checkpoints = CheckpointsOf(path);
    }

    public string Path { get; }

    /// <summary>Whether there is a run of the same folder to go on with.</summary>
    public bool Resuming { get; }

    public CheckpointStore Checkpoints { get; }

    public string Record => In(RecordName);

    public string Metrics => In(MetricsName);

    public string Profile => In(ProfileName);

    /// <summary>Where the batch of a step that could not be applied is kept.</summary>
    public string NonFiniteBatch(int step) => System.IO.Path.Combine(In(NonFiniteName), $"step-{step:D6}.jsonl");

    public bool IsDone => File.Exists(In(DoneName));

    public string Output(TrainOptions options) => In(options.IsFull ? "model.gguf" : "adapter.gguf");

    public string BestOutput(TrainOptions options) => In(options.IsFull ? "model-best.gguf" : "adapter-best.gguf");

    /// <summary>Checks the place before any work is done; creates nothing.</summary>
    /// <exception cref="SlimmingException">Exit code 3: it holds something, or another process has it.</exception>
    public static RunFolder Claim(TrainOptions options)
    {
        var path = System.IO.Path.GetFullPath(options.Out);
        if (File.Exists(path))
        {
            throw new SlimmingException(ExitCode.Refused, $"--out {options.Out}: expected a folder, found a file");
        }
        var exists = Directory.Exists(path);
        RunFolder folder = new(
            path,
            options.Resume && File.Exists(System.IO.Path.Combine(path, RecordName)),
            options.Force
        );
        var filled = exists && HoldsARun(path);
        if (filled && !options.Force && !folder.Resuming)
        {
            throw new SlimmingException(
                ExitCode.Refused,
                options.Resume
                    ? $"--out {options.Out} holds files but no {RecordName}: nothing to resume; give another folder"
                    : $"--out {options.Out} is not empty; --resume goes on with its run, --force replaces it"
            );
        }
        if (filled)
        {
            folder.Lock();
        }
        return folder;
    }

    /// <summary>Makes the folder ours: creates it, clears the run that <c>--force</c> replaces.</summary>
    public void Begin()
    {
        try
        {
            Directory.CreateDirectory(Path);
            Lock();
            if (Resuming)
            {
                return;
            }
            if (!_mayClear && HoldsARun(Path))
            {
                throw new SlimmingException(
                    ExitCode.Refused,
                    $"--out: another process filled {Path} in the meantime; give another folder"
                );
            }
            foreach (var name in Outputs.Concat([RecordName, MetricsName, DoneName]))
            {
                File.Delete(In(name));
            }
            foreach (var name in new[] { CheckpointsName, NonFiniteName }.Where(name => Directory.Exists(In(name))))
            {
                Directory.Delete(In(name), recursive: true);
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new SlimmingException(ExitCode.Failed, $"--out: cannot write {Path}: {exception.Message}", exception);
        }
    }

    /// <summary>Of a run folder, to read them without holding it.</summary>
    public static CheckpointStore CheckpointsOf(string path) => new(System.IO.Path.Combine(path, CheckpointsName));

    /// <summary>The last act of a run.</summary>
    public void MarkDone() => Durable.WriteAtomically(In(DoneName), _ => { });

    public void Dispose() => _lock?.Dispose();

    private void Lock()
    {
        try
        {
            _lock ??= FolderLock.Take(Path);
        }
        catch (FolderHeldException held)
        {
            throw new SlimmingException(ExitCode.Refused, held.Message, held);
        }
    }

    // A lock and half a record are what a crash before the first step leaves.
    private static bool HoldsARun(string path) =>
        Directory
            .EnumerateFileSystemEntries(path)
            .Any(entry => System.IO.Path.GetFileName(entry) is not (FolderLock.FileName or RecordName + ".partial"));

    private string In(string name) => System.IO.Path.Combine(Path, name);
}
