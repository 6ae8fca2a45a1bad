namespace Slimming.Results.Tests;

public sealed class DuckDbTests
{
    private static object? One(DuckDb db, string sql, params object?[] args) => db.Query(sql, args).Single()[0];

    [Fact]
    public void VersionIsTheOneTheBindingsWereWrittenFor() =>
        DuckDbLibrary.Version.ShouldBe(DuckDbLibrary.ExpectedVersion);

    [Fact]
    public void ParametersComeBackAsGiven()
    {
        using var db = DuckDb.Open();
        var row = db.Query(
                "SELECT ?::VARCHAR, ?::BIGINT, ?::DOUBLE, ?::BOOLEAN, ?::VARCHAR, ?::VARCHAR",
                "a'b\0c žluťoučký 🐎 and a text longer than twelve bytes",
                long.MinValue,
                0.1,
                true,
                null,
                ""
            )
            .Single();
        row[0].ShouldBe("a'b\0c žluťoučký 🐎 and a text longer than twelve bytes");
        row[1].ShouldBe(long.MinValue);
        row[2].ShouldBe(0.1);
        row[3].ShouldBe(true);
        row[4].ShouldBeNull();
        row[5].ShouldBe("");
    }

    [Fact]
    public void ListsAndStructsAreRead()
    {
        using var db = DuckDb.Open();
        One(db, "SELECT [1::BIGINT, 2, 3]").ShouldBe(new long[] { 1, 2, 3 });
        One(db, "SELECT [1::INTEGER, 2]").ShouldBe(new long[] { 1, 2 });
        One(db, "SELECT [0.5::DOUBLE]").ShouldBe(new[] { 0.5 });
        One(db, "SELECT [1::BIGINT, NULL]").ShouldBe(new object?[] { 1L, null });
        One(db, "SELECT ['a', 'a text longer than twelve bytes']")
            .ShouldBe(new object?[] { "a", "a text longer than twelve bytes" });
        var field = (Dictionary<string, object?>)One(db, "SELECT {'role': 'user', 'turns': [{'n': 1::TINYINT}]}")!;
        field["role"].ShouldBe("user");
        ((Dictionary<string, object?>)((Array)field["turns"]!).GetValue(0)!)["n"].ShouldBe(1L);
        One(db, "SELECT sum(i)::HUGEINT FROM range(10) t(i)").ShouldBe(45L);
    }

    [Fact]
    public void ManyChunksStreamInOrder()
    {
        using var db = DuckDb.Open(64);
        long expected = 0;
        foreach (var row in db.Query("SELECT i FROM range(100000) t(i)"))
        {
            row[0].ShouldBe(expected++);
        }
        expected.ShouldBe(100000);
    }

    [Fact]
    public void AnotherStatementMayRunWhileRowsAreRead()
    {
        using var db = DuckDb.Open();
        var seen = db.Query("SELECT i FROM range(5000) t(i)").Count(r => 1L.Equals(One(db, "SELECT 1")));
        seen.ShouldBe(5000);
    }

    [Fact]
    public void AppendedRowsAreBitExactAcrossChunks()
    {
        using var db = DuckDb.Open();
        var lists = DuckDbType.ListOf(DuckDbType.ListOf(DuckDbType.BigInt));
        DuckDbType[] types = [DuckDbType.BigInt, DuckDbType.Double, DuckDbType.Varchar, DuckDbType.Boolean, lists];
        db.Execute("CREATE TABLE t (a BIGINT, b DOUBLE, c VARCHAR, d BOOLEAN, e BIGINT[][])");
        using (var appender = db.Append("t", types))
        {
            for (long i = 0; i < 5000; i++)
            {
                long[][] nested =
                [
                    [i, i + 1],
                    [],
                    [i],
                ];
                appender.Add(i, 1.0 / (i + 1), i % 3 == 0 ? null : $"text number {i} ž", i % 2 == 0, nested);
            }
            appender.Complete();
        }
        long n = 0;
        foreach (var row in db.Query("SELECT * FROM t"))
        {
            row.Integer("a").ShouldBe(n);
            row.Number("b").ShouldBe(1.0 / (n + 1));
            row.Text("c").ShouldBe(n % 3 == 0 ? null : $"text number {n} ž");
            row.Flag("d").ShouldBe(n % 2 == 0);
            ((Array)((Array)row["e"]!).GetValue(0)!).Cast<long>().ShouldBe([n, n + 1]);
            ((Array)row["e"]!).Length.ShouldBe(3);
            n++;
        }
        n.ShouldBe(5000);
    }

    [Fact]
    public void ErrorsCarryTheTextOfDuckDb()
    {
        using var db = DuckDb.Open();
        Should.Throw<ResultsException>(() => db.Execute("SELECT nonsense")).Message.ShouldContain("nonsense");
        Should
            .Throw<ResultsException>(() => db.Query("SELECT CAST('x' || i AS INTEGER) FROM range(3) t(i)").Count())
            .Message.ShouldContain("x0");
        Should.Throw<ResultsException>(() => One(db, "SELECT DATE '2026-01-01'")).Message.ShouldContain("VARCHAR");
        Should.Throw<ArgumentException>(() => db.Execute("SELECT ?"));
    }

    [Fact]
    public void NoExtensionIsLoadedOnItsOwn()
    {
        using var db = DuckDb.Open();
        One(db, "SELECT current_setting('autoload_known_extensions')").ShouldBe(false);
        One(db, "SELECT current_setting('autoinstall_known_extensions')").ShouldBe(false);
    }

    [Fact]
    public void TheMemoryLimitHolds()
    {
        using var db = DuckDb.Open(32);
        Should
            .Throw<ResultsException>(() =>
                db.Execute("CREATE TABLE big AS SELECT repeat('x', 1000) || i::VARCHAR AS s FROM range(1000000) t(i)")
            )
            .Message.ShouldContain("memory", Case.Insensitive);
    }

    [Theory]
    [InlineData("it's")]
    [InlineData("a\0b'\0")]
    [InlineData("'); SELECT ('")]
    public void A_quoted_text_is_that_text(string text)
    {
        using var db = DuckDb.Open();
        db.Query($"SELECT {DuckDb.Quote(text)}").Single()[0].ShouldBe(text);
    }

    [Fact]
    public void Confined_it_opens_the_named_files_alone()
    {
        var folder = Directory.CreateTempSubdirectory("slimming-confined-").FullName;
        try
        {
            var (mine, other) = (Path.Combine(folder, "it's mine [1].csv"), Path.Combine(folder, "other.csv"));
            File.WriteAllText(mine, "a\n1\n");
            File.WriteAllText(other, "a\n2\n");
            using var db = DuckDb.Open();
            var pattern = mine.Replace("[1]", "[[]1]", StringComparison.Ordinal);
            db.Confine([mine, pattern]);
            db.Query("SELECT a FROM read_csv(?)", pattern).Single()[0].ShouldBe(1L);
            foreach (
                var sql in new[]
                {
                    $"SELECT * FROM read_csv({DuckDb.Quote(other)})",
                    $"SELECT * FROM read_text({DuckDb.Quote(other)})",
                    $"SELECT * FROM glob({DuckDb.Quote(folder + "/*")})",
                    $"COPY (SELECT 1) TO {DuckDb.Quote(other)}",
                    $"ATTACH {DuckDb.Quote(other)}",
                    "SET enable_external_access = true",
                    "SET allowed_paths = []",
                    "INSTALL httpfs",
                    "LOAD httpfs",
                }
            )
            {
                Should.Throw<ResultsException>(() => db.Query(sql).ToList(), sql);
            }
            File.ReadAllText(other).ShouldBe("a\n2\n");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
