using Slimming.Gguf;
using Slimming.Interop;
using Slimming.LlamaCpp;
using Slimming.Models;

namespace Slimming.Fuzz;

/// <summary>What <c>inspect</c> prints and what opening a model for training checks.</summary>
internal class GgufTarget : Target
{
    private readonly GgufMutator _mutator = new(Seeds.Model());
    private readonly NativeRuntime _runtime = NativeRuntime.Create(1);

    public override string Name => "gguf";

    public override string Extension => ".gguf";

    public override byte[] Sound => _mutator.Sound;

    public override byte[] Make(Random random, out string kind) => _mutator.Mutate(random, out kind);

    public override void Read(string path)
    {
        using (var file = GgufFile.Open(path))
        {
            foreach (var (_, value) in file.Metadata)
            {
                _ = value.ToText(80);
            }
            foreach (var tensor in file.Tensors)
            {
                ReadEnds(file, tensor);
            }
        }
        using var model = BaseModel.Open(path, _runtime);
    }

    protected override void Close() => _runtime.Dispose();

    /// <summary>The first and the last byte that the header promises.</summary>
    protected static void ReadEnds(GgufFile file, GgufTensor tensor)
    {
        if (tensor.ByteCount > 0)
        {
            _ = file.Slice(tensor, 0, 1)[0] + file.Slice(tensor, tensor.ByteCount - 1, 1)[0];
        }
    }
}

/// <summary>A model in two parts of which one is broken.</summary>
internal sealed class SplitTarget : Target
{
    private readonly (byte[] First, byte[] Second) _sound = Seeds.Split();
    private readonly GgufMutator _first;
    private readonly GgufMutator _second;
    private readonly NativeRuntime _runtime = NativeRuntime.Create(1);
    private readonly string _folder = Directory.CreateTempSubdirectory("slimming-fuzz-").FullName;

    public SplitTarget() => (_first, _second) = (new GgufMutator(_sound.First), new GgufMutator(_sound.Second));

    public override int RoundCases => 8_000;

    public override string Name => "split";

    public override string Extension => ".bin";

    public override byte[] Sound => [0, .. _sound.First];

    /// <summary>Which part it is (1 byte), then the part.</summary>
    public override byte[] Make(Random random, out string kind)
    {
        var first = random.Next(2) == 0;
        var part = (first ? _first : _second).Mutate(random, out kind);
        kind = $"{(first ? "first" : "second")} {kind}";
        return [(byte)(first ? 0 : 1), .. part];
    }

    public override void Read(string path)
    {
        var bytes = File.ReadAllBytes(path);
        var (one, two) = bytes[0] == 0 ? (bytes[1..], _sound.Second) : (_sound.First, bytes[1..]);
        File.WriteAllBytes(Path.Combine(_folder, "m-00001-of-00002.gguf"), one);
        File.WriteAllBytes(Path.Combine(_folder, "m-00002-of-00002.gguf"), two);
        using var model = BaseModel.Open(Path.Combine(_folder, "m-00001-of-00002.gguf"), _runtime);
    }

    protected override void Close()
    {
        _runtime.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}

/// <summary>A LoRA adapter for a sound model.</summary>
internal sealed class AdapterTarget : Target
{
    private readonly NativeRuntime _runtime = NativeRuntime.Create(1);
    private readonly string _path = Path.GetTempFileName();
    private readonly BaseModel _model;
    private readonly GgufMutator _mutator;

    public AdapterTarget()
    {
        File.WriteAllBytes(_path, Seeds.Model());
        _model = BaseModel.Open(_path, _runtime);
        _mutator = new GgufMutator(Seeds.Adapter(_model.Sha256));
    }

    public override string Name => "adapter";

    public override string Extension => ".gguf";

    public override byte[] Sound => _mutator.Sound;

    public override byte[] Make(Random random, out string kind) => _mutator.Mutate(random, out kind);

    public override void Read(string path)
    {
        _ = AdapterFile.Describe(path);
        using var adapter = AdapterFile.Read(path, _model, forTraining: false);
    }

    protected override void Close()
    {
        _model.Dispose();
        _runtime.Dispose();
        File.Delete(_path);
    }
}

/// <summary>llama.cpp behind our checks: vocabulary, tokenizer tables, weights, one decode.</summary>
internal sealed class LlamaTarget : Target
{
    private readonly GgufMutator _mutator = new(Seeds.Model());
    private readonly NativeRuntime _runtime = NativeRuntime.Create(1);

    public override int RoundCases => 4_000;

    public override string Name => "llama";

    public override string Extension => ".gguf";

    public override bool IsForeign => true;

    public override byte[] Sound => _mutator.Sound;

    public override byte[] Make(Random random, out string kind) => _mutator.Mutate(random, out kind);

    public override void Read(string path)
    {
        // As train does: our own model first, then llama.cpp's vocabulary; as bench does: its weights too.
        using (BaseModel.Open(path, _runtime)) { }
        using (var vocabulary = LlamaModel.Load(path, vocabOnly: true))
        {
            var ids = vocabulary.Vocab.Tokenize("ab <s> c", addSpecial: true, parseSpecial: true);
            _ = vocabulary.Vocab.Detokenize(ids, special: true);
        }
        using var model = LlamaModel.Load(path);
        using var context = LlamaContext.Create(
            model,
            new LlamaContextOptions
            {
                ContextTokens = 64,
                BatchTokens = 64,
                MicroBatchTokens = 64,
                Sequences = 1,
                Threads = 1,
            }
        );
        LlamaBatch batch = new();
        batch.Add(0, 0, [0], output: true);
        context.Decode(batch);
        _ = context.Logits(0)[0];
    }

    protected override void Close() => _runtime.Dispose();
}

/// <summary>An importance matrix: a GGUF file with names and shapes of its own.</summary>
internal sealed class ImatrixTarget : Target
{
    private readonly GgufMutator _mutator = new(Seeds.Imatrix());

    public override string Name => "imatrix";

    public override string Extension => ".gguf";

    public override byte[] Sound => _mutator.Sound;

    public override byte[] Make(Random random, out string kind) => _mutator.Mutate(random, out kind);

    public override void Read(string path)
    {
        using var file = GgufFile.Open(path);
        foreach (var tensor in file.Tensors)
        {
            _ = file.Data(tensor)[..];
        }
    }
}
