using System.Text;
using Slimming.Gguf;
using Slimming.TestSupport;

namespace Slimming.Cli.Tests.BadInput;

/// <summary>Makes the files of a case, sound ones and spoilt ones, and command lines over them.</summary>
internal sealed class Workshop(TempFolder temp)
{
    public static string Model => Cli.Fixture("arch-llama/model-q8_0.gguf");

    public static string F32Model => Cli.Fixture("arch-llama/model-f32.gguf");

    public string this[string name] => temp[name];

    public string Good => Text("good.jsonl", "{\"input_ids\":[1,2,3,4],\"labels\":[-100,2,3,4]}\n");

    public string Text(string name, string text) => temp.Write(name, text);

    /// <summary>A file of these characters as bytes, so that it need not be UTF-8.</summary>
    public string Latin1(string name, string text) => Bytes(name, Encoding.Latin1.GetBytes(text));

    public string Bytes(string name, params byte[] bytes)
    {
        File.WriteAllBytes(temp[name], bytes);
        return temp[name];
    }

    /// <summary>The sound model with something changed.</summary>
    public string Spoilt(string name, Action<RawGguf> change, string? model = null)
    {
        var raw = RawGguf.Of(model ?? Model);
        change(raw);
        return raw.Write(temp[name]);
    }

    public string[] Train(string model, string? data = null, params string[] more) =>
        ["train", "--model", model, "--data", data ?? Good, "--out", temp["run"], "--threads", "1", .. more];

    public string[] Export(params string[] more) => ["export", "--out", temp["out.gguf"], "--threads", "1", .. more];

    /// <summary>An adapter trained one step, without its run.</summary>
    public string Adapter(string name, string? model = null)
    {
        string[] options = ["--rank", "2", "--steps", "1", "--threads", "1"];
        Cli.Done(["train", "--model", model ?? Model, "--data", Good, "--out", temp["made"], .. options]);
        File.Move(temp["made/adapter.gguf"], temp[name]);
        Directory.Delete(temp["made"], recursive: true);
        return temp[name];
    }

    public string SpoiltAdapter(string name, Action<RawGguf> change) => Spoilt(name, change, Adapter("sound.gguf"));

    /// <summary>The sound model in two parts; answers the first.</summary>
    public string Split(Action<RawGguf>? changeFirst = null, Action<RawGguf>? changeSecond = null)
    {
        for (var part = 0; part < 2; part++)
        {
            var raw = RawGguf.Of(Model);
            var count = raw.Tensors.Count;
            if (part == 1)
            {
                raw.Pairs.Clear();
            }
            var kept = raw.Tensors.Skip(part * 5).Take(part == 0 ? 5 : count).ToArray();
            raw.Tensors.Clear();
            var shift = kept[0].Offset;
            raw.Tensors.AddRange(kept.Select(t => t with { Offset = t.Offset - shift }));
            raw.Set("split.no", GgufValue.Of((uint)part))
                .Set("split.count", GgufValue.Of(2u))
                .Set("split.tensors.count", GgufValue.Of(count));
            (part == 0 ? changeFirst : changeSecond)?.Invoke(raw);
            raw.Write(Part(part));
        }
        return Part(0);
    }

    public string Part(int number) => temp[$"m-0000{number + 1}-of-00002.gguf"];
}
