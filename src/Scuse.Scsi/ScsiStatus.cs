namespace Scuse.Scsi;

/// <summary>How a command ended. SAM-5 clause 5.3.1.</summary>
public enum ScsiStatus : byte
{
    /// <summary>Done.</summary>
    Good = 0x00,

    /// <summary>Sense data tells what happened.</summary>
    CheckCondition = 0x02,

    /// <summary>A PRE-FETCH found room for all.</summary>
    ConditionMet = 0x04,

    /// <summary>Try again later.</summary>
    Busy = 0x08,

    /// <summary>Another initiator's reservation forbids it.</summary>
    ReservationConflict = 0x18,

    /// <summary>No room for another command.</summary>
    TaskSetFull = 0x28,

    /// <summary>An auto contingent allegiance is in force.</summary>
    AcaActive = 0x30,

    /// <summary>Ended by another initiator's doing.</summary>
    TaskAborted = 0x40,
}
