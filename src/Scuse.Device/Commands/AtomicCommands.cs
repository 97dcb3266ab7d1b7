using System.Runtime.CompilerServices;
using Scuse.Scsi;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Scuse.Device.Commands;

/// <summary>
/// COMPARE AND WRITE and ORWRITE(16): commands that read before they write, with nobody in between. SBC-3 clauses 5.2 and 5.7. And WRITE ATOMIC(16), of which
/// nobody sees a part, nor what a failure leaves of it. SBC-4 clauses 4.29 and 5.48.
/// </summary>
/// <remarks>That nobody comes in between is the business of whoever calls the device server: the logical unit, or <see cref="AtomicGate"/>.</remarks>
static class AtomicCommands
{
    const int FlagsOffset = 1, LbaOffset = 2;
    const byte ProtectMask = 0xE0, Fua = 0x08;

    public static ValueTask<ScsiResult> CompareAndWrite(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const int blockCountOffset = 13;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        uint blockCount = cdb[blockCountOffset];
        if ((cdb[FlagsOffset] & ProtectMask) != 0)
        {
            return ControlResponse.RefuseField(FlagsOffset);
        }

        if (!BlockRange.TryLocate(info, ReadUInt64BigEndian(cdb[LbaOffset..]), blockCount, out BlockRange range))
        {
            return ControlResponse.Refuse(SenseData.LbaOutOfRange);
        }

        // MAXIMUM COMPARE AND WRITE LENGTH of VPD page B0h.
        if (blockCount > BlockLimits.MaxCompareAndWriteBlocks(info))
        {
            return ControlResponse.RefuseField(blockCountOffset);
        }

        if (blockCount == 0)
        {
            return new(ScsiResult.Good);
        }

        // Half of the data is to be compared, half to be written: with less there is nothing that could be done.
        int length = (int)range.LengthBytes;
        return command.DataOut.Length < 2 * length
            ? ControlResponse.RefuseField(blockCountOffset)
            : CompareAndWriteAsync(
                server.Device, range, command.DataOut.Slice(0, length), command.DataOut.Slice(length, length), (cdb[FlagsOffset] & Fua) != 0, command.Aborted);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    static async ValueTask<ScsiResult> CompareAndWriteAsync(
        IBlockDevice device, BlockRange range, DataBuffer expected, DataBuffer data, bool forceUnitAccess, CancellationToken aborted)
    {
        using (WorkBuffer work = await device.RentAsync(expected.Length, aborted).ConfigureAwait(false))
        {
            DataBuffer held = work.Data.Slice(0, expected.Length);
            ScsiResult reading = await device.ReadAsync(range.OffsetBytes, held, aborted).ConfigureAwait(false);
            if (!reading.IsGood)
            {
                return reading with { DataInLength = 0 };
            }

            int difference = BufferComparison.FirstDifference(expected, held);
            if (difference >= 0)
            {
                return ScsiResult.Check(new SenseData(SenseKey.Miscompare, AdditionalSense.MiscompareDuringVerify) { Information = (ulong)difference });
            }
        }

        return await device.WriteAsync(range.OffsetBytes, data, forceUnitAccess, aborted).ConfigureAwait(false);
    }

    // One write of the device's, which has said that it stores it all or not at all. ATOMIC BOUNDARY would allow less; there is none here, as MAXIMUM ATOMIC BOUNDARY SIZE says.
    public static ValueTask<ScsiResult> WriteAtomic(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const int boundaryOffset = 10, blockCountOffset = 12;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        if ((cdb[FlagsOffset] & ProtectMask) != 0)
        {
            return ControlResponse.RefuseField(FlagsOffset);
        }

        uint blockCount = ReadUInt16BigEndian(cdb[blockCountOffset..]);
        if (!BlockRange.TryLocate(info, ReadUInt64BigEndian(cdb[LbaOffset..]), blockCount, out BlockRange range))
        {
            return ControlResponse.Refuse(SenseData.LbaOutOfRange);
        }

        if (ReadUInt16BigEndian(cdb[boundaryOffset..]) != 0)
        {
            return ControlResponse.RefuseField(boundaryOffset);
        }

        if (blockCount > BlockLimits.MaxAtomicBlocks(info) || command.DataOut.Length < range.LengthBytes)
        {
            return ControlResponse.RefuseField(blockCountOffset);
        }

        return blockCount == 0
            ? new(ScsiResult.Good)
            : server.Device.WriteAsync(range.OffsetBytes, command.DataOut.Slice(0, (int)range.LengthBytes), (cdb[FlagsOffset] & Fua) != 0, command.Aborted);
    }

    public static ValueTask<ScsiResult> OrWrite(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const int blockCountOffset = 10;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        if ((cdb[FlagsOffset] & ProtectMask) != 0)
        {
            return ControlResponse.RefuseField(FlagsOffset);
        }

        if (!BlockRange.TryLocate(info, ReadUInt64BigEndian(cdb[LbaOffset..]), ReadUInt32BigEndian(cdb[blockCountOffset..]), out BlockRange range))
        {
            return ControlResponse.Refuse(SenseData.LbaOutOfRange);
        }

        if (range.LengthBytes > info.MaxTransferBytes)
        {
            return ControlResponse.RefuseField(blockCountOffset);
        }

        int fit = range.FitInto(command.DataOut, info.BlockSize);
        return fit == 0
            ? new(ScsiResult.Good)
            : OrWriteAsync(server.Device, info, range with { LengthBytes = fit }, command.DataOut, (cdb[FlagsOffset] & Fua) != 0, command.Aborted);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    static async ValueTask<ScsiResult> OrWriteAsync(
        IBlockDevice device, BlockDeviceInfo info, BlockRange range, DataBuffer data, bool forceUnitAccess, CancellationToken aborted)
    {
        int workLength = BlockLimits.WorkLength(info, range.LengthBytes);
        using WorkBuffer work = await device.RentAsync(workLength, aborted).ConfigureAwait(false);
        for (long done = 0; done < range.LengthBytes; done += workLength)
        {
            int length = (int)Math.Min(workLength, range.LengthBytes - done);
            DataBuffer held = work.Data.Slice(0, length);
            ScsiResult reading = await device.ReadAsync(range.OffsetBytes + done, held, aborted).ConfigureAwait(false);
            if (!reading.IsGood)
            {
                return reading with { DataInLength = 0 };
            }

            BufferComparison.Or(held, data.Slice((int)done, length));
            ScsiResult written = await device.WriteAsync(range.OffsetBytes + done, held, forceUnitAccess, aborted).ConfigureAwait(false);
            if (!written.IsGood)
            {
                return written;
            }
        }

        return ScsiResult.Good;
    }
}
