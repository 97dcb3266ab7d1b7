using Scuse.Linux;
using Scuse.Ring;

namespace Scuse.Engine.Backstores;

/// <summary>
/// The memory of one handler's region: whose blocks are whose, how much of it has been touched, and what of it can be given back to the system.
/// </summary>
/// <remarks>
/// Its share of the engine's <see cref="DataMemory"/> is the prefix of the data area that was ever touched; the command ring, which is small and of fixed size, is
/// not counted, but given back as well. Touched only by the owning reactor once it has joined.
/// </remarks>
sealed class RegionMemory(RingLayout layout, MemFd file, MappedRegion mapping, TargetRing ring)
{
    // A tail shorter than this is not worth a call while the rest is in use.
    const long WorthGivingBackBytes = 1 << 20;

    DataMemory? _all;
    Action? _retry;
    BlockOwners? _owners;

    // What was in use at once, in this window and in the one before; and whether the ring was used in them.
    int _lastPeakBlocks;
    long _windowStartMs;
    bool _isRingUsed, _wasRingUsed, _isRingTouched;
    bool _cannotGiveBack;

    /// <summary>Which blocks are in use. To look at: blocks are taken and given back below.</summary>
    public DataArea Area { get; } = new(layout);

    /// <summary>How many bytes commands hold now.</summary>
    public long InUseBytes => BytesFor(Area.BlocksInUse);

    /// <summary>How many bytes of the data area are counted as touched, in use or not.</summary>
    public long HeldBytes => BytesFor(Area.HighWaterBlocks);

    /// <summary>The data area's size in bytes.</summary>
    public long Bytes => layout.DataBytes;

    /// <summary>Whether any memory may have been touched that could be given back.</summary>
    public bool HoldsAnything => Area.HighWaterBlocks > 0 || _isRingTouched;

    /// <summary>Where it stands in the list of those that hold something; -1: nowhere. The <see cref="DataMemory"/>'s own.</summary>
    public int Index { get; set; } = -1;

    /// <summary>Its place in the line of those that wait. The <see cref="DataMemory"/>'s own.</summary>
    public LinkedListNode<RegionMemory>? Place { get; set; }

    /// <summary>Comes into service.</summary>
    /// <param name="all">The engine's memory, of which it gets its share.</param>
    /// <param name="keepsApart">Whether blocks are cleared before another nexus gets them for Data-In.</param>
    /// <param name="retry">Has the commands that were refused memory ask again.</param>
    public void Join(DataMemory all, bool keepsApart, Action retry)
    {
        _all = all;
        _owners = keepsApart ? new BlockOwners() : null;
        _retry = retry;
        _windowStartMs = all.NowMs;
    }

    /// <summary>Asks for nothing any more; what is in use stays in use, the rest is given back soon.</summary>
    public void Retire()
    {
        _retry = null;
        _lastPeakBlocks = 0;
        Area.ResetPeak();
        _all!.LeaveLine(this);
        _all.TailIsFree();
    }

    /// <summary>The region is unmapped: all of its share is free.</summary>
    public void Leave() => _all?.Leave(this);

    /// <summary>Has the commands that were refused memory ask again.</summary>
    public void Retry() => _retry?.Invoke();

    /// <summary>The ring has been written to.</summary>
    public void TouchRing()
    {
        _isRingUsed = true;
        if (!_isRingTouched)
        {
            _isRingTouched = true;
            _all!.HoldsSomething(this);
        }
    }

    // ---- blocks for commands ----

    /// <summary>
    /// Takes blocks for both directions of one command, or none. False when they are not to be had now; where that is for others' sake, <see cref="Retry"/> comes,
    /// else there is a new chance whenever a command gives some back.
    /// </summary>
    /// <param name="outLength">Bytes of Data-Out.</param>
    /// <param name="inLength">Bytes of Data-In.</param>
    /// <param name="dataOut">Where the extents for Data-Out go; empty.</param>
    /// <param name="dataIn">Where the extents for Data-In go; empty.</param>
    /// <param name="owner">Whose bytes will stand in them: a nexus, or <see cref="BlockOwners.Foreign"/>.</param>
    public bool TryTake(int outLength, int inLength, ExtentList dataOut, ExtentList dataIn, uint owner)
    {
        int blocks = Area.BlocksFor(outLength) + Area.BlocksFor(inLength);
        if (blocks > Area.BlockCount - Area.BlocksInUse)
        {
            return false; // until its own commands give some back
        }

        int growth = Area.GrowthFor(blocks);
        if ((growth > 0 || _all!.SomebodyWaits) && !_all!.TryGrant(this, BytesFor(blocks), BytesFor(growth)))
        {
            return false;
        }

        Take(outLength, inLength, dataOut, dataIn, owner);
        return true;
    }

    /// <summary>The same, whatever the others hold: for commands that had their memory in a region which is going. False when the area itself is too small.</summary>
    public bool TryTakeAnyway(int outLength, int inLength, ExtentList dataOut, ExtentList dataIn, uint owner)
    {
        int blocks = Area.BlocksFor(outLength) + Area.BlocksFor(inLength);
        if (blocks > Area.BlockCount - Area.BlocksInUse)
        {
            return false;
        }

        if (Area.GrowthFor(blocks) is int growth and > 0)
        {
            _all!.Grow(this, BytesFor(growth));
        }

        Take(outLength, inLength, dataOut, dataIn, owner);
        return true;
    }

    void Take(int outLength, int inLength, ExtentList dataOut, ExtentList dataIn, uint owner)
    {
        if (outLength > 0)
        {
            Area.TryAllocate(outLength, dataOut);
        }

        if (inLength > 0)
        {
            Area.TryAllocate(inLength, dataIn);
        }

        if (_owners is { } owners)
        {
            foreach (DataExtent extent in dataOut.AsSpan())
            {
                owners.TakeForOut(BlockAt(extent), Area.BlocksFor(extent.Length), owner);
            }

            foreach (DataExtent extent in dataIn.AsSpan())
            {
                ClearWhatIsForeign(owners, BlockAt(extent), Area.BlocksFor(extent.Length), owner);
            }
        }
    }

    void ClearWhatIsForeign(BlockOwners owners, int firstBlock, int count, uint owner)
    {
        int at = 0;
        while (owners.TryTakeForIn(firstBlock, count, owner, ref at, out int dirty))
        {
            int length = dirty * layout.BlockBytes; // of one command, so less than 2 GiB
            mapping.Slice(layout.DataOffset + BytesFor(firstBlock + at - dirty), length).Span.Clear();
        }
    }

    /// <summary>Gives back what was taken.</summary>
    public void Give(ReadOnlySpan<DataExtent> dataOut, ReadOnlySpan<DataExtent> dataIn)
    {
        Area.Free(dataOut);
        Area.Free(dataIn);
        if (_all!.IsTight && TailBlocks > 0)
        {
            _all.TailIsFree();
        }
    }

    // ---- memory for the system ----

    /// <summary>How many touched blocks lie beyond everything in use.</summary>
    int TailBlocks => Area.HighWaterBlocks - Area.CountPrefixInUse();

    /// <summary>Gives back at least so many bytes of the free tail at once, or all of it. Returns how many it were.</summary>
    public long GiveBackTail(long atLeastBytes)
    {
        int blocks = (int)Math.Min(TailBlocks, (atLeastBytes + layout.BlockBytes - 1) / layout.BlockBytes);
        return GiveBackTo(Area.HighWaterBlocks - blocks);
    }

    /// <summary>
    /// Gives back what was not needed for a while: of the data area, what lies beyond all that was in use in this window and the one before; of the ring, all but the
    /// mailbox's page, when it was not used in either.
    /// </summary>
    /// <param name="nowMs">The time.</param>
    /// <param name="windowMs">How long a window is.</param>
    /// <param name="atMostBytes">How much may be given back now.</param>
    /// <returns>How many bytes were given back.</returns>
    public long GiveBackUnneeded(long nowMs, int windowMs, long atMostBytes)
    {
        if (nowMs - _windowStartMs >= windowMs)
        {
            _windowStartMs = nowMs;
            _lastPeakBlocks = Area.PeakBlocks;
            Area.ResetPeak();
            _wasRingUsed = _isRingUsed;
            _isRingUsed = false;
        }

        int needed = Math.Max(_lastPeakBlocks, Area.PeakBlocks);
        long unneeded = BytesFor(Area.HighWaterBlocks - needed);
        long given = 0;
        if (unneeded > 0 && (needed == 0 || unneeded >= WorthGivingBackBytes))
        {
            given = GiveBackTo(Math.Max(needed, Area.HighWaterBlocks - (int)(atMostBytes / layout.BlockBytes)));
        }

        if (_isRingTouched && !_isRingUsed && !_wasRingUsed && given < atMostBytes && IsRingEmpty())
        {
            given += GiveBackRing();
        }

        return given;
    }

    bool IsRingEmpty()
    {
        if (ring.Outstanding == 0 && ring.HasAnswers)
        {
            ring.TryReap(out _); // no answers, as there are no commands: cleans up behind notices
        }

        return ring.CommandRingBytesInUse == 0;
    }

    long GiveBackTo(int keepBlocks)
    {
        int blocks = Area.HighWaterBlocks - keepBlocks;
        if (blocks <= 0 || !TryPunch(layout.DataOffset + BytesFor(keepBlocks), BytesFor(blocks)))
        {
            return 0;
        }

        Area.Trim(keepBlocks);
        _owners?.Forget(keepBlocks, blocks);
        _all!.Shrank(this, BytesFor(blocks));
        return BytesFor(blocks);
    }

    /// <summary>Nothing that is in the empty ring will be read again: each entry is written before it is shown.</summary>
    long GiveBackRing()
    {
        long bytes = layout.DataOffset - RingAbi.PageBytes;
        if (bytes > 0 && !TryPunch(RingAbi.PageBytes, bytes))
        {
            return 0;
        }

        _isRingTouched = false;
        _all!.Shrank(this, 0);
        return Math.Max(bytes, 0);
    }

    /// <summary>A system that refuses costs memory, nothing else: then what was touched stays counted as touched.</summary>
    bool TryPunch(long offset, long length)
    {
        if (_cannotGiveBack)
        {
            return false;
        }

        try
        {
            file.PunchHole(offset, length);
            return true;
        }
        catch (LinuxException)
        {
            _cannotGiveBack = true;
            return false;
        }
    }

    int BlockAt(DataExtent extent) => (int)((extent.Offset - layout.DataOffset) / layout.BlockBytes);

    long BytesFor(int blocks) => (long)blocks * layout.BlockBytes;
}
