using System.Runtime.CompilerServices;
using Scuse.Scsi;

namespace Scuse.Device.Commands;

/// <summary>WRITE SAME(10) and (16). SBC-3 clauses 5.43 and 5.44.</summary>
static class WriteSameCommands
{
    public static ValueTask<ScsiResult> WriteSame(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        BlockTransferCdb cdb = BlockTransferCdb.Parse(command.Cdb.Span);
        bool canUnmap = info.Has(BlockDeviceFeatures.Unmap);
        if (cdb.Protect != 0 || cdb.Anchor || cdb.WritesAddresses || (cdb.Unmap && !canUnmap))
        {
            return ControlResponse.RefuseField(1);
        }

        if (!BlockRange.TryLocate(info, cdb.Lba, cdb.BlockCount, out BlockRange range))
        {
            return ControlResponse.Refuse(SenseData.LbaOutOfRange);
        }

        // Zero blocks would be all to the end of the medium; WSNZ in VPD page B0h says that this is not done.
        if (cdb.BlockCount == 0 || cdb.BlockCount > BlockLimits.MaxWriteSameBlocks(info))
        {
            return ControlResponse.RefuseField(cdb.BlockCountOffset);
        }

        if (!cdb.Ndob && command.DataOut.Length < info.BlockSize)
        {
            return ControlResponse.RefuseField(cdb.BlockCountOffset);
        }

        DataBuffer block = cdb.Ndob ? DataBuffer.Empty : command.DataOut.Slice(0, info.BlockSize);
        if (BufferComparison.IsZero(block))
        {
            // Unmapped blocks read as zeros here, so unmapping is as good as writing them. SBC-3 clause 4.7.3.4.
            if (cdb.Unmap)
            {
                return server.Device.UnmapAsync(range.OffsetBytes, range.LengthBytes, command.Aborted);
            }

            if (info.Has(BlockDeviceFeatures.WriteZeroes))
            {
                return server.Device.WriteZeroesAsync(range.OffsetBytes, range.LengthBytes, mayUnmap: false, command.Aborted);
            }
        }

        return WritePatternAsync(server.Device, info, range, block, command.Aborted);
    }

    // An empty block stands for one of zeros.
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    static async ValueTask<ScsiResult> WritePatternAsync(
        IBlockDevice device, BlockDeviceInfo info, BlockRange range, DataBuffer block, CancellationToken aborted)
    {
        int workLength = BlockLimits.WorkLength(info, range.LengthBytes);
        using WorkBuffer work = await device.RentAsync(workLength, aborted).ConfigureAwait(false);
        DataBuffer pattern = work.Data.Slice(0, workLength);
        if (block.IsEmpty)
        {
            pattern.Clear();
        }
        else
        {
            BufferComparison.FillWithRepeated(pattern, block);
        }

        for (long done = 0; done < range.LengthBytes; done += workLength)
        {
            if (aborted.IsCancellationRequested)
            {
                return ScsiResult.Check(SenseKey.AbortedCommand, AdditionalSense.None);
            }

            int length = (int)Math.Min(workLength, range.LengthBytes - done);
            ScsiResult written = await device
                .WriteAsync(range.OffsetBytes + done, pattern.Slice(0, length), forceUnitAccess: false, aborted).ConfigureAwait(false);
            if (!written.IsGood)
            {
                return written;
            }
        }

        return ScsiResult.Good;
    }
}
