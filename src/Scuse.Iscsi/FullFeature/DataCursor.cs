namespace Scuse.Iscsi.FullFeature;

/// <summary>Goes through a <see cref="DataBuffer"/> from front to back. A copy of the value looks ahead without moving the original.</summary>
internal struct DataCursor(DataBuffer buffer)
{
    DataBuffer.SegmentEnumerator _segments = buffer.GetEnumerator();
    Memory<byte> _current;

    /// <summary>The next piece, of at most that many bytes; empty at the end.</summary>
    public Memory<byte> Take(int atMost)
    {
        if (_current.IsEmpty)
        {
            if (!_segments.MoveNext())
            {
                return default;
            }

            _current = _segments.Current;
        }

        Memory<byte> piece = _current.Length > atMost ? _current[..atMost] : _current;
        _current = _current[piece.Length..];
        return piece;
    }

    /// <summary>Copies bytes in and moves behind them.</summary>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            Span<byte> piece = Take(bytes.Length).Span;
            if (piece.IsEmpty)
            {
                throw new InvalidOperationException("the device gave less memory than the data it takes");
            }

            bytes[..piece.Length].CopyTo(piece);
            bytes = bytes[piece.Length..];
        }
    }

    /// <summary>Moves on by that many bytes.</summary>
    public void Skip(int count)
    {
        while (count > 0)
        {
            int taken = Take(count).Length;
            if (taken == 0)
            {
                throw new InvalidOperationException("moved past the end of a task's memory");
            }

            count -= taken;
        }
    }
}
