using System.Buffers.Binary;
using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Engine.Backstores;

/// <summary>
/// The block device that the engine's device server sees at pass level io: each call is a command over the ring. Only reads, writes, flushes,
/// unmaps, zero-writes, what is mapped and how much room there is are asked of the handler.
/// </summary>
sealed class RingBlockDevice(UserBackstore backstore) : IBlockDevice
{
    public BlockDeviceInfo Info => backstore.Info;

    public ValueTask<ScsiResult> ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
    {
        DeviceCall call = backstore.RentCall();
        Cdb.WriteRead16(call.SetCdb(), ToLba(offset), ToBlocks(into.Length));
        call.Into = into;
        return backstore.Execute(call);
    }

    public ValueTask<ScsiResult> WriteAsync(long offset, DataBuffer from, bool forceUnitAccess, CancellationToken aborted)
    {
        DeviceCall call = backstore.RentCall();
        Cdb.WriteWrite16(call.SetCdb(), ToLba(offset), ToBlocks(from.Length), forceUnitAccess);
        call.From = from;
        return backstore.Execute(call);
    }

    public ValueTask<ScsiResult> FlushAsync(CancellationToken aborted)
    {
        DeviceCall call = backstore.RentCall();
        Cdb.WriteSynchronizeCache16(call.SetCdb());
        return backstore.Execute(call);
    }

    public ValueTask<ScsiResult> UnmapAsync(long offset, long length, CancellationToken aborted) => InParts(Part.Unmap, offset, length);

    public ValueTask<ScsiResult> WriteZeroesAsync(long offset, long length, bool mayUnmap, CancellationToken aborted) =>
        InParts(mayUnmap ? Part.ZeroOrUnmap : Part.Zero, offset, length);

    /// <summary>GET LBA STATUS, of which the first descriptor counts.</summary>
    public async ValueTask<BlockExtent> GetExtentAsync(long offset, long length, CancellationToken aborted)
    {
        const int responseLength = 24, lbaOffset = 8, blockCountOffset = 16, statusOffset = 20;
        const byte statusMask = 0x0F, mapped = 0;
        DeviceCall call = backstore.RentCall();
        Cdb.WriteGetLbaStatus(call.SetCdb(), ToLba(offset), responseLength);
        byte[] response = new byte[responseLength];
        call.Into = new DataBuffer(response);
        ScsiResult result = await backstore.Execute(call);
        uint blocks = BinaryPrimitives.ReadUInt32BigEndian(response.AsSpan(blockCountOffset));
        bool isAnswer = result.IsGood && result.DataInLength >= responseLength && blocks > 0
            && BinaryPrimitives.ReadUInt64BigEndian(response.AsSpan(lbaOffset)) == ToLba(offset);
        return isAnswer
            ? new BlockExtent((response[statusOffset] & statusMask) == mapped, Math.Min(length, (long)blocks * Info.BlockSize))
            : new BlockExtent(IsMapped: true, length);
    }

    /// <summary>LOG SENSE, the Logical Block Provisioning page.</summary>
    public async ValueTask<BlockResources?> GetResourcesAsync(CancellationToken aborted)
    {
        const int responseLength = 256;
        DeviceCall call = backstore.RentCall();
        Cdb.WriteLogSense(call.SetCdb(Cdb.Length(OperationCode.LogSense)), LogPage.LogicalBlockProvisioning, responseLength);
        byte[] response = new byte[responseLength];
        call.Into = new DataBuffer(response);
        ScsiResult result = await backstore.Execute(call);
        return result.IsGood ? ThresholdSets.Read(response.AsSpan(0, Math.Clamp(result.DataInLength, 0, responseLength))) : null;
    }

    /// <summary>Compound commands work in plain memory; each part of theirs is copied into the data area when its turn has come.</summary>
    public ValueTask<WorkBuffer> RentAsync(int length, CancellationToken aborted)
    {
        byte[] memory = System.Buffers.ArrayPool<byte>.Shared.Rent(length);
        return new(new WorkBuffer(new DataBuffer(memory.AsMemory(0, length)), static state => System.Buffers.ArrayPool<byte>.Shared.Return((byte[])state!), memory));
    }

    /// <summary>One command says at most 2^32 - 1 blocks.</summary>
    ValueTask<ScsiResult> InParts(Part part, long offset, long length)
    {
        long blocks = length / Info.BlockSize;
        return blocks is > 0 and <= uint.MaxValue ? Execute(part, ToLba(offset), (uint)blocks) : InPartsAsync(part, ToLba(offset), blocks);
    }

    async ValueTask<ScsiResult> InPartsAsync(Part part, ulong lba, long left)
    {
        while (left > 0)
        {
            uint blocks = (uint)Math.Min(left, uint.MaxValue);
            ScsiResult result = await Execute(part, lba, blocks);
            if (!result.IsGood)
            {
                return result;
            }

            lba += blocks;
            left -= blocks;
        }

        return ScsiResult.Good;
    }

    ValueTask<ScsiResult> Execute(Part part, ulong lba, uint blocks)
    {
        DeviceCall call = backstore.RentCall();
        if (part == Part.Unmap)
        {
            Span<byte> list = call.SetParameters(UnmapParameterList.LengthFor(1));
            UnmapParameterList.Write(list, [new UnmapBlockDescriptor(lba, blocks)]);
            Cdb.WriteUnmap10(call.SetCdb(Cdb.Length(OperationCode.Unmap)), (ushort)list.Length);
        }
        else
        {
            Cdb.WriteWriteSame16(call.SetCdb(), lba, blocks, unmap: part == Part.ZeroOrUnmap, ndob: true);
        }

        return backstore.Execute(call);
    }

    ulong ToLba(long offset) => (ulong)(offset / Info.BlockSize);

    uint ToBlocks(int length) => (uint)(length / Info.BlockSize);

    /// <summary>What is done to each part of a range.</summary>
    enum Part
    {
        Unmap,
        Zero,
        ZeroOrUnmap,
    }
}
