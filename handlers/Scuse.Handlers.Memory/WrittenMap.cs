using System.Numerics;
using Scuse.Device;

namespace Scuse.Handlers.Memory;

/// <summary>Which parts of a disk have been written and not given back since: a bit for each piece of 4096 bytes, or of more where the disk is very large.</summary>
/// <remarks>Called by one thread at a time.</remarks>
sealed class WrittenMap
{
    const int SmallestPieceShift = 12;
    const int WordBits = 64;

    /// <summary>How many pieces there are at most: 8 MiB of bits.</summary>
    const long MaxPieces = 1L << 26;

    readonly ulong[] _words;
    readonly int _shift = SmallestPieceShift;
    readonly long _sizeBytes;

    public WrittenMap(long sizeBytes)
    {
        _sizeBytes = sizeBytes;
        while (sizeBytes >> _shift > MaxPieces)
        {
            _shift++;
        }

        _words = new ulong[(PieceAtOrAfter(sizeBytes) + WordBits - 1) / WordBits];
    }

    /// <summary>The range holds data now.</summary>
    public void Mark(long offset, long length)
    {
        if (length > 0)
        {
            Set(offset >> _shift, PieceAtOrAfter(offset + length), isWritten: true);
        }
    }

    /// <summary>The range has been given back: the pieces that lie in it are empty.</summary>
    public void Clear(long offset, long length)
    {
        long end = offset + length;
        Set(PieceAtOrAfter(offset), end == _sizeBytes ? PieceAtOrAfter(end) : end >> _shift, isWritten: false);
    }

    /// <summary>Whether there is data at <paramref name="offset"/>, and for how many of <paramref name="length"/> bytes it is so.</summary>
    public BlockExtent Find(long offset, long length)
    {
        long piece = offset >> _shift;
        bool isWritten = (_words[piece / WordBits] & Bit(piece)) != 0;
        long end = PieceAtOrAfter(offset + length);
        long next = piece + 1;
        while (next < end)
        {
            // The bits of those that are as the first one was, from this one on, become zeros.
            ulong others = (isWritten ? ~_words[next / WordBits] : _words[next / WordBits]) >> (int)(next % WordBits);
            if (others != 0)
            {
                next += BitOperations.TrailingZeroCount(others);
                break;
            }

            next = (next / WordBits + 1) * WordBits;
        }

        return new BlockExtent(isWritten, Math.Min(length, (next << _shift) - offset));
    }

    /// <summary>How many bytes hold data: whole pieces.</summary>
    public long CountBytes()
    {
        long pieces = 0;
        foreach (ulong word in _words)
        {
            pieces += BitOperations.PopCount(word);
        }

        return Math.Min(pieces << _shift, _sizeBytes);
    }

    void Set(long first, long end, bool isWritten)
    {
        for (long piece = first; piece < end;)
        {
            int count = (int)Math.Min(end - piece, WordBits - (piece % WordBits));
            ulong mask = (count == WordBits ? ulong.MaxValue : (1UL << count) - 1) << (int)(piece % WordBits);
            ref ulong word = ref _words[piece / WordBits];
            word = isWritten ? word | mask : word & ~mask;
            piece += count;
        }
    }

    long PieceAtOrAfter(long offset) => (offset + (1L << _shift) - 1) >> _shift;

    static ulong Bit(long piece) => 1UL << (int)(piece % WordBits);
}
