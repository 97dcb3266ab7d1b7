namespace Scuse.Device;

/// <summary>What one command may ask for at most: reported in VPD page B0h and enforced by the same numbers. SBC-3 clause 6.6.4.</summary>
static class BlockLimits
{
    /// <summary>How many blocks one UNMAP may cover: the most that libiscsi's test suite takes for a sane limit.</summary>
    public const uint MaxUnmapBlocks = 1 << 20;

    /// <summary>How many ranges one UNMAP may name.</summary>
    public const int MaxUnmapDescriptors = 256;

    /// <summary>What one WRITE SAME may cover: written as data at 100 MB/s it still ends within three seconds, far from any initiator's time-out.</summary>
    public const long MaxWriteSameBytes = 256L << 20;

    /// <summary>A transfer that no device gains from exceeding: OPTIMAL TRANSFER LENGTH.</summary>
    public const int OptimalTransferBytes = 1 << 20;

    /// <summary>The unit in which most storage behind a device works, so the one that transfers and unmaps should be aligned to.</summary>
    public const int GranularityBytes = 4096;

    /// <summary>The working memory that a compound command rents at most.</summary>
    public const int WorkBytes = 1 << 20;

    /// <summary>The most blocks that one WRITE SAME may cover: no more than one WRITE may, which is what initiators suppose.</summary>
    public static uint MaxWriteSameBlocks(BlockDeviceInfo info) => Math.Min((uint)(MaxWriteSameBytes / info.BlockSize), MaxTransferBlocks(info));

    /// <summary>The most blocks that one COMPARE AND WRITE may compare and write: 128, so that its CDB can also ask for more and be refused; or as one command may move twice.</summary>
    public static byte MaxCompareAndWriteBlocks(BlockDeviceInfo info) => (byte)Math.Min(128, MaxTransferBlocks(info) / 2);

    /// <summary>The most blocks that one WRITE ATOMIC may write; 0 where there is none.</summary>
    public static uint MaxAtomicBlocks(BlockDeviceInfo info) =>
        (uint)Math.Min(Math.Min(info.AtomicWriteBytes / info.BlockSize, ushort.MaxValue), MaxTransferBlocks(info));

    /// <summary>The most blocks that one command may transfer.</summary>
    public static uint MaxTransferBlocks(BlockDeviceInfo info) => (uint)(info.MaxTransferBytes / info.BlockSize);

    /// <summary>How much of <paramref name="lengthBytes"/> a compound command works on at a time: whole blocks, at least one.</summary>
    public static int WorkLength(BlockDeviceInfo info, long lengthBytes)
    {
        long most = Math.Max(info.BlockSize, Math.Min(WorkBytes, (long)MaxTransferBlocks(info) * info.BlockSize));
        return (int)Math.Min(lengthBytes, most - (most % info.BlockSize));
    }
}
