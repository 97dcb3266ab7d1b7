using Scuse.Linux;

namespace Scuse.Attach;

/// <summary>One thread that waits for descriptors and for times, for everybody who must not block or cannot be relied on to run.</summary>
sealed class Watcher : IDisposable
{
    const ulong WakeToken = 0;

    readonly Epoll _epoll = Epoll.Create();
    readonly EventFd _wake = EventFd.Create();
    readonly Lock _lock = new();
    readonly Thread _thread;

    // Guarded by _lock. There are few at a time: handshakes, and the target's process.
    readonly Dictionary<ulong, Wait> _waits = [];
    ulong _nextToken = WakeToken + 1;
    bool _isEnding;

    internal Watcher()
    {
        _epoll.Add(_wake.Descriptor, EpollEvents.In, WakeToken);
        _thread = new Thread(Run, maxStackSize: 256 * 1024) { IsBackground = true, Name = "scuse watch" };
        _thread.Start();
    }

    /// <summary>
    /// Waits until a descriptor is readable, or at its end, but no longer than <paramref name="timeoutMs"/>: then calls <paramref name="then"/> on the watcher's
    /// thread with whether it was the descriptor. Returns what <see cref="Cancel"/> takes.
    /// </summary>
    /// <param name="descriptor">The descriptor, in one wait at a time; -1 for none.</param>
    /// <param name="timeoutMs">How long; -1 for ever.</param>
    /// <param name="then">What to do; it is called once at most, and must not take long.</param>
    internal ulong Add(int descriptor, int timeoutMs, Action<bool> then)
    {
        lock (_lock)
        {
            ulong token = _nextToken++;
            if (descriptor >= 0)
            {
                _epoll.Add(descriptor, EpollEvents.In | EpollEvents.ReadHangUp | EpollEvents.OneShot, token);
            }

            _waits.Add(token, new Wait(descriptor, timeoutMs < 0 ? long.MaxValue : Environment.TickCount64 + timeoutMs, then));
            _wake.Signal();
            return token;
        }
    }

    /// <summary>Ends a wait; false when it is over already, or about to be told.</summary>
    internal bool Cancel(ulong token)
    {
        lock (_lock)
        {
            if (!_waits.Remove(token, out Wait? wait))
            {
                return false;
            }

            Forget(wait);
            return true;
        }
    }

    /// <summary>Whether the descriptor became readable, or came to its end, within the time.</summary>
    /// <exception cref="OperationCanceledException">It was cancelled first.</exception>
    internal async Task<bool> ReadableAsync(int descriptor, int timeoutMs, CancellationToken cancel)
    {
        TaskCompletionSource<bool> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        ulong token = Add(descriptor, timeoutMs, done.SetResult);
        await using (cancel.Register(() =>
        {
            if (Cancel(token))
            {
                done.SetCanceled(cancel);
            }
        }).ConfigureAwait(false))
        {
            return await done.Task.ConfigureAwait(false);
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _isEnding = true;
            _wake.Signal();
        }

        _thread.Join();
        _epoll.Dispose();
        _wake.Dispose();
    }

    void Run()
    {
        EpollEvent[] events = new EpollEvent[16];
        List<(Wait Wait, bool IsReadable)> due = [];
        while (true)
        {
            int timeout;
            lock (_lock)
            {
                if (_isEnding)
                {
                    return;
                }

                long first = _waits.Count == 0 ? long.MaxValue : _waits.Values.Min(static wait => wait.DeadlineMs);
                timeout = first == long.MaxValue ? -1 : (int)Math.Clamp(first - Environment.TickCount64, 0, int.MaxValue);
            }

            int count = _epoll.Wait(events, timeout);
            lock (_lock)
            {
                for (int i = 0; i < count; i++)
                {
                    if (events[i].Token == WakeToken)
                    {
                        _wake.Drain();
                    }
                    else if (_waits.Remove(events[i].Token, out Wait? wait))
                    {
                        Forget(wait);
                        due.Add((wait, true));
                    }
                }

                long now = Environment.TickCount64;
                foreach ((ulong token, Wait wait) in _waits)
                {
                    if (wait.DeadlineMs <= now)
                    {
                        _waits.Remove(token); // allowed while enumerating
                        Forget(wait);
                        due.Add((wait, false));
                    }
                }
            }

            foreach ((Wait wait, bool isReadable) in due)
            {
                wait.Then(isReadable);
            }

            due.Clear();
        }
    }

    void Forget(Wait wait)
    {
        if (wait.Descriptor >= 0)
        {
            _epoll.Remove(wait.Descriptor);
        }
    }

    sealed record Wait(int Descriptor, long DeadlineMs, Action<bool> Then);
}
