using Slimming.Gguf;
using Slimming.Training.Data;

namespace Slimming.Training.Tests.Data;

public sealed class RecordedConditionTests
{
    [Theory]
    [InlineData("length(text) > 5 AND lang = 'en' OR meta.x[1] IN (1, 2)")]
    [InlineData("score::INT BETWEEN 1 AND 5 -- the good ones")]
    [InlineData("text ILIKE '%a%' AND NOT (input IS NULL OR trim(lower(input)) = '')")]
    [InlineData("CASE WHEN lang = 'de' THEN regexp_matches(output, '^[a-z]+$') ELSE true END")]
    [InlineData("(meta->>'source') != 'web' AND len(messages) < 10")]
    [InlineData("hash(text) % 10 = 0")]
    public void Comparisons_of_columns_are_asked(string where) =>
        Should.NotThrow(() => RecordedCondition.Require(where, "run.json"));

    [Theory]
    [InlineData("(SELECT count(*) FROM range(100000) a, range(100000) b) > length(text)", "a part of kind SUBQUERY")]
    [InlineData("length(repeat(text, 20000)) > 1", "the function repeat")]
    [InlineData("list_sum(list_transform(range(100000), lambda x: x + 1)) > 1", "the function list_sum")]
    [InlineData("length(replace(replace(text, 'o', text), 'o', text)) > 1", "the function replace")]
    [InlineData("length(text || text) > 1", "the function ||")]
    [InlineData("row_number() OVER () > 1", "a part of kind WINDOW")]
    [InlineData("true) FROM (SELECT 1", "more than one expression")]
    [InlineData("true), (true", "more than one expression")]
    [InlineData("true) IS TRUE; SELECT (true", "more than one expression")]
    [InlineData("true) IS TRUE; COPY (SELECT 1) TO 'x.csv'; SELECT (true", "Only SELECT statements")]
    [InlineData("length(", "syntax error")]
    public void Whatever_else_is_refused(string where, string found)
    {
        var error = Should.Throw<SlimmingException>(() => RecordedCondition.Require(where, "run.json"));
        error.Code.ShouldBe(ExitCode.Usage);
        error.Message.ShouldContain($"run.json: --where: found {found}");
    }

    [Fact]
    public void Neither_long_nor_deep_ones_are_asked()
    {
        Should.Throw<SlimmingException>(() => RecordedCondition.Require(new string('1', 5000), "run.json"));
        var deep = new string('(', 1000) + "1" + new string(')', 1000);
        Should.NotThrow(() => RecordedCondition.Require(deep, "run.json"));
        deep = string.Concat(Enumerable.Repeat("NOT (", 500)) + "true" + new string(')', 500);
        Should.Throw<SlimmingException>(() => RecordedCondition.Require(deep, "run.json"));
    }
}
