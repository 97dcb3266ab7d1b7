using Scuse.Linux;
using Scuse.Ring;
using Scuse.Scsi;

namespace Scuse.Serving;

/// <summary>How serving ended.</summary>
enum ServingEnd
{
    /// <summary>The target removed the device, and everything taken was answered.</summary>
    Removed,

    /// <summary>This process was asked to stop, and everything taken was answered.</summary>
    Stopped,

    /// <summary>The target closed the connection or died.</summary>
    TargetGone,

    /// <summary>The target wrote nonsense into the ring.</summary>
    RingBroken,
}

/// <summary>One ring served by one thread: takes commands, starts them, answers those that are done, and sleeps when there is nothing to do.</summary>
sealed class ServingLoop : IDisposable
{
    const ulong DoorbellToken = 1, WakeToken = 2, ControlToken = 3;

    // A batch ends here, so that the target has its first answers while the handler works on the rest.
    const int MaxBatchCommands = 32;
    const int MaxBatchBytes = 256 * 1024;

    // The control socket is looked at once in so many busy rounds: a system call each time would be felt.
    const int BusyRoundsPerControlCheck = 256;

    // What is still under way when the target is gone gets this long to end before the process goes without it.
    const int GoneGraceMs = 5000;

    readonly CommandServer _server;
    readonly HandlerRing _ring;
    readonly MappedRegion _region;
    readonly EventFd _doorbell;
    readonly EventFd _targetDoorbell;
    readonly IControlChannel _control;
    readonly bool _waitFlags;
    readonly AdaptiveSpin _spin;
    readonly Epoll _epoll = Epoll.Create();
    readonly EventFd _wake = EventFd.Create();
    readonly EpollEvent[] _events = new EpollEvent[4];

    // Written by any thread with an interlocked exchange, taken whole by the serving thread: commands whose task has completed.
    CommandSlot? _completed;

    // 1 while the serving thread may be asleep; whoever sets it back to 0 rings _wake.
    int _asleep;
    volatile bool _stopRequested;

    // The rest is touched only by the serving thread.
    CommandSlot?[] _outstanding = new CommandSlot?[256];
    CommandSlot? _free;
    int _outstandingCount;
    int _busyRounds;
    bool _removed;
    bool _targetGone;

    internal ServingLoop(
        CommandServer server, MappedRegion region, EventFd doorbell, EventFd targetDoorbell, IControlChannel control, bool waitFlags, int spinMicroseconds)
    {
        _server = server;
        _ring = new HandlerRing(region.Address, region.LengthBytes);
        _region = region;
        _doorbell = doorbell;
        _targetDoorbell = targetDoorbell;
        _control = control;
        _waitFlags = waitFlags;
        _spin = new AdaptiveSpin(spinMicroseconds, Processor.Count);
        _epoll.Add(doorbell.Descriptor, EpollEvents.In, DoorbellToken);
        _epoll.Add(_wake.Descriptor, EpollEvents.In, WakeToken);
        _epoll.Add(control.Descriptor, EpollEvents.In | EpollEvents.ReadHangUp, ControlToken);
    }

    /// <summary>What the target wrote that makes no sense, after <see cref="ServingEnd.RingBroken"/>.</summary>
    internal string? Violation { get; private set; }

    /// <summary>How many commands never ended. Their memory may still be in use, so the region has to stay mapped.</summary>
    internal int Abandoned => _outstandingCount;

    /// <summary>Serves until it is over. One call, on the thread that is the serving thread from then on.</summary>
    internal ServingEnd Run()
    {
        try
        {
            while (true)
            {
                int taken = TakeBatch();
                bool worked = AnswerCompleted() || taken > 0;
                if (worked)
                {
                    Show();
                    _spin.Found(taken + _outstandingCount);
                    if (++_busyRounds % BusyRoundsPerControlCheck == 0)
                    {
                        ReadControl();
                    }
                }
                else if (IsOver())
                {
                    Show();
                    return _removed ? ServingEnd.Removed : ServingEnd.Stopped;
                }
                else if (!_spin.LookAgain())
                {
                    Sleep(timeoutMs: -1);
                }

                if (_targetGone)
                {
                    GiveUp();
                    return ServingEnd.TargetGone;
                }
            }
        }
        catch (RingFormatException violation)
        {
            Violation = violation.Message;
            GiveUp();
            return ServingEnd.RingBroken;
        }
    }

    /// <summary>Asks from another thread to stop: what has been taken is answered, nothing else is taken.</summary>
    internal void RequestStop()
    {
        _stopRequested = true;
        WakeUp();
    }

    /// <summary>Hands a command whose task has completed back to the serving thread. Called on any thread.</summary>
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

    public void Dispose()
    {
        _epoll.Dispose();
        _wake.Dispose();
    }

    void WakeUp()
    {
        if (Volatile.Read(ref _asleep) != 0 && Interlocked.Exchange(ref _asleep, 0) != 0)
        {
            _wake.Signal();
        }
    }

    int TakeBatch()
    {
        if (_stopRequested)
        {
            return 0;
        }

        int commands = 0;
        long bytes = 0;
        while (commands < MaxBatchCommands && bytes < MaxBatchBytes)
        {
            CommandSlot slot = _free ?? new CommandSlot(this);
            if (!_ring.TryTake(slot.Command))
            {
                _free = slot; // its Next is the rest of the list already
                break;
            }

            _free = slot.Next;
            slot.Next = null;
            commands++;
            if (slot.Command.Kind == HandlerCommandKind.TaskManagement)
            {
                CancelNamed(slot.Command.TaskManagementIds);
                Release(slot);
                continue;
            }

            bytes += Start(slot);
        }

        return commands;
    }

    int Start(CommandSlot slot)
    {
        ushort id = slot.Command.Id;
        if (id >= _outstanding.Length)
        {
            Array.Resize(ref _outstanding, Math.Min(RingAbi.MaxCommandId + 1, Math.Max(id + 1, _outstanding.Length * 2)));
        }

        slot.Prepare(_region, _server.BlockSize);
        _outstanding[id] = slot;
        _outstandingCount++;
        int bytes = Math.Max(slot.Scsi.DataIn.Length, slot.Scsi.DataOut.Length);
        if (_server.TryStart(slot))
        {
            Answer(slot);
        }

        return bytes;
    }

    bool AnswerCompleted()
    {
        if (Volatile.Read(ref _completed) is null)
        {
            return false;
        }

        CommandSlot? slot = Interlocked.Exchange(ref _completed, null);
        while (slot is not null)
        {
            CommandSlot? next = slot.Next;
            _server.Finish(slot);
            Answer(slot);
            slot = next;
        }

        return true;
    }

    void Answer(CommandSlot slot)
    {
        // A mailbox that does not offer READ_LEN takes all of the buffer, or nothing, as it always did.
        ResponseFlags flags = slot.Flags;
        if ((_ring.Flags & MailboxFlags.ReadLength) == 0)
        {
            flags &= ~ResponseFlags.ReadLength;
        }

        _ring.Answer(slot.Command.Id, (byte)slot.Status, slot.Sense, flags, slot.ReadLength);
        _outstanding[slot.Command.Id] = null;
        _outstandingCount--;
        Release(slot);
    }

    void Release(CommandSlot slot)
    {
        slot.Reset();
        slot.Next = _free;
        _free = slot;
    }

    void CancelNamed(ReadOnlySpan<ushort> ids)
    {
        foreach (ushort id in ids)
        {
            if (id < _outstanding.Length)
            {
                _outstanding[id]?.Cancel();
            }
        }
    }

    void Show()
    {
        if (_ring.Publish() && _ring.TargetWantsDoorbell(_waitFlags))
        {
            _targetDoorbell.Signal();
        }
    }

    bool IsOver() => _outstandingCount == 0 && (_stopRequested || (_removed && !_ring.HasCommands));

    void Sleep(int timeoutMs)
    {
        if (_waitFlags)
        {
            _ring.AnnounceSleep();
        }

        // A full fence before looking once more; pairs with the exchange in Complete.
        Interlocked.Exchange(ref _asleep, 1);
        bool somethingCame = Volatile.Read(ref _completed) is not null || (_stopRequested ? _outstandingCount == 0 : _ring.HasCommands);
        int count = somethingCame ? 0 : _epoll.Wait(_events, timeoutMs);
        Interlocked.Exchange(ref _asleep, 0);
        if (_waitFlags)
        {
            _ring.EndSleep();
        }

        for (int i = 0; i < count; i++)
        {
            switch (_events[i].Token)
            {
                case DoorbellToken:
                    _doorbell.Drain();
                    break;
                case WakeToken:
                    _wake.Drain();
                    break;
                case ControlToken:
                    ReadControl();
                    break;
            }
        }
    }

    void ReadControl()
    {
        ControlNews news;
        while (!_targetGone && (news = _control.Read()) != ControlNews.None)
        {
            _removed |= news == ControlNews.Remove;
            _targetGone |= news == ControlNews.Closed;
        }
    }

    /// <summary>Nobody will read an answer any more: tells the handler so, and waits a while for what is under way.</summary>
    void GiveUp()
    {
        foreach (CommandSlot? slot in _outstanding)
        {
            slot?.Cancel();
        }

        long deadline = Environment.TickCount64 + GoneGraceMs;
        while (_outstandingCount > 0 && Environment.TickCount64 < deadline)
        {
            CommandSlot? slot = Interlocked.Exchange(ref _completed, null);
            if (slot is null)
            {
                Thread.Sleep(1);
                continue;
            }

            for (; slot is not null; slot = slot.Next)
            {
                _server.Finish(slot);
                _outstandingCount--;
            }
        }
    }
}

/// <summary>What came over the control socket.</summary>
enum ControlNews
{
    /// <summary>Nothing now.</summary>
    None,

    /// <summary>A message that changes nothing here.</summary>
    Other,

    /// <summary>The device is to be removed.</summary>
    Remove,

    /// <summary>The target closed the connection or died.</summary>
    Closed,
}

/// <summary>The connection to the target while the ring is served.</summary>
interface IControlChannel
{
    int Descriptor { get; }

    /// <summary>Reads one message if there is one; it never waits.</summary>
    ControlNews Read();
}
