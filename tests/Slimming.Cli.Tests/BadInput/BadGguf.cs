using Slimming.Gguf;
using static Slimming.Cli.Tests.BadInput.BadCase;

namespace Slimming.Cli.Tests.BadInput;

/// <summary>Model files whose bytes are not what the format says.</summary>
internal static class BadGguf
{
    private const string Weight = "blk.0.attn_q.weight";

    public static IEnumerable<BadCase> Cases { get; } =
    [
        Usage("missing model", w => w.Train(w["absent.gguf"]), "absent.gguf", "no such file"),
        Usage("empty model", w => w.Train(w.Bytes("m.gguf")), "m.gguf: byte 0", "at least 24 bytes, found 0"),
        Usage("model cut in its data", w => w.Train(Cut(w, 0.5)), "m.gguf: tensor '", "expected data within", "found"),
        Usage("model cut in its header", w => w.Train(Cut(w, 0.005)), "m.gguf: ", "(is the file truncated?)"),
        Usage(
            "model is text",
            w => w.Train(w.Text("m.gguf", new string('x', 5000))),
            "m.gguf: byte 0",
            "expected the magic 'GGUF' (47475546), found 78787878"
        ),
        Usage(
            "model is a folder",
            w => w.Train(Directory.CreateDirectory(w["m.gguf"]).FullName),
            "m.gguf: open: expected a file, found a folder"
        ),
        Model("version 1", m => m.Version = 1, "byte 4, version", "expected 2 or 3 in little endian, found 1"),
        Model("version 99", m => m.Version = 99, "byte 4, version", "found 99"),
        Model("big endian", m => m.Version = 0x03000000, "byte 4, version", "a big-endian file of version 3"),
        Model(
            "huge count of tensors",
            m => m.TensorCount = ulong.MaxValue,
            "tensor count (byte 8)",
            "what the rest of the file can hold, found 18446744073709551615"
        ),
        Model(
            "huge count of keys",
            m => m.PairCount = 1UL << 40,
            "metadata count (byte 16)",
            "what the rest of the file can hold, found 1099511627776"
        ),
        Model(
            "huge text",
            m => m.Set(new("a.text"u8.ToArray(), 8, BitConverter.GetBytes(1UL << 62))),
            "key 'a.text'",
            "a string of at most",
            "a length of 4611686018427387904"
        ),
        Model(
            "huge list",
            m => m.Set(new("a.list"u8.ToArray(), 9, [4, 0, 0, 0, .. BitConverter.GetBytes(1UL << 61)])),
            "key 'a.list', array length",
            "found 2305843009213693952"
        ),
        Model(
            "lists in lists without end",
            m => m.Set(new("a.list"u8.ToArray(), 9, Nested(40))),
            "key 'a.list'",
            "nested at most 8 deep"
        ),
        Model(
            "unknown kind of value",
            m => m.Set(new("a.key"u8.ToArray(), 77, [0])),
            "key 'a.key'",
            "expected a value type of 0 to 12, found 77"
        ),
        Model(
            "a bool of 7",
            m => m.Set(new("a.flag"u8.ToArray(), 7, [7])),
            "key 'a.flag'",
            "expected a bool of 0 or 1, found 7"
        ),
        Model(
            "a key without a name",
            m => m.Pairs.Insert(0, new([], 4, [0, 0, 0, 0])),
            "metadata entry 0",
            "a name of 1 to"
        ),
        Model(
            "a key twice",
            m => m.Pairs.Add(m.Pairs[0]),
            "key 'general.architecture'",
            "expected every key once, found it a second time"
        ),
        Model(
            "a text that is no UTF-8",
            m => m.SetText("general.name", 0x61, 0xFF, 0x62),
            "key 'general.name'",
            "expected UTF-8, found bytes that are not"
        ),
        Model(
            "a key that is no UTF-8",
            m => m.Pairs.Add(new([0x61, 0xC3], 4, [0, 0, 0, 0])),
            "metadata entry",
            "expected UTF-8"
        ),
        Model(
            "a tensor name that is no UTF-8",
            m => m.Change(Weight, t => t with { Name = [0xFE] }),
            "tensor ",
            "expected UTF-8"
        ),
        Model(
            "alignment that is no power of two",
            m => m.Set("general.alignment", GgufValue.Of(48u)),
            "key 'general.alignment'",
            "a power of two below 2^31, found UInt32 48"
        ),
        Model(
            "alignment of 0",
            m => m.Set("general.alignment", GgufValue.Of(0u)),
            "key 'general.alignment'",
            "found UInt32 0"
        ),
        Model(
            "alignment that is a text",
            m => m.Set("general.alignment", GgufValue.Of("32")),
            "key 'general.alignment'",
            "expected a uint32",
            "found String 32"
        ),
        Model(
            "a tensor off its alignment",
            m => m.Change(Weight, t => t with { Offset = t.Offset + 8 }),
            $"tensor '{Weight}', offset",
            "expected a multiple of 32, found"
        ),
        Model(
            "overlapping tensors",
            m => m.Change(Weight, t => t with { Offset = t.Offset - 32 }),
            "offset: expected at least",
            "where the data of '",
            "found"
        ),
        Model(
            "a tensor out of the file",
            m => m.Change(Weight, t => t with { Offset = 1UL << 40 }),
            $"tensor '{Weight}'",
            "expected data within the file's",
            "found"
        ),
        Model(
            "a tensor at the end of all numbers",
            m => m.Change(Weight, t => t with { Offset = ulong.MaxValue - 31 }),
            $"tensor '{Weight}'",
            "expected data within the file's"
        ),
        Model(
            "a tensor larger than the file",
            m => m.Change(Weight, t => t with { Shape = [64, 1UL << 40] }),
            $"tensor '{Weight}'",
            "expected at most the file's",
            "bytes by its shape"
        ),
        Model(
            "a shape beyond 63 bits",
            m => m.Change(Weight, t => t with { Shape = [1UL << 40, 1UL << 40] }),
            $"tensor '{Weight}', dimension 1",
            "whose product fits in 63 bits, found 1099511627776"
        ),
        Model(
            "a shape with a 0",
            m => m.Change(Weight, t => t with { Shape = [64, 0] }),
            $"tensor '{Weight}', dimension 1",
            "expected a size from 1 on",
            "found 0"
        ),
        Model(
            "seven dimensions",
            m => m.Change(Weight, t => t with { Shape = [64, 1, 1, 1, 1, 1, 64] }),
            $"tensor '{Weight}'",
            "expected at most 4 dimensions, found 7"
        ),
        Model(
            "rows that blocks do not divide",
            m => m.Change(Weight, t => t with { Shape = [65, 63] }),
            $"tensor '{Weight}'",
            "expected rows of a multiple of 32 values for type q8_0, found 65"
        ),
        Model("a tensor twice", m => m.Tensors.Add(m.Tensors[0]), "expected every tensor once, found it a second time"),
        Usage(
            "a missing part",
            w =>
            {
                var first = w.Split();
                File.Delete(w.Part(1));
                return w.Train(first);
            },
            "m-00002-of-00002.gguf: open: expected part 2 of 2 of",
            "m-00001-of-00002.gguf, found no such file"
        ),
        Usage(
            "the second part instead of the first",
            w =>
            {
                w.Split();
                return w.Train(w.Part(1));
            },
            "m-00002-of-00002.gguf: key 'split.no': expected the first part; give",
            "found part 2 of 2"
        ),
        Usage(
            "parts in the wrong order",
            w => w.Train(w.Split(changeSecond: m => m.Set("split.no", GgufValue.Of(0u)))),
            "m-00002-of-00002.gguf: key 'split.no': expected 1",
            "found 0"
        ),
        Usage(
            "parts of another count",
            w => w.Train(w.Split(changeSecond: m => m.Set("split.count", GgufValue.Of(3u)))),
            "m-00002-of-00002.gguf: key 'split.count': expected 2",
            "found 3; is it of another model?"
        ),
        Usage(
            "parts with too few tensors",
            w =>
                w.Train(
                    w.Split(
                        m => m.Set("split.tensors.count", GgufValue.Of(99)),
                        m => m.Set("split.tensors.count", GgufValue.Of(99))
                    )
                ),
            "m-00001-of-00002.gguf: key 'split.tensors.count': expected 99 tensors in all 2 parts, found"
        ),
        Usage(
            "a tensor in two parts",
            w =>
                w.Train(
                    w.Split(changeSecond: m =>
                        m.Change("output.weight", t => t with { Name = "token_embd.weight"u8.ToArray() })
                    )
                ),
            "m-00002-of-00002.gguf: tensor 'token_embd.weight': expected every tensor in one part, found it in"
        ),
        Usage(
            "a part that is cut",
            w =>
            {
                var first = w.Split();
                var bytes = File.ReadAllBytes(w.Part(1));
                File.WriteAllBytes(w.Part(1), bytes[..^1000]);
                return w.Train(first);
            },
            "m-00002-of-00002.gguf: tensor '",
            "(is the file truncated?)"
        ),
        Usage(
            "a renamed part",
            w =>
            {
                File.Move(w.Split(), w["model.gguf"]);
                return w.Train(w["model.gguf"]);
            },
            "model.gguf: key 'split.count': expected a file name ending in -00001-of-00002.gguf",
            "found 'model.gguf'"
        ),
    ];

    private static BadCase Model(string name, Action<TestSupport.RawGguf> change, params string[] texts) =>
        Usage(name, w => w.Train(w.Spoilt("m.gguf", change)), ["m.gguf: ", .. texts]);

    private static string Cut(Workshop w, double share)
    {
        var bytes = File.ReadAllBytes(Workshop.Model);
        return w.Bytes("m.gguf", bytes[..(int)(bytes.Length * share)]);
    }

    /// <summary>An array of one array of one array, and so on.</summary>
    private static byte[] Nested(int depth) =>
        depth == 0 ? [4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] : [9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, .. Nested(depth - 1)];
}
