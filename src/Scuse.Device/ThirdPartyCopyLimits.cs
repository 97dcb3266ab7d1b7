namespace Scuse.Device;

/// <summary>What one EXTENDED COPY may ask for at most: reported in VPD page 8Fh and by RECEIVE COPY RESULTS, and enforced by the same numbers. SPC-4 clauses 6.24.4 and 7.8.17.</summary>
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

    /// <summary>How many copies there may be at a time.</summary>
    public const int MaxConcurrentCopies = 16;

    /// <summary>The identification descriptor of a copy source or destination: CSCD descriptor type code E4h. SPC-4 clause 6.4.5.4.</summary>
    public const byte IdentificationDescriptor = 0xE4;

    /// <summary>The segment descriptor that copies from one block device to another. SPC-4 clause 6.4.6.5.</summary>
    public const byte BlockToBlock = 0x02;

    /// <summary>The same with byte offsets and a byte count. SPC-4 clause 6.4.6.13.</summary>
    public const byte BlockToBlockWithOffset = 0x0A;
}
