using System.Collections.Concurrent;
using System.Diagnostics;
using Scuse.Linux;
using Scuse.Ring.Attach;

namespace Scuse.Serving;

/// <summary>
/// A thread that serves any number of rings. It looks only at those where something happens; the others have said that they sleep, and cost nothing until their
/// doorbell rings. When there is nothing to do at all, it sleeps.
/// </summary>
/// <remarks>
/// <see cref="Add"/>, <see cref="Attend"/>, <see cref="Complete"/> and <see cref="Dispose"/> may be called on any thread; everything else is the thread's own.
/// </remarks>
sealed class ServingThread : IDisposable
{
    // Tokens of the epoll set: this one, and for each ring its index with one of the kinds in the lowest bit, counted from FirstRingToken.
    const ulong WakeToken = 0, FirstRingToken = 2, ControlKind = 1;

    const int MaxEvents = 64;
    const int EndingGraceMs = 1000;

    // A ring where nothing happened in so many turns goes to sleep although the thread has other work: looking at it costs a cache line each time.
    const int IdleTurnsBeforeSleep = 64;

    // With rings asleep, a busy thread looks for doorbells so often; without, only the control sockets need a look now and then. Each is a system call.
    const int BusyMicrosecondsPerPoll = 20;
    const int BusyTurnsPerPoll = 256;

    static readonly long s_pollTicks = BusyMicrosecondsPerPoll * Stopwatch.Frequency / 1_000_000;

    readonly AdaptiveSpin _spin;
    readonly Epoll _epoll = Epoll.Create();
    readonly EventFd _wake = EventFd.Create();
    readonly EpollEvent[] _events = new EpollEvent[MaxEvents];
    readonly byte[] _scratch = new byte[AttachMessage.MaxBytes];
    readonly ConcurrentQueue<(ServedRing Ring, bool IsNew)> _posted = new();
    readonly Thread _thread;
    int _load;

    // Written by any thread with an interlocked exchange, taken whole by the serving thread: slots that are handed back.
    CommandSlot? _completed;

    // 1 while the serving thread may be asleep; whoever sets it back to 0 rings _wake.
    int _asleep;
    volatile bool _hasPosts;
    volatile bool _isEnding;

    // The rest is touched only by the serving thread.
    readonly List<ServedRing> _awake = [];
    readonly List<ServedRing> _timed = [];
    ServedRing?[] _rings = new ServedRing?[4];
    readonly Stack<int> _freeIndices = new();
    int _usedIndices;
    int _ringCount;
    CommandSlot? _free;
    int _rented;
    int _busyTurns;
    long _lastPoll;

    internal ServingThread(int spinMicroseconds)
    {
        _spin = new AdaptiveSpin(spinMicroseconds, Processor.Count);
        _epoll.Add(_wake.Descriptor, EpollEvents.In, WakeToken);
        _thread = new Thread(Run) { IsBackground = true, Name = "scuse serving" };
        _thread.Start();
    }

    /// <summary>How many commands of all its rings are under way.</summary>
    internal int Outstanding { get; set; }

    /// <summary>How many rings were given to it and have not ended.</summary>
    internal int Load => Volatile.Read(ref _load);

    /// <summary>Serves one more ring; its <see cref="ServedRing.Ended"/> tells when that is over.</summary>
    internal void Add(ServedRing ring)
    {
        Interlocked.Increment(ref _load);
        Post(ring, isNew: true);
    }

    /// <summary>Has the thread look at a ring.</summary>
    internal void Attend(ServedRing ring) => Post(ring, isNew: false);

    /// <summary>Hands a slot back to the serving thread: its command's task has completed, or its kept buffers are free.</summary>
    internal void Complete(CommandSlot slot)
    {
        CommandSlot? head = Volatile.Read(ref _completed);
        while (true)
        {
            slot.Next = head;
            CommandSlot? seen = Interlocked.CompareExchange(ref _completed, slot, head);
            if (seen == head)
            {
                break;
            }

            head = seen;
        }

        // The exchange above is a full fence: either the serving thread sees the slot when it looks once more before it sleeps, or
        // this sees that it is about to sleep. Pairs with the exchange in Sleep.
        WakeUp();
    }

    /// <summary>Ends the thread. Its rings must have ended, or the process is about to.</summary>
    public void Dispose()
    {
        _isEnding = true;
        Interlocked.MemoryBarrier(); // as in Post
        WakeUp();
        if (!_thread.Join(EndingGraceMs))
        {
            return; // in the handler's code, for good
        }

        _epoll.Dispose();

        // Who still holds a slot may wake this thread: the descriptor goes with the process then.
        if (_rented == 0)
        {
            _wake.Dispose();
        }
    }

    /// <summary>The slot that <see cref="Rent"/> takes next.</summary>
    internal CommandSlot NextSlot() => _free ??= new CommandSlot(this);

    /// <summary>Takes the slot that <see cref="NextSlot"/> returned.</summary>
    internal void Rent(CommandSlot slot)
    {
        _free = slot.Next;
        slot.Next = null;
        _rented++;
    }

    internal void Return(CommandSlot slot)
    {
        slot.Reset();
        slot.Next = _free;
        _free = slot;
        _rented--;
    }

    void Post(ServedRing ring, bool isNew)
    {
        _posted.Enqueue((ring, isNew));
        _hasPosts = true;

        // As in Complete: what is posted is seen by the look before the sleep, or the sleep by this.
        Interlocked.MemoryBarrier();
        WakeUp();
    }

    void WakeUp()
    {
        if (Volatile.Read(ref _asleep) != 0 && Interlocked.Exchange(ref _asleep, 0) != 0)
        {
            _wake.Signal();
        }
    }

    void Run()
    {
        try
        {
            while (!_isEnding)
            {
                TurnAll();
            }
        }
        catch (Exception failure)
        {
            // A bug here, or a system without resources: whoever waits for one of the rings is to hear of it.
            foreach (ServedRing? ring in _rings)
            {
                ring?.Fail(failure);
            }
        }
    }

    void TurnAll()
    {
        TakePosts();
        TakeCompleted();
        WakeTimed();
        bool worked = false;
        int taken = 0;
        for (int i = 0; i < _awake.Count;)
        {
            ServedRing ring = _awake[i];
            worked |= ring.Turn(out int takenHere);
            taken += takenHere;
            if (ring.HasEnded)
            {
                _awake.RemoveAt(i);
                Remove(ring);
                continue;
            }

            if (ring.WakeAt != long.MaxValue && !ring.IsTimed)
            {
                ring.IsTimed = true;
                _timed.Add(ring);
            }

            if (ring.IdleTurns >= IdleTurnsBeforeSleep && _awake.Count > 1 && TrySleep(ring))
            {
                _awake.RemoveAt(i);
                continue;
            }

            i++;
        }

        if (worked)
        {
            _spin.Found(taken + Outstanding, taken);
            PollWhileBusy();
        }
        else if (!_spin.LookAgain())
        {
            Sleep();
        }
        else if (_ringCount > _awake.Count)
        {
            Poll(0); // what one looks for may come to a ring that sleeps
        }
    }

    void TakePosts()
    {
        if (!_hasPosts)
        {
            return;
        }

        _hasPosts = false;
        Interlocked.MemoryBarrier(); // what is enqueued from here on sets it again
        while (_posted.TryDequeue(out (ServedRing Ring, bool IsNew) post))
        {
            if (post.IsNew)
            {
                Register(post.Ring);
            }
            else if (post.Ring.Index >= 0 && !post.Ring.HasEnded)
            {
                Awaken(post.Ring);
            }
        }
    }

    void Register(ServedRing ring)
    {
        if (!_freeIndices.TryPop(out int index))
        {
            index = _usedIndices++;
        }

        if (index >= _rings.Length)
        {
            Array.Resize(ref _rings, _rings.Length * 2);
        }

        ulong token = FirstRingToken + ((ulong)index << 1);
        try
        {
            _epoll.Add(ring.DoorbellDescriptor, EpollEvents.In | EpollEvents.EdgeTriggered, token);
            if (ring.ControlDescriptor >= 0)
            {
                _epoll.Add(ring.ControlDescriptor, EpollEvents.In | EpollEvents.ReadHangUp, token | ControlKind);
            }
        }
        catch (LinuxException failure)
        {
            // Its descriptors leave the set when they are closed; the index stays unused.
            Interlocked.Decrement(ref _load);
            ring.Fail(failure);
            return;
        }

        _rings[index] = ring;
        _ringCount++;
        ring.Index = index;
        Awaken(ring);
    }

    /// <summary>A ring that has ended leaves.</summary>
    void Remove(ServedRing ring)
    {
        if (ring.IsTimed)
        {
            _timed.Remove(ring);
        }

        _epoll.Remove(ring.DoorbellDescriptor);
        if (ring.ControlDescriptor >= 0)
        {
            _epoll.Remove(ring.ControlDescriptor);
        }

        _rings[ring.Index] = null;
        _freeIndices.Push(ring.Index);
        _ringCount--;
        Interlocked.Decrement(ref _load);
        ring.Close();
    }

    void TakeCompleted()
    {
        if (Volatile.Read(ref _completed) is null)
        {
            return;
        }

        CommandSlot? slot = Interlocked.Exchange(ref _completed, null);
        while (slot is not null)
        {
            CommandSlot? next = slot.Next;
            ServedRing ring = slot.Ring;
            ring.TakeBack(slot);
            if (!ring.HasEnded)
            {
                Awaken(ring);
            }

            slot = next;
        }
    }

    void WakeTimed()
    {
        if (_timed.Count == 0)
        {
            return;
        }

        long now = Environment.TickCount64;
        for (int i = _timed.Count - 1; i >= 0; i--)
        {
            ServedRing ring = _timed[i];
            if (ring.WakeAt == long.MaxValue)
            {
                ring.IsTimed = false;
                _timed.RemoveAt(i);
            }
            else if (ring.WakeAt <= now)
            {
                Awaken(ring);
            }
        }
    }

    void Awaken(ServedRing ring)
    {
        ring.IdleTurns = 0;
        if (!ring.IsAwake)
        {
            ring.IsAwake = true;
            ring.EndSleep();
            _awake.Add(ring);
        }
    }

    /// <summary>Leaves a ring to its doorbell, unless something came in the last moment.</summary>
    static bool TrySleep(ServedRing ring)
    {
        ring.AnnounceSleep();
        if (ring.HasCommands)
        {
            ring.EndSleep();
            ring.IdleTurns = 0;
            return false;
        }

        ring.IsAwake = false;
        return true;
    }

    void PollWhileBusy()
    {
        if (_ringCount > _awake.Count)
        {
            long now = Stopwatch.GetTimestamp();
            if (now - _lastPoll < s_pollTicks)
            {
                return;
            }

            _lastPoll = now;
        }
        else if (++_busyTurns % BusyTurnsPerPoll != 0)
        {
            return;
        }

        Poll(0);
    }

    void Sleep()
    {
        bool somethingCame = false;
        foreach (ServedRing ring in _awake)
        {
            ring.AnnounceSleep();
        }

        // A full fence before looking once more; pairs with the exchange in Complete and the barrier in Post.
        Interlocked.Exchange(ref _asleep, 1);
        foreach (ServedRing ring in _awake)
        {
            somethingCame |= ring.HasCommands;
        }

        if (somethingCame || Volatile.Read(ref _completed) is not null || _hasPosts || _isEnding)
        {
            Interlocked.Exchange(ref _asleep, 0);
            foreach (ServedRing ring in _awake)
            {
                ring.EndSleep();
            }

            return;
        }

        foreach (ServedRing ring in _awake)
        {
            ring.IsAwake = false;
        }

        _awake.Clear();
        Poll(TimeToNextWake());
        Interlocked.Exchange(ref _asleep, 0);
    }

    int TimeToNextWake()
    {
        long at = long.MaxValue;
        foreach (ServedRing ring in _timed)
        {
            at = Math.Min(at, ring.WakeAt);
        }

        return at == long.MaxValue ? -1 : (int)Math.Clamp(at - Environment.TickCount64, 0, int.MaxValue);
    }

    void Poll(int timeoutMs)
    {
        int count = _epoll.Wait(_events, timeoutMs);
        for (int i = 0; i < count; i++)
        {
            ulong token = _events[i].Token;
            if (token == WakeToken)
            {
                _wake.Drain();
                continue;
            }

            if (_rings[(int)((token - FirstRingToken) >> 1)] is not { } ring)
            {
                continue; // half registered
            }

            if ((token & ControlKind) != 0)
            {
                ring.ReadControl(_scratch);
            }
            else
            {
                ring.TakeDoorbell();
            }

            Awaken(ring);
        }
    }
}
