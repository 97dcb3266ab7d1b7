namespace Scuse;

/// <summary>
/// A command's data, in one or more pieces of memory that together are its bytes in order (SAM-5's Data-In or Data-Out buffer).
/// </summary>
/// <remarks>
/// For a handler the pieces are the shared data area itself: what is written here is what the initiator receives. The buffer is a
/// view; it owns nothing, and it is valid until the command it came with is answered. Lengths and positions are in bytes.
/// </remarks>
public readonly struct DataBuffer
{
    readonly Memory<byte>[]? _segments;
    readonly int _first;
    readonly int _skip;

    /// <summary>A view of the first <paramref name="count"/> entries of <paramref name="segments"/>, cut to <paramref name="length"/> bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The entries hold fewer than <paramref name="length"/> bytes.</exception>
    public DataBuffer(Memory<byte>[] segments, int count, int length)
    {
        ArgumentNullException.ThrowIfNull(segments);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)count, (uint)segments.Length, nameof(count));
        long held = 0;
        for (int i = 0; i < count; i++)
        {
            held += segments[i].Length;
        }

        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, held);
        _segments = segments;
        Length = length;
    }

    /// <summary>A view of one piece of memory.</summary>
    public DataBuffer(Memory<byte> memory)
        : this([memory], 1, memory.Length)
    {
    }

    DataBuffer(Memory<byte>[]? segments, int first, int skip, int length)
    {
        _segments = segments;
        _first = first;
        _skip = skip;
        Length = length;
    }

    /// <summary>A buffer of no bytes.</summary>
    public static DataBuffer Empty => default;

    /// <summary>How many bytes the buffer holds.</summary>
    public int Length { get; }

    /// <summary>Whether the buffer holds no bytes.</summary>
    public bool IsEmpty => Length == 0;

    /// <summary>The part from <paramref name="start"/> on, <paramref name="length"/> bytes long, over the same memory.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The part does not lie inside the buffer.</exception>
    public DataBuffer Slice(int start, int length)
    {
        if ((uint)start > (uint)Length || (uint)length > (uint)(Length - start))
        {
            throw new ArgumentOutOfRangeException(nameof(start), $"bytes {start}..{(long)start + length} of a buffer of {Length}");
        }

        if (length == 0)
        {
            return default;
        }

        int index = _first;
        int skip = _skip + start;
        while (skip >= _segments![index].Length)
        {
            skip -= _segments[index].Length;
            index++;
        }

        return new DataBuffer(_segments, index, skip, length);
    }

    /// <summary>The part from <paramref name="start"/> to the end, over the same memory.</summary>
    public DataBuffer Slice(int start) => Slice(start, Length - start);

    /// <summary>Enumerates the pieces in order; none is empty, and their lengths add up to <see cref="Length"/>.</summary>
    public SegmentEnumerator GetEnumerator() => new(this);

    /// <summary>Whether all bytes lie in one piece; <paramref name="memory"/> is that piece (empty for an empty buffer).</summary>
    public bool TryGetSingle(out Memory<byte> memory)
    {
        if (Length == 0)
        {
            memory = default;
            return true;
        }

        Memory<byte> first = _segments![_first][_skip..];
        if (first.Length >= Length)
        {
            memory = first[..Length];
            return true;
        }

        memory = default;
        return false;
    }

    /// <summary>Copies all of <paramref name="source"/> into the buffer, from position <paramref name="at"/> on.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does not fit.</exception>
    public void CopyFrom(ReadOnlySpan<byte> source, int at = 0)
    {
        foreach (Memory<byte> piece in Slice(at, source.Length))
        {
            source[..piece.Length].CopyTo(piece.Span);
            source = source[piece.Length..];
        }
    }

    /// <summary>Copies all of <paramref name="source"/> into the buffer, from position <paramref name="at"/> on.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does not fit.</exception>
    public void CopyFrom(DataBuffer source, int at = 0)
    {
        foreach (Memory<byte> piece in source)
        {
            CopyFrom(piece.Span, at);
            at += piece.Length;
        }
    }

    /// <summary>Fills all of <paramref name="destination"/> with the buffer's bytes from position <paramref name="at"/> on.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The buffer holds fewer bytes.</exception>
    public void CopyTo(Span<byte> destination, int at = 0)
    {
        foreach (Memory<byte> piece in Slice(at, destination.Length))
        {
            piece.Span.CopyTo(destination);
            destination = destination[piece.Length..];
        }
    }

    /// <summary>Sets every byte to zero.</summary>
    public void Clear()
    {
        foreach (Memory<byte> piece in this)
        {
            piece.Span.Clear();
        }
    }

    /// <summary>A copy of the bytes; it allocates, so not for the data path.</summary>
    public byte[] ToArray()
    {
        byte[] copy = new byte[Length];
        CopyTo(copy);
        return copy;
    }

    /// <summary>Walks the pieces of a <see cref="DataBuffer"/>.</summary>
    public struct SegmentEnumerator
    {
        readonly Memory<byte>[]? _segments;
        int _next;
        int _skip;
        int _left;

        internal SegmentEnumerator(DataBuffer buffer)
        {
            _segments = buffer._segments;
            _next = buffer._first;
            _skip = buffer._skip;
            _left = buffer.Length;
            Current = default;
        }

        /// <summary>The piece that the last <see cref="MoveNext"/> came to.</summary>
        public Memory<byte> Current { get; private set; }

        /// <summary>Goes to the next piece; false when there is none.</summary>
        public bool MoveNext()
        {
            while (_left > 0)
            {
                Memory<byte> piece = _segments![_next++][_skip..];
                _skip = 0;
                if (piece.IsEmpty)
                {
                    continue;
                }

                Current = piece.Length > _left ? piece[.._left] : piece;
                _left -= Current.Length;
                return true;
            }

            return false;
        }
    }
}
