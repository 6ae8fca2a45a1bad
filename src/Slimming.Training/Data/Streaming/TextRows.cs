using System.Text;
using Microsoft.Win32.SafeHandles;
using Slimming.Gguf;

namespace Slimming.Training.Data;

/// <summary>How the rows of a text file are told apart and read.</summary>
internal interface ITextFormat
{
    /// <summary>First byte and length of each row, from the scanner's place on: the start of the file, or of a row.</summary>
    IEnumerable<(long Start, int Length)> Split(ByteScanner bytes);

    /// <summary>The row as one JSON object.</summary>
    string ToJson(string row);
}

/// <summary>A text file with the offsets of some of its rows: any row is found by reading on from the one before it.</summary>
internal sealed class TextRows : RowFile
{
    /// <summary>Rows from one known offset to the next.</summary>
    private const int Stride = 256;
    private static readonly UTF8Encoding s_utf8 = new(false, throwOnInvalidBytes: true);

    private readonly ITextFormat? _format;
    private readonly List<long> _starts = [];
    private readonly (long Length, DateTime Written) _stamp;

    /// <summary>Reads the file once; what ends that early is kept as <see cref="RowFile.Fault"/>.</summary>
    public TextRows(string path, int part, Func<string, ITextFormat> format)
        : base(path, part)
    {
        _stamp = Stamp();
        try
        {
            _format = format(path);
            using var file = File.OpenHandle(Path);
            foreach (var (start, _) in _format.Split(new ByteScanner(file)))
            {
                if (Count++ % Stride == 0)
                {
                    _starts.Add(start);
                }
            }
        }
        catch (Exception e) when (e is SlimmingException or IOException or UnauthorizedAccessException)
        {
            Fault = e as SlimmingException ?? new SlimmingException(ExitCode.Usage, $"{Path}: {e.Message}", e);
        }
    }

    public override IReadOnlyList<RowPlace> Locate(IReadOnlyList<long> numbers)
    {
        using var file = Open();
        ByteScanner bytes = new(file);
        List<RowPlace> places = new(numbers.Count);
        IEnumerator<(long Start, int Length)>? rows = null;
        long next = -1;
        foreach (var number in numbers)
        {
            if (rows is null || number / Stride > next / Stride)
            {
                rows?.Dispose();
                next = number / Stride * Stride;
                bytes.Seek(_starts[(int)(number / Stride)]);
                rows = _format!.Split(bytes).GetEnumerator();
            }
            for (; next <= number; next++)
            {
                if (!rows.MoveNext())
                {
                    throw Changed();
                }
            }
            places.Add(new RowPlace(number, rows.Current.Start, rows.Current.Length, null));
        }
        rows?.Dispose();
        return places;
    }

    public override RawRow Read(RowPlace place)
    {
        var bytes = new byte[place.Length];
        using (var file = Open())
        {
            for (int at = 0, read; at < bytes.Length; at += read)
            {
                read = RandomAccess.Read(file, bytes.AsSpan(at), place.Start + at);
                if (read == 0)
                {
                    throw Changed();
                }
            }
        }
        try
        {
            return new RawRow(Path, Part, place.Number, _format!.ToJson(s_utf8.GetString(bytes)));
        }
        catch (DecoderFallbackException e)
        {
            throw new DataRow(Path, place.Number, default).Error(
                $"byte {place.Start + e.Index + 1} of the file: found 0x{e.BytesUnknown![0]:X2}, which is no UTF-8; "
                    + "expected a text in UTF-8"
            );
        }
    }

    private SafeFileHandle Open()
    {
        try
        {
            return Stamp() == _stamp ? File.OpenHandle(Path) : throw Changed();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SlimmingException(ExitCode.Failed, $"{Path}: cannot be read any more: {e.Message}", e);
        }
    }

    private (long, DateTime) Stamp()
    {
        FileInfo info = new(Path);
        return info.Exists ? (info.Length, info.LastWriteTimeUtc) : default;
    }

    private SlimmingException Changed() =>
        new(ExitCode.Failed, $"{Path}: was changed while it was being read; leave data files alone until the run ends");
}
