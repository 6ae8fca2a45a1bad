using System.Text.Json.Nodes;
using Slimming.Gguf;
using Slimming.Results;

namespace Slimming.Cli.Tests;

/// <summary>What the data options do to a whole run.</summary>
public sealed class DataSelectionTests : IDisposable
{
    private readonly TempFolder _temp = new();
    private readonly TinyRun _run;

    public DataSelectionTests() => _run = new TinyRun(_temp);

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void The_same_rows_in_any_kind_of_file_are_the_same_run()
    {
        var lines = File.ReadAllLines(_run.Data);
        var json = _temp.Write("data.json", $"[{string.Join(",\n", lines)}]");
        var fields = lines.Select(line => JsonNode.Parse(line)!);
        var csv = _temp.Write(
            "data.csv",
            "input_ids,labels\n"
                + string.Concat(
                    fields.Select(row =>
                        $"\"{row["input_ids"]!.ToJsonString()}\",\"{row["labels"]!.ToJsonString()}\"\n"
                    )
                )
        );
        var parquet = _temp["data.parquet"];
        using (var db = DuckDb.Open())
        {
            db.Execute(
                "COPY (SELECT input_ids::INTEGER[] AS input_ids, labels::INTEGER[] AS labels "
                    + $"FROM read_json({DuckDb.Quote(_run.Data)})) TO {DuckDb.Quote(parquet)} (FORMAT parquet)"
            );
        }
        Cli.Done(_run.Lora("jsonl"));
        foreach (var file in new[] { json, csv, parquet })
        {
            var name = Path.GetExtension(file)[1..];
            Cli.Done(_run.Lora(name, "--data", file));
            Cli.Metrics(_temp[name]).ShouldBe(Cli.Metrics(_temp["jsonl"]));
            File.ReadAllBytes(_temp[$"{name}/adapter.gguf"])
                .ShouldBe(File.ReadAllBytes(_temp["jsonl/adapter.gguf"]), name);
        }
    }

    [Fact]
    public void Selection_and_mix_are_recorded_and_a_resume_with_others_is_refused()
    {
        string[] args =
        [
            "train",
            "--model",
            TinyRun.Model,
            "--out",
            _temp["run"],
            "--rank",
            "2",
            "--sample",
            "12",
            "--eval-fraction",
            "0.2",
        ];
        string[] mix = ["--data", $"{_run.Data}:3", $"{_run.EvalData}:1"];
        string[] where = ["--where", "len(input_ids) > 9"];
        var answer = Cli.Done([.. args, .. mix, .. where]);

        answer.Error.ShouldContain("left out by --where");
        answer.Error.ShouldContain("mix: 75 %");
        var record = JsonNode.Parse(File.ReadAllText(_temp["run/run.json"]))!;
        record["data_shares"]!.ToJsonString().ShouldBe("[0.75,0.25]");
        record["options"]!["where"]!.GetValue<string>().ShouldBe("len(input_ids) > 9");
        record["options"]!["sample"]!.GetValue<int>().ShouldBe(12);
        record["options"]!["eval-fraction"]!.GetValue<double>().ShouldBe(0.2);
        var counts = record["counts"]!["train"]!;
        long Count(string name) => counts[name]!.GetValue<long>();
        Count("rows").ShouldBe(23);
        Count("filtered").ShouldBe(Short());
        (Count("filtered") + Count("not_drawn") + Count("held_out") + Count("kept")).ShouldBe(23);
        record["counts"]!["eval"]!["kept"]!.GetValue<long>().ShouldBe(Count("held_out"));
        Cli.Metrics(_temp["run"])[0].ShouldContain("eval_loss");

        Cli.Done([.. args, .. mix, .. where, "--resume"]).Error.ShouldContain("nothing to resume");
        var other = Cli.Run([.. args, .. mix, "--where", "len(input_ids) > 8", "--resume"]);
        other.Code.ShouldBe(ExitCode.Usage);
        other.Error.ShouldContain("--where: the run was begun with \"len(input_ids) > 9\"");
        var shares = Cli.Run([.. args, "--data", $"{_run.Data}:4", $"{_run.EvalData}:1", .. where, "--resume"]);
        shares.Code.ShouldBe(ExitCode.Usage);
        shares.Error.ShouldContain("--data (shares of the mix): the run was begun with 0.75, 0.25");

        long Short() =>
            File.ReadLines(_run.Data)
                .Concat(File.ReadLines(_run.EvalData))
                .Count(line => JsonNode.Parse(line)!["input_ids"]!.AsArray().Count <= 9);
    }

    [Fact]
    public void Weights_are_for_training_data_only()
    {
        var answer = Cli.Run(_run.Lora("run", "--eval-data", _run.EvalData + ":1"));
        answer.Code.ShouldBe(ExitCode.Usage);
        answer.Error.ShouldContain("only --data is mixed by weight");
    }
}
