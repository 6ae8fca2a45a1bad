using Slimming.Gguf;
using Slimming.TestSupport;

namespace Slimming.Demo.Tests;

public sealed class CorpusTests : IDisposable
{
    private static readonly string Demo = Path.Combine(SharedFiles.RepoRoot, "scripts", "demo");

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("slimming-demo-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Theory]
    [InlineData("tune/following.jsonl")]
    [InlineData("eval/demo_facts/test.jsonl")]
    [InlineData("eval/demo_following/test.jsonl")]
    [InlineData("eval/demo_larger/test.jsonl")]
    [InlineData("eval/demo_prose/test.jsonl")]
    [InlineData("eval/demo_reverse/test.jsonl")]
    public void Committed_data_is_what_the_generator_writes(string name)
    {
        Program.Main(["data", _folder.FullName]).ShouldBe(0);
        File.ReadAllText(Path.Combine(_folder.FullName, name)).ShouldBe(File.ReadAllText(Path.Combine(Demo, name)));
    }

    [Fact]
    public void Pretraining_files_are_the_same_bytes_every_time()
    {
        var second = _folder.CreateSubdirectory("second").FullName;
        Program.Main(["pretrain", _folder.FullName]).ShouldBe(0);
        Program.Main(["pretrain", second]).ShouldBe(0);
        foreach (var name in new[] { "init.gguf", "chat.jsonl", "prose.jsonl" })
        {
            File.ReadAllBytes(Path.Combine(second, name))
                .AsSpan()
                .SequenceEqual(File.ReadAllBytes(Path.Combine(_folder.FullName, name)))
                .ShouldBeTrue(name);
        }
    }

    [Fact]
    public void No_evaluation_item_is_trained_on()
    {
        var corpus = new Corpus();
        var pretraining = corpus.Pretraining.Select(item => item.Question).ToHashSet();
        var tuning = corpus.FollowingTraining.Select(item => item.Question).ToHashSet();
        corpus.ReverseEvaluation.ShouldAllBe(item => !pretraining.Contains(item.Question));
        corpus.LargerEvaluation.ShouldAllBe(item => !pretraining.Contains(item.Question));
        corpus.FactEvaluation.ShouldAllBe(item => !pretraining.Contains(item.Question));
        corpus.FollowingEvaluation.ShouldAllBe(item => !tuning.Contains(item.Question));
        corpus.ProseEvaluation().ShouldAllBe(text => !corpus.Prose.Any(story => story.Contains(text)));
    }

    [Fact]
    public void The_new_skill_is_absent_from_pretraining() =>
        new Corpus().Pretraining.ShouldAllBe(item => !item.Question.StartsWith("following", StringComparison.Ordinal));

    [Fact]
    public void Every_fact_is_trained_and_asked_once_with_its_answer_among_four()
    {
        var corpus = new Corpus();
        corpus.FactEvaluation.Count.ShouldBe(144);
        for (var i = 0; i < corpus.FactEvaluation.Count; i++)
        {
            var item = corpus.FactEvaluation[i];
            item.Choices.Distinct().Count().ShouldBe(4);
            item.Choices[item.Gold].ShouldBe(corpus.World.Facts[i].Value);
        }
        var trained = corpus.Pretraining.Select(item => item.Question).ToHashSet();
        var draws = new Draws(1);
        Enumerable.Range(0, 144).ShouldAllBe(fact => trained.Contains(corpus.World.TrainingQuestion(fact, draws)));
    }

    [Fact]
    public void The_first_weights_have_one_to_five_million_parameters()
    {
        Program.Main(["pretrain", _folder.FullName]).ShouldBe(0);
        using var file = GgufFile.Open(Path.Combine(_folder.FullName, "init.gguf"));
        file.Tensors.Sum(tensor => tensor.ValueCount).ShouldBeInRange(1_000_000, 5_000_000);
    }
}
