using Scuse.Device;
using Scuse.Linux;

namespace Scuse.Handlers.Memory;

/// <summary>A disk in memory, gone with its process. It takes up room only where it has been written.</summary>
/// <remarks>
/// Every method completes at once and allocates nothing. Whatever threads they come on, no block is left half of one write and half of another, and what is copied for a read is never half of one;
/// what is sent from the memory itself may be, see <see cref="Locate"/>.
/// </remarks>
public sealed class MemoryHandler : BlockHandler
{
    // A read that writes on other threads have come in between of so often takes its turn with them.
    const int MostCopies = 4;

    readonly SharedMemory _memory;
    readonly WrittenMap _written;
    readonly bool _isReadOnly;

    /// <summary>A disk of zeros; sizes in bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The size is not a positive multiple of the block size.</exception>
    /// <exception cref="LinuxException">There is not that much address space, or no descriptor left.</exception>
    public MemoryHandler(long sizeBytes, int blockSize, bool isReadOnly = false)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(sizeBytes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(blockSize);
        ArgumentOutOfRangeException.ThrowIfNotEqual(sizeBytes % blockSize, 0, nameof(sizeBytes));
        SizeBytes = sizeBytes;
        BlockSize = blockSize;
        _memory = SharedMemory.Create("scuse-memory", sizeBytes);
        _written = new WrittenMap(sizeBytes);
        _isReadOnly = isReadOnly;
    }

    /// <inheritdoc/>
    public override long SizeBytes { get; }

    /// <inheritdoc/>
    public override int BlockSize { get; }

    /// <summary>Whether nothing may be written; then it is a disk of zeros for ever, good for trying out what an initiator makes of that.</summary>
    public override bool IsReadOnly => _isReadOnly;

    /// <summary>Whether initiators see a fully provisioned disk, which has no UNMAP.</summary>
    public bool IsThick { get; init; }

    /// <inheritdoc/>
    public override BlockDeviceFeatures Features => IsThick ? base.Features & ~(BlockDeviceFeatures.Unmap | BlockDeviceFeatures.Extents | BlockDeviceFeatures.Resources) : base.Features;

    /// <inheritdoc/>
    public override string Product => "memory";

    /// <inheritdoc/>
    public override bool IsVolatile => true;

    /// <inheritdoc/>
    public override bool IsThreadSafe => true;

    /// <summary>The disk itself: what stands at an offset of one stands there in the other.</summary>
    public override SharedMemory OwnMemory => _memory;

    /// <summary>1 MiB: what ends the process in the middle of a write ends the disk with all that was on it, so that no part of a write is ever left.</summary>
    public override int AtomicWriteBytes => 1 << 20;

    /// <summary>Makes a disk as a spec such as <c>256M</c> or <c>256M?block=4096</c> says; what the spec leaves open is as the operator asked.</summary>
    /// <exception cref="FormatException">The spec is wrong; the message is one line for a person.</exception>
    public static MemoryHandler Open(string spec, DeviceInfo device)
    {
        (long size, int block, bool isThick, bool isReadOnly) = Read(spec, device);
        return new MemoryHandler(size, block, isReadOnly) { IsThick = isThick };
    }

    internal static (long SizeBytes, int BlockSize, bool IsThick, bool IsReadOnly) Read(string spec, DeviceInfo device)
    {
        ArgumentNullException.ThrowIfNull(device);
        HandlerSpec parts = HandlerSpec.Parse(spec, "block", "thick", "readonly");
        long size = parts.Main.Length > 0 ? SizeText.Parse(parts.Main) : device.SizeBytes;
        int block = parts.GetBlockSize("block") ?? device.BlockSize;
        return size > 0 && size % block == 0
            ? (size, block, parts.GetFlag("thick"), parts.GetFlag("readonly") || device.ReadOnly)
            : throw new FormatException($"size '{SizeText.Format(size)}' is not a positive multiple of the block size of {block}");
    }

    /// <inheritdoc/>
    public override ValueTask ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
    {
        foreach (Memory<byte> piece in into)
        {
            for (Span<byte> left = piece.Span; !left.IsEmpty;)
            {
                Span<byte> part = left[.._written.InStretch(offset, left.Length)];
                CopyUnchanged(offset, part);
                offset += part.Length;
                left = left[part.Length..];
            }
        }

        return ValueTask.CompletedTask;
    }

    /// <summary>Copies what lies in one stretch, as it was at one moment.</summary>
    void CopyUnchanged(long offset, Span<byte> into)
    {
        for (int i = 0; i < MostCopies; i++)
        {
            int version = _written.Version(offset);
            Copy(offset, into);
            if (!_written.HasChanged(offset, version))
            {
                return;
            }
        }

        _written.BeginChange(offset);
        Copy(offset, into);
        _written.EndChange(offset);
    }

    /// <summary>What was never written is not looked at: looking would take up room.</summary>
    void Copy(long offset, Span<byte> into)
    {
        while (!into.IsEmpty)
        {
            BlockExtent extent = _written.Find(offset, into.Length);
            Span<byte> part = into[..(int)extent.LengthBytes];
            if (extent.IsMapped)
            {
                _memory.Slice(offset, part.Length).Span.CopyTo(part);
            }
            else
            {
                part.Clear();
            }

            offset += part.Length;
            into = into[part.Length..];
        }
    }

    /// <inheritdoc/>
    public override long Locate(long offset, int length) => _written.Find(offset, length) is { IsMapped: true } extent && extent.LengthBytes == length ? offset : -1;

    /// <inheritdoc/>
    public override ValueTask WriteAsync(long offset, DataBuffer from, WriteFlags flags, CancellationToken aborted)
    {
        foreach (Memory<byte> piece in from)
        {
            for (ReadOnlySpan<byte> left = piece.Span; !left.IsEmpty;)
            {
                ReadOnlySpan<byte> part = left[.._written.InStretch(offset, left.Length)];
                Span<byte> stored = _memory.Slice(offset, part.Length).Span;
                _written.BeginChange(offset);
                part.CopyTo(stored);
                _written.Mark(offset, part.Length);
                _written.EndChange(offset);
                offset += part.Length;
                left = left[part.Length..];
            }
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public override ValueTask UnmapAsync(long offset, long length, CancellationToken aborted)
    {
        Discard(offset, length, isGivenBack: true);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public override ValueTask WriteZeroesAsync(long offset, long length, bool mayUnmap, CancellationToken aborted)
    {
        Discard(offset, length, isGivenBack: mayUnmap);
        return ValueTask.CompletedTask;
    }

    /// <summary>Makes a range zeros, and has it count as never written, or as written. Only what has been written takes up room.</summary>
    void Discard(long offset, long length, bool isGivenBack)
    {
        while (length > 0)
        {
            // The kernel is asked to discard a stretch at a time; where there is nothing to discard, long ranges are passed over in one look.
            if (isGivenBack && _written.Find(offset, length) is { IsMapped: false } empty && empty.LengthBytes > _written.InStretch(offset, empty.LengthBytes))
            {
                offset += empty.LengthBytes;
                length -= empty.LengthBytes;
                continue;
            }

            int part = _written.InStretch(offset, length);
            _written.BeginChange(offset);
            try
            {
                DiscardWritten(offset, part);
                if (isGivenBack)
                {
                    _written.Clear(offset, part);
                }
                else
                {
                    _written.Mark(offset, part); // they are zeros that were written
                }
            }
            finally
            {
                _written.EndChange(offset);
            }

            offset += part;
            length -= part;
        }
    }

    void DiscardWritten(long offset, long length)
    {
        while (length > 0)
        {
            BlockExtent extent = _written.Find(offset, length);
            if (extent.IsMapped)
            {
                _memory.Discard(offset, extent.LengthBytes);
            }

            offset += extent.LengthBytes;
            length -= extent.LengthBytes;
        }
    }

    /// <inheritdoc/>
    public override ValueTask<BlockExtent> GetExtentAsync(long offset, long length, CancellationToken aborted) => new(_written.Find(offset, length));

    /// <summary>What has been written; and the memory that the machine could give before it would have to swap, which others may take as well.</summary>
    public override ValueTask<BlockResources> GetResourcesAsync(CancellationToken aborted) =>
        new(new BlockResources(_written.CountBytes(), MachineMemory.ReadAvailableBytes(), IsShared: true));

    /// <inheritdoc/>
    public override ValueTask CloseAsync()
    {
        _memory.Dispose();
        return ValueTask.CompletedTask;
    }
}
