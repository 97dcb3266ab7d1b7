using Scuse.Linux;

namespace Scuse.Attach;

/// <summary>
/// Ends this process some time after a target's process has died, should the handler's own code hang so that nothing else does: a handler without a target
/// holds its files, and may write to them when others own them.
/// </summary>
/// <remarks>It watches each target for as long as somebody holds it, whatever the number of devices.</remarks>
sealed class TargetWatch(Watcher watcher, TextWriter errors, Action endProcess)
{
    const int GraceMs = 30_000;

    readonly Lock _lock = new();

    // Guarded by _lock.
    readonly Dictionary<int, Target> _targets = [];

    internal TargetWatch(Watcher watcher, TextWriter errors)
        : this(watcher, errors, KillThisProcess)
    {
    }

    /// <summary>How long after the target's death the process goes on at most.</summary>
    internal int Grace { get; init; } = GraceMs;

    /// <summary>
    /// The caller is about to have the handler's code run for this target. Dispose of the result when that is over; null when the process cannot be watched, as
    /// from within another process namespace.
    /// </summary>
    internal IDisposable? Hold(int pid)
    {
        if (pid <= 0)
        {
            return null;
        }

        lock (_lock)
        {
            try
            {
                // One that has died is left to those who hold it: the number may be another process's by now.
                if (!_targets.TryGetValue(pid, out Target? target) || target.HasDied)
                {
                    target = new Target(pid, PidFd.Open(pid));
                    target.Wait = watcher.Add(target.Process.Descriptor, -1, _ => OnDeath(target));
                    _targets[pid] = target;
                }

                target.Holders++;
                return new Holder(this, target);
            }
            catch (LinuxException)
            {
                return null;
            }
        }
    }

    /// <summary>The handler's code is to be done within the grace that it has after a target's death. Dispose of the result when it is.</summary>
    internal IDisposable Limit()
    {
        ulong wait = watcher.Add(-1, Grace, _ => End());
        return new Limited(watcher, wait);
    }

    void OnDeath(Target target)
    {
        lock (_lock)
        {
            target.HasDied = true;
            target.Wait = watcher.Add(-1, Grace, _ => OnGraceOver(target));
        }
    }

    void OnGraceOver(Target target)
    {
        lock (_lock)
        {
            if (target.Holders == 0)
            {
                return;
            }
        }

        End();
    }

    void End()
    {
        errors.WriteLine($"the target is gone for {Grace / 1000} seconds and the handler has not ended what it does: ending it");
        endProcess();
    }

    void Release(Target target)
    {
        lock (_lock)
        {
            if (--target.Holders > 0)
            {
                return;
            }

            watcher.Cancel(target.Wait);
            target.Process.Dispose();
            if (_targets.GetValueOrDefault(target.Pid) == target)
            {
                _targets.Remove(target.Pid);
            }
        }
    }

    static void KillThisProcess()
    {
        const int SIGKILL = 9;
        using PidFd self = PidFd.Open(Environment.ProcessId);
        self.Kill(SIGKILL); // an orderly exit could hang as well
    }

    sealed class Target(int pid, PidFd process)
    {
        internal int Pid { get; } = pid;

        internal PidFd Process { get; } = process;

        internal int Holders { get; set; }

        internal bool HasDied { get; set; }

        internal ulong Wait { get; set; }
    }

    sealed class Holder(TargetWatch watch, Target target) : IDisposable
    {
        int _isDisposed;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _isDisposed, 1) == 0)
            {
                watch.Release(target);
            }
        }
    }

    sealed class Limited(Watcher watcher, ulong wait) : IDisposable
    {
        public void Dispose() => watcher.Cancel(wait);
    }
}
