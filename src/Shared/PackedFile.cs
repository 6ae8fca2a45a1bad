using System.IO.Compression;

namespace Slimming.Shared;

/// <summary>Gzip files of texts: what comes out has a bound, as a few kilobytes may hold what takes minutes to read.</summary>
internal static class PackedFile
{
    private const long FreeBytes = 16L << 20;

    /// <summary>Texts pack some 3 to 10 times; what packs a thousand times is one letter repeated.</summary>
    private const int MostRatio = 50;

    /// <summary>Of Parquet, whose rows come out one by one, a row may have as much without being counted: their number has its own bound.</summary>
    public const int FreeRowLength = 256;

    public static string TooMuch =>
        $"expected at most {FreeBytes >> 20} MiB and {MostRatio} times the size of the file in all rows of more than {FreeRowLength} "
        + "characters, found more; write it as JSONL";

    /// <summary>Bytes that may come out of a file of this size.</summary>
    public static long Most(long fileBytes) => FreeBytes + (MostRatio * fileBytes);

    public static bool IsPacked(string path) => path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase);

    /// <summary>The bytes of a file, unpacked where its name says so.</summary>
    /// <remarks>Reading throws <see cref="InvalidDataException"/> where more comes out than a text can hold.</remarks>
    public static Stream OpenRead(string path)
    {
        var file = RegularFile.OpenRead(path);
        return IsPacked(path) ? new Unpacked(file, Most(file.Length)) : file;
    }

    /// <summary>Unpacks the file once, before somebody else does it whatever comes out.</summary>
    /// <exception cref="InvalidDataException">More comes out than a text can hold, or it is no gzip.</exception>
    public static void Require(string path)
    {
        using var stream = OpenRead(path);
        var buffer = new byte[1 << 16];
        while (stream.Read(buffer) > 0) { }
    }

    private sealed class Unpacked(FileStream file, long most) : Stream
    {
        private readonly GZipStream _stream = new(file, CompressionMode.Decompress);
        private long _read;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => _read;
            set => throw new NotSupportedException();
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override int Read(Span<byte> buffer)
        {
            var read = _stream.Read(buffer);
            _read += read;
            return _read <= most
                ? read
                : throw new InvalidDataException(
                    $"expected at most {most} bytes of data in a packed file of {file.Length}, found more; unpack it (gunzip)"
                );
        }

        public override void Flush() { }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                _stream.Dispose();
            }
            base.Dispose(disposing);
        }
    }
}
