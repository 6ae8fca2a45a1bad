using Slimming.Results;

namespace Slimming.Training.Data;

/// <summary>A DuckDB that is opened, and its library loaded, when it is first asked for.</summary>
/// <param name="memoryLimitMiB">See <see cref="DuckDb.Open"/>.</param>
internal sealed class LazyDuckDb(int memoryLimitMiB) : IDisposable
{
    private readonly Lazy<DuckDb> _db = new(() => DuckDb.Open(memoryLimitMiB));

    public DuckDb Value => _db.Value;

    public void Dispose()
    {
        if (_db.IsValueCreated)
        {
            _db.Value.Dispose();
        }
    }
}
