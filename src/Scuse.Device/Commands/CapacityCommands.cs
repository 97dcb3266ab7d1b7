using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Device.Commands;

/// <summary>READ CAPACITY(10) and (16), GET LBA STATUS. SBC-3 clauses 5.15, 5.16 and 5.6.</summary>
static class CapacityCommands
{
    const int LbaOffset = 2;
    const byte Pmi = 0x01;

    public static ValueTask<ScsiResult> ReadCapacity10(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const int length = 8, pmiOffset = 8;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        uint lba = BinaryPrimitives.ReadUInt32BigEndian(cdb[LbaOffset..]);
        if (!TryCheckLba(info, lba, (cdb[pmiOffset] & Pmi) != 0, out SenseData refusal))
        {
            return ControlResponse.Refuse(refusal);
        }

        Span<byte> data = stackalloc byte[length];
        BinaryPrimitives.WriteUInt32BigEndian(data, (uint)Math.Min(LastLba(info), uint.MaxValue));
        BinaryPrimitives.WriteUInt32BigEndian(data[4..], (uint)info.BlockSize);
        return ControlResponse.Send(command, data, length);
    }

    public static ValueTask<ScsiResult> ReadCapacity16(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        const int length = 32, pmiOffset = 14, allocationLengthOffset = 10, provisioningOffset = 14;
        const byte lbpme = 0x80, lbprz = 0x40;
        ReadOnlySpan<byte> cdb = command.Cdb.Span;
        ulong lba = BinaryPrimitives.ReadUInt64BigEndian(cdb[LbaOffset..]);
        if (!TryCheckLba(info, lba, (cdb[pmiOffset] & Pmi) != 0, out SenseData refusal))
        {
            return ControlResponse.Refuse(refusal);
        }

        Span<byte> data = stackalloc byte[length];
        data.Clear();
        BinaryPrimitives.WriteUInt64BigEndian(data, LastLba(info));
        BinaryPrimitives.WriteUInt32BigEndian(data[8..], (uint)info.BlockSize);
        data[provisioningOffset] = info.Has(BlockDeviceFeatures.Unmap) ? (byte)(lbpme | lbprz) : (byte)0;
        return ControlResponse.Send(command, data, BinaryPrimitives.ReadUInt32BigEndian(cdb[allocationLengthOffset..]));
    }

    /// <summary>
    /// GET LBA STATUS. SBC-3 clause 5.6. One descriptor, of the blocks from the starting LBA on of which the same is true; where the device does not tell which
    /// blocks are mapped, all to the end are.
    /// </summary>
    public static ValueTask<ScsiResult> GetLbaStatus(DeviceServer server, BlockDeviceInfo info, in DeviceCommand command)
    {
        ulong lba = BinaryPrimitives.ReadUInt64BigEndian(command.Cdb.Span[LbaOffset..]);
        if (lba >= info.BlockCount)
        {
            return ControlResponse.Refuse(SenseData.LbaOutOfRange);
        }

        return info.Has(BlockDeviceFeatures.Extents | BlockDeviceFeatures.Unmap)
            ? GetLbaStatusAsync(server.Device, info, lba, command)
            : SendLbaStatus(info, lba, new BlockExtent(IsMapped: true, RestOf(info, lba)), command);
    }

    static async ValueTask<ScsiResult> GetLbaStatusAsync(IBlockDevice device, BlockDeviceInfo info, ulong lba, DeviceCommand command)
    {
        BlockExtent extent = await device.GetExtentAsync((long)lba * info.BlockSize, RestOf(info, lba), command.Aborted).ConfigureAwait(false);
        return await SendLbaStatus(info, lba, extent, command).ConfigureAwait(false);
    }

    static long RestOf(BlockDeviceInfo info, ulong lba) => (long)(info.BlockCount - lba) * info.BlockSize;

    static ValueTask<ScsiResult> SendLbaStatus(BlockDeviceInfo info, ulong lba, BlockExtent extent, in DeviceCommand command)
    {
        const int headerLength = 8, descriptorLength = 16, allocationLengthOffset = 10;
        const byte mapped = 0x00, deallocated = 0x01;
        long blocks = Math.Clamp(extent.LengthBytes, info.BlockSize, RestOf(info, lba)) / info.BlockSize;
        Span<byte> data = stackalloc byte[headerLength + descriptorLength];
        data.Clear();
        BinaryPrimitives.WriteUInt32BigEndian(data, (uint)(data.Length - sizeof(uint))); // PARAMETER DATA LENGTH
        BinaryPrimitives.WriteUInt64BigEndian(data[headerLength..], lba);
        BinaryPrimitives.WriteUInt32BigEndian(data[(headerLength + 8)..], (uint)Math.Min(blocks, uint.MaxValue));
        data[headerLength + 12] = extent.IsMapped ? mapped : deallocated; // PROVISIONING STATUS
        return ControlResponse.Send(command, data, BinaryPrimitives.ReadUInt32BigEndian(command.Cdb.Span[allocationLengthOffset..]));
    }

    // A device of no blocks has no last one; zero is as near as the field can tell.
    static ulong LastLba(BlockDeviceInfo info) => info.BlockCount == 0 ? 0 : info.BlockCount - 1;

    // PMI and the LBA are obsolete in SBC-3; SBC-2 clause 5.10 wants an LBA of zero without PMI, and with it the block before the next long delay: here the last.
    static bool TryCheckLba(BlockDeviceInfo info, ulong lba, bool pmi, out SenseData refusal)
    {
        if (!pmi && lba != 0)
        {
            refusal = SenseData.InvalidFieldInCdb(LbaOffset);
            return false;
        }

        if (lba > LastLba(info))
        {
            refusal = SenseData.LbaOutOfRange;
            return false;
        }

        refusal = default;
        return true;
    }
}
