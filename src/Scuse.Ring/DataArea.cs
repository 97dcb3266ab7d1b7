using System.Numerics;

namespace Scuse.Ring;

/// <summary>The target's account of which blocks of a data area are in use. It touches no shared memory.</summary>
/// <remarks>
/// The lowest free block is taken first, so that the pages ever touched stay few and near the start. Used by one thread at a time.
/// </remarks>
public sealed class DataArea
{
    const int BitsPerWord = 64;

    readonly long _dataOffset;
    readonly int _blockBytes;

    // Bit set: the block is free. Bits past the last block stay clear.
    readonly ulong[] _free;

    // Bit set: that word of _free has a free block in it.
    readonly ulong[] _wordsWithFree;

    // No word of _free below this one has a free block.
    int _lowestWord;

    /// <summary>An area with all its blocks free.</summary>
    public DataArea(RingLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        _dataOffset = layout.DataOffset;
        _blockBytes = layout.BlockBytes;
        BlockCount = layout.BlockCount;
        _free = AllSet(BlockCount);
        _wordsWithFree = AllSet(_free.Length);
    }

    /// <summary>How many blocks the area has.</summary>
    public int BlockCount { get; }

    /// <summary>How many blocks are taken.</summary>
    public int BlocksInUse { get; private set; }

    /// <summary>The highest block that was ever taken, counted from 0; -1 before the first. Memory beyond it was never touched.</summary>
    public int HighestBlockEverUsed { get; private set; } = -1;

    /// <summary>Takes blocks for so many bytes and appends them to <paramref name="into"/>, adjacent blocks as one extent; all or nothing.</summary>
    /// <param name="lengthBytes">How many bytes are to be held; 0 takes nothing. The last extent ends with the last of them, the rest of its block goes unused.</param>
    /// <param name="into">Where the extents go. What is in it already is left as it is: an allocation starts on a new block and a new extent.</param>
    /// <returns>False if there are not as many free blocks; then nothing was taken or appended.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The length is negative.</exception>
    public bool TryAllocate(int lengthBytes, ExtentList into)
    {
        ArgumentNullException.ThrowIfNull(into);
        ArgumentOutOfRangeException.ThrowIfNegative(lengthBytes);

        var blocks = BlocksFor(lengthBytes);
        if (blocks > BlockCount - BlocksInUse)
            return false;
        BlocksInUse += blocks;

        long unplacedBytes = lengthBytes;
        int runStart = -1, runEnd = -1;
        for (var word = _lowestWord; blocks > 0; word++)
        {
            word = NextWordWithFree(word);
            var bits = _free[word];
            while (bits != 0 && blocks > 0)
            {
                var first = BitOperations.TrailingZeroCount(bits);
                var count = Math.Min(BitOperations.TrailingZeroCount(~(bits >> first)), blocks);
                bits &= ~Mask(first, count);
                blocks -= count;

                var start = word * BitsPerWord + first;
                if (start != runEnd)
                {
                    unplacedBytes -= AppendRun(into, runStart, runEnd, unplacedBytes);
                    runStart = start;
                }
                runEnd = start + count;
            }

            _free[word] = bits;
            if (bits == 0)
                _wordsWithFree[word / BitsPerWord] &= ~(1UL << (word % BitsPerWord));
            _lowestWord = word;
        }
        AppendRun(into, runStart, runEnd, unplacedBytes);
        HighestBlockEverUsed = Math.Max(HighestBlockEverUsed, runEnd - 1);
        return true;
    }

    /// <summary>Gives back extents as they were allocated. Each frees every block it touches.</summary>
    /// <exception cref="ArgumentException">An extent does not start on a block, is empty, or lies outside the area.</exception>
    /// <exception cref="InvalidOperationException">A block is free already.</exception>
    public void Free(ReadOnlySpan<DataExtent> extents)
    {
        foreach (var extent in extents)
            Free(extent);
    }

    void Free(DataExtent extent)
    {
        var (first, offsetInBlock) = Math.DivRem(extent.Offset - _dataOffset, _blockBytes);
        if (extent.Offset < _dataOffset || offsetInBlock != 0 || first >= BlockCount
            || extent.Length <= 0 || extent.Length > (BlockCount - first) * _blockBytes)
            throw new ArgumentException($"{extent} is not an extent of this data area", nameof(extent));

        var block = (int)first;
        var end = block + BlocksFor(extent.Length);
        _lowestWord = Math.Min(_lowestWord, block / BitsPerWord);
        while (block < end)
        {
            var (word, bit) = Math.DivRem(block, BitsPerWord);
            var count = Math.Min(BitsPerWord - bit, end - block);
            var mask = Mask(bit, count);
            if ((_free[word] & mask) != 0)
                throw new InvalidOperationException($"{extent} holds a block that is free already");
            _free[word] |= mask;
            _wordsWithFree[word / BitsPerWord] |= 1UL << (word % BitsPerWord);
            BlocksInUse -= count;
            block += count;
        }
    }

    int BlocksFor(long lengthBytes) => (int)((lengthBytes + _blockBytes - 1) / _blockBytes);

    // The caller knows that a free block exists at or above this word.
    int NextWordWithFree(int word)
    {
        var (group, bit) = Math.DivRem(word, BitsPerWord);
        var words = _wordsWithFree[group] & (ulong.MaxValue << bit);
        while (words == 0)
            words = _wordsWithFree[++group];
        return group * BitsPerWord + BitOperations.TrailingZeroCount(words);
    }

    long AppendRun(ExtentList into, int startBlock, int endBlock, long unplacedBytes)
    {
        if (startBlock < 0)
            return 0;
        var length = Math.Min((long)(endBlock - startBlock) * _blockBytes, unplacedBytes);
        into.Add(new DataExtent(_dataOffset + (long)startBlock * _blockBytes, length));
        return length;
    }

    static ulong Mask(int first, int count) => (count == BitsPerWord ? ulong.MaxValue : (1UL << count) - 1) << first;

    static ulong[] AllSet(int bits)
    {
        var words = new ulong[(bits + BitsPerWord - 1) / BitsPerWord];
        words.AsSpan().Fill(ulong.MaxValue);
        if (bits % BitsPerWord != 0)
            words[^1] = Mask(0, bits % BitsPerWord);
        return words;
    }
}
