using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Scuse.Linux;

namespace Scuse.Engine.Supervision;

/// <summary>
/// The thread of supervision. It waits for descriptors and runs what is posted to it; an await on it goes on on it, so that what takes several steps
/// with waiting between them is written in their order and yet shares no state with other threads.
/// </summary>
/// <remarks>Everything but <see cref="Post"/>, <see cref="InvokeAsync{T}"/>, <see cref="Start"/> and <see cref="Dispose"/> is for its own thread.</remarks>
sealed partial class SupervisionLoop : IDisposable
{
    const int MaxEvents = 64;
    const int TickMs = 250;

    readonly ILogger _logger;
    readonly Epoll _epoll = Epoll.Create();
    readonly EventFd _wake = EventFd.Create();
    readonly ConcurrentQueue<Action> _posted = new();
    readonly Dictionary<ulong, Action> _watches = []; // by a number that is never used again: a report that comes late finds nobody
    readonly List<Action> _tickers = [];
    readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly Lock _wakeLock = new();
    readonly Thread _thread;
    volatile bool _stopping;
    bool _isDisposed; // under the lock: nobody rings a descriptor that is somebody else's by now
    ulong _nextWatch = 1; // 0 is the wake-up
    long _nextTickMs;

    public SupervisionLoop(ILogger logger)
    {
        _logger = logger;
        _epoll.Add(_wake.Descriptor, EpollEvents.In, 0);
        _thread = new Thread(Run) { Name = "scuse attach", IsBackground = true };
    }

    /// <summary>Milliseconds on a clock that only goes forward.</summary>
    public static long NowMs => Environment.TickCount64;

    public bool IsRunning => _thread.IsAlive;

    public void Start() => _thread.Start();

    /// <summary>Has the thread run something, soon. From any thread.</summary>
    public void Post(Action action)
    {
        _posted.Enqueue(action);
        lock (_wakeLock)
        {
            if (!_isDisposed)
            {
                _wake.Signal();
            }
        }
    }

    /// <summary>Runs something on the thread, from another one, and waits for its result.</summary>
    /// <exception cref="EngineException">The thread has ended.</exception>
    public async Task<T> InvokeAsync<T>(Func<Task<T>> work)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(() => Forget(RunAsync()));
        return await Task.WhenAny(done.Task, _ended.Task).ConfigureAwait(false) == done.Task
            ? await done.Task.ConfigureAwait(false)
            : throw new EngineException("the engine has stopped");

        async Task RunAsync()
        {
            try
            {
                done.TrySetResult(await work());
            }
#pragma warning disable CA1031 // handed to the one who asked
            catch (Exception exception)
#pragma warning restore CA1031
            {
                done.TrySetException(exception);
            }
        }
    }

    /// <summary>Lets something run on by itself. What it throws is a fault of ours, and ends the engine.</summary>
#pragma warning disable CA1822 // it belongs to the thread: the exception comes back to it
    public async void Forget(Task task) => await task;
#pragma warning restore CA1822

    /// <summary>Has something called whenever there is something to read. Returns what <see cref="Unwatch"/> wants.</summary>
    public ulong Watch(int descriptor, Action ready)
    {
        ulong watch = _nextWatch++;
        _epoll.Add(descriptor, EpollEvents.In, watch);
        _watches.Add(watch, ready);
        return watch;
    }

    public void Unwatch(ulong watch, int descriptor)
    {
        _watches.Remove(watch);
        _epoll.Remove(descriptor);
    }

    /// <summary>Called some times a second with the time.</summary>
    public void AddTicker(Action<long> tick) => _tickers.Add(() => tick(NowMs));

    void Run()
    {
        SynchronizationContext.SetSynchronizationContext(new Context(this));
        try
        {
            Loop();
        }
#pragma warning disable CA1031 // a broken promise of our own: say so before the process ends
        catch (Exception exception)
#pragma warning restore CA1031
        {
            LogBroken(_logger, exception);
            Environment.FailFast("scuse: supervision failed", exception);
        }
    }

    void Loop()
    {
        var events = new EpollEvent[MaxEvents];
        while (!_stopping)
        {
            int count = _epoll.Wait(events, TickMs);
            for (int i = 0; i < count; i++)
            {
                if (events[i].Token == 0)
                {
                    _wake.Drain();
                }
                else if (_watches.TryGetValue(events[i].Token, out Action? ready))
                {
                    ready();
                }
            }

            RunPosted();
            if (!_posted.IsEmpty)
            {
                _wake.Signal();
            }

            if (NowMs >= _nextTickMs)
            {
                _nextTickMs = NowMs + TickMs;
                _tickers.ForEach(static tick => tick());
            }
        }
    }

    /// <summary>Runs what is posted now; what that posts has its turn after the descriptors. By the loop, and by tests that have no thread.</summary>
    internal void RunPosted()
    {
        for (int i = _posted.Count; i > 0 && _posted.TryDequeue(out Action? action); i--)
        {
            action();
        }
    }

    /// <summary>Stops the thread. What waits on it waits for ever, but for those who came by <see cref="InvokeAsync{T}"/>.</summary>
    public void Stop()
    {
        _stopping = true;
        Post(static () => { });
        if (_thread.IsAlive)
        {
            _thread.Join();
        }

        _ended.TrySetResult();
    }

    public void Dispose()
    {
        Stop();
        lock (_wakeLock)
        {
            _isDisposed = true;
            _epoll.Dispose();
            _wake.Dispose();
        }
    }

    [LoggerMessage(Level = LogLevel.Critical, Message = "supervision failed; the engine ends")]
    static partial void LogBroken(ILogger logger, Exception exception);

    /// <summary>Brings what follows an await back to the thread.</summary>
    sealed class Context(SupervisionLoop loop) : SynchronizationContext
    {
        public override void Post(SendOrPostCallback d, object? state) => loop.Post(() => d(state));

        public override void Send(SendOrPostCallback d, object? state) => throw new NotSupportedException("nobody waits for the supervision thread");

        public override SynchronizationContext CreateCopy() => this;
    }
}
