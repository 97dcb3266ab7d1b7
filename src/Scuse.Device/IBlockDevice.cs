using Scuse.Scsi;

namespace Scuse.Device;

/// <summary>
/// The small block interface that the device server stands on. In the engine the ring's far end is behind it; in a handler's process
/// the author's own class is.
/// </summary>
/// <remarks>
/// Offsets and lengths are in bytes, multiples of the block size and inside the device: the device server checks before it calls.
/// Buffers are valid until the returned task completes. Any number of calls may be under way at once, in any overlap: SAM-5 leaves
/// their order open. An error is a result, not an exception.
/// </remarks>
public interface IBlockDevice
{
    /// <summary>Size, shape and identity as they are now; a new object after a change.</summary>
    BlockDeviceInfo Info { get; }

    /// <summary>Fills <paramref name="into"/> from <paramref name="offset"/> on.</summary>
    ValueTask<ScsiResult> ReadAsync(long offset, DataBuffer into, CancellationToken aborted);

    /// <summary>Stores <paramref name="from"/> at <paramref name="offset"/>; with <paramref name="forceUnitAccess"/> it is durable on return.</summary>
    ValueTask<ScsiResult> WriteAsync(long offset, DataBuffer from, bool forceUnitAccess, CancellationToken aborted);

    /// <summary>Makes every write that was answered before this call durable.</summary>
    ValueTask<ScsiResult> FlushAsync(CancellationToken aborted);

    /// <summary>Gives the range back; it reads as zeros afterwards. Called only with <see cref="BlockDeviceFeatures.Unmap"/>.</summary>
    ValueTask<ScsiResult> UnmapAsync(long offset, long length, CancellationToken aborted);

    /// <summary>Stores zeros in the range. Called only with <see cref="BlockDeviceFeatures.WriteZeroes"/>.</summary>
    ValueTask<ScsiResult> WriteZeroesAsync(long offset, long length, bool mayUnmap, CancellationToken aborted);

    /// <summary>
    /// Whether the blocks from <paramref name="offset"/> on hold data, and for how many bytes that is so; at least one block. Called only with
    /// <see cref="BlockDeviceFeatures.Extents"/>. A device that cannot tell this time says that they do.
    /// </summary>
    /// <param name="offset">Where to look.</param>
    /// <param name="length">How far.</param>
    /// <param name="aborted">Set when nobody waits for the answer any more.</param>
    ValueTask<BlockExtent> GetExtentAsync(long offset, long length, CancellationToken aborted) => new(new BlockExtent(IsMapped: true, length));

    /// <summary>How much room the device takes up, and how much more there is; null when it cannot tell this time. Called only with <see cref="BlockDeviceFeatures.Resources"/>.</summary>
    ValueTask<BlockResources?> GetResourcesAsync(CancellationToken aborted) => new((BlockResources?)null);

    /// <summary>
    /// Rents working memory for a compound command (a pattern to write, data to compare); the device chooses where, so that
    /// <see cref="ReadAsync"/> and <see cref="WriteAsync"/> need no further copy. May wait until there is room.
    /// </summary>
    ValueTask<WorkBuffer> RentAsync(int length, CancellationToken aborted);
}

/// <summary>Blocks of which the same is true.</summary>
/// <param name="IsMapped">Whether they hold data; if not, they read as zeros.</param>
/// <param name="LengthBytes">How many bytes they have.</param>
public readonly record struct BlockExtent(bool IsMapped, long LengthBytes);

/// <summary>The room behind a thin disk.</summary>
/// <param name="UsedBytes">How much the disk takes up.</param>
/// <param name="AvailableBytes">How much more there is for it.</param>
/// <param name="IsShared">Whether others may take from what is available.</param>
public readonly record struct BlockResources(long UsedBytes, long AvailableBytes, bool IsShared);

/// <summary>Working memory from <see cref="IBlockDevice.RentAsync"/>; disposing gives it back.</summary>
/// <param name="data">The memory.</param>
/// <param name="giveBack">What returns it, called once with <paramref name="state"/>; null where nothing has to be done.</param>
/// <param name="state">Handed to <paramref name="giveBack"/>.</param>
public readonly struct WorkBuffer(DataBuffer data, Action<object?>? giveBack, object? state) : IDisposable
{
    /// <summary>The memory; its content is arbitrary when rented.</summary>
    public DataBuffer Data { get; } = data;

    /// <summary>Gives the memory back; it must not be used afterwards.</summary>
    public void Dispose() => giveBack?.Invoke(state);
}
