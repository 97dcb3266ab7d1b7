using Microsoft.Win32.SafeHandles;
using Scuse.Linux;

namespace Scuse;

/// <summary>
/// Memory of this process that a target can send from: what stands there need not be copied into a command's buffer. It is all zeros at first, takes up room only where it has been touched,
/// and keeps its size. See <see cref="BlockHandler.OwnMemory"/>.
/// </summary>
/// <remarks>Reading a part that was never written takes up room, too: keep account of what was written.</remarks>
public sealed class SharedMemory : IDisposable
{
    // Who reads from a range while it is given back waits until that is done, and the target reads: so it is done in steps of milliseconds.
    const long DiscardStepBytes = 64 << 20;

    readonly MemFd _file;
    readonly MappedRegion _mapping;

    SharedMemory(MemFd file, MappedRegion mapping)
    {
        _file = file;
        _mapping = mapping;
    }

    /// <summary>New memory.</summary>
    /// <param name="name">For people, as seen in <c>/proc/PID/fd</c>.</param>
    /// <param name="lengthBytes">Its size in bytes; it may exceed what the machine has.</param>
    /// <exception cref="LinuxException">There is not that much address space, or no descriptor left.</exception>
    public static SharedMemory Create(string name, long lengthBytes)
    {
        MemFd file = MemFd.Create(name, lengthBytes);
        try
        {
            return new SharedMemory(file, MappedRegion.Map(file.Handle, lengthBytes));
        }
        catch (LinuxException)
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The size in bytes.</summary>
    public long LengthBytes => _mapping.LengthBytes;

    internal SafeFileHandle Handle => _file.Handle;

    /// <summary>A piece of it, to read and write; nothing is allocated. Any piece of up to 1 GiB can be had this way.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The piece does not lie in the memory, or is longer than one piece can be.</exception>
    public Memory<byte> Slice(long offset, int length) => _mapping.Slice(offset, length);

    /// <summary>Makes a range read as zeros and gives its whole pages back to the system.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range does not lie in the memory.</exception>
    public void Discard(long offset, long length)
    {
        if ((ulong)offset > (ulong)LengthBytes || (ulong)length > (ulong)(LengthBytes - offset))
        {
            throw new ArgumentOutOfRangeException(nameof(offset), $"bytes {offset}..{offset + length} of a memory of {LengthBytes}");
        }

        for (long left = length; left > 0; left -= DiscardStepBytes)
        {
            _file.PunchHole(offset, Math.Min(left, DiscardStepBytes));
            offset += DiscardStepBytes;
        }
    }

    /// <summary>Unmaps the memory here. A target that has it keeps it for what it still sends.</summary>
    public void Dispose()
    {
        _mapping.Dispose();
        _file.Dispose();
    }
}
