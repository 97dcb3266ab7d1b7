using System.Runtime.CompilerServices;
using Scuse.Scsi;

namespace Scuse.Device;

/// <summary>A device whose every change is durable before it is answered: what WCE = 0 asks for. SBC-3 clause 6.5.5.</summary>
sealed class WriteThroughDevice(IBlockDevice device) : IBlockDevice
{
    public BlockDeviceInfo Info => device.Info;

    public ValueTask<ScsiResult> ReadAsync(long offset, DataBuffer into, CancellationToken aborted) => device.ReadAsync(offset, into, aborted);

    public ValueTask<ScsiResult> WriteAsync(long offset, DataBuffer from, bool forceUnitAccess, CancellationToken aborted) =>
        device.WriteAsync(offset, from, forceUnitAccess: true, aborted);

    public ValueTask<ScsiResult> FlushAsync(CancellationToken aborted) => device.FlushAsync(aborted);

    public ValueTask<ScsiResult> UnmapAsync(long offset, long length, CancellationToken aborted) =>
        FlushAfterAsync(device.UnmapAsync(offset, length, aborted), aborted);

    public ValueTask<ScsiResult> WriteZeroesAsync(long offset, long length, bool mayUnmap, CancellationToken aborted) =>
        FlushAfterAsync(device.WriteZeroesAsync(offset, length, mayUnmap, aborted), aborted);

    public ValueTask<BlockExtent> GetExtentAsync(long offset, long length, CancellationToken aborted) => device.GetExtentAsync(offset, length, aborted);

    public ValueTask<BlockResources?> GetResourcesAsync(CancellationToken aborted) => device.GetResourcesAsync(aborted);

    public ValueTask<WorkBuffer> RentAsync(int length, CancellationToken aborted) => device.RentAsync(length, aborted);

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    async ValueTask<ScsiResult> FlushAfterAsync(ValueTask<ScsiResult> change, CancellationToken aborted)
    {
        ScsiResult changed = await change.ConfigureAwait(false);
        return changed.IsGood ? await device.FlushAsync(aborted).ConfigureAwait(false) : changed;
    }
}
