namespace Scuse.Device;

/// <summary>What a block device can do beyond reading and writing.</summary>
[Flags]
public enum BlockDeviceFeatures
{
    /// <summary>Reads and writes only.</summary>
    None = 0,

    /// <summary>It may hold acknowledged writes in volatile memory until a flush: reported as a write cache that is on.</summary>
    Flush = 1,

    /// <summary>It can give blocks back; unmapped blocks read as zeros. Reported as thin provisioning.</summary>
    Unmap = 2,

    /// <summary>It writes zeros faster than by data.</summary>
    WriteZeroes = 4,

    /// <summary>It cannot be written: reported as write protected.</summary>
    ReadOnly = 8,

    /// <summary>It can tell which blocks hold data and which are unmapped: GET LBA STATUS says so.</summary>
    Extents = 16,

    /// <summary>It can tell how much room it takes up and how much more there is: the Logical Block Provisioning log page says so, and thresholds watch it.</summary>
    Resources = 32,
}

/// <summary>Size, shape and identity of a block device: what the device server needs to answer for it.</summary>
public sealed record BlockDeviceInfo
{
    /// <summary>Capacity in bytes; a multiple of <see cref="BlockSize"/>.</summary>
    public required long SizeBytes { get; init; }

    /// <summary>Logical block length in bytes: 512 or 4096.</summary>
    public int BlockSize { get; init; } = 512;

    /// <summary>What the device can do.</summary>
    public BlockDeviceFeatures Features { get; init; }

    /// <summary>T10 vendor identification, at most 8 ASCII characters. SPC-4 clause 6.4.2.</summary>
    public string Vendor { get; init; } = "SCUSE";

    /// <summary>Product identification, at most 16 ASCII characters.</summary>
    public string Product { get; init; } = "disk";

    /// <summary>Product revision level, at most 4 ASCII characters.</summary>
    public string Revision { get; init; } = "0001";

    /// <summary>Unit serial number (VPD page 80h), ASCII; the NAA identifier of VPD page 83h is derived from it, so it must be unique and never change.</summary>
    public required string Serial { get; init; }

    /// <summary>The most bytes one command may move: the MAXIMUM TRANSFER LENGTH of VPD page B0h.</summary>
    public int MaxTransferBytes { get; init; } = 32 << 20;

    /// <summary>
    /// The most bytes that one write stores all or none of, whatever fails meanwhile, a loss of power included: the MAXIMUM ATOMIC TRANSFER LENGTH of VPD page B0h.
    /// 0: the device promises nothing, and WRITE ATOMIC(16) does not exist.
    /// </summary>
    public int AtomicWriteBytes { get; init; }

    /// <summary>Capacity in logical blocks.</summary>
    public ulong BlockCount => (ulong)(SizeBytes / BlockSize);

    /// <summary>Whether the device has all of <paramref name="feature"/>.</summary>
    public bool Has(BlockDeviceFeatures feature) => (Features & feature) == feature;
}
