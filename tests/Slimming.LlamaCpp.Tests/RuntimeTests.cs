using Slimming.Gguf;
using Slimming.LlamaCpp.Interop;
using Slimming.TestSupport;

namespace Slimming.LlamaCpp.Tests;

public sealed class RuntimeTests
{
    [Fact]
    public void AnswersThePinnedVersion() => LlamaRuntime.Version.ShouldBe("0.5.0-dev");

    [Fact]
    public void EveryStagedLibraryIsThePinnedOne()
    {
        LlamaRuntime.Libraries.Select(library => library.Name).ShouldContain("libllama.v0.5.0.so");
        LlamaRuntime.Libraries.ShouldAllBe(library => library.IsPinned);
    }

    [Fact]
    public void AnotherFileIsNotPinned()
    {
        var folder = Directory.CreateTempSubdirectory("slimming-");
        try
        {
            File.WriteAllText(Path.Combine(folder.FullName, "libllama.v0.5.0.so"), "not a library");
            File.WriteAllText(Path.Combine(folder.FullName, "libggml-planted.so"), "a backend of somebody else");
            var found = PinnedLibraries.Inspect(folder.FullName);
            found.ShouldAllBe(library => !library.IsPinned);
            var refused = Should.Throw<SlimmingException>(() => PinnedLibraries.Check(folder.FullName));
            refused.Code.ShouldBe(ExitCode.Refused);
            refused.Message.ShouldContain("libggml-planted.so");
            refused.Message.ShouldContain("SLIMMING_ALLOW_OTHER_LIBRARIES=1");
            found.Select(library => library.Name).ShouldContain("libggml-planted.so");
            found.Single(library => library.Name == "libggml-base.so").Sha256.ShouldBeEmpty();
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Theory]
    [InlineData("0.4.9")]
    [InlineData("b4567")]
    [InlineData("")]
    public void AnotherVersionIsRefusedByName(string answered)
    {
        var error = Should.Throw<SlimmingException>(() => LlamaRuntime.CheckVersion(answered, "/x/libllama.so"));
        error.Code.ShouldBe(ExitCode.Failed);
        error.Message.ShouldContain("/x/libllama.so");
        error.Message.ShouldContain($"llama.cpp {answered}");
        error.Message.ShouldContain("v0.5.0");
    }

    [Fact]
    public void AnotherStructSizeIsRefusedByName() =>
        Should
            .Throw<SlimmingException>(() => LlamaRuntime.CheckSize("llama_batch", 48, 56))
            .Message.ShouldContain("llama_batch");

    [Fact]
    public unsafe void StructsHaveTheSizesOfThePinnedHeader()
    {
        sizeof(llama_model_params).ShouldBe(80);
        sizeof(llama_context_params).ShouldBe(160);
        sizeof(llama_batch).ShouldBe(56);
        sizeof(llama_model_quantize_params).ShouldBe(64);
    }

    [Fact]
    public void DamagedFileIsRefusedBeforeLlamaSeesIt()
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, new byte[64]);
            Should.Throw<GgufException>(() => LlamaModel.Load(path)).Message.ShouldContain(path);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void AbsentFileIsNamed() =>
        Should.Throw<GgufException>(() => LlamaModel.Load("/nowhere/modèl.gguf")).Message.ShouldContain("modèl.gguf");

    [Fact]
    public void ModelIsNoAdapter()
    {
        var path = Path.Combine(SharedFiles.RepoRoot, "tests/fixtures/arch-llama/model-f32.gguf");
        using var model = LlamaModel.Load(path);
        Should.Throw<GgufException>(() => LlamaAdapter.Load(model, path)).Message.ShouldContain("general.type");
    }

    [Fact]
    public void ModelWithoutItsTensorsQuotesLlamasReason()
    {
        // Sound GGUF, but llama.cpp misses every tensor.
        var path = Path.Combine(SharedFiles.RepoRoot, "tests/fixtures/arch-llama/logits.gguf");
        Should.Throw<GgufException>(() => LlamaModel.Load(path)).Message.ShouldNotContain("gave no reason");
    }
}
