using System.Buffers;
using System.Runtime.CompilerServices;
using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Serving;

/// <summary>Shows a <see cref="BlockHandler"/> to the device server: exceptions become results, and what completes at once allocates nothing.</summary>
sealed class BlockDeviceAdapter(BlockHandler handler, BlockDeviceInfo info, ErrorLog log) : IBlockDevice
{
    volatile BlockDeviceInfo _info = info;

    public BlockDeviceInfo Info
    {
        get => _info;
        set => _info = value;
    }

    public ValueTask<ScsiResult> ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
    {
        try
        {
            return Settle("read", handler.ReadAsync(offset, into, aborted), aborted);
        }
        catch (Exception failure)
        {
            return new(Translate("read", failure, log, aborted));
        }
    }

    public ValueTask<ScsiResult> WriteAsync(long offset, DataBuffer from, bool forceUnitAccess, CancellationToken aborted)
    {
        try
        {
            return Settle("write", handler.WriteAsync(offset, from, forceUnitAccess ? WriteFlags.ForceUnitAccess : WriteFlags.None, aborted), aborted);
        }
        catch (Exception failure)
        {
            return new(Translate("write", failure, log, aborted));
        }
    }

    public ValueTask<ScsiResult> FlushAsync(CancellationToken aborted)
    {
        try
        {
            return Settle("flush", handler.FlushAsync(aborted), aborted);
        }
        catch (Exception failure)
        {
            return new(Translate("flush", failure, log, aborted));
        }
    }

    public ValueTask<ScsiResult> UnmapAsync(long offset, long length, CancellationToken aborted)
    {
        try
        {
            return Settle("unmap", handler.UnmapAsync(offset, length, aborted), aborted);
        }
        catch (Exception failure)
        {
            return new(Translate("unmap", failure, log, aborted));
        }
    }

    public ValueTask<ScsiResult> WriteZeroesAsync(long offset, long length, bool mayUnmap, CancellationToken aborted)
    {
        try
        {
            return Settle("write of zeros", handler.WriteZeroesAsync(offset, length, mayUnmap, aborted), aborted);
        }
        catch (Exception failure)
        {
            return new(Translate("write of zeros", failure, log, aborted));
        }
    }

    public async ValueTask<BlockExtent> GetExtentAsync(long offset, long length, CancellationToken aborted)
    {
        try
        {
            return await handler.GetExtentAsync(offset, length, aborted).ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            Translate("question what is mapped", failure, log, aborted);
            return new BlockExtent(IsMapped: true, length);
        }
    }

    public async ValueTask<BlockResources?> GetResourcesAsync(CancellationToken aborted)
    {
        try
        {
            return await handler.GetResourcesAsync(aborted).ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            Translate("question how much room there is", failure, log, aborted);
            return null;
        }
    }

    public ValueTask<WorkBuffer> RentAsync(int length, CancellationToken aborted)
    {
        byte[] memory = ArrayPool<byte>.Shared.Rent(length);
        return new(new WorkBuffer(new DataBuffer(memory.AsMemory(0, length)), static state => ArrayPool<byte>.Shared.Return((byte[])state!), memory));
    }

    /// <summary>What the initiator is told of an exception.</summary>
    internal static ScsiResult Translate(string operation, Exception failure, ErrorLog log, CancellationToken aborted)
    {
        switch (failure)
        {
            case ScsiException scsi:
                return new ScsiResult(scsi.Status, scsi.Sense, 0);
            case OperationCanceledException when aborted.IsCancellationRequested:
                return ScsiResult.Check(SenseKey.AbortedCommand, AdditionalSense.None); // nobody waits for it
            default:
                log.Failed(operation, failure);
                return ScsiResult.Check(SenseKey.HardwareError, AdditionalSense.InternalTargetFailure);
        }
    }

    ValueTask<ScsiResult> Settle(string operation, ValueTask task, CancellationToken aborted)
    {
        if (!task.IsCompletedSuccessfully)
        {
            return SettleLater(operation, task, aborted);
        }

        task.GetAwaiter().GetResult(); // gives a pooled source back
        return new(ScsiResult.Good);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    async ValueTask<ScsiResult> SettleLater(string operation, ValueTask task, CancellationToken aborted)
    {
        try
        {
            await task.ConfigureAwait(false);
            return ScsiResult.Good;
        }
        catch (Exception failure)
        {
            return Translate(operation, failure, log, aborted);
        }
    }
}
