namespace Scuse.Linux;

/// <summary>A hold on a process that can never mean another one: readable once the process has ended. pidfd_open(2).</summary>
public sealed unsafe class PidFd : IDisposable
{
    int _fd;

    PidFd(int fd) => _fd = fd;

    /// <summary>The descriptor's number, for <see cref="Epoll"/>; -1 once disposed.</summary>
    public int Descriptor => _fd;

    /// <summary>Whether the process has ended.</summary>
    public bool HasExited => WaitForExit(0);

    /// <summary>A hold on the process with this number. It is certain to be the one meant only if that is a child not yet waited for, or checked otherwise.</summary>
    /// <exception cref="LinuxException">There is no such process (ESRCH).</exception>
    public static PidFd Open(int pid)
    {
        long fd = Native.syscall(Native.SYS_pidfd_open, pid, 0, 0, 0); // sets close-on-exec by itself
        return fd < 0 ? throw Native.Failed("pidfd_open", $"process {pid}") : new PidFd((int)fd);
    }

    /// <summary>Sends a signal; nothing happens when the process has ended already.</summary>
    /// <exception cref="LinuxException">Not allowed, or no such signal.</exception>
    public void Kill(int signal)
    {
        if (Native.syscall(Native.SYS_pidfd_send_signal, _fd, signal, 0, 0) < 0)
        {
            int errno = Native.LastError;
            if (errno != Errno.ESRCH)
            {
                throw new LinuxException("pidfd_send_signal", errno, $"signal {signal}");
            }
        }
    }

    /// <summary>Waits up to <paramref name="timeoutMs"/> milliseconds (-1: for ever) for the end of the process; returns whether it has ended.</summary>
    public bool WaitForExit(int timeoutMs) => Waiting.ForEvents(_fd, Native.POLLIN, timeoutMs) > 0;

    /// <summary>Lets go; the process runs on.</summary>
    public void Dispose()
    {
        int fd = Interlocked.Exchange(ref _fd, -1);
        if (fd >= 0)
        {
            _ = Native.close(fd);
        }
    }
}
