using Microsoft.Win32.SafeHandles;

namespace Scuse.Linux;

/// <summary>A doorbell between threads or processes: one side signals, the other sees a readable descriptor. eventfd(2).</summary>
/// <remarks>It never blocks. <see cref="Dispose"/> must not run while another thread is inside one of the other methods.</remarks>
public sealed unsafe class EventFd : IDisposable
{
    int _fd;

    EventFd(SafeFileHandle handle)
    {
        Handle = handle;
        _fd = (int)handle.DangerousGetHandle();
    }

    /// <summary>The descriptor's number, for <see cref="Epoll"/>; -1 once disposed.</summary>
    public int Descriptor => _fd;

    /// <summary>The descriptor with its owner, to pass it to another process.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>A new doorbell, silent.</summary>
    /// <exception cref="LinuxException">No descriptor is left.</exception>
    public static EventFd Create()
    {
        int fd = Native.eventfd(0, Native.EFD_CLOEXEC | Native.EFD_NONBLOCK);
        return fd < 0 ? throw Native.Failed("eventfd") : new EventFd(new SafeFileHandle(fd, ownsHandle: true));
    }

    /// <summary>A doorbell that another process made and passed; it owns <paramref name="handle"/> from now on and is made non-blocking.</summary>
    /// <exception cref="LinuxException">The descriptor is not open.</exception>
    public static EventFd FromHandle(SafeFileHandle handle)
    {
        ArgumentNullException.ThrowIfNull(handle);
        int fd = (int)handle.DangerousGetHandle();
        int flags = Native.fcntl(fd, Native.F_GETFL, 0);
        if (flags < 0 || ((flags & Native.O_NONBLOCK) == 0 && Native.fcntl(fd, Native.F_SETFL, flags | Native.O_NONBLOCK) < 0))
        {
            throw Native.Failed("fcntl", "a passed eventfd");
        }

        return new EventFd(handle);
    }

    /// <summary>Rings: the descriptor is readable until someone drains it. Ringing twice is ringing once.</summary>
    public void Signal()
    {
        // EAGAIN says that the counter is full: it is readable then, which is all that is wanted.
        ulong one = 1;
        while (Native.write(_fd, &one, sizeof(ulong)) < 0 && Native.LastError == Errno.EINTR)
        {
        }
    }

    /// <summary>Whether ringing would have to wait, if the descriptor is a blocking one: its counter is full. False once disposed. For any thread.</summary>
    public bool IsFull => _fd is var fd and >= 0 && Waiting.ForEvents(fd, Native.POLLOUT, 0) == 0;

    /// <summary>Silences the doorbell.</summary>
    public void Drain()
    {
        ulong count;
        while (Native.read(_fd, &count, sizeof(ulong)) < 0 && Native.LastError == Errno.EINTR)
        {
        }
    }

    /// <summary>Closes the descriptor.</summary>
    public void Dispose()
    {
        _fd = -1;
        Handle.Dispose();
    }
}
