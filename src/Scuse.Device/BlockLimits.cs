namespace Scuse.Device;

/// <summary>What one command may ask for at most: reported in VPD page B0h and enforced by the same numbers. SBC-3 clause 6.6.4.</summary>
static class BlockLimits
{
    /// <summary>What one UNMAP may cover: as much as Linux's block layer puts into one discard.</summary>
    public const long MaxUnmapBytes = 4L << 30;

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

    /// <summary>The most blocks that one UNMAP may cover.</summary>
    public static uint MaxUnmapBlocks(BlockDeviceInfo info) => (uint)(MaxUnmapBytes / info.BlockSize);

    /// <summary>The most blocks that one WRITE SAME may cover.</summary>
    public static uint MaxWriteSameBlocks(BlockDeviceInfo info) => (uint)(MaxWriteSameBytes / info.BlockSize);

    /// <summary>The most blocks that one command may transfer.</summary>
    public static uint MaxTransferBlocks(BlockDeviceInfo info) => (uint)(info.MaxTransferBytes / info.BlockSize);

    /// <summary>How much of <paramref name="lengthBytes"/> a compound command works on at a time: whole blocks, at least one.</summary>
    public static int WorkLength(BlockDeviceInfo info, long lengthBytes)
    {
        long most = Math.Max(info.BlockSize, Math.Min(WorkBytes, (long)MaxTransferBlocks(info) * info.BlockSize));
        return (int)Math.Min(lengthBytes, most - (most % info.BlockSize));
    }
}
