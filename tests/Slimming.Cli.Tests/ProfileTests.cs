using System.Text.Json.Nodes;

namespace Slimming.Cli.Tests;

/// <summary>What <c>train --profile</c> shows and leaves.</summary>
public sealed class ProfileTests : IDisposable
{
    private static readonly string[] StepPhases =
    [
        "forward",
        "backward",
        "attention",
        "head",
        "adapter",
        "optimizer",
        "data",
    ];

    private readonly TempFolder _temp = new();
    private readonly TinyRun _run;

    public ProfileTests() => _run = new TinyRun(_temp);

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void Phases_add_up_to_the_steps_and_change_no_bit()
    {
        var answer = Cli.Done(_run.Lora("a", "--profile", "--json"));
        var rows = JsonNode.Parse(answer.Output)!["profile"]!.AsArray();
        rows.Select(row => row!["phase"]!.GetValue<string>()).ShouldBe([.. StepPhases, "evaluation"]);
        rows.Sum(row => row!["share"]!.GetValue<double>()).ShouldBe(1, 1e-9);
        foreach (var row in rows)
        {
            row!["seconds"]!.GetValue<double>().ShouldBeGreaterThanOrEqualTo(0);
            row["bytes"]!.GetValue<long>().ShouldBeGreaterThan(0, row["phase"]!.GetValue<string>());
            row["calls"]!.GetValue<long>().ShouldBeGreaterThan(0, row["phase"]!.GetValue<string>());
        }
        var steps = File.ReadLines(_temp["a/metrics.jsonl"])
            .Select(line => JsonNode.Parse(line)!)
            .Where(row => row["loss"] is not null)
            .Sum(row => row["seconds"]!.GetValue<double>());
        rows.Take(StepPhases.Length).Sum(row => row!["seconds"]!.GetValue<double>()).ShouldBe(steps, 1e-6);
        answer.Error.ShouldContain("optimizer");

        Cli.Done(_run.Lora("b")).Error.ShouldNotContain("optimizer");
        File.Exists(_temp["b/profile.json"]).ShouldBeFalse();
        Cli.Metrics(_temp["a"]).ShouldBe(Cli.Metrics(_temp["b"]));
    }

    [Fact]
    public void The_trace_holds_the_first_steps()
    {
        Cli.Done(_run.Lora("a", "--profile"));
        var file = JsonNode.Parse(File.ReadAllText(_temp["a/profile.json"]))!;
        file["steps"]!.GetValue<int>().ShouldBe(TinyRun.Steps);
        file["traced_steps"]!.GetValue<int>().ShouldBe(4);
        file["lost_events"]!.GetValue<long>().ShouldBe(0);
        file["phases"]!.AsArray().Count.ShouldBe(StepPhases.Length + 1);
        var events = file["traceEvents"]!
            .AsArray()
            .Select(item => new
            {
                Name = item!["name"]!.GetValue<string>(),
                Begin = item["ts"]!.GetValue<double>(),
                End = item["ts"]!.GetValue<double>() + item["dur"]!.GetValue<double>(),
            })
            .ToArray();
        events
            .Select(item => item.Name)
            .Distinct()
            .ShouldBe(["step 1", "step 2", "step 3", "step 4", .. StepPhases], ignoreOrder: true);
        foreach (var item in events)
        {
            item.End.ShouldBeGreaterThanOrEqualTo(item.Begin);
        }
        var steps = events.Where(item => item.Name.StartsWith("step", StringComparison.Ordinal)).ToArray();
        foreach (var item in events.Except(steps))
        {
            steps.ShouldContain(step => item.Begin >= step.Begin && item.End <= step.End + 0.001, item.Name);
        }
    }
}
