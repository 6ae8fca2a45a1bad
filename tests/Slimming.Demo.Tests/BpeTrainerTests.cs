namespace Slimming.Demo.Tests;

public class BpeTrainerTests
{
    // The worked example of Sennrich et al. 2016, figure 1, without the end-of-word mark: the first merges are e s, es t.
    [Fact]
    public void The_most_frequent_pair_is_joined_first()
    {
        var texts = Enumerable
            .Repeat("low", 5)
            .Concat(Enumerable.Repeat("lower", 2))
            .Concat(Enumerable.Repeat("newest", 6))
            .Concat(Enumerable.Repeat("widest", 3));
        BpeTrainer.Train(texts, 3).ShouldBe([("e", "s"), ("es", "t"), ("l", "o")]);
    }

    [Fact]
    public void Training_stops_when_no_pair_occurs_twice() => BpeTrainer.Train(["abc"], 10).ShouldBeEmpty();

    [Fact]
    public void Digits_and_words_are_never_joined() =>
        BpeTrainer.Train(Enumerable.Repeat("12 a-b", 9), 10).ShouldBe([("Ġ", "a")]);

    [Fact]
    public void Every_byte_has_a_symbol_of_its_own() => BpeTrainer.ByteSymbols.Distinct().Count().ShouldBe(256);
}
