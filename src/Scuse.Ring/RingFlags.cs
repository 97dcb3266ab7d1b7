namespace Scuse.Ring;

/// <summary>What the target's end of a ring can do, as it says in the mailbox.</summary>
[Flags]
public enum MailboxFlags : ushort
{
    /// <summary>Nothing: answers in the order of the commands.</summary>
    None = 0,

    /// <summary>The handler may answer in any order (TCMU_MAILBOX_FLAG_CAP_OOOC).</summary>
    OutOfOrder = RingAbi.MailboxFlagOutOfOrder,

    /// <summary>The handler may say how much Data-In there is (TCMU_MAILBOX_FLAG_CAP_READ_LEN).</summary>
    ReadLength = RingAbi.MailboxFlagReadLength,

    /// <summary>The target may post task management entries (TCMU_MAILBOX_FLAG_CAP_TMR).</summary>
    TaskManagement = RingAbi.MailboxFlagTaskManagement,

    /// <summary>The handler may keep a completed command's data blocks (TCMU_MAILBOX_FLAG_CAP_KEEP_BUF).</summary>
    KeepBuffer = RingAbi.MailboxFlagKeepBuffer,
}

/// <summary>What a handler says about its answer besides the status: the header's uflags.</summary>
[Flags]
public enum ResponseFlags : byte
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>The operation code is unknown to the handler; status and sense are the target's to make (TCMU_UFLAG_UNKNOWN_OP).</summary>
    UnknownOp = RingAbi.ResponseFlagUnknownOperation,

    /// <summary>The answer's read length counts, and data goes with sense (TCMU_UFLAG_READ_LEN).</summary>
    ReadLength = RingAbi.ResponseFlagReadLength,

    /// <summary>The id and the data blocks stay taken until freed by id (TCMU_UFLAG_KEEP_BUF).</summary>
    KeepBuffer = RingAbi.ResponseFlagKeepBuffer,

    /// <summary>The Data-In stands in the handler's own memory, and the iovecs hold nothing. Scuse's extension, in force only when negotiated.</summary>
    OwnMemory = RingAbi.ResponseFlagOwnMemory,
}

/// <summary>What became of an attempt to post a command.</summary>
public enum PostResult
{
    /// <summary>The command is in the ring; the next <see cref="TargetRing.Publish"/> shows it to the handler.</summary>
    Posted,

    /// <summary>The command ring has no room now; try again once answers have been reaped.</summary>
    RingFull,

    /// <summary>All ids are outstanding or kept; try again once answers have been reaped. TASK SET FULL to an initiator that cannot wait.</summary>
    NoFreeId,

    /// <summary>The entry would take more than half the command ring, or the CDB is longer than 260 bytes: it will never fit. INVALID FIELD IN CDB to an initiator.</summary>
    TooLarge,
}
