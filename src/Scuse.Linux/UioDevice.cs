using Microsoft.Win32.SafeHandles;

namespace Scuse.Linux;

/// <summary>A device of the kernel's userspace I/O: memory to map, and a doorbell each way. Documentation/driver-api/uio-howto.rst.</summary>
/// <remarks>One process at a time has a TCMU device open. The doorbells may be used on one thread while another disposes of nothing yet.</remarks>
public sealed unsafe class UioDevice : IDisposable
{
    readonly SafeFileHandle _file;
    int _fd;

    UioDevice(SafeFileHandle file)
    {
        _file = file;
        _fd = (int)file.DangerousGetHandle();
    }

    /// <summary>The descriptor's number, for <see cref="Epoll"/>: readable when the kernel has rung, in error when the device is gone. -1 once disposed.</summary>
    public int Descriptor => _fd;

    /// <summary>Opens a device such as <c>/dev/uio0</c>; none of its calls will wait.</summary>
    /// <exception cref="LinuxException">It cannot be opened: EBUSY when another process has it.</exception>
    public static UioDevice Open(string path) => new(FileRange.OpenDevice(path));

    /// <summary>Maps the device's first memory.</summary>
    /// <param name="lengthBytes">Exactly what <c>maps/map0/size</c> says; the kernel takes no other.</param>
    /// <exception cref="LinuxException">It cannot be mapped.</exception>
    public MappedRegion Map(long lengthBytes) => MappedRegion.MapDevice(_file, lengthBytes);

    /// <summary>Rings. Returns 0, or a negative error number: -<see cref="Errno.EIO"/> when the device is gone.</summary>
    public int Ring()
    {
        int one = 1;
        while (Native.write(_fd, &one, sizeof(int)) < 0)
        {
            int errno = Native.LastError;
            if (errno != Errno.EINTR)
            {
                return -errno;
            }
        }

        return 0;
    }

    /// <summary>
    /// Takes note of what the kernel has rung up to now. Returns 0; -<see cref="Errno.EAGAIN"/> when it has not rung since the last time; -<see cref="Errno.EIO"/> when the device is gone;
    /// or another negative error number.
    /// </summary>
    public int Take()
    {
        int count;
        while (Native.read(_fd, &count, sizeof(int)) < 0)
        {
            int errno = Native.LastError;
            if (errno != Errno.EINTR)
            {
                return -errno;
            }
        }

        return 0;
    }

    /// <summary>Whether the device is gone, or closed here; from any thread, and without taking note of what was rung.</summary>
    public bool IsGone
    {
        get
        {
            bool isHeld = false;
            try
            {
                _file.DangerousAddRef(ref isHeld);
                return Waiting.ForEvents((int)_file.DangerousGetHandle(), events: 0, timeoutMs: 0) != 0; // nothing is asked for: only an error is told
            }
            catch (ObjectDisposedException)
            {
                return true;
            }
            finally
            {
                if (isHeld)
                {
                    _file.DangerousRelease();
                }
            }
        }
    }

    /// <summary>Closes the device. What was mapped stays.</summary>
    public void Dispose()
    {
        _fd = -1;
        _file.Dispose();
    }
}
