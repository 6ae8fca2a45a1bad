using System.Text.Json.Nodes;
using Slimming.Gguf;

namespace Slimming.Cli.Tests;

/// <summary>More rows than are held in memory, through the program itself.</summary>
public sealed class ManyRowsTests : IDisposable
{
    private const int Rows = 60_000;
    private readonly TempFolder _temp = new();
    private readonly string _data;

    public ManyRowsTests() =>
        _data = _temp.Write(
            "many.jsonl",
            string.Concat(
                Enumerable
                    .Range(0, Rows)
                    .Select(i =>
                        $"{{\"input_ids\":[{i % 300},{i % 7},{i % 11 + 20}],\"labels\":[-100,{i % 7},5],\"n\":{i}}}\n"
                    )
            )
        );

    public void Dispose() => _temp.Dispose();

    private string[] Args(string verb, params string[] more) =>
        [verb, "--model", TinyRun.Model, "--data", _data, "--out", _temp["run"], "--rank", "2", .. more];

    [Fact]
    public void Many_rows_are_read_as_they_are_needed()
    {
        string[] selection =
        [
            "--epochs",
            "0.0004",
            "--checkpoint-every",
            "4",
            "--where",
            "n < 59990",
            "--eval-fraction",
            "0.0001",
        ];
        var answer = Cli.Done(Args("train", [.. selection, "--json"]));
        answer.Error.ShouldContain(
            $"data: {Rows} rows, 10 left out by --where, 6 held out; estimated from 1024 of them: about 59984 samples"
        );
        answer.Error.ShouldContain(
            $"{Rows} rows, 10 left out by --where, 6 held out; 24 of them were read: 24 samples kept"
        );
        var result = JsonNode.Parse(answer.Output)!;
        // 59,984 rows, four a step: 14,996 steps an epoch.
        result["steps"]!.GetValue<int>().ShouldBe(6);
        result["counts"]!["examined"]!.GetValue<long>().ShouldBe(24);
        var record = JsonNode.Parse(File.ReadAllText(_temp["run/run.json"]))!;
        record["resolved"]!["streamed"]!.GetValue<bool>().ShouldBeTrue();
        record["counts"]!["train"]!["examined"]!.GetValue<long>().ShouldBe(24);
        record["counts"]!["eval"]!["kept"]!.GetValue<long>().ShouldBe(6);
        var adapter = File.ReadAllBytes(_temp["run/adapter.gguf"]);

        // What a kill behind the checkpoint of step 4 leaves.
        File.Delete(_temp["run/DONE"]);
        File.Delete(_temp["run/adapter.gguf"]);
        Cli.Done(Args("train", [.. selection, "--resume"])).Error.ShouldContain("resuming at step 4");
        File.ReadAllBytes(_temp["run/adapter.gguf"]).ShouldBe(adapter);
        JsonNode.Parse(File.ReadAllText(_temp["run/run.json"]))!["counts"]!
            .ToJsonString()
            .ShouldBe(record["counts"]!.ToJsonString());
    }

    [Fact]
    public void Plan_and_preview_say_what_they_estimate()
    {
        var plan = JsonNode.Parse(Cli.Done(Args("plan", "--json")).Output)!;
        plan["streamed"]!.GetValue<bool>().ShouldBeTrue();
        plan["total_steps"]!.GetValue<int>().ShouldBe(Rows / 4);
        plan["longest_sample"]!.GetValue<int>().ShouldBe(512);

        string[] preview = ["data", "preview", "--model", TinyRun.Model, "--data", _data, "--limit", "2"];
        var text = Cli.Done(preview).Output;
        text.ShouldContain("rows looked at, the rest estimated");
        text.ShouldContain("1,024");
        text.ShouldContain("60,000");
        text.ShouldContain("tokens per sample of the rows looked at");
        var json = JsonNode.Parse(Cli.Done([.. preview, "--json"]).Output)!;
        json["counts"]!["estimated"]!.GetValue<bool>().ShouldBeTrue();
        json["counts"]!["kept"]!.GetValue<long>().ShouldBe(Rows);
        json["samples"]!.AsArray().Select(sample => sample!["row"]!.GetValue<int>()).ShouldBe([0, 1]);
        json["lengths"]!.AsArray().Sum(bin => bin!["samples"]!.GetValue<long>()).ShouldBe(1024);

        // A few of many rows are held in memory, and counted.
        var few = JsonNode.Parse(Cli.Done([.. preview, "--json", "--sample", "100"]).Output)!;
        few["counts"]!["estimated"]!.GetValue<bool>().ShouldBeFalse();
        few["counts"]!["kept"]!.GetValue<long>().ShouldBe(100);
    }

    [Fact]
    public void Packing_many_rows_is_refused()
    {
        var answer = Cli.Run(Args("train", "--packing"));
        answer.Code.ShouldBe(ExitCode.Usage);
        answer.Error.ShouldContain("--packing: the data has 60000 rows");
        Directory.Exists(_temp["run"]).ShouldBeFalse();
    }
}
