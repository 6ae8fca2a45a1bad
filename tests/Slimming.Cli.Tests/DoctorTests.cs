using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Slimming.Cli.Doctor;
using Slimming.Interop;
using Slimming.TestSupport;

namespace Slimming.Cli.Tests;

public sealed class DoctorTests
{
    [Fact]
    public void A_sound_installation_passes_and_lists_everything()
    {
        var text = Cli.Done("doctor").Output;
        text.ShouldContain("libslimming.so");
        text.ShouldContain("libllama.v0.5.0.so");
        text.ShouldContain("libduckdb.so");
        text.ShouldContain("cross entropy");

        var json = JsonNode.Parse(Cli.Done("doctor", "--json").Output)!;
        json["ok"]!.GetValue<bool>().ShouldBeTrue();
        json["cpu"]!["isa"]!.GetValue<string>().ShouldBe(BestIsa(json));
        foreach (var library in json["libraries"]!.AsArray())
        {
            File.Exists(library!["path"]!.GetValue<string>()).ShouldBeTrue();
            library["sha256"]!.GetValue<string>().Length.ShouldBe(64);
        }
        json["checks"]!.AsArray().Count.ShouldBeGreaterThan(10);
        json["checks"]!.AsArray().ShouldAllBe(check => check!["passed"]!.GetValue<bool>());
    }

    /// <summary>What a machine with these features should run, unless the environment lowers it.</summary>
    private static string BestIsa(JsonNode json)
    {
        if (Environment.GetEnvironmentVariable("SLM_ISA") is { Length: > 0 } lowered)
        {
            return lowered;
        }
        var features = json["cpu"]!["features"]!.AsArray().Select(feature => feature!.GetValue<string>()).ToList();
        return !features.Contains("avx2") ? "scalar"
            : !features.Contains("avx512") ? (features.Contains("avxvnni") ? "avx_vnni" : "avx2")
            : !features.Contains("avx512vnni") ? "avx512"
            : !features.Contains("avx512bf16") ? "avx512_vnni"
            : !features.Contains("amxbf16") ? "avx512_bf16"
            : "amx_bf16";
    }

    [Fact]
    public void Levels_built_and_offered_are_told_apart_and_what_was_never_run_is_said()
    {
        var text = Cli.Done("doctor").Output.ReplaceLineEndings(" ");
        text.ShouldContain("levels   scalar");
        text.ShouldContain("amx_bf16: never run on such hardware by this project");

        var cpu = JsonNode.Parse(Cli.Done("doctor", "--json").Output)!["cpu"]!;
        var levels = cpu["levels"]!
            .AsArray()
            .ToDictionary(level => level!["name"]!.GetValue<string>(), level => level!);
        levels["scalar"]["offered"]!.GetValue<bool>().ShouldBeTrue();
        levels["scalar"]["note"].ShouldBeNull();
        levels[cpu["isa"]!.GetValue<string>()]["offered"]!.GetValue<bool>().ShouldBeTrue();
        levels["amx_bf16"]["note"]!.GetValue<string>().ShouldContain("never run");
        var hasTiles = cpu["features"]!.AsArray().Any(feature => feature!.GetValue<string>() == "amxbf16");
        levels["amx_bf16"]["offered"]!.GetValue<bool>().ShouldBe(hasTiles);
        text.Contains("not offered by this machine: ", StringComparison.Ordinal)
            .ShouldBe(levels.Values.Any(level => !level["offered"]!.GetValue<bool>()));
    }

    [Fact]
    public void A_level_whose_proof_fails_is_said_to_be_wrong()
    {
        const CpuFeatures All = CpuFeatures.AmxBf16 | CpuFeatures.Avx512Bf16 | CpuFeatures.Avx512Vnni;
        LevelState.Of(Isa.AmxBf16, Info(All, [Isa.Scalar])).Note!.ShouldContain("came out wrong");
        LevelState.Of(Isa.AmxBf16, Info(All, [Isa.AmxBf16])).Note!.ShouldContain("never run");
        LevelState.Of(Isa.AmxBf16, Info(CpuFeatures.Avx2, [Isa.Scalar])).Note!.ShouldContain("never run");
        LevelState.Of(Isa.Avx2, Info(CpuFeatures.Avx2, [Isa.Scalar, Isa.Avx2])).ShouldBe(new("avx2", true, null));

        static RuntimeInfo Info(CpuFeatures features, IReadOnlyList<Isa> offered) =>
            new(1, Isa.Scalar, features, "", "", [Isa.Scalar, Isa.Avx2, Isa.AmxBf16], offered);
    }

    [Theory]
    [InlineData("libslimming.so", "without slm_abi_version")]
    [InlineData("libduckdb.so", "SHA-256 expected")]
    [InlineData("llama/libllama.v0.5.0.so", "SHA-256 expected")]
    [InlineData("llama/libggml-cpu-haswell.so", "SHA-256 expected")]
    public void A_planted_library_is_found(string name, string expected)
    {
        using Installation installation = new();
        var planted = Path.Combine(installation.Native, name);
        var other = Path.Combine(
            installation.Native,
            name == "libduckdb.so" ? "libslimming.so" : "llama/libggml-base.so"
        );
        File.Delete(planted);
        File.Copy(other, planted);

        var (code, error) = installation.Run(["doctor"]);

        code.ShouldBe(1, error);
        error.ShouldContain(planted);
        error.ShouldContain(expected);
    }

    [Theory]
    [InlineData("libduckdb.so")]
    [InlineData("llama/libllama.v0.5.0.so")]
    [InlineData("llama/libggml-cpu-x64.so")]
    public void An_altered_library_is_not_loaded_unless_allowed(string name)
    {
        using Installation installation = new();
        var altered = Path.Combine(installation.Native, name);
        var bytes = File.ReadAllBytes(altered);
        // Replaces the link, not the file behind it; a byte after the end changes the digest and nothing else.
        File.Delete(altered);
        File.WriteAllBytes(altered, [.. bytes, 0]);
        using TempFolder temp = new();
        // Of rows as CSV, which DuckDB reads.
        var data = temp.Write("data.csv", "text\na text\n");
        var model = Path.Combine(SharedFiles.RepoRoot, "scripts", "demo", "model.gguf");
        string[] args = ["train", "--model", model, "--data", data, "--out", temp["run"], "--steps", "1"];

        var (code, error) = installation.Run(args);

        code.ShouldBe(3, error);
        error.ShouldContain(altered);
        error.ShouldContain($"SHA-256 expected {Digest(bytes)}, found {Digest([.. bytes, 0])}");
        error.ShouldContain("SLIMMING_ALLOW_OTHER_LIBRARIES=1");

        (code, error) = installation.Run(args, ("SLIMMING_ALLOW_OTHER_LIBRARIES", "1"));
        code.ShouldBe(0, error);
        (code, error) = installation.Run(["doctor"], ("SLIMMING_ALLOW_OTHER_LIBRARIES", "1"));
        code.ShouldBe(0, error);
    }

    private static string Digest(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    [Fact]
    public void A_missing_or_foreign_library_is_found()
    {
        using Installation installation = new();
        File.Delete(Path.Combine(installation.Native, "libslimming.so"));
        File.WriteAllText(Path.Combine(installation.Native, "libslimming.so"), "no library");
        File.Delete(Path.Combine(installation.Native, "llama/libggml-cpu-zen4.so"));
        File.Copy(
            Path.Combine(installation.Native, "llama/libggml-base.so"),
            Path.Combine(installation.Native, "llama/libggml-gpu.so")
        );

        var (code, error) = installation.Run(["doctor"]);

        code.ShouldBe(1, error);
        error.ShouldContain("libslimming.so: cannot load");
        error.ShouldContain("libggml-cpu-zen4.so: not there");
        error.ShouldContain("libggml-gpu.so: not part of the pinned release");
        error.ShouldNotContain("   at ");
    }
}
