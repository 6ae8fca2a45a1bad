using System.Text;
using Slimming.Gguf;

namespace Slimming.Fuzz;

/// <summary>A folder of which one file is broken or gone, read by the program's own verbs.</summary>
internal abstract class FolderTarget : Target
{
    /// <summary>What stands before the file's bytes: its name, the verb that reads the folder, how the file was put there.</summary>
    protected sealed record Head(string File, string Verb, string How)
    {
        public const string Plain = "plain";
        public const string Gone = "gone";

        public byte[] With(byte[] content) => [.. Encoding.UTF8.GetBytes($"{File}|{Verb}|{How}\n"), .. content];

        public static (Head Head, byte[] Content) Parse(byte[] bytes)
        {
            var end = Array.IndexOf(bytes, (byte)'\n');
            var parts = Encoding.UTF8.GetString(bytes, 0, end).Split('|');
            return (new Head(parts[0], parts[1], parts[2]), bytes[(end + 1)..]);
        }
    }

    /// <summary>Of a name as long everywhere: it stands in the files.</summary>
    private readonly string _root = Path.Combine(
        Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath(),
        $"slimming-fuzz-{Guid.NewGuid():n}"
    );
    private readonly Lazy<Dictionary<string, byte[]>> _sound;

    protected FolderTarget() =>
        _sound = new Lazy<Dictionary<string, byte[]>>(() =>
        {
            Directory.CreateDirectory(Work);
            MakeSound();
            return Directory
                .EnumerateFiles(Work, "*", SearchOption.AllDirectories)
                .ToDictionary(path => Path.GetRelativePath(Work, path), File.ReadAllBytes, StringComparer.Ordinal);
        });

    public override string Extension => ".bin";

    /// <summary>The sound file that is broken, and the verbs that read it.</summary>
    protected abstract IReadOnlyList<(string File, string[] Verbs)> Files { get; }

    public override byte[] Sound =>
        new Head(Files[0].File, Files[0].Verbs[0], Head.Plain).With(SoundFile(Files[0].File));

    /// <summary>The folder as it is read.</summary>
    protected string Work => Path.Combine(_root, "work");

    /// <summary>A path beside it.</summary>
    protected string Beside(string name) => Path.Combine(_root, name);

    protected byte[] SoundFile(string name) => _sound.Value[name];

    /// <summary>Fills <see cref="Work"/>.</summary>
    protected abstract void MakeSound();

    /// <summary>The command line of a verb.</summary>
    protected abstract string[] Args(string verb);

    protected abstract byte[] Break(string file, Random random, out string kind);

    /// <summary>Called with the broken file in its place.</summary>
    protected virtual void Placed(Head head) { }

    public override byte[] Make(Random random, out string kind)
    {
        var (file, verbs) = Files[random.Next(Files.Count)];
        var verb = verbs[random.Next(verbs.Length)];
        if (random.Next(30) == 0)
        {
            kind = $"{file} {Head.Gone}";
            return new Head(file, verb, Head.Gone).With([]);
        }
        var content = Break(file, random, out var how);
        kind = $"{Path.GetFileName(file)} {how}";
        return new Head(file, verb, How(file, random)).With(content);
    }

    protected virtual string How(string file, Random random) => Head.Plain;

    public override void Read(string path)
    {
        var (head, content) = Head.Parse(File.ReadAllBytes(path));
        Restore();
        var broken = Path.Combine(Work, head.File);
        File.Delete(broken);
        if (head.How != Head.Gone)
        {
            File.WriteAllBytes(broken, content);
        }
        Placed(head);
        Call(Args(head.Verb));
    }

    protected override void Close()
    {
        if (_sound.IsValueCreated)
        {
            Directory.Delete(_root, recursive: true);
        }
    }

    /// <summary>Runs the program in this process; what it does not foresee is thrown as such.</summary>
    protected static void Call(params string[] args)
    {
        using StringWriter output = new();
        using StringWriter error = new();
        var code = Cli.Program.Run([.. args, "--verbose"], output, error);
        if (code == ExitCode.Done)
        {
            return;
        }
        var text = error.ToString();
        var unexpected = text.IndexOf("error: unexpected", StringComparison.Ordinal);
        throw unexpected < 0
            ? new SlimmingException(code, text)
            : new InvalidOperationException(
                $"{args[0]} {string.Join(" < ", text[unexpected..].Split('\n').Take(5).Select(line => line.Trim()))}"
            );
    }

    private void Restore()
    {
        var sound = _sound.Value;
        foreach (var path in Directory.EnumerateFiles(Work, "*", SearchOption.AllDirectories))
        {
            if (!sound.ContainsKey(Path.GetRelativePath(Work, path)))
            {
                File.Delete(path);
            }
        }
        foreach (var (name, bytes) in sound)
        {
            var path = Path.Combine(Work, name);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllBytes(path, bytes);
        }
    }
}
