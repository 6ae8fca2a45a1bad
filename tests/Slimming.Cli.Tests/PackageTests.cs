using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Slimming.TestSupport;

namespace Slimming.Cli.Tests;

/// <summary>What <c>dotnet cake --target=Pack</c> left, installed from its folder as a user installs it.</summary>
[Trait("Category", "Slow")]
public sealed class PackageTests : IDisposable
{
    private static readonly string s_packages = Path.Combine(SharedFiles.RepoRoot, "artifacts", "packages");
    private readonly TempFolder _temp = new();
    private readonly Dictionary<string, string> _environment;
    private readonly string _version;

    public PackageTests()
    {
        const string id = "Slimming.Training.";
        var found = Directory.Exists(s_packages) ? Directory.GetFiles(s_packages, id + "*.nupkg") : [];
        found.Length.ShouldBe(1, $"{s_packages}: run `dotnet cake --target=Pack` first");
        _version = Path.GetFileNameWithoutExtension(found[0])[id.Length..];
        // Fresh folders for what is installed; what the packages stand on comes from the packages this repository restored.
        var restored =
            Environment.GetEnvironmentVariable("NUGET_PACKAGES")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        _temp.Write(
            "nuget.config",
            $"""
            <configuration>
              <packageSources><clear /><add key="local" value="{s_packages}" /></packageSources>
              <fallbackPackageFolders><clear /><add key="restored" value="{restored}" /></fallbackPackageFolders>
            </configuration>
            """
        );
        _environment = new Dictionary<string, string>
        {
            ["NUGET_PACKAGES"] = _temp["packages"],
            ["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1",
            ["DOTNET_NOLOGO"] = "1",
            // Where the started programs find the runtime that this test runs on.
            ["DOTNET_ROOT"] = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "../../..")),
        };
    }

    [Fact]
    public void The_sample_runs_from_the_packages()
    {
        _temp.Write("Program.cs", LibrarySample.Text);
        _temp.Write(
            "Consumer.csproj",
            $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <Nullable>enable</Nullable>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="Slimming.Training" Version="{_version}" />
                <PackageReference Include="Slimming.Evaluation" Version="{_version}" />
              </ItemGroup>
            </Project>
            """
        );
        // Build servers would outlive the test and hold its pipes.
        Done("dotnet", _temp.Path, "build", "-o", _temp["out"], "-nodeReuse:false", "-p:UseSharedCompilation=false");

        File.Exists(_temp["out/native/libslimming.so"]).ShouldBeTrue();
        File.Exists(_temp["out/native/llama/libllama.v0.5.0.so"]).ShouldBeTrue();
        Directory.CreateDirectory(_temp["work"]);
        var output = Done("dotnet", SharedFiles.RepoRoot, _temp["out/Consumer.dll"], _temp["work"]);
        LibrarySample.Check(output, _temp["work"]);
    }

    [Fact]
    public void The_installed_tool_checks_itself_and_reads_a_model()
    {
        var tool = _temp["tool"];
        Done("dotnet", _temp.Path, "tool", "install", "slimming", "--tool-path", tool, "--version", _version);
        var program = Path.Combine(tool, "slimming");

        var doctor = JsonNode.Parse(Done(program, _temp.Path, "doctor", "--json"))!;
        doctor["ok"]!.GetValue<bool>().ShouldBeTrue();
        var libraries = doctor["libraries"]!.AsArray().Select(library => library!["path"]!.GetValue<string>()).ToList();
        libraries.Count.ShouldBeGreaterThan(10);
        libraries.ShouldAllBe(path => path.StartsWith(tool, StringComparison.Ordinal) && File.Exists(path));

        var model = Path.Combine(SharedFiles.RepoRoot, "scripts", "demo", "model.gguf");
        Done(program, _temp.Path, "inspect", model).ShouldContain("llama");
    }

    [Theory]
    [InlineData("Slimming.Gguf")]
    [InlineData("Slimming.Training")]
    [InlineData("Slimming.Evaluation")]
    [InlineData("Slimming")]
    public void A_package_carries_readme_licence_and_its_program_files(string id)
    {
        using var package = System.IO.Compression.ZipFile.OpenRead(Path.Combine(s_packages, $"{id}.{_version}.nupkg"));
        var names = package.Entries.Select(entry => entry.FullName).ToList();
        names.ShouldContain("README.md");
        names.ShouldContain("LICENSE.md");
        names.ShouldContain("THIRD-PARTY-NOTICES.md");
        names.ShouldContain(id == "Slimming" ? "tools/net10.0/any/slimming.dll" : $"lib/net10.0/{id}.dll");
        using StreamReader nuspec = new(package.GetEntry($"{id}.nuspec")!.Open());
        var text = nuspec.ReadToEnd();
        text.ShouldContain("<license type=\"file\">LICENSE.md</license>");
        text.ShouldContain("<readme>README.md</readme>");
    }

    public void Dispose() => _temp.Dispose();

    private string Done(string program, string folder, params string[] args) =>
        ChildProcess.Done(program, folder, args, _environment);
}
