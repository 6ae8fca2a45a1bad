using System.Collections;
using System.Diagnostics.CodeAnalysis;

namespace Slimming.Gguf;

/// <summary>Metadata in file order. A key that is absent or of another type is an error naming the file and the key.</summary>
/// <param name="file">The path that errors name.</param>
[SuppressMessage("Naming", "CA1710", Justification = "The field calls it metadata.")]
public sealed class GgufMetadata(string file) : IReadOnlyCollection<KeyValuePair<string, GgufValue>>
{
    private readonly List<string> _order = [];
    private readonly Dictionary<string, GgufValue> _values = new(StringComparer.Ordinal);

    public int Count => _order.Count;

    public bool TryGet(string key, out GgufValue value)
    {
        var found = _values.TryGetValue(key, out var hit);
        value = hit!;
        return found;
    }

    public bool Contains(string key) => _values.ContainsKey(key);

    /// <summary>Replaces in place or appends.</summary>
    public void Set(string key, GgufValue value)
    {
        if (!_values.ContainsKey(key))
        {
            _order.Add(key);
        }
        _values[key] = value;
    }

    public void Remove(string key)
    {
        if (_values.Remove(key))
        {
            _order.Remove(key);
        }
    }

    public GgufMetadata Clone()
    {
        var copy = new GgufMetadata(file);
        foreach (var (key, value) in this)
        {
            copy.Set(key, value);
        }
        return copy;
    }

    public string GetString(string key) =>
        Require(key).TryString(out var value) ? value : throw WrongType(key, "a string");

    public string? GetString(string key, string? fallback) => Contains(key) ? GetString(key) : fallback;

    public long GetInteger(string key) =>
        Require(key).TryInteger(out var value) ? value : throw WrongType(key, "an integer");

    public long GetInteger(string key, long fallback) => Contains(key) ? GetInteger(key) : fallback;

    public double GetFloat(string key) =>
        Require(key).TryFloat(out var value) ? value : throw WrongType(key, "a number");

    public double GetFloat(string key, double fallback) => Contains(key) ? GetFloat(key) : fallback;

    public bool GetBool(string key) => Require(key).TryBool(out var value) ? value : throw WrongType(key, "a bool");

    public bool GetBool(string key, bool fallback) => Contains(key) ? GetBool(key) : fallback;

    public string[] GetStrings(string key) =>
        Require(key).TryStrings(out var values) ? values : throw WrongType(key, "an array of strings");

    public IEnumerator<KeyValuePair<string, GgufValue>> GetEnumerator()
    {
        foreach (var key in _order)
        {
            yield return new KeyValuePair<string, GgufValue>(key, _values[key]);
        }
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private GgufValue Require(string key) =>
        TryGet(key, out var value) ? value : throw new GgufException(file, $"key '{key}'", "the file does not have it");

    private GgufException WrongType(string key, string expected)
    {
        var value = _values[key];
        return new GgufException(file, $"key '{key}'", expected, $"{value.Type} {value.ToText(40)}");
    }
}
