namespace Scuse.Device;

/// <summary>Comparing and combining data that lies in several pieces.</summary>
static class BufferComparison
{
    /// <summary>The position of the first byte that differs, or -1. Both buffers have the same length.</summary>
    public static int FirstDifference(DataBuffer left, DataBuffer right)
    {
        DataBuffer.SegmentEnumerator rights = right.GetEnumerator();
        ReadOnlySpan<byte> other = default;
        int position = 0;
        foreach (Memory<byte> piece in left)
        {
            ReadOnlySpan<byte> span = piece.Span;
            while (!span.IsEmpty)
            {
                if (other.IsEmpty)
                {
                    if (!rights.MoveNext())
                    {
                        throw new ArgumentException($"{right.Length} bytes to compare with {left.Length}", nameof(right));
                    }

                    other = rights.Current.Span;
                }

                int length = Math.Min(span.Length, other.Length);
                int same = span[..length].CommonPrefixLength(other[..length]);
                position += same;
                if (same < length)
                {
                    return position;
                }

                span = span[length..];
                other = other[length..];
            }
        }

        return -1;
    }

    /// <summary>The position of the first byte where <paramref name="data"/> is not <paramref name="block"/> over and over, or -1.</summary>
    public static int FirstDifferenceFromRepeated(DataBuffer data, DataBuffer block)
    {
        for (int at = 0; at < data.Length; at += block.Length)
        {
            int length = Math.Min(block.Length, data.Length - at);
            int difference = FirstDifference(data.Slice(at, length), block.Slice(0, length));
            if (difference >= 0)
            {
                return at + difference;
            }
        }

        return -1;
    }

    /// <summary>Whether every byte is zero.</summary>
    public static bool IsZero(DataBuffer data)
    {
        foreach (Memory<byte> piece in data)
        {
            if (piece.Span.ContainsAnyExcept((byte)0))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Fills <paramref name="data"/> with <paramref name="block"/> over and over.</summary>
    public static void FillWithRepeated(DataBuffer data, DataBuffer block)
    {
        int at = 0;
        while (at < data.Length)
        {
            foreach (Memory<byte> piece in block)
            {
                int length = Math.Min(piece.Length, data.Length - at);
                data.CopyFrom(piece.Span[..length], at);
                at += length;
            }
        }
    }

    /// <summary>Sets in <paramref name="data"/> every bit that is set in <paramref name="mask"/>; both have the same length.</summary>
    public static void Or(DataBuffer data, DataBuffer mask)
    {
        int at = 0;
        foreach (Memory<byte> piece in data)
        {
            Span<byte> into = piece.Span;
            foreach (Memory<byte> part in mask.Slice(at, into.Length))
            {
                Span<byte> some = into[..part.Length];
                ReadOnlySpan<byte> bits = part.Span;
                for (int i = 0; i < some.Length; i++)
                {
                    some[i] |= bits[i];
                }

                into = into[part.Length..];
                at += part.Length;
            }
        }
    }
}
