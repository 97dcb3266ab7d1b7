using System.Runtime.InteropServices;

namespace Scuse.Ring;

/// <summary>A handler's answer to one command, copied out of shared memory once.</summary>
/// <param name="Id">Which command: an id that <see cref="TargetRing.TryPost"/> gave.</param>
/// <param name="Status">The SCSI status. SAM-5 clause 5.3.</param>
/// <param name="Flags">What else the handler says; unknown bits are dropped.</param>
/// <param name="ReadLength">Bytes of Data-In, as the handler claims; it counts only with <see cref="ResponseFlags.ReadLength"/>, and may be more than was asked for.</param>
/// <param name="Place">Where in the handler's own memory the Data-In starts, in bytes; it counts only with <see cref="ResponseFlags.OwnMemory"/>. All of it, as far as it was
/// asked for and the read length lets it go, lies inside that memory: that has been checked.</param>
/// <param name="ServiceNs">How long the handler took over the command, in nanoseconds, as it claims; 0 where it does not tell.</param>
public readonly record struct RingAnswer(ushort Id, byte Status, ResponseFlags Flags, uint ReadLength, long Place = 0, uint ServiceNs = 0);

/// <summary>The target's end of a command ring: posts commands, reaps answers, and trusts nothing that the handler can write.</summary>
/// <remarks>
/// <para>Used by one thread. It maps nothing: the region's memory is the caller's, and must outlive the ring.</para>
/// <para>Offsets, lengths and ids come from its own record. From shared memory it reads the tail and each answer once, nothing else.
/// The handler's breach of a rule is not an exception but <see cref="Violation"/>: the region is then to be given up.</para>
/// </remarks>
public sealed class TargetRing
{
    const byte Good = 0x00;
    const byte CheckCondition = 0x02;
    const int FirstIds = 32;

    enum IdState : byte { NeverUsed, Answered, Outstanding, Kept }

    // Everything below is touched only by the owning thread.
    readonly SharedRegion _shared;
    readonly uint _ringOffset;
    readonly uint _ringBytes;
    readonly EntryLog _entries = new();
    readonly int _maxOutstanding;
    readonly byte[] _sense = new byte[RingAbi.SenseBytes];

    // First in, first out: an id rests as long as possible, so that a late second answer is recognized as one. Ids that were never used come first
    // and are not in it. Both arrays have room for the ids used so far, so that an idle ring costs little.
    IdState[] _ids = new IdState[FirstIds + 1];
    ushort[] _freeIds = new ushort[FirstIds];
    int _firstFreeId;
    int _freeIdCount;
    int _idsEverUsed;

    // By id, bytes of Data-In that were asked for: kept only where answers may point into the handler's own memory.
    long[] _dataInBytes = new long[FirstIds + 1];

    // Where the next entry goes, what the handler has been shown of it, and where the first entry not yet cleaned up starts.
    uint _head;
    uint _publishedHead;
    uint _cleaned;
    uint _usedBytes;

    // The tail as last loaded and found to lie between _cleaned and _publishedHead.
    uint _tail;

    /// <summary>Takes the target's end of a region that <see cref="Format"/> has made ready.</summary>
    /// <param name="region">Where the region is mapped; at least <see cref="RingLayout.RegionBytes"/> long, on a multiple of 8.</param>
    /// <param name="layout">The region's layout.</param>
    /// <param name="flags">What the mailbox offers; the same as given to <see cref="Format"/>.</param>
    /// <param name="maxOutstanding">How many commands may be outstanding or kept: 1 to 65535. The ids are 1 to this number.</param>
    /// <exception cref="ArgumentException">The region holds no fresh mailbox of this layout and these flags.</exception>
    public TargetRing(nint region, RingLayout layout, MailboxFlags flags, int maxOutstanding = 1024)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxOutstanding, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maxOutstanding, RingAbi.MaxCommandId);

        _shared = new SharedRegion(region, layout.RegionBytes);
        if (_shared.LoadOnce32(RingAbi.MailboxVersionOffset) != VersionAndFlags(flags)
            || _shared.LoadOnce32(RingAbi.CommandRingOffsetOffset) != layout.CommandRingOffset
            || _shared.LoadOnce32(RingAbi.CommandRingSizeOffset) != layout.CommandRingBytes
            || _shared.LoadOnce32(RingAbi.CommandHeadOffset) != 0)
            throw new ArgumentException("the region has not been formatted with this layout and these flags", nameof(region));

        Layout = layout;
        Flags = flags;
        _ringOffset = (uint)layout.CommandRingOffset;
        _ringBytes = (uint)layout.CommandRingBytes;
        _maxOutstanding = maxOutstanding;
    }

    /// <summary>The region's layout.</summary>
    public RingLayout Layout { get; }

    /// <summary>What the mailbox offers to the handler.</summary>
    public MailboxFlags Flags { get; }

    /// <summary>How much memory of its own the handler has passed, in bytes: answers may point into it with <see cref="ResponseFlags.OwnMemory"/>. 0: none, and they may not.</summary>
    public long OwnMemoryBytes { get; init; }

    /// <summary>Whether the handler tells with each GOOD how long it took.</summary>
    public bool TellsServiceTimes { get; init; }

    /// <summary>How many commands are posted and not yet reaped.</summary>
    public int Outstanding { get; private set; }

    /// <summary>How many answered commands' ids the handler keeps with <see cref="ResponseFlags.KeepBuffer"/>.</summary>
    public int Kept { get; private set; }

    /// <summary>Bytes of the command ring that are taken by entries not yet cleaned up. With none, nothing in the ring will be read again by either end.</summary>
    public int CommandRingBytesInUse => (int)_usedBytes;

    /// <summary>Up to where answers have been reaped, as a ring offset: where the first entry not yet cleaned up starts.</summary>
    public uint ReapedOffset => _cleaned;

    /// <summary>How the handler broke a rule, for a person to read; null as long as it has not. From then on nothing is reaped.</summary>
    public string? Violation { get; private set; }

    /// <summary>
    /// Makes a region ready before anyone uses it: writes the mailbox and touches nothing else. The command ring may hold anything, since each entry is
    /// zeroed as it is posted and what was not posted is never read; so fresh memory costs one page.
    /// </summary>
    /// <param name="region">Where the region is mapped; at least <see cref="RingLayout.RegionBytes"/> long, on a multiple of 8.</param>
    /// <param name="layout">The region's layout.</param>
    /// <param name="flags">What the target can do.</param>
    public static void Format(nint region, RingLayout layout, MailboxFlags flags)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var shared = new SharedRegion(region, layout.RegionBytes);
        shared.ZeroPlain(0, RingAbi.MailboxBytes);
        shared.StorePlain32(RingAbi.CommandRingOffsetOffset, (uint)layout.CommandRingOffset);
        shared.StorePlain32(RingAbi.CommandRingSizeOffset, (uint)layout.CommandRingBytes);
        // Whoever sees the version sees the rest; a handler normally learns of the region only later, over its socket.
        shared.StoreRelease32(RingAbi.MailboxVersionOffset, VersionAndFlags(flags));
    }

    /// <summary>Posts a command; the handler sees it after the next <see cref="Publish"/>.</summary>
    /// <param name="cdb">The CDB, 1 to 260 bytes; copied.</param>
    /// <param name="dataOut">Where the command's data to the device lies, already in place; copied. Empty if there is none.</param>
    /// <param name="dataIn">Where data from the device is to go; copied. With <paramref name="dataOut"/> empty these are the command's iovecs,
    /// otherwise the command is bidirectional and they are its iov_bidi_cnt iovecs.</param>
    /// <param name="id">The command's id, by which its answer will come; 0 unless posted.</param>
    /// <returns>Whether it was posted, or what stands in the way.</returns>
    /// <exception cref="ArgumentException">The CDB is empty.</exception>
    public PostResult TryPost(ReadOnlySpan<byte> cdb, ReadOnlySpan<DataExtent> dataOut, ReadOnlySpan<DataExtent> dataIn, out ushort id)
    {
        if (cdb.IsEmpty)
            throw new ArgumentException("a command has a CDB", nameof(cdb));

        id = 0;
        var bytesBeforeCdb = RingAbi.CommandEntryBytesBeforeCdb(dataOut.Length + dataIn.Length);
        var entryBytes = bytesBeforeCdb + RingAbi.RoundUp(cdb.Length, RingAbi.EntryAlignment);
        if (cdb.Length > RingAbi.MaxCdbBytes || entryBytes > _ringBytes / 2)
            return PostResult.TooLarge;
        if (_freeIdCount == 0 && _idsEverUsed == _maxOutstanding)
            return PostResult.NoFreeId;
        if (!TryMakeRoom((uint)entryBytes))
            return PostResult.RingFull;

        id = TakeId();
        var entry = _ringOffset + _head;
        var cdbOffset = entry + bytesBeforeCdb;
        var bidirectional = !dataOut.IsEmpty && !dataIn.IsEmpty;
        _shared.ZeroPlain(entry, (int)entryBytes);
        _shared.StorePlain32(entry + RingAbi.LengthAndOperationOffset, (uint)entryBytes | RingAbi.OperationCommand);
        _shared.StorePlain16(entry + RingAbi.CommandIdOffset, id);
        _shared.StorePlain32(entry + RingAbi.IovecCountOffset, (uint)(bidirectional ? dataOut.Length : dataOut.Length + dataIn.Length));
        _shared.StorePlain32(entry + RingAbi.BidirectionalIovecCountOffset, (uint)(bidirectional ? dataIn.Length : 0));
        _shared.StorePlain64(entry + RingAbi.CdbOffsetOffset, (ulong)cdbOffset);
        StoreIovecs(entry + RingAbi.IovecsOffset, dataOut);
        StoreIovecs(entry + RingAbi.IovecsOffset + (long)RingAbi.IovecBytes * dataOut.Length, dataIn);
        _shared.CopyInPlain(cdbOffset, cdb);
        Append((uint)entryBytes, RingAbi.OperationCommand, id);
        if (OwnMemoryBytes > 0)
            _dataInBytes[id] = BytesIn(dataIn);
        Outstanding++;
        return PostResult.Posted;
    }

    /// <summary>Posts a notice that the initiator gave up commands. The handler still answers each of them; the notice itself gets no answer.</summary>
    /// <param name="type">The function: one of the TaskManagement constants of <see cref="RingAbi"/>.</param>
    /// <param name="ids">The commands concerned; copied.</param>
    /// <returns>False if the mailbox does not offer <see cref="MailboxFlags.TaskManagement"/> or there is no room: the notice is only advice, so it may be dropped.</returns>
    public bool TryPostTaskManagement(byte type, ReadOnlySpan<ushort> ids)
    {
        var entryBytes = RingAbi.RoundUp(RingAbi.TaskManagementEntryBytes + (long)sizeof(ushort) * ids.Length, RingAbi.EntryAlignment);
        if ((Flags & MailboxFlags.TaskManagement) == 0 || entryBytes > _ringBytes / 2 || !TryMakeRoom((uint)entryBytes))
            return false;

        var entry = _ringOffset + _head;
        _shared.ZeroPlain(entry, (int)entryBytes);
        _shared.StorePlain32(entry + RingAbi.LengthAndOperationOffset, (uint)entryBytes | RingAbi.OperationTaskManagement);
        _shared.StorePlain8(entry + RingAbi.TaskManagementTypeOffset, type);
        _shared.StorePlain32(entry + RingAbi.TaskManagementCountOffset, (uint)ids.Length);
        _shared.CopyInPlain(entry + RingAbi.TaskManagementIdsOffset, MemoryMarshal.AsBytes(ids));
        Append((uint)entryBytes, RingAbi.OperationTaskManagement, id: 0);
        return true;
    }

    /// <summary>Shows the handler everything posted so far.</summary>
    /// <returns>Whether there was anything new to show; then ask <see cref="HandlerWantsDoorbell"/>.</returns>
    public bool Publish()
    {
        if (_head == _publishedHead)
            return false;
        // Publishes the entries written above; pairs with the acquire load of cmd_head in HandlerRing.TryTake.
        _shared.StoreRelease32(RingAbi.CommandHeadOffset, _head);
        _publishedHead = _head;
        return true;
    }

    /// <summary>Takes the next answer, if there is one.</summary>
    /// <param name="answer">The answer; its sense data is to be had from <see cref="CopySense"/> until the next call.</param>
    /// <returns>False if there is none, or once there is a <see cref="Violation"/>.</returns>
    public bool TryReap(out RingAnswer answer)
    {
        answer = default;
        while (Violation is null)
        {
            if (_cleaned == _tail && !TryLoadTail())
                return false;

            var entry = _entries.First;
            if (entry.Length > Distance(_cleaned, _tail))
                return Break($"moved cmd_tail to {_tail}, which is inside the entry of {entry.Length} bytes at {entry.Offset}");

            if (entry.Operation == RingAbi.OperationCommand && !TryAccept(entry, out answer))
                return false;

            _entries.RemoveFirst();
            _cleaned = Advance(_cleaned, entry.Length);
            _usedBytes -= entry.Length;
            if (entry.Operation == RingAbi.OperationCommand)
                return true;
        }
        return false;
    }

    /// <summary>Copies the sense data of the answer last reaped, zeroes if its status was not CHECK CONDITION. It was copied out of shared memory when reaped.</summary>
    /// <param name="sense96">Where it goes: 96 bytes.</param>
    /// <exception cref="ArgumentException">The span is shorter.</exception>
    public void CopySense(Span<byte> sense96) => _sense.CopyTo(sense96);

    /// <summary>Frees an id that an answer with <see cref="ResponseFlags.KeepBuffer"/> kept. The caller frees the data blocks.</summary>
    /// <exception cref="InvalidOperationException">The id is not kept.</exception>
    public void ReleaseKept(ushort id)
    {
        if (id >= _ids.Length || _ids[id] != IdState.Kept)
            throw new InvalidOperationException($"command id {id} is not kept");
        Kept--;
        GiveBackId(id);
    }

    /// <summary>Says that this end is about to sleep. Then check <see cref="HasAnswers"/> once more, and sleep on the doorbell only if there are none.</summary>
    /// <remarks>Only when the waiting flags are in force.</remarks>
    public void AnnounceSleep()
    {
        _shared.StorePlain32(RingAbi.TargetWaitingOffset, 1);
        // The flag is out before the tail is looked at again; pairs with the fence in HandlerRing.TargetWantsDoorbell.
        SharedRegion.FullFence();
    }

    /// <summary>Says that this end is awake again and needs no doorbell.</summary>
    public void EndSleep() => _shared.StorePlain32(RingAbi.TargetWaitingOffset, 0);

    /// <summary>Whether the handler has moved the tail since the last reaping; false once there is a <see cref="Violation"/>.</summary>
    /// <remarks>What it moved over may be notices only: then <see cref="TryReap"/> cleans up and returns false.</remarks>
    // Pairs with the release store of cmd_tail in HandlerRing.Publish.
    public bool HasAnswers => Violation is null && _shared.LoadAcquire32(RingAbi.CommandTailOffset) != _cleaned;

    /// <summary>Whether the handler is to be woken; ask after a <see cref="Publish"/> that returned true.</summary>
    /// <param name="waitFlagsInForce">Whether the handler uses the waiting flags; if not, the answer is always yes.</param>
    public bool HandlerWantsDoorbell(bool waitFlagsInForce)
    {
        if (!waitFlagsInForce)
            return true;
        // The head is out before the flag is looked at; pairs with the fence in HandlerRing.AnnounceSleep.
        SharedRegion.FullFence();
        return _shared.LoadOnce32(RingAbi.HandlerWaitingOffset) != 0;
    }

    static uint VersionAndFlags(MailboxFlags flags) => RingAbi.MailboxVersion | (uint)flags << 16;

    uint Advance(uint offset, uint length)
    {
        var next = offset + length;
        return next == _ringBytes ? 0 : next;
    }

    uint Distance(uint from, uint to) => to >= from ? to - from : to + _ringBytes - from;

    // Puts a PAD before the ring's end if the entry would straddle it. One byte always stays free: head == tail means empty.
    bool TryMakeRoom(uint entryBytes)
    {
        var bytesToEnd = _ringBytes - _head;
        var padBytes = entryBytes > bytesToEnd ? bytesToEnd : 0;
        if (padBytes + entryBytes > _ringBytes - _usedBytes - 1)
            return false;

        if (padBytes > 0)
        {
            _shared.StorePlain64(_ringOffset + _head, padBytes | RingAbi.OperationPad);
            Append(padBytes, RingAbi.OperationPad, id: 0);
        }
        return true;
    }

    void Append(uint length, byte operation, ushort id)
    {
        _entries.Append(new EntryRecord(_head, length, operation, id));
        _usedBytes += length;
        _head = Advance(_head, length);
    }

    void StoreIovecs(long offset, ReadOnlySpan<DataExtent> extents)
    {
        foreach (var extent in extents)
        {
            _shared.StorePlain64(offset + RingAbi.IovecBaseOffset, (ulong)extent.Offset);
            _shared.StorePlain64(offset + RingAbi.IovecLengthOffset, (ulong)extent.Length);
            offset += RingAbi.IovecBytes;
        }
    }

    ushort TakeId()
    {
        ushort id;
        if (_idsEverUsed < _maxOutstanding)
        {
            id = (ushort)++_idsEverUsed;
            if (id == _ids.Length)
                GrowIds();
        }
        else
        {
            id = _freeIds[_firstFreeId];
            _firstFreeId = _firstFreeId + 1 == _freeIds.Length ? 0 : _firstFreeId + 1;
            _freeIdCount--;
        }
        _ids[id] = IdState.Outstanding;
        return id;
    }

    void GiveBackId(ushort id)
    {
        _freeIds[(_firstFreeId + _freeIdCount) % _freeIds.Length] = id;
        _freeIdCount++;
        _ids[id] = IdState.Answered;
    }

    // Only while there are ids that were never used, and until then none is taken from the queue: it starts at its first place.
    void GrowIds()
    {
        var ids = Math.Min(_freeIds.Length * 2, _maxOutstanding);
        Array.Resize(ref _freeIds, ids);
        Array.Resize(ref _ids, ids + 1);
        Array.Resize(ref _dataInBytes, ids + 1);
    }

    static long BytesIn(ReadOnlySpan<DataExtent> extents)
    {
        long bytes = 0;
        foreach (var extent in extents)
            bytes += extent.Length;
        return bytes;
    }

    bool TryLoadTail()
    {
        // Pairs with the release store of cmd_tail in HandlerRing.Publish: the answers before the tail are complete.
        var tail = _shared.LoadAcquire32(RingAbi.CommandTailOffset);
        if (tail == _cleaned)
            return false;
        if (tail >= _ringBytes)
            return Break($"moved cmd_tail to {tail}, past the end of the command ring of {_ringBytes} bytes");
        if (Distance(_cleaned, tail) > Distance(_cleaned, _publishedHead))
            return Break($"moved cmd_tail from {_cleaned} to {tail}, backwards or past cmd_head, which is {_publishedHead}");
        _tail = tail;
        return true;
    }

    bool TryAccept(EntryRecord entry, out RingAnswer answer)
    {
        answer = default;
        var slot = _ringOffset + entry.Offset;
        var header = _shared.LoadOnce64(slot);
        var response = _shared.LoadOnce64(slot + RingAbi.StatusOffset);
        var id = (ushort)(header >> (8 * RingAbi.CommandIdOffset));
        var flags = (ResponseFlags)(byte)(header >> (8 * RingAbi.ResponseFlagsOffset)) & RingAbi.KnownResponseFlags;
        var status = (byte)response;
        var readLength = (uint)(response >> (8 * (RingAbi.ReadLengthOffset - RingAbi.StatusOffset)));

        if (id == 0)
            return Break($"answered with id 0, which is never a command, in the entry at {entry.Offset}");
        var state = id < _ids.Length ? _ids[id] : IdState.NeverUsed;
        if (state != IdState.Outstanding)
        {
            return Break(state switch
            {
                IdState.Kept => $"answered id {id} again, which it had answered and kept",
                IdState.Answered => $"answered id {id} again, which is no longer outstanding",
                _ => $"answered id {id}, which was never posted",
            });
        }
        if (id != entry.Id && (Flags & MailboxFlags.OutOfOrder) == 0)
            return Break($"answered id {id} before id {entry.Id}, although the mailbox does not offer answers out of order");

        var place = 0L;
        if ((flags & ResponseFlags.OwnMemory) != 0 && !TryAcceptPlace(slot, id, status, flags, readLength, out place))
            return false;

        if (status == CheckCondition)
            _shared.CopyOutPlain(slot + RingAbi.SenseOffset, _sense);
        else
            _sense.AsSpan().Clear();

        // An id can be kept only by a handler that was told how to free it.
        if ((Flags & MailboxFlags.KeepBuffer) == 0)
            flags &= ~ResponseFlags.KeepBuffer;
        Outstanding--;
        if ((flags & ResponseFlags.KeepBuffer) != 0)
        {
            _ids[id] = IdState.Kept;
            Kept++;
        }
        else
        {
            GiveBackId(id);
        }
        var serviceNs = TellsServiceTimes && status == Good ? (uint)(_shared.LoadOnce64(slot + RingAbi.ServiceTimeOffset) & uint.MaxValue) : 0;
        answer = new RingAnswer(id, status, flags, readLength, place, serviceNs);
        return true;
    }

    bool TryAcceptPlace(long slot, ushort id, byte status, ResponseFlags flags, uint readLength, out long place)
    {
        var claimed = _shared.LoadOnce64(slot + RingAbi.OwnMemoryPlaceOffset);
        place = (long)claimed;
        if (OwnMemoryBytes == 0)
            return Break($"answered id {id} with data in memory of its own, which was not agreed");
        if (status != Good || (flags & ResponseFlags.UnknownOp) != 0)
            return Break($"answered id {id} with data in memory of its own and status {status:X2}h, flags {(int)flags:X2}h: only GOOD comes with such data");
        var bytes = _dataInBytes[id];
        if (bytes == 0)
            return Break($"answered id {id}, which returns no data, with data in memory of its own");
        if ((flags & ResponseFlags.ReadLength) != 0)
            bytes = Math.Min(bytes, readLength);
        if (claimed > (ulong)OwnMemoryBytes || bytes > OwnMemoryBytes - place)
            return Break($"answered id {id} with {bytes} bytes at {claimed} of its own memory, which has {OwnMemoryBytes}");
        return true;
    }

    bool Break(string what)
    {
        Violation = $"the handler {what}; {Outstanding} commands are unanswered: restart the handler on a fresh region";
        return false;
    }
}
