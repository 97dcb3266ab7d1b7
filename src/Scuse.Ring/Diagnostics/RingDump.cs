using System.Runtime.InteropServices;

namespace Scuse.Ring.Diagnostics;

/// <summary>What stands in a region's mailbox and command ring, decoded for a person; of a region in use, a saved one, or any bytes at all.</summary>
/// <remarks>
/// It trusts nothing that it reads: whatever does not parse is said in words, never thrown, and both the time and the memory taken are bounded. Read
/// while both ends are at work it may show an entry half written; then look again.
/// </remarks>
public sealed record RingDump
{
    /// <summary>The most entries that are decoded on either side of the tail.</summary>
    public const int MaxEntries = 1 << 16;

    /// <summary>The most extents and ids that are listed, all entries together.</summary>
    public const int MaxDetails = 1 << 18;

    /// <summary>How many answers before the tail are shown where nobody says how far the target has reaped.</summary>
    public const int RecentAnswers = 16;

    /// <summary>The region's length in bytes.</summary>
    public long RegionBytes { get; init; }

    /// <summary>The mailbox; null where there are too few bytes for one.</summary>
    public MailboxDump? Mailbox { get; init; }

    /// <summary>Where the data area starts, in bytes from the region's start: on the first page after the ring; 0 where no ring was found.</summary>
    public long DataOffset { get; init; }

    /// <summary>
    /// The slots that were answered before the tail, oldest first: all those that the target has not reaped, where that is known; else the last few,
    /// which it may have reaped long ago.
    /// </summary>
    public IReadOnlyList<RingEntryDump> Answered { get; init; } = [];

    /// <summary>Whether <see cref="Answered"/> are exactly those not reaped. How far the target has reaped stands in its own record, not in the region.</summary>
    public bool IsReapedKnown { get; init; }

    /// <summary>Every entry from tail to head: posted and not answered, in order; the first few may be <see cref="RingEntryDump.IsBeingAnswered"/>.</summary>
    public IReadOnlyList<RingEntryDump> Entries { get; init; } = [];

    /// <summary>What is wrong with the region as a whole, a line each; what is wrong with one entry stands there.</summary>
    public IReadOnlyList<string> Problems { get; init; } = [];

    /// <summary>Whether everything parsed.</summary>
    public bool IsSound => Problems.Count == 0 && Entries.All(static entry => entry.Problem is null) && Answered.All(static entry => entry.Problem is null);

    /// <summary>The same, with the commands named by whoever knows SCSI, which the ring does not.</summary>
    public RingDump WithOperations(Func<byte[], string> nameOf)
    {
        ArgumentNullException.ThrowIfNull(nameOf);
        return this with
        {
            Entries = [.. Entries.Select(entry => entry.Request is { } request ? entry with { Request = request with { Command = nameOf(request.Cdb) } } : entry)],
        };
    }

    /// <summary>Decodes a copy of a region, or of its start.</summary>
    /// <param name="bytes">The region's bytes, at least those of mailbox and ring.</param>
    /// <param name="regionBytes">The whole region's length where <paramref name="bytes"/> is only its start.</param>
    /// <param name="reapedOffset">Up to where the target has reaped, as a ring offset; null where nobody knows.</param>
    public static unsafe RingDump Read(ReadOnlySpan<byte> bytes, long? regionBytes = null, uint? reapedOffset = null)
    {
        // A region starts on a multiple of 8, which a span need not do.
        var copy = new ulong[(bytes.Length / sizeof(ulong)) + 1];
        bytes.CopyTo(MemoryMarshal.AsBytes(copy.AsSpan()));
        fixed (ulong* start = copy)
            return new RingReader(new SharedRegion((nint)start, bytes.Length), Math.Max(regionBytes ?? 0, bytes.Length)).Read(reapedOffset);
    }

    /// <summary>Decodes a region where it is mapped.</summary>
    /// <param name="region">Where it starts, on a multiple of 8.</param>
    /// <param name="mapLength">How many bytes are mapped there.</param>
    /// <param name="reapedOffset">Up to where the target has reaped, as a ring offset; null where nobody knows.</param>
    public static RingDump Read(nint region, long mapLength, uint? reapedOffset = null) =>
        new RingReader(new SharedRegion(region, mapLength), mapLength).Read(reapedOffset);

    /// <summary>How many bytes from the region's start hold mailbox and command ring, by what the mailbox says; 0 when it makes no sense.</summary>
    /// <param name="mailbox">At least the 128 bytes of the mailbox.</param>
    public static long BytesUpToData(ReadOnlySpan<byte> mailbox)
    {
        if (mailbox.Length < RingAbi.MailboxBytes)
            return 0;
        long offset = MemoryMarshal.Read<uint>(mailbox[RingAbi.CommandRingOffsetOffset..]);
        long length = MemoryMarshal.Read<uint>(mailbox[RingAbi.CommandRingSizeOffset..]);
        return offset >= RingAbi.MailboxBytes && length > 0 ? RingAbi.RoundUp(offset + length, RingAbi.PageBytes) : 0;
    }
}

/// <summary>A mailbox as it stands in a region.</summary>
/// <param name="Version">The version; 2 is the only one known.</param>
/// <param name="Flags">What the target offers; bits without a name are kept.</param>
/// <param name="CommandRingOffset">cmdr_off: where the command ring starts, in bytes from the region's start.</param>
/// <param name="CommandRingBytes">cmdr_size.</param>
/// <param name="Head">cmd_head: the ring offset at which the target writes its next entry.</param>
/// <param name="Tail">cmd_tail: the ring offset of the first entry not yet answered.</param>
/// <param name="TargetWaiting">target_waiting: not 0 while the target sleeps.</param>
/// <param name="HandlerWaiting">handler_waiting: not 0 while the handler sleeps.</param>
public sealed record MailboxDump(int Version, MailboxFlags Flags, uint CommandRingOffset, uint CommandRingBytes, uint Head, uint Tail, uint TargetWaiting, uint HandlerWaiting)
{
    /// <summary>The flags by the header's names, without TCMU_MAILBOX_FLAG_CAP_; those that have none as numbers.</summary>
    public IReadOnlyList<string> FlagNames =>
        FlagText.Of((int)Flags, (RingAbi.MailboxFlagOutOfOrder, "OOOC"), (RingAbi.MailboxFlagReadLength, "READ_LEN"), (RingAbi.MailboxFlagTaskManagement, "TMR"), (RingAbi.MailboxFlagKeepBuffer, "KEEP_BUF"));
}

/// <summary>What kind of entry stands in a ring.</summary>
public enum RingEntryKind
{
    /// <summary>Fills the ring up to its end.</summary>
    Pad,

    /// <summary>A command, or the answer to one.</summary>
    Command,

    /// <summary>A notice that commands were given up.</summary>
    TaskManagement,

    /// <summary>An operation without a name.</summary>
    Unknown,
}

/// <summary>One entry of a command ring.</summary>
public sealed record RingEntryDump
{
    /// <summary>Where it starts, in bytes from the command ring's start.</summary>
    public required uint Offset { get; init; }

    /// <summary>Its length in bytes, as it says itself.</summary>
    public required uint Length { get; init; }

    /// <summary>The low three bits of its length field.</summary>
    public required int Operation { get; init; }

    /// <summary>What it is.</summary>
    public RingEntryKind Kind => Operation switch
    {
        RingAbi.OperationPad => RingEntryKind.Pad,
        RingAbi.OperationCommand => RingEntryKind.Command,
        RingAbi.OperationTaskManagement => RingEntryKind.TaskManagement,
        _ => RingEntryKind.Unknown,
    };

    /// <summary>cmd_id.</summary>
    public required ushort Id { get; init; }

    /// <summary>kflags: the target's.</summary>
    public required byte TargetFlags { get; init; }

    /// <summary>uflags: the handler's. Before the tail has reached the entry they are 0, unless it is <see cref="IsBeingAnswered"/>.</summary>
    public required ResponseFlags ResponseFlags { get; init; }

    /// <summary>uflags by the header's names, without TCMU_UFLAG_; those that have none as numbers.</summary>
    public IReadOnlyList<string> ResponseFlagNames =>
        FlagText.Of((int)ResponseFlags, (RingAbi.ResponseFlagUnknownOperation, "UNKNOWN_OP"), (RingAbi.ResponseFlagReadLength, "READ_LEN"), (RingAbi.ResponseFlagKeepBuffer, "KEEP_BUF"), (RingAbi.ResponseFlagOwnMemory, "OWN_MEMORY"));

    /// <summary>
    /// Whether the handler has begun to write an answer into the slot without having moved the tail over it: of the command that stood there nothing can be
    /// told any more, and the answer, which may be another command's, need not be whole. An answer that leaves no trace in the command is not noticed.
    /// </summary>
    public bool IsBeingAnswered { get; init; }

    /// <summary>The command asked for; null for any other entry, and for one whose slot holds an answer.</summary>
    public RingRequestDump? Request { get; init; }

    /// <summary>The answer in the slot; null for an entry that is not answered.</summary>
    public RingAnswerDump? Answer { get; init; }

    /// <summary>The notice; null for any other entry.</summary>
    public RingNoticeDump? Notice { get; init; }

    /// <summary>What is wrong with the entry; null when nothing is.</summary>
    public string? Problem { get; init; }
}

/// <summary>A command as the target posted it.</summary>
/// <param name="Cdb">The CDB; empty where it does not lie in the entry.</param>
/// <param name="CdbOffset">cdb_off, in bytes from the region's start.</param>
/// <param name="Data">Where its data lies or is to go; Data-Out of a bidirectional command.</param>
/// <param name="BidiDataIn">Where Data-In of a bidirectional command is to go.</param>
public sealed record RingRequestDump(byte[] Cdb, ulong CdbOffset, IReadOnlyList<RingExtentDump> Data, IReadOnlyList<RingExtentDump> BidiDataIn)
{
    /// <summary>What the command is called; null unless <see cref="RingDump.WithOperations"/> told.</summary>
    public string? Command { get; init; }
}

/// <summary>An iovec.</summary>
/// <param name="Offset">Where the data is, in bytes from the region's start.</param>
/// <param name="Length">Its length in bytes.</param>
/// <param name="FirstBlock">The first block of 4096 bytes of the data area that it touches; -1 where it lies outside.</param>
/// <param name="LastBlock">The last one; -1 where it lies outside.</param>
public sealed record RingExtentDump(ulong Offset, ulong Length, long FirstBlock, long LastBlock);

/// <summary>An answer as the handler wrote it.</summary>
/// <param name="Status">The SCSI status.</param>
/// <param name="ReadLength">read_len; it counts only with <see cref="ResponseFlags.ReadLength"/>.</param>
/// <param name="Sense">The sense data without the zeroes at its end; empty unless the status is CHECK CONDITION.</param>
public sealed record RingAnswerDump(byte Status, uint ReadLength, byte[] Sense);

/// <summary>A task management entry.</summary>
/// <param name="Type">tmr_type.</param>
/// <param name="Count">cmd_cnt, as it stands there.</param>
/// <param name="Ids">The commands concerned.</param>
public sealed record RingNoticeDump(byte Type, uint Count, IReadOnlyList<ushort> Ids)
{
    /// <summary>The function's name.</summary>
    public string Name => Type switch
    {
        RingAbi.TaskManagementUnknown => "UNKNOWN",
        RingAbi.TaskManagementAbortTask => "ABORT TASK",
        RingAbi.TaskManagementAbortTaskSet => "ABORT TASK SET",
        RingAbi.TaskManagementClearAca => "CLEAR ACA",
        RingAbi.TaskManagementClearTaskSet => "CLEAR TASK SET",
        RingAbi.TaskManagementLogicalUnitReset => "LOGICAL UNIT RESET",
        RingAbi.TaskManagementTargetWarmReset => "TARGET WARM RESET",
        RingAbi.TaskManagementTargetColdReset => "TARGET COLD RESET",
        RingAbi.TaskManagementPreemptAndAbort => "PREEMPT AND ABORT",
        _ => $"type {Type}",
    };
}

static class FlagText
{
    public static IReadOnlyList<string> Of(int flags, params ReadOnlySpan<(int Bit, string Name)> known)
    {
        List<string> names = [];
        foreach (var (bit, name) in known)
        {
            if ((flags & bit) != 0)
                names.Add(name);
            flags &= ~bit;
        }
        if (flags != 0)
            names.Add($"0x{flags:X}");
        return names;
    }
}
