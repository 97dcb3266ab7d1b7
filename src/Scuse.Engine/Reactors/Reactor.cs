using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Scuse.Linux;
using Scuse.Target;

namespace Scuse.Engine.Reactors;

/// <summary>
/// The thread on which commands live from receive to send. Each turn takes what the sockets have, publishes to each ring once, reaps what the
/// handlers answered, and sends once on each connection.
/// </summary>
/// <remarks>
/// A ring is looked at only while its handler has commands, so that a thousand idle ones cost a turn nothing.
/// Everything but <see cref="Post"/>, <see cref="Start"/> and <see cref="Stop"/> is touched only by the reactor's own thread, and what changes something here says so when it is not.
/// </remarks>
sealed partial class Reactor : IDisposable
{
    const int MaxEvents = 256;
    const int TickMs = 250;

    readonly ILogger _logger;
    readonly Epoll _epoll = Epoll.Create();
    readonly EventFd _wake = EventFd.Create();
    readonly ConcurrentQueue<Action> _posted = new();
    readonly EpollEvent[] _events = new EpollEvent[MaxEvents];
    readonly int[] _patient = new int[MaxEvents]; // for one call at a time
    readonly List<Registration> _registrations = [default]; // 0 is the wake-up
    readonly Stack<int> _freeRegistrations = new();
    readonly List<IReactorRing> _watched = []; // the rings with commands out; at least these: what was reaped elsewhere leaves at the next reaping
    readonly List<IReactorRing> _unpublished = [];
    readonly List<IReactorConnection> _unflushed = [];
    Action<long>[] _tickers = []; // another one with each change: one that is walked stays as it is
    readonly List<TargetLane> _lanes = []; // those that have put something off to the end of the turn
    readonly List<Doorbell> _suspects = []; // doorbells that rang without reason lately
    readonly AdaptiveSpin _spin;
    readonly Thread _thread;
    volatile bool _stopping;
    volatile int _ownerId; // the thread's; 0: it does not run, and whoever made the reactor does its work
    long _nextTickMs;
    uint _patientTurn;
    int _answers; // of the last reaping
    bool _isVisited; // by one who was alone, and has left work

    public Reactor(string name, int spinMicroseconds, ILogger logger)
    {
        _logger = logger;
        _spin = new AdaptiveSpin(spinMicroseconds, Linux.Processor.Count, triesWhenDeep: true);
        _epoll.Add(_wake.Descriptor, EpollEvents.In, 0);
        _thread = new Thread(Run) { Name = name, IsBackground = true };
    }

    /// <summary>Milliseconds on a clock that only goes forward, as of this turn.</summary>
    public long NowMs { get; private set; } = Environment.TickCount64;

    /// <summary>Nanoseconds on a clock that only goes forward, as of the last <see cref="LookAtClock"/>.</summary>
    public long NowNs { get; private set; }

    /// <summary>Where to tell.</summary>
    public ILogger Logger => _logger;

    /// <summary>How many ticks there have been.</summary>
    public int TickCount { get; private set; }

    public ReactorScratch Scratch { get; } = new();

    /// <summary>Looks after the ringing of doorbells that others can make wait.</summary>
    public SignalGuard SignalGuard { get; } = new();

    /// <summary>
    /// Where it meets other reactors that have targets in common with it; null where there are none. Then what was posted, what is done at ticks and what was put off is done alone; and all that it
    /// owns may be touched by another one that is alone.
    /// </summary>
    public Rendezvous? Rendezvous { get; init; }

    /// <summary>Which one it is, from 0.</summary>
    public int Index { get; init; }

    /// <summary>The processor that the thread is to stay on; null: where the system puts it.</summary>
    public int? Processor { get; init; }

    /// <summary>Whether the thread runs.</summary>
    public bool IsRunning => _thread.IsAlive;

    public void Start() => _thread.Start();

    /// <summary>Has the reactor's thread run something, soon. From any thread.</summary>
    public void Post(Action action)
    {
        _posted.Enqueue(action);
        _wake.Signal();
    }

    /// <summary>Runs something on the reactor's thread and waits for it. From any other thread.</summary>
    public Task InvokeAsync(Action action)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(() =>
        {
            try
            {
                action();
                done.SetResult();
            }
#pragma warning disable CA1031 // handed to the one who asked
            catch (Exception exception)
#pragma warning restore CA1031
            {
                done.SetException(exception);
            }
        });
        return done.Task;
    }

    public void Stop()
    {
        _stopping = true;
        _wake.Signal();
        if (_thread.IsAlive)
        {
            _thread.Join();
        }
    }

    /// <summary>Brings <see cref="NowNs"/> up to date: after each call that may take its time. What happens between two of them takes no time.</summary>
    public void LookAtClock() => NowNs = Stopwatch.GetTimestamp(); // which counts nanoseconds on Linux

    /// <summary>What a reactor owns is touched by no other thread while it runs: whoever changes it asks here. A promise of our own, so its breach ends the engine.</summary>
    /// <exception cref="InvalidOperationException">This is another thread.</exception>
    public void AssertOwner()
    {
        if (_ownerId != 0 && _ownerId != Environment.CurrentManagedThreadId)
        {
            if (Rendezvous is { IsHeld: true } rendezvous)
            {
                Visit(rendezvous);
                return;
            }

            throw new InvalidOperationException($"what {_thread.Name} owns is touched by thread {Environment.CurrentManagedThreadId} ({Thread.CurrentThread.Name})");
        }
    }

    /// <summary>Another reactor, alone, has left work here: when that goes on, this one wakes up.</summary>
    void Visit(Rendezvous rendezvous)
    {
        if (!_isVisited)
        {
            _isVisited = true;
            rendezvous.Afterwards(_wake.Signal);
        }
    }

    // ---- what the reactor watches ----

    public int Add(int descriptor, EpollEvents events, IEventSource source)
    {
        AssertOwner();
        if (!_freeRegistrations.TryPop(out int index))
        {
            index = _registrations.Count;
            _registrations.Add(default);
        }

        uint generation = _registrations[index].Generation + 1;
        _registrations[index] = new Registration(descriptor, generation, source);
        _epoll.Add(descriptor, events, Token(index, generation));
        return index;
    }

    public void Modify(int registration, EpollEvents events)
    {
        AssertOwner();
        Registration current = _registrations[registration];
        _epoll.Modify(current.Descriptor, events, Token(registration, current.Generation));
    }

    public void Remove(int registration)
    {
        AssertOwner();
        Registration current = _registrations[registration];
        _epoll.Remove(current.Descriptor);
        _registrations[registration] = current with { Source = null };
        _freeRegistrations.Push(registration);
    }

    /// <summary>The ring is not to be touched any more.</summary>
    public void Remove(IReactorRing ring)
    {
        AssertOwner();
        _unpublished.Remove(ring);
        if (ring.IsWatched)
        {
            ring.IsWatched = false;
            _watched.Remove(ring);
        }
    }

    /// <summary>Something was posted to the ring; it is published at the end of the turn.</summary>
    public void PublishLater(IReactorRing ring)
    {
        AssertOwner();
        _unpublished.Add(ring);
    }

    /// <summary>The connection has something to send; it is flushed at the end of the turn.</summary>
    public void FlushLater(IReactorConnection connection)
    {
        AssertOwner();
        _unflushed.Add(connection);
    }

    /// <summary>A lane has put something off: it is done at the end of the turn, alone.</summary>
    public void RunLater(TargetLane lane)
    {
        AssertOwner();
        _lanes.Add(lane);
    }

    /// <summary>Called some times a second with the time.</summary>
    public void AddTicker(Action<long> tick)
    {
        AssertOwner();
        _tickers = [.. _tickers, tick];
    }

    /// <summary>Called no more.</summary>
    public void RemoveTicker(Action<long> tick)
    {
        AssertOwner();
        _tickers = [.. _tickers.Where(other => other != tick)];
    }

    /// <summary>How many are called.</summary>
    public int Tickers => _tickers.Length;

    /// <summary>The doorbell rang without reason: it hears of each tick until it is forgotten again.</summary>
    public void Remember(Doorbell doorbell) => _suspects.Add(doorbell);

    public void Forget(Doorbell doorbell) => _suspects.Remove(doorbell);

    static ulong Token(int index, uint generation) => ((ulong)generation << 32) | (uint)index;

    // ---- the loop ----

    void Run()
    {
        _ownerId = Environment.CurrentManagedThreadId;
        if (Processor is { } processor && !Linux.Processor.TryPin(processor))
        {
            LogNotPinned(_logger, _thread.Name!, processor);
        }

        try
        {
            Rendezvous?.Join(Index);
            Loop();
            Rendezvous?.Leave();
        }
#pragma warning disable CA1031 // a broken promise of our own: say so before the process ends
        catch (Exception exception)
#pragma warning restore CA1031
        {
            LogBroken(_logger, exception);
            Environment.FailFast("scuse: a reactor failed", exception);
        }

        _ownerId = 0;
    }

    void Loop()
    {
        while (!_stopping)
        {
            NowMs = Environment.TickCount64;
            if (Turn(timeoutMs: 0))
            {
                _spin.Found(Depth(), _answers);
            }
            else if (!_spin.LookAgain())
            {
                Sleep();
            }

            if (Rendezvous is { IsWanted: true } rendezvous)
            {
                rendezvous.Pause();
            }
        }
    }

    /// <summary>One turn; true when anything was done. By the loop, and by tests that have no loop.</summary>
    internal bool Turn(int timeoutMs) => Work(_epoll.Wait(_events, timeoutMs));

    bool Work(int events)
    {
        bool active = Dispatch(events);
        active |= RunPosted();
        RunLanes();
        Publish();
        active |= Reap();
        RunLanes();
        Publish();
        Flush();
        TickWhenDue();
        return active;
    }

    /// <summary>How many commands the handlers have.</summary>
    int Depth()
    {
        int depth = 0;
        foreach (IReactorRing ring in _watched)
        {
            depth += ring.Outstanding;
        }

        return depth;
    }

    /// <summary>Waits for a descriptor or the next tick. The rings are told first, so that a handler rings the doorbell.</summary>
    void Sleep()
    {
        foreach (IReactorRing ring in _watched)
        {
            ring.AnnounceSleep(); // full fence inside; pairs with the handler's fence between its answer and its look at the flag
        }

        bool answers = false;
        foreach (IReactorRing ring in _watched)
        {
            answers |= ring.HasAnswers;
        }

        Rendezvous?.Stand();
        int events = answers ? 0 : _epoll.Wait(_events, (int)Math.Clamp(_nextTickMs - NowMs, 1, TickMs));
        Rendezvous?.GoOn();
        foreach (IReactorRing ring in _watched)
        {
            ring.EndSleep();
        }

        if (!answers)
        {
            NowMs = Environment.TickCount64;
            if (Work(events))
            {
                _spin.Found(Depth(), _answers);
            }
        }
    }

    bool Dispatch(int count)
    {
        bool active = false;
        int patient = 0;
        for (int i = 0; i < count; i++)
        {
            if (_events[i].Token == 0)
            {
                _wake.Drain();
                continue;
            }

            active = true;
            if (SourceOf(_events[i]) is not { } source)
            {
                continue;
            }

            if (source.IsPatient)
            {
                _patient[patient++] = i;
            }
            else
            {
                source.OnEvents(_events[i].Events);
            }
        }

        if (patient > 0)
        {
            // Each in its turn, whatever the order that they are reported in: the others are reported again.
            EpollEvent heard = _events[_patient[(int)(_patientTurn++ % (uint)patient)]];
            SourceOf(heard)?.OnEvents(heard.Events);
        }

        return active;
    }

    /// <summary>What an event is for; null when that was removed.</summary>
    IEventSource? SourceOf(in EpollEvent what)
    {
        Registration registration = _registrations[(int)(uint)what.Token];
        return registration.Generation == (uint)(what.Token >> 32) ? registration.Source : null;
    }

    /// <summary>Runs what was posted; by the loop, and by tests that have no loop.</summary>
    internal bool RunPosted()
    {
        if (_posted.IsEmpty)
        {
            return false;
        }

        Rendezvous?.Enter();
        bool active = false;
        while (_posted.TryDequeue(out Action? action))
        {
            active = true;
            action();
        }

        Rendezvous?.Exit();
        return active;
    }

    void RunLanes()
    {
        _isVisited = false;
        if (_lanes.Count == 0)
        {
            return;
        }

        Rendezvous!.Enter();
        for (int i = 0; i < _lanes.Count; i++) // another one may come
        {
            _lanes[i].RunDeferred();
        }

        _lanes.Clear();
        Rendezvous.Exit();
    }

    void Publish()
    {
        for (int i = 0; i < _unpublished.Count; i++)
        {
            IReactorRing ring = _unpublished[i];
            ring.Publish();
            if (!ring.IsWatched && ring.Outstanding > 0)
            {
                ring.IsWatched = true;
                _watched.Add(ring);
            }
        }

        _unpublished.Clear();
    }

    bool Reap()
    {
        if (_watched.Count > 0)
        {
            LookAtClock();
        }

        int answers = 0;
        for (int i = _watched.Count - 1; i >= 0; i = Math.Min(i, _watched.Count) - 1)
        {
            IReactorRing ring = _watched[i];
            answers += ring.Reap();
            if (i < _watched.Count && _watched[i] == ring && ring.Outstanding == 0) // else it has left by itself, or goes with the next reaping
            {
                ring.IsWatched = false;
                _watched[i] = _watched[^1]; // one that has had its turn
                _watched.RemoveAt(_watched.Count - 1);
            }
        }

        _answers = answers;
        return answers > 0;
    }

    void Flush()
    {
        for (int i = 0; i < _unflushed.Count; i++)
        {
            _unflushed[i].Flush();
        }

        _unflushed.Clear();
    }

    void TickWhenDue()
    {
        if (NowMs >= _nextTickMs)
        {
            _nextTickMs = NowMs + TickMs;
            Tick(NowMs);
        }
    }

    /// <summary>What is done some times a second; by the loop, and by tests that have no loop.</summary>
    internal void Tick(long nowMs)
    {
        TickCount++;
        for (int i = _suspects.Count - 1; i >= 0; i--)
        {
            _suspects[i].Tick(); // may be forgotten by it
        }

        Rendezvous?.Enter();
        foreach (Action<long> tick in _tickers)
        {
            tick(nowMs);
        }

        Rendezvous?.Exit();
    }

    public void Dispose()
    {
        _epoll.Dispose();
        _wake.Dispose();
    }

    [LoggerMessage(Level = LogLevel.Critical, Message = "the reactor failed; the engine ends")]
    static partial void LogBroken(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Reactor} cannot be kept on processor {Processor}")]
    static partial void LogNotPinned(ILogger logger, string reactor, int processor);

    readonly record struct Registration(int Descriptor, uint Generation, IEventSource? Source);
}
