using Scuse.Scsi;

namespace Scuse.Device;

/// <summary>A range of whole blocks that lies on the device, in bytes.</summary>
readonly record struct BlockRange(long OffsetBytes, long LengthBytes)
{
    /// <summary>
    /// The range of <paramref name="blockCount"/> blocks from <paramref name="lba"/> on; false when it does not lie on the device. A range of no blocks may
    /// start where the medium ends, but not beyond. SBC-3 clause 4.5.
    /// </summary>
    public static bool TryLocate(BlockDeviceInfo info, ulong lba, uint blockCount, out BlockRange range)
    {
        ulong capacity = info.BlockCount;
        if (lba > capacity || blockCount > capacity - lba)
        {
            range = default;
            return false;
        }

        range = new((long)lba * info.BlockSize, (long)blockCount * info.BlockSize);
        return true;
    }

    /// <summary>
    /// The range that a CDB transfers: checks protection, range and MAXIMUM TRANSFER LENGTH, in this order.
    /// </summary>
    public static bool TryLocateTransfer(BlockDeviceInfo info, in BlockTransferCdb cdb, out BlockRange range, out SenseData refusal)
    {
        range = default;
        if (cdb.Protect != 0)
        {
            refusal = SenseData.InvalidFieldInCdb(1); // no protection information here: PROTECT is 0 in the standard INQUIRY data
            return false;
        }

        if (!TryLocate(info, cdb.Lba, cdb.BlockCount, out range))
        {
            refusal = SenseData.LbaOutOfRange;
            return false;
        }

        if (range.LengthBytes > info.MaxTransferBytes)
        {
            refusal = SenseData.InvalidFieldInCdb(cdb.BlockCountOffset);
            return false;
        }

        refusal = default;
        return true;
    }

    /// <summary>The bytes of this range that a buffer has room for, in whole blocks.</summary>
    public int FitInto(DataBuffer buffer, int blockSize)
    {
        long fit = Math.Min(LengthBytes, buffer.Length);
        return (int)(fit - (fit % blockSize));
    }
}
