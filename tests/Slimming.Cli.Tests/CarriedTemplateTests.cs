using System.Text;
using System.Text.Json.Nodes;
using Slimming.Gguf;

namespace Slimming.Cli.Tests;

/// <summary>What is handed out carries the chat template that the model was tuned with.</summary>
public sealed class CarriedTemplateTests : IDisposable
{
    private const string Key = "tokenizer.chat_template";

    private const string Own =
        "{% for m in messages %}<{{ m.role }}> {{ m.content }} ä\n{% endfor %}{% if add_generation_prompt %}<assistant> {% endif %}\n\n";

    private readonly TempFolder _temp = new();
    private readonly string _data;

    public CarriedTemplateTests() =>
        _data = _temp.Write(
            "chat.jsonl",
            """{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"}]}"""
        );

    public void Dispose() => _temp.Dispose();

    private string Train(string model, params string[] more)
    {
        Cli.Done(["train", "--model", model, "--data", _data, "--out", _temp["run"], "--threads", "1", .. more]);
        return _temp["run"];
    }

    private JsonNode Export(string source, string name, params string[] more) =>
        JsonNode.Parse(Cli.Done(["export", source, "--out", _temp[name], "--threads", "1", "--json", .. more]).Output)!;

    private static byte[]? Template(string path)
    {
        using var file = GgufFile.Open(path);
        return file.Metadata.TryGet(Key, out var value) ? value.Raw.ToArray() : null;
    }

    /// <summary>Length and text, as a GGUF file holds them.</summary>
    private static byte[] Raw(string text)
    {
        var utf8 = Encoding.UTF8.GetBytes(text);
        return [.. BitConverter.GetBytes((ulong)utf8.Length), .. utf8];
    }

    [Theory]
    [InlineData("lora")]
    [InlineData("full")]
    public void A_template_from_a_file_goes_into_every_file(string method)
    {
        var template = _temp.Write("own.jinja", Own);
        var run = Train(TinyRun.Model, "--template", template, "--method", method);
        File.Delete(template);
        if (method == "lora")
        {
            Template(Path.Combine(run, "adapter.gguf")).ShouldBe(Raw(Own));
            ((bool)Export(run, "a.gguf")["carries_trained_template"]!).ShouldBeTrue();
            Template(_temp["a.gguf"]).ShouldBe(Raw(Own));
            string[] generate =
            [
                "generate",
                "--model",
                TinyRun.Model,
                "--adapter",
                _temp["a.gguf"],
                "--chat",
                "--json",
            ];
            var said = Cli.Done([.. generate, "--prompt", "hi", "--max-tokens", "1", "--threads", "1"]);
            ((string)JsonNode.Parse(said.Output)!["prompt"]!).ShouldBe("<user> hi ä\n<assistant> ");
            // An adapter file hands it on without its run.
            Export(_temp["a.gguf"], "b.gguf", "--model", TinyRun.Model, "--to", "merged");
            Template(_temp["b.gguf"]).ShouldBe(Raw(Own));
        }
        ((bool)Export(run, "m.gguf", "--to", "merged")["carries_trained_template"]!).ShouldBeTrue();
        Template(_temp["m.gguf"]).ShouldBe(Raw(Own));
        Cli.Done("export", run, "--to", "merged", "--out", _temp["m.gguf"], "--force", "--threads", "1")
            .Output.ShouldContain("chat template: the one that it was trained with");
    }

    [Theory]
    [InlineData("auto")]
    [InlineData("chatml")]
    public void With_a_built_in_template_the_base_s_own_stays_byte_for_byte(string template)
    {
        var run = Train(TinyRun.Model, "--template", template);
        ((bool)Export(run, "a.gguf")["carries_trained_template"]!).ShouldBeFalse();
        Export(run, "m.gguf", "--to", "merged");
        foreach (var name in new[] { "run/adapter.gguf", "a.gguf", "m.gguf" })
        {
            Template(_temp[name]).ShouldBe(Template(TinyRun.Model), name);
        }
    }

    [Fact]
    public void A_base_without_a_template_gets_the_one_of_the_run()
    {
        var model = WithoutTemplate();
        var run = Train(model, "--template", "chatml");
        Export(run, "m.gguf", "--to", "merged");
        Encoding.UTF8.GetString(Template(_temp["m.gguf"]).ShouldNotBeNull()).ShouldContain("<|im_start|>");
    }

    private string WithoutTemplate()
    {
        using var file = GgufFile.Open(TinyRun.Model);
        var metadata = file.Metadata.Clone();
        metadata.Remove(Key);
        using GgufWriter writer = new(_temp["bare.gguf"], metadata);
        foreach (var tensor in file.Tensors)
        {
            writer.AddTensor(tensor.Name, tensor.Type, tensor.Shape);
        }
        foreach (var tensor in file.Tensors)
        {
            writer.Write(tensor.Name, file.Data(tensor));
        }
        writer.Complete();
        return _temp["bare.gguf"];
    }
}
