using Scuse.Linux;

namespace Scuse.Attach;

/// <summary>
/// Ends this process some time after the target's process has died, should the handler's own code hang so that nothing else does: a handler
/// without a target is of no use and holds its files.
/// </summary>
sealed class TargetWatch : IDisposable
{
    const int GraceMs = 30_000;
    const int SIGKILL = 9;

    readonly PidFd _target;
    readonly EventFd _end = EventFd.Create();
    readonly Thread _thread;

    TargetWatch(PidFd target)
    {
        _target = target;
        _thread = new Thread(Watch, maxStackSize: 128 * 1024) { IsBackground = true, Name = "scuse watch" };
        _thread.Start();
    }

    /// <summary>Watches a process; null when it cannot be watched, as from within another process namespace.</summary>
    internal static TargetWatch? Start(int pid)
    {
        try
        {
            return pid > 0 ? new TargetWatch(PidFd.Open(pid)) : null;
        }
        catch (LinuxException)
        {
            return null;
        }
    }

    public void Dispose()
    {
        _end.Signal();
        _thread.Join();
        _end.Dispose();
        _target.Dispose();
    }

    void Watch()
    {
        using Epoll epoll = Epoll.Create();
        epoll.Add(_end.Descriptor, EpollEvents.In, 0);
        epoll.Add(_target.Descriptor, EpollEvents.In, 1);
        EpollEvent[] events = new EpollEvent[2];
        if (!Wait(-1))
        {
            return;
        }

        epoll.Remove(_target.Descriptor);
        if (Wait(GraceMs))
        {
            Console.Error.WriteLine($"the target died {GraceMs / 1000} seconds ago and the handler has not ended: ending it");
            using PidFd self = PidFd.Open(Environment.ProcessId);
            self.Kill(SIGKILL); // an orderly exit could hang as well
        }

        // False once the watch is over; true when the target died, or time is up.
        bool Wait(int timeoutMs)
        {
            long deadline = Environment.TickCount64 + timeoutMs;
            while (true)
            {
                int left = timeoutMs < 0 ? -1 : (int)Math.Max(0, deadline - Environment.TickCount64);
                int count = epoll.Wait(events, left);
                for (int i = 0; i < count; i++)
                {
                    if (events[i].Token == 0)
                    {
                        return false;
                    }
                }

                if (count > 0 || left == 0)
                {
                    return true;
                }
            }
        }
    }
}
