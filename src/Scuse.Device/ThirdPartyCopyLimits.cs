namespace Scuse.Device;

/// <summary>What one EXTENDED COPY, or one copy by token, may ask for at most: reported in VPD page 8Fh and by RECEIVE COPY RESULTS, and enforced by the same numbers. SPC-4 clauses 6.24.4 and 7.8.17.</summary>
public static class ThirdPartyCopyLimits
{
    /// <summary>How many copy sources and destinations.</summary>
    public const int MaxCscds = 32;

    /// <summary>How many segments.</summary>
    public const int MaxSegments = 256;

    /// <summary>How many bytes of descriptors: the most of each, of the longest kind.</summary>
    public const int MaxDescriptorListBytes = (MaxCscds + MaxSegments) * 32;

    /// <summary>What one segment may copy, in bytes: as much as its block count can say at 4096 bytes a block.</summary>
    public const int MaxSegmentBytes = 256 << 20;

    /// <summary>How many copies an I_T nexus may have under way at a time.</summary>
    public const int MaxConcurrentCopies = 16;

    /// <summary>How many ranges of blocks POPULATE TOKEN or WRITE USING TOKEN may name: MAXIMUM RANGE DESCRIPTORS.</summary>
    public const int MaxTokenRanges = 32;

    /// <summary>What a token may stand for, and WRITE USING TOKEN may write, in bytes: MAXIMUM TOKEN TRANSFER SIZE.</summary>
    public const int MaxTokenBytes = 256 << 20;

    /// <summary>What is copied at a time without keeping others waiting for long: OPTIMAL TRANSFER COUNT, in bytes.</summary>
    public const int OptimalTokenBytes = 64 << 20;

    /// <summary>For how long a token may ask to be kept without being used: MAXIMUM INACTIVITY TIMEOUT.</summary>
    public const int MaxTokenInactivitySeconds = 3600;

    /// <summary>For how long a token is kept that does not ask: DEFAULT INACTIVITY TIMEOUT. A copy engine uses one within seconds; a user may have paused a file manager.</summary>
    public const int DefaultTokenInactivitySeconds = 300;

    /// <summary>For how long a token is kept at most, however often it is used: MAXIMUM TOKEN LIFETIME.</summary>
    public const int MaxTokenLifetimeSeconds = 86_400;

    /// <summary>ROD type: point in time copy - default. SPC-4 clause 5.17.6.2.3.2.</summary>
    public const uint PointInTimeDefault = 0x0080_0000;

    /// <summary>ROD type: point in time copy - change vulnerable. SPC-4 clause 5.17.6.2.3.3.</summary>
    public const uint PointInTimeChangeVulnerable = 0x0080_0001;

    /// <summary>ROD type: point in time copy - any. SPC-4 clause 5.17.6.2.3.5.</summary>
    public const uint PointInTimeAny = 0x0080_FFFF;

    /// <summary>ROD type: the block device zero ROD token, which everybody knows. SBC-3.</summary>
    public const uint BlockDeviceZero = 0xFFFF_0001;

    /// <summary>The identification descriptor of a copy source or destination: CSCD descriptor type code E4h. SPC-4 clause 6.4.5.4.</summary>
    public const byte IdentificationDescriptor = 0xE4;

    /// <summary>The segment descriptor that copies from one block device to another. SPC-4 clause 6.4.6.5.</summary>
    public const byte BlockToBlock = 0x02;

    /// <summary>The same with byte offsets and a byte count. SPC-4 clause 6.4.6.13.</summary>
    public const byte BlockToBlockWithOffset = 0x0A;
}
