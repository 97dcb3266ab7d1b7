using System.Collections;
using System.Runtime.InteropServices;

namespace Scuse.Ring.Diagnostics;

/// <summary>Reads a region once, for a <see cref="RingDump"/>. Every value is loaded once, checked, then used: the other end may change it meanwhile.</summary>
sealed class RingReader(SharedRegion bytes, long regionBytes)
{
    const byte CheckCondition = 0x02;

    // SAM-5 clause 5.3.1, with the two that went before it.
    static readonly uint[] Statuses = [0x00, CheckCondition, 0x04, 0x08, 0x10, 0x14, 0x18, 0x22, 0x28, 0x30, 0x40];

    readonly List<string> _problems = [];
    readonly BitArray _ids = new(RingAbi.MaxCommandId + 1);
    long _ringOffset;
    uint _ringBytes;
    long _dataOffset;
    int _details;

    public RingDump Read(uint? reapedOffset)
    {
        if (bytes.Length < RingAbi.MailboxBytes)
        {
            _problems.Add($"{bytes.Length} bytes, fewer than the {RingAbi.MailboxBytes} of a mailbox");
            return new RingDump { RegionBytes = regionBytes, Problems = _problems };
        }

        var mailbox = ReadMailbox();
        if (!CheckMailbox(mailbox))
            return new RingDump { RegionBytes = regionBytes, Mailbox = mailbox, Problems = _problems };

        List<RingEntryDump> entries = [], answered = [];
        var isReapedKnown = reapedOffset is { } reaped && IsEntryOffset(reaped);
        if (isReapedKnown)
            Walk(reapedOffset!.Value, mailbox.Tail, answered, isAnswered: true, "cmd_tail");
        else if (mailbox.Tail <= mailbox.Head)
            WalkRecent(mailbox.Tail, answered);
        Walk(mailbox.Tail, mailbox.Head, entries, isAnswered: false, "cmd_head");
        TellAnswersBegun(entries);

        return new RingDump
        {
            RegionBytes = regionBytes,
            Mailbox = mailbox,
            DataOffset = _dataOffset,
            Answered = answered,
            IsReapedKnown = isReapedKnown,
            Entries = entries,
            Problems = _problems,
        };
    }

    MailboxDump ReadMailbox()
    {
        // The order of a peer that looks first at what it reads, then at what it may read: tail before head, so that the tail is never past the head.
        var versionAndFlags = bytes.LoadAcquire32(RingAbi.MailboxVersionOffset);
        var tail = bytes.LoadAcquire32(RingAbi.CommandTailOffset);
        var head = bytes.LoadAcquire32(RingAbi.CommandHeadOffset);
        return new MailboxDump(
            (ushort)versionAndFlags,
            (MailboxFlags)(versionAndFlags >> 16),
            bytes.LoadOnce32(RingAbi.CommandRingOffsetOffset),
            bytes.LoadOnce32(RingAbi.CommandRingSizeOffset),
            head,
            tail,
            bytes.LoadOnce32(RingAbi.TargetWaitingOffset),
            bytes.LoadOnce32(RingAbi.HandlerWaitingOffset));
    }

    /// <summary>Whether the entries can be looked for.</summary>
    bool CheckMailbox(MailboxDump mailbox)
    {
        if (mailbox.Version != RingAbi.MailboxVersion)
            return Wrong($"the mailbox has version {mailbox.Version}; only version {RingAbi.MailboxVersion} is known");

        long offset = mailbox.CommandRingOffset, length = mailbox.CommandRingBytes;
        if (offset < RingAbi.MailboxBytes || offset % RingAbi.EntryAlignment != 0 || length == 0 || length % RingAbi.EntryAlignment != 0)
            return Wrong($"a command ring of {length} bytes at {offset}: it stands on a multiple of 8 after the mailbox, and is a multiple of 8 long");
        if (offset + length > regionBytes)
            return Wrong($"a command ring of {length} bytes at {offset} does not lie in a region of {regionBytes}");
        if (offset + length > bytes.Length)
            return Wrong($"a command ring of {length} bytes at {offset}, of which only {Math.Max(0, bytes.Length - offset)} are here");

        _ringOffset = offset;
        _ringBytes = (uint)length;
        _dataOffset = RingAbi.RoundUp(offset + length, RingAbi.PageBytes);
        var isTailGood = IsEntryOffset(mailbox.Tail) || Wrong($"cmd_tail is {mailbox.Tail}, not the start of an entry in a command ring of {length} bytes");
        var isHeadGood = IsEntryOffset(mailbox.Head) || Wrong($"cmd_head is {mailbox.Head}, not the start of an entry in a command ring of {length} bytes");
        return isTailGood && isHeadGood;
    }

    bool Wrong(string what)
    {
        _problems.Add(what);
        return false;
    }

    bool IsEntryOffset(uint offset) => offset < _ringBytes && offset % RingAbi.EntryAlignment == 0;

    /// <summary>Each round goes on by at least 8 bytes, and no further than the ring's length in all: it ends.</summary>
    void Walk(uint from, uint to, List<RingEntryDump> into, bool isAnswered, string toName)
    {
        var position = from;
        var left = to >= from ? to - from : to + _ringBytes - from;
        while (left > 0)
        {
            if (into.Count == RingDump.MaxEntries)
            {
                Wrong($"more than {RingDump.MaxEntries} entries; those from {position} on are left out");
                return;
            }

            var entry = ReadHeader(position);
            string? end =
                entry.Length < RingAbi.HeaderBytes ? "has no length"
                : entry.Length > _ringBytes - position ? $"of {entry.Length} bytes goes past the ring's end at {_ringBytes}"
                : entry.Length > left ? $"of {entry.Length} bytes goes past {toName}, which is {to}"
                : null;
            if (end is not null)
            {
                Wrong($"the entry at {position} {end}: it cannot be read, nor can what comes after it");
                into.Add(entry with { Problem = end });
                return;
            }

            into.Add(Decode(entry, isAnswered));
            left -= entry.Length;
            position += entry.Length;
            if (position == _ringBytes)
                position = 0;
        }
    }

    /// <summary>
    /// The handler writes its answers into the oldest slots, in order, and moves the tail over all of them at once: until then the first slots hold answers,
    /// whole or half written, and no commands any more. The last one that shows it tells it of those before.
    /// </summary>
    void TellAnswersBegun(List<RingEntryDump> entries)
    {
        var begun = 0;
        var firstWithId = new Dictionary<ushort, int>();
        var mayBeAnswers = entries.TakeWhile(entry => entry.Kind != RingEntryKind.Command || MayHoldAnswer(entry)).Count();
        for (var i = 0; i < entries.Count; i++)
        {
            if (entries[i].Kind != RingEntryKind.Command)
                continue;
            if (!firstWithId.TryAdd(entries[i].Id, i) && firstWithId[entries[i].Id] is var first && first < mayBeAnswers)
                begun = Math.Max(begun, first + 1);
            else if (i < mayBeAnswers && entries[i].Problem is not null)
                begun = i + 1;
        }

        if (begun == 0)
            return;
        _ids.SetAll(false);
        _details = 0;
        for (var i = 0; i < entries.Count; i++)
        {
            if (entries[i].Kind == RingEntryKind.Command && MayBeDecoded(entries[i]))
                entries[i] = i < begun ? DecodeAnswer(entries[i] with { Request = null, Problem = null, IsBeingAnswered = true }) : DecodeRequest(entries[i] with { Problem = null });
        }
    }

    // Walk ends at an entry whose length is wrong.
    bool MayBeDecoded(RingEntryDump entry) => entry.Length >= RingAbi.HeaderBytes && entry.Length <= _ringBytes - entry.Offset;

    bool MayHoldAnswer(RingEntryDump entry) =>
        entry.Length >= RingAbi.CommandEntryBytes && MayBeDecoded(entry) && entry.Id != 0 && (entry.ResponseFlags & ~RingAbi.KnownResponseFlags) == 0
        && Statuses.Contains(bytes.LoadOnce32(_ringOffset + entry.Offset + RingAbi.StatusOffset));

    /// <summary>
    /// What was answered last, where the head has not come round past the tail: then the entries from the ring's start to the tail are all of one lap.
    /// If they do not lead to the tail, nothing is said about them: they are nobody's any more.
    /// </summary>
    void WalkRecent(uint tail, List<RingEntryDump> into)
    {
        Queue<RingEntryDump> recent = new();
        for (uint position = 0; position < tail;)
        {
            var entry = ReadHeader(position);
            if (entry.Length < RingAbi.HeaderBytes || entry.Length > tail - position)
                return;
            position += entry.Length;
            if (entry.Operation != RingAbi.OperationCommand)
                continue;
            if (recent.Count == RingDump.RecentAnswers)
                recent.Dequeue();
            recent.Enqueue(entry);
        }

        into.AddRange(recent.Select(entry => Decode(entry, isAnswered: true)));
    }

    RingEntryDump ReadHeader(uint position)
    {
        var header = bytes.LoadOnce64(_ringOffset + position);
        var lengthAndOperation = (uint)header;
        return new RingEntryDump
        {
            Offset = position,
            Length = lengthAndOperation & ~(uint)RingAbi.OperationMask,
            Operation = (int)(lengthAndOperation & RingAbi.OperationMask),
            Id = (ushort)(header >> (8 * RingAbi.CommandIdOffset)),
            TargetFlags = (byte)(header >> (8 * RingAbi.TargetFlagsOffset)),
            ResponseFlags = (ResponseFlags)(byte)(header >> (8 * RingAbi.ResponseFlagsOffset)),
        };
    }

    /// <summary>The entry lies in the ring with all its length.</summary>
    RingEntryDump Decode(RingEntryDump entry, bool isAnswered) => entry.Kind switch
    {
        RingEntryKind.Command when isAnswered => DecodeAnswer(entry),
        RingEntryKind.Command => DecodeRequest(entry),
        RingEntryKind.TaskManagement => DecodeNotice(entry),
        RingEntryKind.Unknown => entry with { Problem = $"operation {entry.Operation} has no name" },
        _ => entry,
    };

    RingEntryDump DecodeRequest(RingEntryDump entry)
    {
        if (entry.Length <= RingAbi.CommandEntryBytes)
            return entry with { Problem = $"{entry.Length} bytes, fewer than a command takes" };

        List<string> problems = [];
        if (entry.Id == 0)
            problems.Add("id 0 is never a command");
        else if (_ids[entry.Id])
            problems.Add($"id {entry.Id} is there twice");
        _ids[entry.Id] = true;

        var start = _ringOffset + entry.Offset;
        var dataCount = bytes.LoadOnce32(start + RingAbi.IovecCountOffset);
        var bidiCount = bytes.LoadOnce32(start + RingAbi.BidirectionalIovecCountOffset);
        var protectionCount = bytes.LoadOnce32(start + RingAbi.ProtectionIovecCountOffset);
        var cdbOffset = bytes.LoadOnce64(start + RingAbi.CdbOffsetOffset);
        var iovecs = (long)dataCount + bidiCount + protectionCount;
        var iovecsEnd = RingAbi.IovecsOffset + (RingAbi.IovecBytes * iovecs);
        List<RingExtentDump> data = [], bidi = [];
        if (protectionCount != 0)
            problems.Add($"iov_dif_cnt is {protectionCount}, which no target sets");
        if (iovecsEnd > entry.Length)
        {
            problems.Add($"{dataCount} + {bidiCount} + {protectionCount} iovecs are more than {entry.Length} bytes hold");
            iovecsEnd = RingAbi.IovecsOffset;
        }
        else if (_details + iovecs > RingDump.MaxDetails)
        {
            problems.Add($"{iovecs} iovecs are left out: there are too many in all");
        }
        else
        {
            _details += (int)iovecs;
            ReadExtents(start + RingAbi.IovecsOffset, dataCount, data, problems);
            ReadExtents(start + RingAbi.IovecsOffset + ((long)RingAbi.IovecBytes * dataCount), bidiCount, bidi, problems);
        }

        byte[] cdb = [];
        if (cdbOffset < (ulong)(start + iovecsEnd) || cdbOffset >= (ulong)(start + entry.Length))
        {
            problems.Add($"cdb_off is {cdbOffset}, outside the entry");
        }
        else
        {
            cdb = new byte[(int)Math.Min(start + entry.Length - (long)cdbOffset, RingAbi.MaxCdbBytes)];
            bytes.CopyOutPlain((long)cdbOffset, cdb);
            cdb = cdb[..HandlerRing.CdbLength(cdb)];
        }

        return entry with { Request = new RingRequestDump(cdb, cdbOffset, data, bidi), Problem = Join(problems) };
    }

    void ReadExtents(long offset, uint count, List<RingExtentDump> into, List<string> problems)
    {
        // From where HandlerRing takes data on: it need not start on a page there.
        var dataStart = (ulong)(_ringOffset + _ringBytes);
        var end = (ulong)regionBytes;
        var outside = 0;
        RingExtentDump? firstOutside = null;
        for (; count > 0; count--, offset += RingAbi.IovecBytes)
        {
            var start = bytes.LoadOnce64(offset + RingAbi.IovecBaseOffset);
            var length = bytes.LoadOnce64(offset + RingAbi.IovecLengthOffset);
            if (start < dataStart || start > end || length > end - start)
            {
                var extent = new RingExtentDump(start, length, -1, -1);
                firstOutside ??= extent;
                outside++;
                into.Add(extent);
                continue;
            }

            var first = Math.Max(0, ((long)start - _dataOffset) / RingAbi.PageBytes);
            var last = Math.Max(first, ((long)(start + length) - 1 - _dataOffset) / RingAbi.PageBytes);
            into.Add(new RingExtentDump(start, length, first, last));
        }

        if (firstOutside is not null)
            problems.Add($"{outside} iovecs lie outside the data area, the first with {firstOutside.Length} bytes at {firstOutside.Offset}");
    }

    RingEntryDump DecodeAnswer(RingEntryDump entry)
    {
        if (entry.Length < RingAbi.CommandEntryBytes)
            return entry with { Problem = $"{entry.Length} bytes, fewer than an answer takes" };

        var slot = _ringOffset + entry.Offset;
        var response = bytes.LoadOnce64(slot + RingAbi.StatusOffset);
        var status = (byte)response;
        byte[] sense = [];
        if (status == CheckCondition)
        {
            sense = new byte[RingAbi.SenseBytes];
            bytes.CopyOutPlain(slot + RingAbi.SenseOffset, sense);
            sense = sense[..(sense.AsSpan().LastIndexOfAnyExcept((byte)0) + 1)];
        }

        var readLength = (uint)(response >> (8 * (RingAbi.ReadLengthOffset - RingAbi.StatusOffset)));
        return entry with
        {
            Answer = new RingAnswerDump(status, readLength, sense),
            Problem = entry.Id == 0 ? "id 0 is never a command" : null,
        };
    }

    RingEntryDump DecodeNotice(RingEntryDump entry)
    {
        if (entry.Length < RingAbi.TaskManagementEntryBytes)
            return entry with { Problem = $"{entry.Length} bytes, fewer than a task management entry takes" };

        var start = _ringOffset + entry.Offset;
        var type = (byte)bytes.LoadOnce32(start + RingAbi.TaskManagementTypeOffset);
        var count = bytes.LoadOnce32(start + RingAbi.TaskManagementCountOffset);
        string? problem = null;
        ushort[] ids = [];
        if (count > (entry.Length - RingAbi.TaskManagementEntryBytes) / sizeof(ushort))
        {
            problem = $"{count} ids are more than {entry.Length} bytes hold";
        }
        else if (_details + count > RingDump.MaxDetails)
        {
            problem = $"{count} ids are left out: there are too many in all";
        }
        else
        {
            _details += (int)count;
            ids = new ushort[count];
            bytes.CopyOutPlain(start + RingAbi.TaskManagementIdsOffset, MemoryMarshal.AsBytes(ids.AsSpan()));
        }

        return entry with { Notice = new RingNoticeDump(type, count, ids), Problem = problem };
    }

    static string? Join(List<string> problems) => problems.Count == 0 ? null : string.Join("; ", problems);
}
