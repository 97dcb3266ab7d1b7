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
    const int CdbLength = 16;

    public BlockDeviceInfo Info => backstore.Info;

    public ValueTask<ScsiResult> ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
    {
        byte[] cdb = new byte[CdbLength];
        Cdb.WriteRead16(cdb, ToLba(offset), ToBlocks(into.Length));
        return backstore.CallAsync(cdb, default, into);
    }

    public ValueTask<ScsiResult> WriteAsync(long offset, DataBuffer from, bool forceUnitAccess, CancellationToken aborted)
    {
        byte[] cdb = new byte[CdbLength];
        Cdb.WriteWrite16(cdb, ToLba(offset), ToBlocks(from.Length), forceUnitAccess);
        return backstore.CallAsync(cdb, from, default);
    }

    public ValueTask<ScsiResult> FlushAsync(CancellationToken aborted)
    {
        byte[] cdb = new byte[CdbLength];
        Cdb.WriteSynchronizeCache16(cdb);
        return backstore.CallAsync(cdb, default, default);
    }

    public ValueTask<ScsiResult> UnmapAsync(long offset, long length, CancellationToken aborted) =>
        InPartsAsync(offset, length, static (device, lba, blocks) =>
        {
            byte[] list = new byte[UnmapParameterList.LengthFor(1)];
            UnmapParameterList.Write(list, [new UnmapBlockDescriptor(lba, blocks)]);
            byte[] cdb = new byte[Cdb.Length(OperationCode.Unmap)];
            Cdb.WriteUnmap10(cdb, (ushort)list.Length);
            return device.CallAsync(cdb, new DataBuffer(list), default);
        });

    public ValueTask<ScsiResult> WriteZeroesAsync(long offset, long length, bool mayUnmap, CancellationToken aborted) =>
        InPartsAsync(offset, length, (device, lba, blocks) =>
        {
            byte[] cdb = new byte[CdbLength];
            Cdb.WriteWriteSame16(cdb, lba, blocks, unmap: mayUnmap, ndob: true);
            return device.CallAsync(cdb, default, default);
        });

    /// <summary>GET LBA STATUS, of which the first descriptor counts.</summary>
    public async ValueTask<BlockExtent> GetExtentAsync(long offset, long length, CancellationToken aborted)
    {
        const int responseLength = 24, lbaOffset = 8, blockCountOffset = 16, statusOffset = 20;
        const byte statusMask = 0x0F, mapped = 0;
        byte[] cdb = new byte[CdbLength];
        Cdb.WriteGetLbaStatus(cdb, ToLba(offset), responseLength);
        byte[] response = new byte[responseLength];
        ScsiResult result = await backstore.CallAsync(cdb, default, new DataBuffer(response));
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
        byte[] cdb = new byte[Cdb.Length(OperationCode.LogSense)];
        Cdb.WriteLogSense(cdb, LogPage.LogicalBlockProvisioning, responseLength);
        byte[] response = new byte[responseLength];
        ScsiResult result = await backstore.CallAsync(cdb, default, new DataBuffer(response));
        return result.IsGood ? ThresholdSets.Read(response.AsSpan(0, Math.Clamp(result.DataInLength, 0, responseLength))) : null;
    }

    /// <summary>Compound commands work in plain memory; each part of theirs is copied into the data area when its turn has come.</summary>
    public ValueTask<WorkBuffer> RentAsync(int length, CancellationToken aborted)
    {
        byte[] memory = System.Buffers.ArrayPool<byte>.Shared.Rent(length);
        return new(new WorkBuffer(new DataBuffer(memory.AsMemory(0, length)), static state => System.Buffers.ArrayPool<byte>.Shared.Return((byte[])state!), memory));
    }

    /// <summary>One command says at most 2^32 - 1 blocks.</summary>
    async ValueTask<ScsiResult> InPartsAsync(long offset, long length, Func<UserBackstore, ulong, uint, ValueTask<ScsiResult>> part)
    {
        ulong lba = ToLba(offset);
        for (long left = length / Info.BlockSize; left > 0;)
        {
            uint blocks = (uint)Math.Min(left, uint.MaxValue);
            ScsiResult result = await part(backstore, lba, blocks);
            if (!result.IsGood)
            {
                return result;
            }

            lba += blocks;
            left -= blocks;
        }

        return ScsiResult.Good;
    }

    ulong ToLba(long offset) => (ulong)(offset / Info.BlockSize);

    uint ToBlocks(int length) => (uint)(length / Info.BlockSize);
}
