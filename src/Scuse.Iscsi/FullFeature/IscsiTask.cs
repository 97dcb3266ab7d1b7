using Scuse.Target;

namespace Scuse.Iscsi.FullFeature;

/// <summary>Where a task is, as its connection sees it.</summary>
internal enum IscsiTaskState
{
    /// <summary>In the pool.</summary>
    Idle,

    /// <summary>Its CmdSN is ahead of a gap: not begun.</summary>
    Held,

    /// <summary>With the target core, which has not asked for data (yet).</summary>
    Begun,

    /// <summary>The core has room for the data and waits for it.</summary>
    Collecting,

    /// <summary>The core has its data.</summary>
    Executing,

    /// <summary>It has its status; the answer waits for the end of an unsolicited burst, or to be sent.</summary>
    Completed,

    /// <summary>Its last PDU is encoded.</summary>
    Answered,
}

/// <summary>An R2T that is open: Data-Out PDUs with its tag are to come. RFC 7143 section 11.8.</summary>
internal record struct OpenR2T(uint TargetTransferTag, uint R2TSN, int Offset, int End);

/// <summary>An iSCSI task: what a connection knows of one SCSI command. Pooled.</summary>
internal sealed class IscsiTask
{
    // Touched only by the owning reactor.
    public ScsiTask Scsi = null!;

    /// <summary>The connection it is allegiant to: its data and its answer go there. RFC 7143 section 4.2.5.1.</summary>
    public FullFeaturePhase? Phase;

    /// <summary>The connection that it was allegiant to, when that is gone and none has claimed it.</summary>
    public LostConnection? Lost;
    public IscsiTaskState State;
    public uint InitiatorTaskTag;
    public uint CmdSN;
    public ulong Lun;
    public bool Immediate;
    public bool IsBidirectional;

    /// <summary>Whether its answer is in the output queue, which then sees to its release.</summary>
    public bool IsQueued;

    /// <summary>Counts up each time the record is reused, so that what was queued for its former task can be told.</summary>
    public uint Generation;

    // ---- Data-Out ----

    /// <summary>The initiator sends unsolicited Data-Out PDUs until one with the F bit.</summary>
    public bool BurstOpen;

    /// <summary>A data segment of the task is being received now.</summary>
    public bool SegmentOpen;

    /// <summary>Where the next byte of the current sequence goes: the buffer offset that the next Data-Out has to carry.</summary>
    public int NextOffset;

    /// <summary>The DataSN that the next Data-Out of the sequence has to carry.</summary>
    public uint ExpDataSN;

    public DataCursor OutCursor;

    /// <summary>What came before there was room: a rented pinned array, filled up to <see cref="NextOffset"/>.</summary>
    public byte[]? Staging;

    /// <summary>A part of the current sequence was lost: the rest of it is skipped.</summary>
    public bool LacksData;

    /// <summary>Data was lost for good: the task ends once nothing more of it is on its way.</summary>
    public bool IsDeliveryFailed;

    /// <summary>How often lost data was asked for again.</summary>
    public int RecoveryR2Ts;

    /// <summary>Whether the unsolicited data is behind and R2Ts are being sent.</summary>
    public bool Soliciting;

    /// <summary>Whether the core asked for the data.</summary>
    public bool DataWasTaken;

    /// <summary>Up to where data was asked for.</summary>
    public int SolicitedEnd;

    /// <summary>The open R2Ts as a ring; data for them comes in their order (DataSequenceInOrder=Yes).</summary>
    public OpenR2T[] R2Ts = [];
    public int FirstR2T;
    public int R2TCount;

    // ---- Data-In ----

    public DataCursor InCursor;
    public int InTotal;
    public int InSent;
    public int InSequenceBytes;
    public bool InStarted;

    /// <summary>The next R2TSN and DataSN: R2Ts and Data-In PDUs of a command are numbered together. RFC 7143 section 4.2.2.4.</summary>
    public uint DataSN;

    /// <summary>The DataSN of its first Data-In PDU: behind those of its R2Ts.</summary>
    public uint FirstDataInSN;

    /// <summary>Where its data is cut as it is now, and the DataSN of the PDU that begins there.</summary>
    public int CutOffset;
    public uint CutDataSN;

    /// <summary>How its data is cut into PDUs, in bytes: as it was when the first one was sent.</summary>
    public int InSegmentLength;

    // ---- its answer, sent and perhaps not acknowledged ----

    /// <summary>Who still needs its memory once it is answered: pieces that are being sent, and the table of unacknowledged statuses.</summary>
    public int Holders;

    /// <summary>How many runs of its data wait to be sent again.</summary>
    public int Resends;

    /// <summary>The number that its status was sent under.</summary>
    public uint StatSN;

    /// <summary>Whether its status went with its last Data-In.</summary>
    public bool StatusIsInData;

    /// <summary>Up to which DataSN the initiator has acknowledged: those are not sent again.</summary>
    public uint AcknowledgedDataSN;

    /// <summary>What its response has to carry since its data was asked for in another cut.</summary>
    public uint? SnackTag;

    /// <summary>Whether the core has the task and may still call about it.</summary>
    public bool IsWithCore => State is IscsiTaskState.Begun or IscsiTaskState.Collecting or IscsiTaskState.Executing;

    /// <summary>Makes the record ready for another task.</summary>
    public void Reset()
    {
        Generation++;
        Scsi = null!;
        Phase = null;
        Lost = null;
        State = IscsiTaskState.Idle;
        Immediate = IsBidirectional = IsQueued = DataWasTaken = false;
        BurstOpen = SegmentOpen = Soliciting = InStarted = false;
        LacksData = IsDeliveryFailed = false;
        NextOffset = SolicitedEnd = FirstR2T = R2TCount = RecoveryR2Ts = 0;
        InTotal = InSent = InSequenceBytes = 0;
        ExpDataSN = DataSN = FirstDataInSN = CutDataSN = StatSN = AcknowledgedDataSN = 0;
        InSegmentLength = CutOffset = Holders = Resends = 0;
        StatusIsInData = false;
        SnackTag = null;
        OutCursor = InCursor = default;
    }
}
