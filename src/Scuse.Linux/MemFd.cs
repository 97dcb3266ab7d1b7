using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Scuse.Linux;

/// <summary>Memory with a descriptor, to share with another process: a file of fixed size that exists only in memory. memfd_create(2).</summary>
/// <remarks>The size is sealed, so that no holder of the descriptor can shrink it and make the others fault on their mappings.</remarks>
public sealed unsafe class MemFd : IDisposable
{
    MemFd(SafeFileHandle handle, long lengthBytes)
    {
        Handle = handle;
        LengthBytes = lengthBytes;
    }

    /// <summary>The descriptor with its owner, to map it or to pass it on.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>The fixed size in bytes.</summary>
    public long LengthBytes { get; }

    /// <summary>
    /// New memory of <paramref name="lengthBytes"/> bytes, all zero; it takes up room only where it is written. The name is for people,
    /// as seen in <c>/proc/PID/fd</c>.
    /// </summary>
    /// <exception cref="LinuxException">The system refuses.</exception>
    public static MemFd Create(string name, long lengthBytes)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(lengthBytes);
        byte[] text = Encoding.UTF8.GetBytes(name + "\0");
        int fd;
        fixed (byte* pointer = text)
        {
            fd = Native.memfd_create(pointer, Native.MFD_CLOEXEC | Native.MFD_ALLOW_SEALING | Native.MFD_NOEXEC_SEAL);
            if (fd < 0 && Native.LastError == Errno.EINVAL)
            {
                fd = Native.memfd_create(pointer, Native.MFD_CLOEXEC | Native.MFD_ALLOW_SEALING); // before Linux 6.3
            }
        }

        if (fd < 0)
        {
            throw Native.Failed("memfd_create", name);
        }

        SafeFileHandle handle = new(fd, ownsHandle: true);
        if (Native.ftruncate(fd, lengthBytes) < 0)
        {
            LinuxException failure = Native.Failed("ftruncate", $"{name} to {lengthBytes} bytes");
            handle.Dispose();
            throw failure;
        }

        if (Native.fcntl(fd, Native.F_ADD_SEALS, Native.F_SEAL_SHRINK | Native.F_SEAL_GROW | Native.F_SEAL_SEAL) < 0)
        {
            LinuxException failure = Native.Failed("fcntl", $"sealing {name}");
            handle.Dispose();
            throw failure;
        }

        return new MemFd(handle, lengthBytes);
    }

    /// <summary>Whether the descriptor is memory whose size can never shrink, so that a mapping of it cannot fault.</summary>
    public static bool IsSealedAgainstShrinking(SafeFileHandle handle)
    {
        ArgumentNullException.ThrowIfNull(handle);
        int seals = Native.fcntl((int)handle.DangerousGetHandle(), Native.F_GET_SEALS, 0);
        return seals >= 0 && (seals & Native.F_SEAL_SHRINK) != 0;
    }

    /// <summary>Whether the descriptor is memory of ordinary pages: with huge ones a mapping faults where the system has none left, however the size is sealed.</summary>
    public static bool IsOfOrdinaryPages(SafeFileHandle handle)
    {
        ArgumentNullException.ThrowIfNull(handle);
        Native.StatFs status;
        return Native.fstatfs((int)handle.DangerousGetHandle(), &status) == 0 && status.Type == Native.TMPFS_MAGIC;
    }

    /// <summary>Gives the memory of a range back to the system; it reads as zeros afterwards. Only whole pages are given back, the rest is zeroed.</summary>
    /// <exception cref="LinuxException">The range does not lie in the file.</exception>
    public void PunchHole(long offset, long length)
    {
        if (FileRange.PunchHole(Handle, offset, length) is int result and < 0)
        {
            throw new LinuxException("fallocate", -result, $"a hole of {length} bytes at {offset}");
        }
    }

    /// <summary>Closes the descriptor; mappings and other holders keep the memory alive.</summary>
    public void Dispose() => Handle.Dispose();
}
