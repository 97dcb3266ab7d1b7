namespace Scuse.Ring;

/// <summary>Every offset, size and flag of the command ring, mailbox version 2, as <c>linux/target_core_user.h</c> lays it out on 64-bit machines.</summary>
/// <remarks>All numbers in the region are in the machine's own byte order. docs/ring-abi.md tells the rules that go with them.</remarks>
public static class RingAbi
{
    /// <summary>The mailbox version, the only one spoken here.</summary>
    public const int MailboxVersion = 2;

    /// <summary>Bytes of the mailbox.</summary>
    public const int MailboxBytes = 128;

    /// <summary>u16 in the mailbox: the version. Written by the target.</summary>
    public const int MailboxVersionOffset = 0;

    /// <summary>u16 in the mailbox: <see cref="MailboxFlags"/>. Written by the target.</summary>
    public const int MailboxFlagsOffset = 2;

    /// <summary>u32 in the mailbox: where the command ring starts, in bytes from the region's start. Written by the target.</summary>
    public const int CommandRingOffsetOffset = 4;

    /// <summary>u32 in the mailbox: the command ring's bytes. Written by the target.</summary>
    public const int CommandRingSizeOffset = 8;

    /// <summary>u32 in the mailbox: cmd_head, the ring offset at which the target writes its next entry. Written by the target.</summary>
    public const int CommandHeadOffset = 12;

    /// <summary>u32 in the mailbox: target_waiting, 1 while the target sleeps. Scuse's extension, in force only when negotiated. Written by the target.</summary>
    public const int TargetWaitingOffset = 16;

    /// <summary>u32 in the mailbox, on a cache line of its own: cmd_tail, the ring offset of the first entry not yet answered. Written by the handler.</summary>
    public const int CommandTailOffset = 64;

    /// <summary>u32 in the mailbox: handler_waiting, 1 while the handler sleeps. Scuse's extension, in force only when negotiated. Written by the handler.</summary>
    public const int HandlerWaitingOffset = 68;

    /// <summary>Mailbox flag: the handler may answer in any order.</summary>
    public const int MailboxFlagOutOfOrder = 1;

    /// <summary>Mailbox flag: the target understands <see cref="ResponseFlagReadLength"/>.</summary>
    public const int MailboxFlagReadLength = 2;

    /// <summary>Mailbox flag: the target may post task management entries.</summary>
    public const int MailboxFlagTaskManagement = 4;

    /// <summary>Mailbox flag: the target understands <see cref="ResponseFlagKeepBuffer"/>.</summary>
    public const int MailboxFlagKeepBuffer = 8;

    /// <summary>Bytes of an entry's header.</summary>
    public const int HeaderBytes = 8;

    /// <summary>Entries start on, and their lengths are, multiples of this many bytes.</summary>
    public const int EntryAlignment = 8;

    /// <summary>u32 in the header: the entry's length in bytes, with the operation in its low three bits.</summary>
    public const int LengthAndOperationOffset = 0;

    /// <summary>u16 in the header: the command's id, 1 to 65535.</summary>
    public const int CommandIdOffset = 4;

    /// <summary>u8 in the header: the target's flags, 0 today.</summary>
    public const int TargetFlagsOffset = 6;

    /// <summary>u8 in the header: the handler's <see cref="ResponseFlags"/>.</summary>
    public const int ResponseFlagsOffset = 7;

    /// <summary>The bits of the length field that hold the operation.</summary>
    public const int OperationMask = 7;

    /// <summary>Operation of an entry that only fills the ring up to its end.</summary>
    public const int OperationPad = 0;

    /// <summary>Operation of a command entry.</summary>
    public const int OperationCommand = 1;

    /// <summary>Operation of a task management entry.</summary>
    public const int OperationTaskManagement = 2;

    /// <summary>Response flag: the handler does not know the CDB's operation code.</summary>
    public const int ResponseFlagUnknownOperation = 1;

    /// <summary>Response flag: read_len says how many bytes of Data-In are there.</summary>
    public const int ResponseFlagReadLength = 2;

    /// <summary>Response flag: the command is complete but its id and data blocks stay taken until freed by id.</summary>
    public const int ResponseFlagKeepBuffer = 4;

    /// <summary>Response flag: the Data-In stands in the handler's own memory, at <see cref="OwnMemoryPlaceOffset"/>. Scuse's extension, in force only when negotiated.</summary>
    public const int ResponseFlagOwnMemory = 128;

    /// <summary>
    /// Response flag: the handler has begun to write an answer into the entry, so that of the command that stood there nothing can be read any more. For the next handler, in a ring that outlives
    /// this one, as the kernel's do; to a target it means nothing.
    /// </summary>
    public const int ResponseFlagAnswerBegun = 64;

    // Every one that a target listens to.
    internal const ResponseFlags KnownResponseFlags = (ResponseFlags)(ResponseFlagUnknownOperation | ResponseFlagReadLength | ResponseFlagKeepBuffer | ResponseFlagOwnMemory);

    /// <summary>Bytes of a command entry before its CDB, where it has no more than four iovecs.</summary>
    public const int CommandEntryBytes = 112;

    /// <summary>u32 in a command entry: how many iovecs the data has.</summary>
    public const int IovecCountOffset = 8;

    /// <summary>u32 in a command entry: how many further iovecs the Data-In of a bidirectional command has.</summary>
    public const int BidirectionalIovecCountOffset = 12;

    /// <summary>u32 in a command entry: how many further iovecs protection information has; always 0 so far.</summary>
    public const int ProtectionIovecCountOffset = 16;

    /// <summary>u64 in a command entry: where the CDB starts, in bytes from the region's start.</summary>
    public const int CdbOffsetOffset = 24;

    /// <summary>Where the iovecs start in a command entry.</summary>
    public const int IovecsOffset = 48;

    /// <summary>Bytes of an iovec: u64 offset from the region's start, u64 length in bytes.</summary>
    public const int IovecBytes = 16;

    /// <summary>u64 in an iovec: offset in bytes from the region's start.</summary>
    public const int IovecBaseOffset = 0;

    /// <summary>u64 in an iovec: length in bytes.</summary>
    public const int IovecLengthOffset = 8;

    /// <summary>u8 in an answered entry: the SCSI status.</summary>
    public const int StatusOffset = 8;

    /// <summary>u32 in an answered entry: the bytes of Data-In, where <see cref="ResponseFlagReadLength"/> is set.</summary>
    public const int ReadLengthOffset = 12;

    /// <summary>Where the sense data starts in an answered entry.</summary>
    public const int SenseOffset = 16;

    /// <summary>u64 in an entry answered with <see cref="ResponseFlagOwnMemory"/>: where in the handler's own memory the Data-In starts, in bytes. There is no sense data then.</summary>
    public const int OwnMemoryPlaceOffset = SenseOffset;

    /// <summary>
    /// u32 in an entry answered with GOOD: how long the handler took over the command, in nanoseconds; the highest value also for what took longer. Scuse's extension, in force only when
    /// negotiated. There is no sense data then.
    /// </summary>
    public const int ServiceTimeOffset = SenseOffset + 8;

    /// <summary>Bytes of sense data in an answered entry.</summary>
    public const int SenseBytes = 96;

    /// <summary>Bytes of a task management entry before its ids.</summary>
    public const int TaskManagementEntryBytes = 32;

    /// <summary>u8 in a task management entry: the function, one of the TaskManagement constants here.</summary>
    public const int TaskManagementTypeOffset = 8;

    /// <summary>u32 in a task management entry: how many ids follow.</summary>
    public const int TaskManagementCountOffset = 12;

    /// <summary>Where the u16 ids of the commands concerned start in a task management entry.</summary>
    public const int TaskManagementIdsOffset = 32;

    /// <summary>Task management function not known to the target.</summary>
    public const byte TaskManagementUnknown = 0;

    /// <summary>ABORT TASK. SAM-5 clause 7.2.</summary>
    public const byte TaskManagementAbortTask = 1;

    /// <summary>ABORT TASK SET. SAM-5 clause 7.3.</summary>
    public const byte TaskManagementAbortTaskSet = 2;

    /// <summary>CLEAR ACA. SAM-5 clause 7.4.</summary>
    public const byte TaskManagementClearAca = 3;

    /// <summary>CLEAR TASK SET. SAM-5 clause 7.5.</summary>
    public const byte TaskManagementClearTaskSet = 4;

    /// <summary>LOGICAL UNIT RESET. SAM-5 clause 7.7.</summary>
    public const byte TaskManagementLogicalUnitReset = 5;

    /// <summary>TARGET WARM RESET. RFC 7143 section 11.5.1.</summary>
    public const byte TaskManagementTargetWarmReset = 6;

    /// <summary>TARGET COLD RESET. RFC 7143 section 11.5.1.</summary>
    public const byte TaskManagementTargetColdReset = 7;

    /// <summary>Commands aborted by PERSISTENT RESERVE OUT with PREEMPT AND ABORT. SPC-4 clause 5.9.</summary>
    public const byte TaskManagementPreemptAndAbort = 128;

    /// <summary>The longest CDB, in bytes: 7Fh with an additional CDB length of 252. SPC-4 clause 4.2.3.</summary>
    public const int MaxCdbBytes = 260;

    /// <summary>The highest command id.</summary>
    public const int MaxCommandId = ushort.MaxValue;

    /// <summary>The page size the data area is aligned to, in bytes.</summary>
    public const int PageBytes = 4096;

    /// <summary>Bytes of a command entry before its CDB, given all its iovecs, Data-In of bidirectional commands included.</summary>
    public static long CommandEntryBytesBeforeCdb(int iovecs) => Math.Max(IovecsOffset + (long)IovecBytes * iovecs, CommandEntryBytes);

    /// <summary>The smallest multiple of <paramref name="multiple"/> that is not below <paramref name="value"/>; neither is negative.</summary>
    public static long RoundUp(long value, long multiple) => (value + multiple - 1) / multiple * multiple;
}
