using System.Diagnostics;

namespace Scuse.Linux;

static unsafe class Waiting
{
    /// <summary>Waits for one descriptor. Returns 1 when it is ready or in error, 0 when time is up, or a negative error number.</summary>
    internal static int ForEvents(int fd, short events, int timeoutMs)
    {
        long start = Stopwatch.GetTimestamp();
        int left = timeoutMs;
        while (true)
        {
            Native.PollFd one = new() { Fd = fd, Events = events };
            int ready = Native.poll(&one, 1, left);
            if (ready >= 0)
            {
                return ready;
            }

            int errno = Native.LastError;
            if (errno != Errno.EINTR)
            {
                return -errno;
            }

            if (timeoutMs >= 0)
            {
                left = (int)Math.Max(0, timeoutMs - (long)Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            }
        }
    }
}
