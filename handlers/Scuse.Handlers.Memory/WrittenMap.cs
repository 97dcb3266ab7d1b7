using System.Numerics;
using System.Runtime.InteropServices;
using Scuse.Device;

namespace Scuse.Handlers.Memory;

/// <summary>
/// Which parts of a disk have been written and not given back since: a bit for each piece of 4096 bytes, or of more where the disk is very large. Keeps those apart, too, who change the same
/// stretch of the disk at the same time, a stretch being 64 pieces.
/// </summary>
/// <remarks>
/// <para>May be used on several threads at once. Who changes data and bits of a stretch does so between <see cref="BeginChange"/> and <see cref="EndChange"/>, one at a time. Who reads data looks at the
/// stretch's <see cref="Version"/> before and after, and begins anew if it has <see cref="HasChanged"/>: readers write nothing that others read.</para>
/// <para>A disk has as many stretches as it likes, and <see cref="Turns"/> versions: what changes one may hold up another for the time of a copy.</para>
/// </remarks>
sealed class WrittenMap
{
    const int SmallestPieceShift = 12;
    const int WordBits = 64;
    const int WordShift = 6;

    /// <summary>How many pieces there are at most: 8 MiB of bits.</summary>
    const long MaxPieces = 1L << 26;

    /// <summary>How many versions there are.</summary>
    const int Turns = 64;

    readonly ulong[] _words; // each stretch's bits
    readonly Turn[] _turns = new Turn[Turns];
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

    /// <summary>How many of <paramref name="length"/> bytes from <paramref name="offset"/> on lie in the stretch where they begin.</summary>
    public int InStretch(long offset, long length) => (int)Math.Min(length, StretchBytes - (offset & (StretchBytes - 1)));

    long StretchBytes => 1L << (_shift + WordShift);

    // ---- the turns of those who change a stretch ----

    /// <summary>Waits until nobody else changes the stretch at <paramref name="offset"/>.</summary>
    public void BeginChange(long offset)
    {
        ref int version = ref VersionAt(offset);
        int seen = Volatile.Read(ref version);
        SpinWait spin = default;
        while ((seen & 1) != 0 || Interlocked.CompareExchange(ref version, seen + 1, seen) != seen) // a full fence: what is changed from here on is changed after it
        {
            spin.SpinOnce();
            seen = Volatile.Read(ref version);
        }
    }

    /// <summary>The change is done. Pairs with the read in <see cref="Version"/>.</summary>
    public void EndChange(long offset)
    {
        ref int version = ref VersionAt(offset);
        Volatile.Write(ref version, version + 1);
    }

    /// <summary>The version of the stretch at <paramref name="offset"/>, once nobody changes it.</summary>
    public int Version(long offset)
    {
        ref int version = ref VersionAt(offset);
        int seen = Volatile.Read(ref version);
        for (SpinWait spin = default; (seen & 1) != 0; seen = Volatile.Read(ref version))
        {
            spin.SpinOnce();
        }

        return seen;
    }

    /// <summary>Whether somebody has changed the stretch, or begun to, since it had that version: what was read of it meanwhile counts for nothing.</summary>
    public bool HasChanged(long offset, int version)
    {
        Volatile.ReadBarrier(); // what was read comes before this
        return Volatile.Read(ref VersionAt(offset)) != version;
    }

    // ---- the bits ----

    /// <summary>The range, which lies in one stretch that the caller is changing, holds data now.</summary>
    public void Mark(long offset, int length)
    {
        if (length > 0)
        {
            ref ulong word = ref _words[offset >> (_shift + WordShift)];
            Volatile.Write(ref word, word | Mask(offset >> _shift, PieceAtOrAfter(offset + length)));
        }
    }

    /// <summary>The range, which lies in one stretch that the caller is changing, has been given back: the pieces that lie in it are empty.</summary>
    public void Clear(long offset, int length)
    {
        long end = offset + length;
        long first = PieceAtOrAfter(offset), after = end == _sizeBytes ? PieceAtOrAfter(end) : end >> _shift;
        if (first < after)
        {
            ref ulong word = ref _words[first / WordBits];
            Volatile.Write(ref word, word & ~Mask(first, after));
        }
    }

    /// <summary>Whether there is data at <paramref name="offset"/>, and for how many of <paramref name="length"/> bytes it is so. The range may be as long as the disk.</summary>
    public BlockExtent Find(long offset, long length)
    {
        long piece = offset >> _shift;
        ulong word = Volatile.Read(ref _words[piece / WordBits]);
        bool isWritten = (word & Bit(piece)) != 0;
        long end = PieceAtOrAfter(offset + length);
        long next = piece + 1;
        while (next < end)
        {
            if (next % WordBits == 0)
            {
                word = Volatile.Read(ref _words[next / WordBits]);
            }

            // The bits of those that are as the first one was, from this one on, become zeros.
            ulong others = (isWritten ? ~word : word) >> (int)(next % WordBits);
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

    ref int VersionAt(long offset) => ref _turns[(int)(offset >> (_shift + WordShift)) & (Turns - 1)].Version;

    long PieceAtOrAfter(long offset) => (offset + (1L << _shift) - 1) >> _shift;

    static ulong Bit(long piece) => 1UL << (int)(piece % WordBits);

    /// <summary>The bits of pieces of one word.</summary>
    static ulong Mask(long first, long end)
    {
        int count = (int)(end - first);
        return (count == WordBits ? ulong.MaxValue : (1UL << count) - 1) << (int)(first % WordBits);
    }

    /// <summary>Odd while somebody changes a stretch. Each has a cache line of its own.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 64)]
    struct Turn
    {
        [FieldOffset(0)]
        public int Version;
    }
}
