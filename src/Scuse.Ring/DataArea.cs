using System.Numerics;

namespace Scuse.Ring;

/// <summary>The target's account of which blocks of a data area are in use. It touches no shared memory.</summary>
/// <remarks>
/// <para>The lowest free block is taken first, so what was ever touched is a prefix of the area: <see cref="HighWaterBlocks"/>. It only grows until somebody
/// who has given memory back to the system says so with <see cref="Trim"/>.</para>
/// <para>Used by one thread at a time.</para>
/// </remarks>
public sealed class DataArea
{
    const int BitsPerWord = 64;
    const int FirstWords = 4;

    readonly long _dataOffset;
    readonly int _blockBytes;

    // Bit set: the block is free. Bits past the last block stay clear. Covers at least the prefix ever touched, not always the whole area:
    // what it does not cover is free, and an area that is hardly used costs hardly anything.
    ulong[] _free;

    // Bit set: that word of _free has a free block in it.
    ulong[] _wordsWithFree;

    // No word of _free below this one has a free block.
    int _lowestWord;

    /// <summary>An area with all its blocks free.</summary>
    public DataArea(RingLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        _dataOffset = layout.DataOffset;
        _blockBytes = layout.BlockBytes;
        BlockCount = layout.BlockCount;
        _free = new ulong[Math.Min(FirstWords, WordsFor(BlockCount))];
        _wordsWithFree = new ulong[WordsFor(_free.Length)];
        SetFree(firstWord: 0);
    }

    /// <summary>How many blocks the area has.</summary>
    public int BlockCount { get; }

    /// <summary>How many blocks are taken.</summary>
    public int BlocksInUse { get; private set; }

    /// <summary>How many blocks, counted from the area's start, may have been touched since the area was fresh or last trimmed.</summary>
    public int HighWaterBlocks { get; private set; }

    /// <summary>How many blocks, counted from the area's start, held all that was in use at any time since <see cref="ResetPeak"/>.</summary>
    public int PeakBlocks { get; private set; }

    /// <summary>How many blocks so many bytes take.</summary>
    public int BlocksFor(long lengthBytes) => (int)((lengthBytes + _blockBytes - 1) / _blockBytes);

    /// <summary>By how much taking so many blocks would raise <see cref="HighWaterBlocks"/>: exactly, since every free block below it is taken first.</summary>
    public int GrowthFor(int blocks) => Math.Max(0, blocks - (HighWaterBlocks - BlocksInUse));

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
        var highWater = HighWaterBlocks + GrowthFor(blocks);
        if (highWater > _free.Length * BitsPerWord)
            Cover(highWater);
        HighWaterBlocks = highWater;
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
        PeakBlocks = Math.Max(PeakBlocks, runEnd);
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

    /// <summary>How many blocks, counted from the area's start, hold all that is in use. It is searched for, downwards from <see cref="HighWaterBlocks"/>.</summary>
    public int CountPrefixInUse()
    {
        if (BlocksInUse == 0)
            return 0;
        for (var word = WordsFor(HighWaterBlocks) - 1; word >= 0; word--)
        {
            // Bits that stand for no block look taken, which only the last word has.
            var taken = ~_free[word] & Mask(0, Math.Min(BitsPerWord, BlockCount - word * BitsPerWord));
            if (taken != 0)
                return word * BitsPerWord + BitOperations.Log2(taken) + 1;
        }
        return 0;
    }

    /// <summary>Starts a new measurement of <see cref="PeakBlocks"/>, from what is in use now.</summary>
    public void ResetPeak() => PeakBlocks = CountPrefixInUse();

    /// <summary>Lowers <see cref="HighWaterBlocks"/> to <paramref name="keepBlocks"/>: the memory of the blocks from there on is to be given back to the system.</summary>
    /// <param name="keepBlocks">How many blocks stay, counted from the area's start; not fewer than <see cref="CountPrefixInUse"/>.</param>
    /// <returns>The stretch of the region that is no longer counted as touched; empty if there is none.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A block beyond is in use.</exception>
    public DataExtent Trim(int keepBlocks)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(keepBlocks, CountPrefixInUse());
        var blocks = Math.Max(0, HighWaterBlocks - keepBlocks);
        HighWaterBlocks -= blocks;
        return new DataExtent(_dataOffset + (long)HighWaterBlocks * _blockBytes, (long)blocks * _blockBytes);
    }

    void Free(DataExtent extent)
    {
        var (first, offsetInBlock) = Math.DivRem(extent.Offset - _dataOffset, _blockBytes);
        if (extent.Offset < _dataOffset || offsetInBlock != 0 || first >= BlockCount
            || extent.Length <= 0 || extent.Length > (BlockCount - first) * _blockBytes)
            throw new ArgumentException($"{extent} is not an extent of this data area", nameof(extent));

        var block = (int)first;
        var end = block + BlocksFor(extent.Length);
        if (end > HighWaterBlocks)
            throw new InvalidOperationException($"{extent} holds a block that is free already");
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

    void Cover(int blocks)
    {
        var covered = _free.Length;
        Array.Resize(ref _free, Math.Min(Math.Max(WordsFor(blocks), covered * 2), WordsFor(BlockCount)));
        Array.Resize(ref _wordsWithFree, WordsFor(_free.Length));
        SetFree(covered);
    }

    // The words from this one on come into the account, all free.
    void SetFree(int firstWord)
    {
        for (var word = firstWord; word < _free.Length; word++)
        {
            _free[word] = Mask(0, Math.Min(BitsPerWord, BlockCount - word * BitsPerWord));
            _wordsWithFree[word / BitsPerWord] |= 1UL << (word % BitsPerWord);
        }
    }

    static int WordsFor(int bits) => (bits + BitsPerWord - 1) / BitsPerWord;

    static ulong Mask(int first, int count) => (count == BitsPerWord ? ulong.MaxValue : (1UL << count) - 1) << first;
}
