using System.Runtime.InteropServices;

namespace Scuse.Ring;

/// <summary>The handler's end of a command ring: takes commands, answers them. It works behind any target that speaks mailbox version 2, the kernel included.</summary>
/// <remarks>
/// Used by one thread. It maps nothing: the region's memory is the caller's, and must outlive the ring. It takes each entry once, into a private
/// copy, and checks every offset and count against the map before use.
/// </remarks>
public sealed class HandlerRing
{
    const byte CheckCondition = 0x02;
    const int BitsPerWord = 64;

    // Everything below is touched only by the owning thread.
    readonly SharedRegion _shared;
    readonly uint _ringOffset;
    readonly uint _ringBytes;

    // The entries from _tail to _position, as they were when taken; their memory may hold answers to other commands by now.
    readonly EntryLog _entries = new();

    // Bit set: the command has been taken and not been answered.
    readonly ulong[] _outstandingIds = new ulong[(RingAbi.MaxCommandId + 1) / BitsPerWord];

    // Answers that wait for their turn; only without MailboxFlags.OutOfOrder.
    readonly HeldAnswer?[]? _heldById;
    readonly Stack<HeldAnswer> _spareAnswers = new();

    // The head as last loaded, the next entry to take, the next slot to answer in, and the tail as the target knows it.
    uint _head;
    uint _position;
    uint _tail;
    uint _publishedTail;

    /// <summary>Takes the handler's end of a region, starting with the first entry that no handler has answered.</summary>
    /// <param name="region">Where the region is mapped, on a multiple of 8.</param>
    /// <param name="mapLength">How many bytes are mapped there.</param>
    /// <exception cref="RingFormatException">The mailbox is not one of version 2, or its ring does not lie inside the map.</exception>
    public HandlerRing(nint region, long mapLength)
    {
        if (mapLength < RingAbi.MailboxBytes)
            throw new RingFormatException($"the map has {mapLength} bytes, fewer than the {RingAbi.MailboxBytes} of a mailbox");
        _shared = new SharedRegion(region, mapLength);

        // Pairs with the release store of the version in TargetRing.Format.
        var versionAndFlags = _shared.LoadAcquire32(RingAbi.MailboxVersionOffset);
        if ((ushort)versionAndFlags != RingAbi.MailboxVersion)
            throw new RingFormatException($"the mailbox has version {(ushort)versionAndFlags}; only version {RingAbi.MailboxVersion} is known");
        Flags = (MailboxFlags)(versionAndFlags >> 16);

        _ringOffset = _shared.LoadOnce32(RingAbi.CommandRingOffsetOffset);
        _ringBytes = _shared.LoadOnce32(RingAbi.CommandRingSizeOffset);
        if (_ringOffset < RingAbi.MailboxBytes || _ringOffset % RingAbi.EntryAlignment != 0)
            throw new RingFormatException($"the command ring starts at {_ringOffset}, not on a multiple of 8 after the mailbox");
        if (_ringBytes == 0 || _ringBytes % RingAbi.EntryAlignment != 0 || _ringBytes > mapLength - _ringOffset)
            throw new RingFormatException($"a command ring of {_ringBytes} bytes at {_ringOffset} does not fit a map of {mapLength} bytes, or is not a multiple of 8");

        // Only handlers write the tail, and the one before this is gone.
        _tail = _shared.LoadOnce32(RingAbi.CommandTailOffset);
        if (_tail >= _ringBytes || _tail % RingAbi.EntryAlignment != 0)
            throw new RingFormatException($"cmd_tail is {_tail}, not the start of an entry in a command ring of {_ringBytes} bytes");
        _head = _position = _publishedTail = _tail;
        if ((Flags & MailboxFlags.OutOfOrder) == 0)
            _heldById = new HeldAnswer?[RingAbi.MaxCommandId + 1];
    }

    /// <summary>What the target says it can do.</summary>
    public MailboxFlags Flags { get; }

    /// <summary>How many commands are taken and not yet answered.</summary>
    public int Outstanding { get; private set; }

    /// <summary>
    /// Whether each entry that an answer is written into is marked first, so that another handler that takes the ring over can tell by <see cref="HasAnswersBegun"/>. Only where the target
    /// passes over <see cref="RingAbi.ResponseFlagAnswerBegun"/>, as the kernel does.
    /// </summary>
    public bool MarksAnswers { get; init; }

    /// <summary>
    /// Whether the handler before this one ended while it wrote answers: what stands in their entries are no commands any more, and the ring cannot be read on. To be asked before the first
    /// <see cref="TryTake"/>; it tells only where that handler marked answers.
    /// </summary>
    /// <exception cref="RingFormatException">What lies between tail and head makes no sense.</exception>
    public bool HasAnswersBegun()
    {
        var head = _shared.LoadAcquire32(RingAbi.CommandHeadOffset);
        if (head >= _ringBytes || head % RingAbi.EntryAlignment != 0)
            throw new RingFormatException($"cmd_head is {head}, not the start of an entry in a command ring of {_ringBytes} bytes");
        for (var position = _tail; position != head;)
        {
            var header = _shared.LoadOnce64(_ringOffset + position);
            var length = (uint)header & ~(uint)RingAbi.OperationMask;
            if (length == 0 || length > Distance(position, head) || length > _ringBytes - position)
                throw new RingFormatException($"the entry at {position} claims {length} bytes, of {Distance(position, head)} before cmd_head and {_ringBytes - position} before the ring's end");
            if ((header & RingAbi.OperationMask) == RingAbi.OperationCommand && (header >> (8 * RingAbi.ResponseFlagsOffset) & RingAbi.ResponseFlagAnswerBegun) != 0)
                return true;
            position = Advance(position, length);
        }

        return false;
    }

    /// <summary>Takes the next entry, if there is one: a command, or a notice that the initiator gave up commands.</summary>
    /// <param name="into">Receives a private copy. Look at <see cref="HandlerCommand.Kind"/> first: a notice is not to be answered.</param>
    /// <returns>False if there is none.</returns>
    /// <exception cref="RingFormatException">The target wrote something that makes no sense. The ring is of no further use.</exception>
    public bool TryTake(HandlerCommand into)
    {
        ArgumentNullException.ThrowIfNull(into);
        while (true)
        {
            if (_position == _head && !TryLoadHead())
                return false;

            var header = _shared.LoadOnce64(_ringOffset + _position);
            var operation = (byte)(header & RingAbi.OperationMask);
            var length = (uint)header & ~(uint)RingAbi.OperationMask;
            if (length == 0 || length > Distance(_position, _head) || length > _ringBytes - _position)
                throw new RingFormatException($"the entry at {_position} claims {length} bytes, of {Distance(_position, _head)} before cmd_head and {_ringBytes - _position} before the ring's end");

            var entry = new EntryRecord(_position, length, operation, operation == RingAbi.OperationCommand ? (ushort)(header >> 32) : (ushort)0);
            switch (operation)
            {
                case RingAbi.OperationCommand:
                    TakeCommand(entry, into);
                    break;
                case RingAbi.OperationTaskManagement:
                    TakeTaskManagement(entry, into);
                    break;
                default:
                    // PAD, or an operation of a later time, which its length lets us pass over.
                    break;
            }
            _entries.Append(entry);
            _position = Advance(_position, length);
            if (operation is RingAbi.OperationCommand or RingAbi.OperationTaskManagement)
                return true;
        }
    }

    /// <summary>Answers a command, in any order; the target sees it after the next <see cref="Publish"/>.</summary>
    /// <param name="id">The command's id.</param>
    /// <param name="status">The SCSI status. SAM-5 clause 5.3.</param>
    /// <param name="sense">Sense data, copied; what exceeds 96 bytes is cut off. The target looks at it only with CHECK CONDITION.</param>
    /// <param name="flags">What else there is to say; each flag but UnknownOp only if the mailbox offers it.</param>
    /// <param name="readLength">With <see cref="ResponseFlags.ReadLength"/>: how many bytes of Data-In there are.</param>
    /// <param name="serviceNs">Where the target is told: how long the command took, in nanoseconds.</param>
    /// <exception cref="InvalidOperationException">The id has not been taken, or has been answered.</exception>
    public void Answer(ushort id, byte status, ReadOnlySpan<byte> sense, ResponseFlags flags = ResponseFlags.None, uint readLength = 0, uint serviceNs = 0) =>
        Answer(id, status, sense, flags, readLength, place: 0, serviceNs);

    /// <summary>Whether the target is told with each GOOD how long it took; only where that was agreed.</summary>
    public bool TellsServiceTimes { get; init; }

    /// <summary>Answers a read with GOOD and data that stands in the handler's own memory, which the target has; only where that was agreed. In any order, as above.</summary>
    /// <param name="id">The command's id.</param>
    /// <param name="place">Where in that memory the data starts, in bytes. So much as the command asks for has to lie inside it.</param>
    /// <param name="serviceNs">Where the target is told: how long the command took, in nanoseconds.</param>
    /// <exception cref="InvalidOperationException">The id has not been taken, or has been answered.</exception>
    public void AnswerFromOwnMemory(ushort id, long place, uint serviceNs = 0) => Answer(id, status: 0, [], ResponseFlags.OwnMemory, readLength: 0, place, serviceNs);

    void Answer(ushort id, byte status, ReadOnlySpan<byte> sense, ResponseFlags flags, uint readLength, long place, uint serviceNs)
    {
        if (!IsOutstanding(id))
            throw new InvalidOperationException($"command id {id} is not outstanding: it was answered already, or never taken");
        _outstandingIds[id / BitsPerWord] &= ~(1UL << (id % BitsPerWord));
        Outstanding--;
        if (sense.Length > RingAbi.SenseBytes)
            sense = sense[..RingAbi.SenseBytes];

        // There always is a slot: as many commands lie between tail and position as are unanswered or held.
        PassOverAllButCommands();
        if (_heldById is null)
        {
            AnswerInFirstSlot(id, status, sense, flags, readLength, place, serviceNs);
            return;
        }

        if (_entries.First.Id != id)
        {
            var held = _spareAnswers.TryPop(out var spare) ? spare : new HeldAnswer();
            held.Set(status, sense, flags, readLength, place, serviceNs);
            _heldById[id] = held;
            return;
        }
        AnswerInFirstSlot(id, status, sense, flags, readLength, place, serviceNs);
        AnswerThoseWhoseTurnItIs(_heldById);
    }

    /// <summary>Shows the target all answers so far, and gives back the room of everything else that has been passed.</summary>
    /// <returns>Whether anything moved; then ask <see cref="TargetWantsDoorbell"/>.</returns>
    public bool Publish()
    {
        PassOverAllButCommands();
        if (_tail == _publishedTail)
            return false;
        // Publishes the answers written above; pairs with the acquire load of cmd_tail in TargetRing.TryReap.
        _shared.StoreRelease32(RingAbi.CommandTailOffset, _tail);
        _publishedTail = _tail;
        return true;
    }

    /// <summary>Says that this end is about to sleep. Then check <see cref="HasCommands"/> once more, and sleep on the doorbell only if there are none.</summary>
    /// <remarks>Only when the waiting flags are in force: this memory is not ours to write otherwise.</remarks>
    public void AnnounceSleep()
    {
        _shared.StorePlain32(RingAbi.HandlerWaitingOffset, 1);
        // The flag is out before the head is looked at again; pairs with the fence in TargetRing.HandlerWantsDoorbell.
        SharedRegion.FullFence();
    }

    /// <summary>Says that this end is awake again and needs no doorbell.</summary>
    /// <remarks>Only when the waiting flags are in force.</remarks>
    public void EndSleep() => _shared.StorePlain32(RingAbi.HandlerWaitingOffset, 0);

    /// <summary>Whether there is anything to take.</summary>
    // Pairs with the release store of cmd_head in TargetRing.Publish.
    public bool HasCommands => _position != _head || _shared.LoadAcquire32(RingAbi.CommandHeadOffset) != _position;

    /// <summary>Whether the target is to be woken; ask after a <see cref="Publish"/> that returned true.</summary>
    /// <param name="waitFlagsInForce">Whether the target said it uses the waiting flags; if not, the answer is always yes.</param>
    public bool TargetWantsDoorbell(bool waitFlagsInForce)
    {
        if (!waitFlagsInForce)
            return true;
        // The tail is out before the flag is looked at; pairs with the fence in TargetRing.AnnounceSleep.
        SharedRegion.FullFence();
        return _shared.LoadOnce32(RingAbi.TargetWaitingOffset) != 0;
    }

    uint Advance(uint offset, uint length)
    {
        var next = offset + length;
        return next == _ringBytes ? 0 : next;
    }

    uint Distance(uint from, uint to) => to >= from ? to - from : to + _ringBytes - from;

    bool IsOutstanding(ushort id) => (_outstandingIds[id / BitsPerWord] & 1UL << (id % BitsPerWord)) != 0;

    bool TryLoadHead()
    {
        // Pairs with the release store of cmd_head in TargetRing.Publish: the entries before the head are complete.
        var head = _shared.LoadAcquire32(RingAbi.CommandHeadOffset);
        if (head == _position)
            return false;
        if (head >= _ringBytes || head % RingAbi.EntryAlignment != 0)
            throw new RingFormatException($"cmd_head is {head}, not the start of an entry in a command ring of {_ringBytes} bytes");
        // Entries taken but not answered are still in the ring: the head cannot have run over them.
        if (Distance(_tail, head) < Distance(_tail, _position))
            throw new RingFormatException($"cmd_head went to {head}, back over entries from {_tail} to {_position} that are not answered yet");
        _head = head;
        return true;
    }

    void TakeCommand(EntryRecord entry, HandlerCommand into)
    {
        var start = (long)_ringOffset + entry.Offset;
        var end = start + entry.Length;
        if (entry.Length <= RingAbi.CommandEntryBytes)
            throw new RingFormatException($"the command entry at {entry.Offset} has {entry.Length} bytes, fewer than a command takes");
        if (entry.Id == 0)
            throw new RingFormatException($"the command entry at {entry.Offset} has id 0, which is never a command");
        if (IsOutstanding(entry.Id) || _heldById?[entry.Id] is not null)
            throw new RingFormatException($"command id {entry.Id} came again before it was answered");

        var dataCount = _shared.LoadOnce32(start + RingAbi.IovecCountOffset);
        var bidiCount = _shared.LoadOnce32(start + RingAbi.BidirectionalIovecCountOffset);
        var iovecsEnd = RingAbi.IovecsOffset + RingAbi.IovecBytes * ((long)dataCount + bidiCount);
        if (iovecsEnd > entry.Length)
            throw new RingFormatException($"command id {entry.Id} claims {dataCount} + {bidiCount} iovecs, more than its entry of {entry.Length} bytes holds");

        var cdbOffset = _shared.LoadOnce64(start + RingAbi.CdbOffsetOffset);
        if (cdbOffset < (ulong)(start + iovecsEnd) || cdbOffset >= (ulong)end)
            throw new RingFormatException($"command id {entry.Id} has its CDB at {cdbOffset}, outside its entry, which ends at {end}");

        var cdb = into.StartCommand(entry.Id, (int)Math.Min(end - (long)cdbOffset, RingAbi.MaxCdbBytes));
        _shared.CopyOutPlain((long)cdbOffset, cdb);
        into.TrimCdb(CdbLength(cdb));
        var iovecs = start + RingAbi.IovecsOffset;
        TakeIovecs(entry.Id, iovecs, dataCount, into.DataList);
        TakeIovecs(entry.Id, iovecs + (long)RingAbi.IovecBytes * dataCount, bidiCount, into.BidiDataInList);

        _outstandingIds[entry.Id / BitsPerWord] |= 1UL << (entry.Id % BitsPerWord);
        Outstanding++;
    }

    void TakeIovecs(ushort id, long offset, uint count, ExtentList into)
    {
        // Mailbox and ring are no place for data: a command that had it there would overwrite other commands.
        var dataOffset = (ulong)_ringOffset + _ringBytes;
        var mapLength = (ulong)_shared.Length;
        for (; count > 0; count--, offset += RingAbi.IovecBytes)
        {
            var start = _shared.LoadOnce64(offset + RingAbi.IovecBaseOffset);
            var length = _shared.LoadOnce64(offset + RingAbi.IovecLengthOffset);
            if (start < dataOffset || start > mapLength || length > mapLength - start)
                throw new RingFormatException($"command id {id} has {length} bytes of data at {start}, outside the data area from {dataOffset} to {mapLength}");
            into.Add(new DataExtent((long)start, (long)length));
        }
    }

    void TakeTaskManagement(EntryRecord entry, HandlerCommand into)
    {
        var start = (long)_ringOffset + entry.Offset;
        if (entry.Length < RingAbi.TaskManagementEntryBytes)
            throw new RingFormatException($"the task management entry at {entry.Offset} has {entry.Length} bytes, fewer than it takes");
        var type = (byte)_shared.LoadOnce32(start + RingAbi.TaskManagementTypeOffset);
        var count = _shared.LoadOnce32(start + RingAbi.TaskManagementCountOffset);
        if (count > (entry.Length - RingAbi.TaskManagementEntryBytes) / sizeof(ushort))
            throw new RingFormatException($"the task management entry at {entry.Offset} claims {count} ids, more than its {entry.Length} bytes hold");
        var ids = into.StartTaskManagement(type, (int)count);
        _shared.CopyOutPlain(start + RingAbi.TaskManagementIdsOffset, MemoryMarshal.AsBytes(ids));
    }

    // The ring pads CDBs to a multiple of 8, so the length goes by the operation code's group. SPC-4 clause 4.2.5.1.
    internal static int CdbLength(ReadOnlySpan<byte> padded)
    {
        const byte VariableLengthOperationCode = 0x7F;
        const int AdditionalLengthOffset = 7;
        var length = (padded[0] >> 5) switch
        {
            0 => 6,
            1 or 2 => 10,
            3 when padded[0] == VariableLengthOperationCode && padded.Length > AdditionalLengthOffset => 8 + padded[AdditionalLengthOffset],
            4 => 16,
            5 => 12,
            _ => padded.Length,
        };
        return Math.Min(length, padded.Length);
    }

    void PassOverAllButCommands()
    {
        while (_entries.Count > 0 && _entries.First.Operation != RingAbi.OperationCommand)
        {
            var entry = _entries.First;
            if (entry.Operation is not (RingAbi.OperationPad or RingAbi.OperationTaskManagement))
                _shared.StorePlain8(_ringOffset + entry.Offset + RingAbi.ResponseFlagsOffset, RingAbi.ResponseFlagUnknownOperation);
            RemoveFirstSlot(entry);
        }
    }

    void AnswerThoseWhoseTurnItIs(HeldAnswer?[] heldById)
    {
        PassOverAllButCommands();
        while (_entries.Count > 0 && heldById[_entries.First.Id] is { } held)
        {
            var id = _entries.First.Id;
            heldById[id] = null;
            AnswerInFirstSlot(id, held.Status, held.Sense, held.Flags, held.ReadLength, held.Place, held.ServiceNs);
            _spareAnswers.Push(held);
            PassOverAllButCommands();
        }
    }

    void AnswerInFirstSlot(ushort id, byte status, ReadOnlySpan<byte> sense, ResponseFlags flags, uint readLength, long place, uint serviceNs)
    {
        var entry = _entries.First;
        var slot = (long)_ringOffset + entry.Offset;
        if (MarksAnswers)
        {
            flags |= (ResponseFlags)RingAbi.ResponseFlagAnswerBegun;
            _shared.StorePlain8(slot + RingAbi.ResponseFlagsOffset, (byte)flags);
            // The mark is out before anything else of the command is lost; pairs with the load in HasAnswersBegun, by a handler that comes after the end of this one.
            SharedRegion.FullFence();
        }
        _shared.StorePlain16(slot + RingAbi.CommandIdOffset, id);
        _shared.StorePlain8(slot + RingAbi.ResponseFlagsOffset, (byte)flags);
        _shared.StorePlain32(slot + RingAbi.StatusOffset, status);
        _shared.StorePlain32(slot + RingAbi.ReadLengthOffset, readLength);
        if ((flags & ResponseFlags.OwnMemory) != 0)
        {
            _shared.StorePlain64(slot + RingAbi.OwnMemoryPlaceOffset, (ulong)place);
        }
        else if (status == CheckCondition || !sense.IsEmpty)
        {
            _shared.CopyInPlain(slot + RingAbi.SenseOffset, sense);
            _shared.ZeroPlain(slot + RingAbi.SenseOffset + sense.Length, RingAbi.SenseBytes - sense.Length);
        }
        if (TellsServiceTimes && status == 0)
            _shared.StorePlain32(slot + RingAbi.ServiceTimeOffset, serviceNs);
        RemoveFirstSlot(entry);
    }

    void RemoveFirstSlot(EntryRecord entry)
    {
        _entries.RemoveFirst();
        _tail = Advance(_tail, entry.Length);
    }

    sealed class HeldAnswer
    {
        readonly byte[] _sense = new byte[RingAbi.SenseBytes];
        int _senseLength;

        public byte Status { get; private set; }

        public ResponseFlags Flags { get; private set; }

        public uint ReadLength { get; private set; }

        public long Place { get; private set; }

        public uint ServiceNs { get; private set; }

        public ReadOnlySpan<byte> Sense => _sense.AsSpan(0, _senseLength);

        public void Set(byte status, ReadOnlySpan<byte> sense, ResponseFlags flags, uint readLength, long place, uint serviceNs)
        {
            (Status, Flags, ReadLength, Place, ServiceNs, _senseLength) = (status, flags, readLength, place, serviceNs, sense.Length);
            sense.CopyTo(_sense);
        }
    }
}
