using Microsoft.Win32.SafeHandles;

namespace Scuse.Engine.Management;

/// <summary>A handler's region, to be copied. It stays readable however long that takes, even when the handler is gone meanwhile.</summary>
/// <param name="handle">The region's memory, as a descriptor of its own.</param>
/// <param name="regionBytes">The region's length.</param>
/// <param name="ringBytes">How many bytes from the start hold mailbox and command ring.</param>
/// <param name="usedBytes">How many bytes from the start may hold anything; the rest is zero.</param>
public sealed class SavedRegion(SafeFileHandle handle, long regionBytes, long ringBytes, long usedBytes) : IDisposable
{
    /// <summary>The region's length in bytes.</summary>
    public long RegionBytes { get; } = regionBytes;

    /// <summary>How many bytes from the start hold mailbox and command ring.</summary>
    public long RingBytes { get; } = ringBytes;

    /// <summary>How many bytes from the start may hold anything, data included; the rest is zero.</summary>
    public long UsedBytes { get; } = usedBytes;

    /// <summary>Copies bytes out. What was never touched reads as zeros and takes up no memory by that, which reading a mapping would do.</summary>
    public int Read(Span<byte> into, long offset) => RandomAccess.Read(handle, into, offset);

    /// <inheritdoc/>
    public void Dispose() => handle.Dispose();
}
