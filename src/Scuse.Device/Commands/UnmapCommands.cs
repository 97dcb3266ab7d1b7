using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Scuse.Scsi;

namespace Scuse.Device.Commands;

/// <summary>UNMAP. SBC-3 clause 5.28.</summary>
static class UnmapCommands
{
    const int ParameterListLengthOffset = 7;

    public static ValueTask<ScsiResult> Unmap(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const byte anchor = 0x01;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        if ((cdb[1] & anchor) != 0)
        {
            return ControlResponse.RefuseField(1); // ANC_SUP is 0 in VPD page B2h
        }

        int length = BinaryPrimitives.ReadUInt16BigEndian(cdb[ParameterListLengthOffset..]);
        if (length == 0)
        {
            return new(ScsiResult.Good);
        }

        // A copy in one piece; what is checked is what is done, even if the list lies in memory that another process can write.
        byte[] list = ArrayPool<byte>.Shared.Rent(length);
        Span<BlockRange> ranges = stackalloc BlockRange[BlockLimits.MaxUnmapDescriptors];
        int present = Math.Min(length, command.DataOut.Length);
        command.DataOut.CopyTo(list.AsSpan(0, present));
        bool isValid = TryLocateAll(info, list.AsSpan(0, present), ranges, out int count, out SenseData refusal);
        ArrayPool<byte>.Shared.Return(list);
        if (!isValid)
        {
            return ControlResponse.Refuse(refusal);
        }

        // Most initiators name one range: that is the device's own call, with nothing around it.
        if (count == 1 && ranges[0].LengthBytes > 0 && !command.Aborted.IsCancellationRequested)
        {
            return server.Device.UnmapAsync(ranges[0].OffsetBytes, ranges[0].LengthBytes, command.Aborted);
        }

        BlockRange[] kept = ArrayPool<BlockRange>.Shared.Rent(BlockLimits.MaxUnmapDescriptors);
        ranges[..count].CopyTo(kept);
        return UnmapAsync(server.Device, kept, count, command.Aborted);
    }

    // Everything is checked before anything is unmapped: a command that is refused has changed nothing.
    static bool TryLocateAll(BlockDeviceInfo info, ReadOnlySpan<byte> bytes, Span<BlockRange> ranges, out int count, out SenseData refusal)
    {
        const int descriptorDataLengthOffset = 2, blockCountInDescriptor = 8;
        count = 0;
        if (!UnmapParameterList.TryParse(bytes, out UnmapParameterList list))
        {
            refusal = new SenseData(SenseKey.IllegalRequest, AdditionalSense.ParameterListLengthError);
            return false;
        }

        if (list.Count > BlockLimits.MaxUnmapDescriptors)
        {
            refusal = SenseData.InvalidFieldInParameterList(descriptorDataLengthOffset);
            return false;
        }

        ulong blocks = 0;
        for (; count < list.Count; count++)
        {
            UnmapBlockDescriptor descriptor = list[count];
            if (!BlockRange.TryLocate(info, descriptor.Lba, descriptor.BlockCount, out ranges[count]))
            {
                refusal = SenseData.LbaOutOfRange;
                return false;
            }

            blocks += descriptor.BlockCount;
            if (blocks > BlockLimits.MaxUnmapBlocks)
            {
                refusal = SenseData.InvalidFieldInParameterList(UnmapParameterList.OffsetOf(count) + blockCountInDescriptor);
                return false;
            }
        }

        refusal = default;
        return true;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    static async ValueTask<ScsiResult> UnmapAsync(IBlockDevice device, BlockRange[] ranges, int count, CancellationToken aborted)
    {
        try
        {
            for (int i = 0; i < count; i++)
            {
                if (aborted.IsCancellationRequested)
                {
                    return ScsiResult.Check(SenseKey.AbortedCommand, AdditionalSense.None);
                }

                BlockRange range = ranges[i];
                if (range.LengthBytes == 0)
                {
                    continue;
                }

                ScsiResult unmapped = await device.UnmapAsync(range.OffsetBytes, range.LengthBytes, aborted).ConfigureAwait(false);
                if (!unmapped.IsGood)
                {
                    return unmapped;
                }
            }

            return ScsiResult.Good;
        }
        finally
        {
            ArrayPool<BlockRange>.Shared.Return(ranges);
        }
    }
}
