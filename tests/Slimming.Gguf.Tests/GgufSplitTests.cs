using System.Text;

namespace Slimming.Gguf.Tests;

public sealed class GgufSplitTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("gguf-split").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string At(int number) => Path.Combine(_folder, $"m-{number:00000}-of-00003.gguf");

    /// <summary>Part <paramref name="index"/> of three with one tensor of two values, as llama.cpp splits: keys in the first alone.</summary>
    private string Write(int index, string? tensor = null, int count = 3, int tensors = 3, string? path = null)
    {
        var metadata = new GgufMetadata("part");
        if (index == 0)
        {
            metadata.Set("general.architecture", GgufValue.Of("llama"));
            metadata.Set("tokenizer.chat_template", GgufValue.Of("{{ x }}\n"));
        }
        metadata.Set("split.no", GgufValue.Of((uint)index));
        metadata.Set("split.count", GgufValue.Of((uint)count));
        metadata.Set("split.tensors.count", GgufValue.Of(tensors));
        path ??= At(index + 1);
        tensor ??= $"t{index}";
        using var writer = new GgufWriter(path, metadata, overwrite: true);
        writer.AddTensor(tensor, GgmlType.F32, [2]);
        writer.Write(tensor, Values(index));
        writer.Complete();
        return path;
    }

    private static byte[] Values(int index) => Encoding.ASCII.GetBytes($"part {index}!!!"[..8]);

    private string WriteAll()
    {
        Write(1);
        Write(2);
        return Write(0);
    }

    [Fact]
    public void All_parts_are_one_model_without_the_keys_of_a_split()
    {
        using var file = GgufFile.Open(WriteAll());
        file.Parts.ShouldBe([At(1), At(2), At(3)]);
        file.Tensors.Select(t => t.Name).ShouldBe(["t0", "t1", "t2"]);
        file.Metadata.Select(p => p.Key).ShouldBe(["general.architecture", "tokenizer.chat_template"]);
        for (var i = 0; i < 3; i++)
        {
            file.Data(file.Find($"t{i}")!).ToArray().ShouldBe(Values(i));
        }
        file.Length.ShouldBe(file.Parts.Sum(p => new FileInfo(p).Length));
    }

    [Fact]
    public void A_missing_part_is_named()
    {
        var first = WriteAll();
        File.Delete(At(3));
        Refused(first, At(3), "part 3 of 3", "no such file");
    }

    [Fact]
    public void A_part_of_another_model_is_named()
    {
        var first = WriteAll();
        Write(1, count: 4);
        Refused(first, At(2), "'split.count'", "another model");
        Write(1, tensors: 9);
        Refused(first, At(2), "'split.tensors.count'", "another model");
        Write(2, path: At(2));
        Refused(first, At(2), "'split.no'", "another model");
    }

    [Fact]
    public void Tensors_must_be_all_and_once()
    {
        var first = WriteAll();
        Write(2, tensor: "t0");
        Refused(first, At(3), "'t0'", At(1));
        for (var i = 0; i < 3; i++)
        {
            Write(i, tensors: 5);
        }
        Refused(first, At(1), "5 tensors", "found 3");
    }

    [Fact]
    public void Only_the_first_part_opens_a_model_and_under_its_own_name()
    {
        WriteAll();
        Refused(At(2), "'split.no'", At(1), "part 2 of 3");
        var renamed = Path.Combine(_folder, "model.gguf");
        File.Copy(At(1), renamed);
        Refused(renamed, "-00001-of-00003.gguf");
        Write(0, count: 1_000_000, path: renamed);
        Refused(renamed, "'split.count'");
        Write(7, path: renamed);
        Refused(renamed, "'split.no'", "0 to 2");
    }

    private static void Refused(string path, params string[] words)
    {
        var error = Should.Throw<GgufException>(() => GgufFile.Open(path));
        foreach (var word in words)
        {
            error.Message.ShouldContain(word);
        }
    }
}
