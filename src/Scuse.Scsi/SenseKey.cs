namespace Scuse.Scsi;

/// <summary>The general kind of what sense data reports. SPC-4 table 56.</summary>
public enum SenseKey : byte
{
    /// <summary>Nothing to report.</summary>
    NoSense = 0x0,

    /// <summary>Done, with recovery.</summary>
    RecoveredError = 0x1,

    /// <summary>The logical unit cannot be accessed now.</summary>
    NotReady = 0x2,

    /// <summary>A flaw in the medium or in recorded data.</summary>
    MediumError = 0x3,

    /// <summary>A failure that is not the medium's.</summary>
    HardwareError = 0x4,

    /// <summary>The CDB or the parameters are at fault.</summary>
    IllegalRequest = 0x5,

    /// <summary>Something changed; the command was not done.</summary>
    UnitAttention = 0x6,

    /// <summary>The medium is protected, or its space is used up.</summary>
    DataProtect = 0x7,

    /// <summary>Blank medium found.</summary>
    BlankCheck = 0x8,

    /// <summary>EXTENDED COPY was aborted by one of its ends.</summary>
    CopyAborted = 0xA,

    /// <summary>The device server gave the command up; it may be sent again.</summary>
    AbortedCommand = 0xB,

    /// <summary>Data compared did not match.</summary>
    Miscompare = 0xE,
}
