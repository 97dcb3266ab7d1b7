using System.Runtime.CompilerServices;
using Scuse.Scsi;

namespace Scuse.Device.Commands;

/// <summary>VERIFY and WRITE AND VERIFY in all their lengths. SBC-3 clauses 5.29 to 5.31 and 5.37 to 5.39.</summary>
static class VerifyCommands
{
    // BYTCHK. SBC-3 clause 5.29; 10b is reserved.
    const int MediumOnly = 0;
    const int CompareAll = 1;
    const int CompareRepeated = 3;

    public static ValueTask<ScsiResult> Verify(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        BlockTransferCdb cdb = BlockTransferCdb.Parse(command.Cdb.Span);
        if (cdb.Protect != 0 || cdb.ByteCheck is not (MediumOnly or CompareAll or CompareRepeated))
        {
            return ControlResponse.RefuseField(1);
        }

        // MAXIMUM TRANSFER LENGTH limits what is transferred, so not the commands that carry one block or none.
        BlockRange range;
        if (cdb.ByteCheck == CompareAll)
        {
            if (!BlockRange.TryLocateTransfer(info, cdb, out range, out SenseData refusal))
            {
                return ControlResponse.Refuse(refusal);
            }

            range = range with { LengthBytes = range.FitInto(command.DataOut, info.BlockSize) };
        }
        else if (!BlockRange.TryLocate(info, cdb.Lba, cdb.BlockCount, out range))
        {
            return ControlResponse.Refuse(SenseData.LbaOutOfRange);
        }

        if (range.LengthBytes == 0)
        {
            return new(ScsiResult.Good);
        }

        if (cdb.ByteCheck == CompareRepeated && command.DataOut.Length < info.BlockSize)
        {
            return ControlResponse.RefuseField(cdb.BlockCountOffset);
        }

        DataBuffer expected = cdb.ByteCheck switch
        {
            CompareAll => command.DataOut,
            CompareRepeated => command.DataOut.Slice(0, info.BlockSize),
            _ => DataBuffer.Empty,
        };
        return server.HasVolatileWrites
            ? FlushAndVerifyAsync(server.Device, info, range, cdb.ByteCheck, expected, command.Aborted)
            : VerifyAsync(server.Device, info, range, cdb.ByteCheck, expected, command.Aborted);
    }

    // What is verified is the medium, so what a cache has that is newer has to be there first. SBC-4 clause 4.15.8.
    static async ValueTask<ScsiResult> FlushAndVerifyAsync(
        IBlockDevice device, BlockDeviceInfo info, BlockRange range, int byteCheck, DataBuffer expected, CancellationToken aborted)
    {
        ScsiResult flushed = await device.FlushAsync(aborted).ConfigureAwait(false);
        return flushed.IsGood ? await VerifyAsync(device, info, range, byteCheck, expected, aborted).ConfigureAwait(false) : flushed;
    }

    public static ValueTask<ScsiResult> WriteAndVerify(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        BlockTransferCdb cdb = BlockTransferCdb.Parse(command.Cdb.Span);
        if (cdb.ByteCheck is not (MediumOnly or CompareAll))
        {
            return ControlResponse.RefuseField(1);
        }

        if (!BlockRange.TryLocateTransfer(info, cdb, out BlockRange range, out SenseData refusal))
        {
            return ControlResponse.Refuse(refusal);
        }

        int fit = range.FitInto(command.DataOut, info.BlockSize);
        return fit == 0
            ? new(ScsiResult.Good)
            : WriteAndVerifyAsync(server.Device, info, range with { LengthBytes = fit }, cdb.ByteCheck, command.DataOut.Slice(0, fit), command.Aborted);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    static async ValueTask<ScsiResult> WriteAndVerifyAsync(
        IBlockDevice device, BlockDeviceInfo info, BlockRange range, int byteCheck, DataBuffer data, CancellationToken aborted)
    {
        // What is verified is the medium, so the data has to be there first.
        ScsiResult written = await device.WriteAsync(range.OffsetBytes, data, forceUnitAccess: true, aborted).ConfigureAwait(false);
        return written.IsGood ? await VerifyAsync(device, info, range, byteCheck, data, aborted).ConfigureAwait(false) : written;
    }

    // Reads the range piece by piece; a device that cannot read it says so. Then compares, as BYTCHK asks.
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    static async ValueTask<ScsiResult> VerifyAsync(
        IBlockDevice device, BlockDeviceInfo info, BlockRange range, int byteCheck, DataBuffer expected, CancellationToken aborted)
    {
        int workLength = BlockLimits.WorkLength(info, range.LengthBytes);
        using WorkBuffer work = await device.RentAsync(workLength, aborted).ConfigureAwait(false);
        for (long done = 0; done < range.LengthBytes; done += workLength)
        {
            if (aborted.IsCancellationRequested)
            {
                return ScsiResult.Check(SenseKey.AbortedCommand, AdditionalSense.None);
            }

            int length = (int)Math.Min(workLength, range.LengthBytes - done);
            DataBuffer read = work.Data.Slice(0, length);
            ScsiResult reading = await device.ReadAsync(range.OffsetBytes + done, read, aborted).ConfigureAwait(false);
            if (!reading.IsGood)
            {
                return reading with { DataInLength = 0 };
            }

            int difference = byteCheck switch
            {
                CompareAll => BufferComparison.FirstDifference(read, expected.Slice((int)done, length)),
                CompareRepeated => BufferComparison.FirstDifferenceFromRepeated(read, expected),
                _ => -1,
            };
            if (difference >= 0)
            {
                return ScsiResult.Check(
                    new SenseData(SenseKey.Miscompare, AdditionalSense.MiscompareDuringVerify) { Information = (ulong)(done + difference) });
            }
        }

        return ScsiResult.Good;
    }
}
