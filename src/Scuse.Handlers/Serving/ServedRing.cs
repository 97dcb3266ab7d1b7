using System.Diagnostics;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Scsi;

namespace Scuse.Serving;

/// <summary>How serving a ring ended.</summary>
enum ServingEnd
{
    /// <summary>The target removed the device, and everything taken was answered.</summary>
    Removed,

    /// <summary>The target let the handler go for now, and everything taken was answered.</summary>
    Released,

    /// <summary>This process was asked to stop, and everything taken was answered.</summary>
    Stopped,

    /// <summary>The target closed the connection or died.</summary>
    TargetGone,

    /// <summary>The target wrote nonsense into the ring.</summary>
    RingBroken,
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

    /// <summary>The target stops for now, and the device stays.</summary>
    Release,

    /// <summary>The target closed the connection or died.</summary>
    Closed,
}

/// <summary>How the two ends of a ring wake each other.</summary>
interface IDoorbells : IDisposable
{
    /// <summary>What is reported, for edges, when the target has rung.</summary>
    int Descriptor { get; }

    /// <summary>Takes note of a report; false when there will be no more, since the target is gone.</summary>
    bool TryTake();

    /// <summary>Wakes the target.</summary>
    void Ring();
}

/// <summary>The doorbells of an attached device; they never tell that the target is gone: the connection does.</summary>
/// <param name="own">What the target rings.</param>
/// <param name="targets">What the target waits on.</param>
sealed class EventDoorbells(EventFd own, EventFd targets) : IDoorbells
{
    public int Descriptor => own.Descriptor;

    public bool TryTake() => true; // never read: each ring is one report, which costs a call less

    public void Ring() => targets.Signal();

    public void Dispose()
    {
        own.Dispose();
        targets.Dispose();
    }
}

/// <summary>The connection to the target while its ring is served.</summary>
interface IControlChannel
{
    /// <summary>What there is to be read on; -1 where the target has nothing to say.</summary>
    int Descriptor { get; }

    /// <summary>Reads one message if there is one, by way of <paramref name="scratch"/>; it never waits.</summary>
    ControlNews Read(Span<byte> scratch);

    /// <summary>Says which kept commands are free; false when the target has no room for the message now. It never waits.</summary>
    bool TryFreeKept(ReadOnlySpan<ushort> ids);
}

/// <summary>What was agreed on with the target, for one ring.</summary>
readonly record struct RingTerms
{
    /// <summary>Whether the waiting flags are in force.</summary>
    internal bool WaitFlags { get; init; }

    /// <summary>Whether answered commands' buffers may be kept.</summary>
    internal bool KeepBuffers { get; init; }

    /// <summary>Whether answers may point into the handler's own memory.</summary>
    internal bool OwnMemory { get; init; }

    /// <summary>Whether answers tell how long commands took.</summary>
    internal bool ServiceTimes { get; init; }

    /// <summary>Whether entries are marked that answers are written into: where the ring outlives this process.</summary>
    internal bool MarksAnswers { get; init; }
}

/// <summary>
/// A device's ring while it is served: takes commands, starts them, and answers those that are done. A <see cref="ServingThread"/> calls it for as long as
/// there is something to do. A device has one or several; with several it is in a <see cref="RingSet"/>.
/// </summary>
/// <remarks>
/// Touched only by the serving thread, but for what comes before <see cref="Serve"/>, <see cref="Ended"/> and what says that it is for any thread; what tells how it ended may be read when it has.
/// </remarks>
sealed class ServedRing
{
    // A batch ends here, so that the target has its first answers while the handler works on the rest.
    const int MaxBatchCommands = 32;
    const int MaxBatchBytes = 256 * 1024;

    // What is still under way when the target is gone gets this long to end before the process goes without it.
    const int GoneGraceMs = 5000;

    // A target that has no room for the message now is asked again so much later.
    const int FreeAgainMs = 10;

    const int FirstOutstanding = 16;

    readonly ServingThread _thread;
    readonly CommandServer _server;
    readonly HandlerRing _ring;
    readonly MappedRegion _region;
    readonly IDoorbells _doorbells;
    readonly IControlChannel _control;
    readonly bool _waitFlags;
    readonly bool _keepBuffers;
    readonly TaskCompletionSource<ServingEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // Set on any thread, before the serving thread is made to look; never unset.
    volatile bool _stopRequested;
    volatile bool _drainRequested;
    volatile bool _removed;
    volatile bool _released;
    volatile bool _targetGone;
    volatile bool _isGivenUpWithOthers;

    // By command id: those under way, whose answer is still to come.
    CommandSlot?[] _outstanding = new CommandSlot?[FirstOutstanding];
    ushort[] _idsToFree = [];
    int _idsToFreeCount;
    int _keptCount;
    long _freeAgainAt = long.MaxValue;
    long _clock; // when the last command was answered, or the batch begun: when the next one is taken
    bool _hasAnswered;

    // Why nobody reads answers any more, and until when what is under way may go on; how it all ended.
    ServingEnd? _givenUp;
    long _giveUpDeadline = long.MaxValue;
    ServingEnd? _end;

    /// <param name="thread">Who will serve it.</param>
    /// <param name="server">What does the commands.</param>
    /// <param name="region">The shared region; unmapped when the ring has ended and nobody holds a piece of it.</param>
    /// <param name="doorbells">The doorbells; the ring's from now on.</param>
    /// <param name="control">The connection; the caller's.</param>
    /// <param name="terms">What was agreed on with the target.</param>
    /// <exception cref="RingFormatException">There is no usable ring in the region.</exception>
    internal ServedRing(
        ServingThread thread, CommandServer server, MappedRegion region, IDoorbells doorbells, IControlChannel control, RingTerms terms)
    {
        _thread = thread;
        _server = server;
        _ring = new HandlerRing(region.Address, region.LengthBytes) { TellsServiceTimes = terms.ServiceTimes, MarksAnswers = terms.MarksAnswers };
        _region = region;
        _doorbells = doorbells;
        _control = control;
        _waitFlags = terms.WaitFlags;
        _keepBuffers = terms.KeepBuffers && (_ring.Flags & MailboxFlags.KeepBuffer) != 0;
        server.SetAbilities(_keepBuffers, terms.OwnMemory);
    }

    /// <summary>Completes when serving is over. From then on no command is under way, but for those in <see cref="Abandoned"/>.</summary>
    internal Task<ServingEnd> Ended => _ended.Task;

    /// <summary>What the target wrote that makes no sense, after <see cref="ServingEnd.RingBroken"/>.</summary>
    internal string? Violation { get; private set; }

    /// <summary>How many commands never ended. They may still do anything, so the process has to go.</summary>
    internal int Abandoned { get; private set; }

    /// <summary>The rings of the same device; null where there are no others. Set before it is served.</summary>
    internal RingSet? Set { get; set; }

    /// <summary>Its place among the thread's rings; negative before it has one.</summary>
    internal int Index { get; set; } = -1;

    /// <summary>Whether the thread looks at it in every turn; otherwise something has to wake it.</summary>
    internal bool IsAwake { get; set; }

    /// <summary>In how many turns there was nothing to do, one after another.</summary>
    internal int IdleTurns { get; set; }

    /// <summary>How many commands are under way.</summary>
    internal int Outstanding { get; private set; }

    internal int DoorbellDescriptor => _doorbells.Descriptor;

    internal int ControlDescriptor => _control.Descriptor;

    /// <summary>When the ring is to be looked at even if nothing happens, as <see cref="Environment.TickCount64"/>; far away when there is no such time.</summary>
    internal long WakeAt => Math.Min(_giveUpDeadline, _freeAgainAt);

    /// <summary>Whether the thread has it in its list of rings with a time to wake.</summary>
    internal bool IsTimed { get; set; }

    /// <summary>Whether serving is over.</summary>
    internal bool HasEnded => _end is not null;

    /// <summary>Whether there is something to take.</summary>
    internal bool HasCommands => !_stopRequested && _givenUp is null && _ring.HasCommands;

    /// <summary>Has its thread serve it.</summary>
    internal void Serve() => _thread.Add(this);

    /// <summary>Lets everything go; in place of <see cref="Serve"/>.</summary>
    internal void Discard()
    {
        _region.Dispose();
        _doorbells.Dispose();
    }

    /// <summary>Has its thread look at it. For any thread.</summary>
    internal void Attend() => _thread.Attend(this);

    /// <summary>Takes what another ring of the device has heard from the target. For any thread.</summary>
    internal void Hear(ControlNews news)
    {
        Take(news);
        Attend();
    }

    /// <summary>Another ring of the device can be served no more. For any thread.</summary>
    internal void GiveUpWithOthers()
    {
        _isGivenUpWithOthers = true;
        Attend();
    }

    /// <summary>Asks from any thread to stop: what has been taken is answered, nothing else is taken.</summary>
    internal void RequestStop()
    {
        _stopRequested = true;
        Attend();
    }

    /// <summary>Asks from any thread to end once everything that the target has put into the ring is answered.</summary>
    internal void RequestDrain()
    {
        _drainRequested = true;
        Attend();
    }

    /// <summary>Looks what there is to do, and does some of it; false when there was nothing. Ask <see cref="HasEnded"/> afterwards.</summary>
    internal bool Turn(out int taken)
    {
        taken = 0;
        try
        {
            if (_givenUp is null && (_targetGone || _isGivenUpWithOthers))
            {
                GiveUp(_targetGone ? ServingEnd.TargetGone : ServingEnd.RingBroken);
            }

            if (_givenUp is null)
            {
                taken = TakeBatch();
            }

            bool worked = taken > 0 || _hasAnswered;
            if (worked)
            {
                IdleTurns = 0;
                Show();
            }
            else
            {
                IdleTurns++;
            }

            if (_idsToFreeCount > 0 && (_freeAgainAt == long.MaxValue || Environment.TickCount64 >= _freeAgainAt))
            {
                FreeKept();
            }

            if (_givenUp is { } reason)
            {
                if (Outstanding == 0 || Environment.TickCount64 >= _giveUpDeadline)
                {
                    Abandoned = Outstanding;
                    _end = reason;
                }
            }
            else if (!worked && IsOver())
            {
                Show();
                _end = _removed ? ServingEnd.Removed : _released ? ServingEnd.Released : ServingEnd.Stopped;
            }

            return worked;
        }
        catch (RingFormatException violation) when (_givenUp is null)
        {
            Violation = violation.Message;
            GiveUp(ServingEnd.RingBroken);
            Set?.Break(this);
            return true;
        }
    }

    /// <summary>Takes a slot back that was handed to <see cref="ServingThread.Complete"/>.</summary>
    internal void TakeBack(CommandSlot slot)
    {
        switch (slot.Stage)
        {
            case SlotStage.Running:
                _server.Finish(slot);
                Answer(slot);
                break;
            case SlotStage.Withheld when _givenUp is null:
                Settle(slot, ResponseFlags.None);
                break;
            case SlotStage.Withheld:
                ForgetKept(slot);
                break;
            case SlotStage.Kept:
                if (_end is null && _givenUp is null)
                {
                    if (_idsToFreeCount == _idsToFree.Length)
                    {
                        Array.Resize(ref _idsToFree, Math.Max(16, _idsToFree.Length * 2));
                    }

                    _idsToFree[_idsToFreeCount++] = slot.Command.Id;
                }

                ForgetKept(slot);
                break;
        }
    }

    /// <summary>Says that this end is about to sleep; then ask <see cref="HasCommands"/> once more.</summary>
    internal void AnnounceSleep()
    {
        if (_waitFlags)
        {
            _ring.AnnounceSleep();
        }
    }

    internal void EndSleep()
    {
        if (_waitFlags)
        {
            _ring.EndSleep();
        }
    }

    /// <summary>The doorbell was reported.</summary>
    internal void TakeDoorbell()
    {
        if (!_doorbells.TryTake())
        {
            Take(ControlNews.Closed);
        }
    }

    internal void ReadControl(Span<byte> scratch)
    {
        ControlNews news;
        while (!_targetGone && (news = _control.Read(scratch)) != ControlNews.None)
        {
            Take(news);
            Set?.Tell(this, news);
        }
    }

    void Take(ControlNews news)
    {
        switch (news)
        {
            case ControlNews.Remove:
                _removed = true;
                break;
            case ControlNews.Release:
                _released = true;
                break;
            case ControlNews.Closed:
                _targetGone = true;
                break;
        }
    }

    /// <summary>The serving thread broke down: says so to whoever waits for the end.</summary>
    internal void Fail(Exception failure)
    {
        Set?.Break(this);
        _ended.TrySetException(failure);
    }

    /// <summary>Serving is over, and the ring is not in the thread's epoll set any more: lets everything go, and tells.</summary>
    internal void Close()
    {
        // What was abandoned may still write to its buffers: they go with the process.
        if (_keptCount == 0 && Abandoned == 0)
        {
            _region.Dispose();
        }

        _doorbells.Dispose();
        Set?.OnEnd(this);
        _ended.TrySetResult(_end!.Value);
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
            CommandSlot slot = _thread.NextSlot();
            if (!_ring.TryTake(slot.Command))
            {
                break;
            }

            _thread.Rent(slot);
            if (commands++ == 0 && _ring.TellsServiceTimes)
            {
                _clock = Stopwatch.GetTimestamp();
            }

            slot.TakenAt = _clock;
            if (slot.Command.Kind == HandlerCommandKind.TaskManagement)
            {
                PassOn(slot.Command);
                _thread.Return(slot);
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

        slot.Prepare(this, _region, _server.BlockSize);
        _outstanding[id] = slot;
        Outstanding++;
        _thread.Outstanding++;
        int bytes = Math.Max(slot.Scsi.DataIn.Length, slot.Scsi.DataOut.Length);
        if (_server.TryStart(slot))
        {
            Answer(slot);
        }

        return bytes;
    }

    /// <summary>The command has its result: answers it, unless its buffers are kept and the target cannot do without them.</summary>
    void Answer(CommandSlot slot)
    {
        if (slot.Keep is { } keep)
        {
            bool held;
            SlotStage stage = _keepBuffers && _givenUp is null ? SlotStage.Kept : SlotStage.Withheld;
            slot.Stage = stage; // before the hold begins, and with it the time in which it may be released
            try
            {
                held = keep.TryHold(slot);
            }
            catch (InvalidOperationException misuse)
            {
                _server.Fail(slot, misuse);
                held = false;
            }

            if (held)
            {
                _keptCount++;
                if (_givenUp is not null)
                {
                    Forget(slot.Command.Id);
                }
                else if (stage == SlotStage.Kept)
                {
                    Settle(slot, ResponseFlags.KeepBuffer);
                }

                return;
            }

            slot.Stage = SlotStage.Running;
        }

        if (_givenUp is not null)
        {
            Forget(slot.Command.Id);
            _thread.Return(slot);
            return;
        }

        Settle(slot, ResponseFlags.None);
    }

    /// <summary>Puts the answer into the ring; the slot is free then, unless its buffers are kept.</summary>
    void Settle(CommandSlot slot, ResponseFlags more)
    {
        // A mailbox that does not offer READ_LEN takes all of the buffer, or nothing, as it always did; the kernel does so, too, when the length is 0. What was not filled may be another's.
        ResponseFlags flags = slot.Flags | more;
        if ((flags & ResponseFlags.ReadLength) != 0 && slot.Status == ScsiStatus.Good && (slot.ReadLength == 0 || (_ring.Flags & MailboxFlags.ReadLength) == 0))
        {
            slot.ClearRest();
        }

        if ((_ring.Flags & MailboxFlags.ReadLength) == 0)
        {
            flags &= ~ResponseFlags.ReadLength;
        }

        if ((flags & ResponseFlags.OwnMemory) != 0)
        {
            _ring.AnswerFromOwnMemory(slot.Command.Id, slot.Place, ServiceTime(slot));
        }
        else
        {
            _ring.Answer(slot.Command.Id, (byte)slot.Status, slot.Sense, flags, slot.ReadLength, ServiceTime(slot));
        }

        _hasAnswered = true;
        Forget(slot.Command.Id);
        if (slot.Stage == SlotStage.Withheld)
        {
            _keptCount--;
        }

        if (more == ResponseFlags.None)
        {
            _thread.Return(slot);
        }
    }

    /// <summary>How long the command took, in nanoseconds; 0 where nobody wants to know.</summary>
    uint ServiceTime(CommandSlot slot)
    {
        if (!_ring.TellsServiceTimes)
        {
            return 0;
        }

        _clock = Stopwatch.GetTimestamp();
        return (uint)Math.Min(Stopwatch.GetElapsedTime(slot.TakenAt, _clock).Ticks * TimeSpan.NanosecondsPerTick, uint.MaxValue);
    }

    void Forget(ushort id)
    {
        _outstanding[id] = null;
        Outstanding--;
        _thread.Outstanding--;
    }

    /// <summary>Kept buffers were given back that the target has nothing to do with any more, or is told of later.</summary>
    void ForgetKept(CommandSlot slot)
    {
        _thread.Return(slot);
        if (--_keptCount == 0 && _end is not null && Abandoned == 0)
        {
            _region.Dispose();
        }
    }

    void PassOn(HandlerCommand notice)
    {
        int concerned = 0;
        foreach (ushort id in notice.TaskManagementIds)
        {
            if (id < _outstanding.Length && _outstanding[id] is { } slot)
            {
                concerned++;
                slot.Cancel();
            }
        }

        _server.Notify(new TaskManagementNotice((TaskManagementFunction)notice.TaskManagementType, concerned));
    }

    void Show()
    {
        _hasAnswered = false;
        if (_ring.Publish() && _ring.TargetWantsDoorbell(_waitFlags))
        {
            _doorbells.Ring();
        }
    }

    void FreeKept()
    {
        // In pieces that fit into a message. What finds no room is said in a later turn.
        int done = 0;
        while (done < _idsToFreeCount)
        {
            int count = Math.Min(Ring.Attach.FreeKeptMessage.MaxIds, _idsToFreeCount - done);
            if (!_control.TryFreeKept(_idsToFree.AsSpan(done, count)))
            {
                break;
            }

            done += count;
        }

        _idsToFree.AsSpan(done, _idsToFreeCount - done).CopyTo(_idsToFree);
        _idsToFreeCount -= done;
        _freeAgainAt = _idsToFreeCount > 0 ? Environment.TickCount64 + FreeAgainMs : long.MaxValue;
    }

    bool IsOver() => Outstanding == 0 && (_stopRequested || ((_removed || _released || _drainRequested) && !_ring.HasCommands)) && Set?.MayEnd(this) != false;

    /// <summary>Nobody will read an answer any more: tells the handler so, and gives what is under way a while to end.</summary>
    void GiveUp(ServingEnd reason)
    {
        _givenUp = reason;
        _giveUpDeadline = Environment.TickCount64 + GoneGraceMs;
        _hasAnswered = false;
        _idsToFreeCount = 0;
        _freeAgainAt = long.MaxValue;
        foreach (CommandSlot? slot in _outstanding)
        {
            if (slot is { Stage: SlotStage.Withheld })
            {
                Forget(slot.Command.Id); // it has ended; only its buffers are still held
            }
            else
            {
                slot?.Cancel();
            }
        }
    }
}
