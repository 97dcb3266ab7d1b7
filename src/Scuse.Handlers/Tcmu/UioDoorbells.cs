using Scuse.Linux;
using Scuse.Serving;

namespace Scuse.Tcmu;

/// <summary>The doorbells of a user backstore: a count to read, which ends with the device, and any four bytes to write. The device is the caller's.</summary>
sealed class UioDoorbells(UioDevice device) : IDoorbells
{
    public int Descriptor => device.Descriptor;

    public bool TryTake() => device.Take() is 0 or -Errno.EAGAIN;

    // A device that is gone says so to whoever reads.
    public void Ring() => device.Ring();

    public void Dispose()
    {
    }
}

/// <summary>What a target could say, and is told, besides the ring: a kernel says nothing, and hears of kept buffers through configfs.</summary>
sealed class BackstoreChannel(BackstoreFolder folder) : IControlChannel
{
    public int Descriptor => -1;

    public ControlNews Read(Span<byte> scratch) => ControlNews.None;

    public bool TryFreeKept(ReadOnlySpan<ushort> ids)
    {
        foreach (ushort id in ids)
        {
            folder.FreeKept(id);
        }

        return true;
    }
}
