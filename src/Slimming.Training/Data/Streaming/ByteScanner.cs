using System.Buffers;
using Microsoft.Win32.SafeHandles;

namespace Slimming.Training.Data;

/// <summary>Reads a file forward through one buffer and finds bytes in it.</summary>
internal sealed class ByteScanner(SafeFileHandle file)
{
    private readonly byte[] _buffer = new byte[1 << 17];
    private long _bufferStart;
    private int _at;
    private int _end;

    /// <summary>Offset in the file of the byte that comes next.</summary>
    public long Position => _bufferStart + _at;

    public void Seek(long position) => (_bufferStart, _at, _end) = (position, 0, 0);

    /// <summary>The next byte, left where it is; -1 at the end.</summary>
    public int Peek() => _at < _end || Fill() ? _buffer[_at] : -1;

    /// <summary>Takes the next byte; -1 at the end.</summary>
    public int Next() => _at < _end || Fill() ? _buffer[_at++] : -1;

    /// <summary>Stops at the next byte that is one of these and returns it; -1 at the end.</summary>
    public int SkipTo(SearchValues<byte> any)
    {
        while (_at < _end || Fill())
        {
            var found = _buffer.AsSpan(_at, _end - _at).IndexOfAny(any);
            if (found >= 0)
            {
                _at += found;
                return _buffer[_at];
            }
            _at = _end;
        }
        return -1;
    }

    /// <summary>Stops at the next byte that is none of these and returns it; -1 at the end.</summary>
    public int SkipPast(SearchValues<byte> these)
    {
        while (_at < _end || Fill())
        {
            var found = _buffer.AsSpan(_at, _end - _at).IndexOfAnyExcept(these);
            if (found >= 0)
            {
                _at += found;
                return _buffer[_at];
            }
            _at = _end;
        }
        return -1;
    }

    /// <summary>Passes over the mark that some editors put before UTF-8.</summary>
    public void SkipByteOrderMark()
    {
        var start = Position;
        if (Next() != 0xEF || Next() != 0xBB || Next() != 0xBF)
        {
            Seek(start);
        }
    }

    private bool Fill()
    {
        (_bufferStart, _at) = (_bufferStart + _end, 0);
        _end = RandomAccess.Read(file, _buffer, _bufferStart);
        return _end > 0;
    }
}
