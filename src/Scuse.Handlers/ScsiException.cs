using Scuse.Scsi;

namespace Scuse;

/// <summary>A command cannot be done, and this is what the initiator is told. Throw it from any method of a handler.</summary>
public sealed class ScsiException : Exception
{
    /// <summary>HARDWARE ERROR (04/44/00).</summary>
    public ScsiException()
        : this(new SenseData(SenseKey.HardwareError, AdditionalSense.InternalTargetFailure))
    {
    }

    /// <summary>HARDWARE ERROR (04/44/00), with a message for the log.</summary>
    public ScsiException(string message)
        : this(new SenseData(SenseKey.HardwareError, AdditionalSense.InternalTargetFailure), message)
    {
    }

    /// <summary>HARDWARE ERROR (04/44/00), with a message for the log and what led to it.</summary>
    public ScsiException(string message, Exception innerException)
        : this(new SenseData(SenseKey.HardwareError, AdditionalSense.InternalTargetFailure), message, innerException)
    {
    }

    /// <summary>CHECK CONDITION with this sense data.</summary>
    public ScsiException(SenseData sense, string? message = null, Exception? innerException = null)
        : base(message ?? $"the command ends with CHECK CONDITION, {sense}", innerException)
    {
        Status = ScsiStatus.CheckCondition;
        Sense = sense;
    }

    ScsiException(ScsiStatus status, string message)
        : base(message) => Status = status;

    /// <summary>The status the command ends with.</summary>
    public ScsiStatus Status { get; }

    /// <summary>The sense data; meaningful with CHECK CONDITION.</summary>
    public SenseData Sense { get; }

    /// <summary>What was written cannot be read: MEDIUM ERROR, UNRECOVERED READ ERROR (03/11/00). Say the first bad LBA if it is known.</summary>
    public static ScsiException MediumErrorRead(ulong? lba = null, Exception? cause = null) =>
        new(new SenseData(SenseKey.MediumError, AdditionalSense.UnrecoveredReadError) { Information = lba }, null, cause);

    /// <summary>It cannot be stored: MEDIUM ERROR, WRITE ERROR (03/0C/00). Say the first bad LBA if it is known.</summary>
    public static ScsiException MediumErrorWrite(ulong? lba = null, Exception? cause = null) =>
        new(new SenseData(SenseKey.MediumError, AdditionalSense.WriteError) { Information = lba }, null, cause);

    /// <summary>The storage behind the device is full: DATA PROTECT, SPACE ALLOCATION FAILED WRITE PROTECT (07/27/07).</summary>
    public static ScsiException SpaceExhausted(Exception? cause = null) =>
        new(new SenseData(SenseKey.DataProtect, AdditionalSense.SpaceAllocationFailed), null, cause);

    /// <summary>It cannot be written: DATA PROTECT, WRITE PROTECTED (07/27/00).</summary>
    public static ScsiException WriteProtected() => new(new SenseData(SenseKey.DataProtect, AdditionalSense.WriteProtected));

    /// <summary>Something broke that is not the medium: HARDWARE ERROR, INTERNAL TARGET FAILURE (04/44/00).</summary>
    public static ScsiException HardwareError(Exception? cause = null) =>
        new(new SenseData(SenseKey.HardwareError, AdditionalSense.InternalTargetFailure), null, cause);

    /// <summary>What the device stands on cannot be reached now: NOT READY, LOGICAL UNIT COMMUNICATION FAILURE (02/08/00).</summary>
    public static ScsiException CommunicationFailure(Exception? cause = null) =>
        new(new SenseData(SenseKey.NotReady, AdditionalSense.CommunicationFailure), null, cause);

    /// <summary>Not done, and may be sent again: ABORTED COMMAND (0B/00/00).</summary>
    public static ScsiException Aborted(Exception? cause = null) => new(new SenseData(SenseKey.AbortedCommand, AdditionalSense.None), null, cause);

    /// <summary>Too much to do: BUSY, and the initiator tries again later.</summary>
    public static ScsiException Busy() => new(ScsiStatus.Busy, "the command ends with BUSY");
}
