using Microsoft.Extensions.Logging;
using Scuse.Device;
using Scuse.Engine.Reactors;
using Scuse.Engine.Targets;
using Scuse.Ring;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Engine.Backstores;

/// <summary>
/// The backstore whose commands a user process executes: brings tasks to the ring, reaps the answers, and keeps the commands for the next handler when
/// this one dies.
/// </summary>
/// <remarks>
/// Touched only by the owning reactor. Where a target is spread over reactors, each has a backstore for the logical unit, with a ring of its own to the same handler: the first is the unit's own and knows the
/// others (<see cref="All"/>), whose commands come from lanes; what concerns the handler, or a task that is on no lane, is done alone (<see cref="Rendezvous"/>). How commands wait and get to the ring is the <see cref="CommandQueue"/>'s business, what is told about it the
/// <see cref="LunJournal"/>'s; here is what they mean.
/// </remarks>
sealed class UserBackstore : IBackstore, ICommandQueueOwner
{
    /// <summary>
    /// The most Data-In that is left in the handler's own memory until it is sent, in bytes: who takes its data slowly gets it copied, and <see cref="SettleDataIn"/> never
    /// copies more than this at once.
    /// </summary>
    const int MaxInPlaceBytes = 32 << 20;

    static readonly ScsiResult CommunicationFailure = ScsiResult.Check(SenseKey.NotReady, AdditionalSense.CommunicationFailure);

    readonly Reactor _reactor;
    readonly DataMemory _memory;
    readonly Action<HandlerLink, string> _dropped;
    readonly CommandQueue _queue;
    readonly Stack<DeviceCall> _calls = [];
    readonly LunJournal _journal;
    readonly UserBackstore? _first; // null: this is the one
    UserBackstore[] _all;
    readonly Action _pump;
    readonly List<RingCommand> _kept = [];
    readonly List<ushort> _ids = [];
    readonly byte[] _sense = new byte[RingAbi.SenseBytes];
    BlockDeviceInfo? _info;
    PassLevel _level;
    DeviceServer? _deviceServer;
    IDeviceStateStore? _stateStore;
    DeviceState _keptState = DeviceState.Empty;
    LogicalUnit _unit = null!;
    Action? _settled;
    Action? _drained;
    int _inPlaceBytes;
    bool _isHandlerExpected;
    bool _isClosed;
    bool _isPumpPosted;
    HandlerLink? _liar; // about to be given up

    /// <param name="options">The logical unit's configuration.</param>
    /// <param name="reactor">The owner.</param>
    /// <param name="logger">Where to tell.</param>
    /// <param name="dropped">Called when the backstore itself gives a handler up, with the reason.</param>
    /// <param name="memory">What all data areas share.</param>
    /// <param name="name">What lines for people call the logical unit; by its number alone when not given.</param>
    /// <param name="first">The logical unit's own backstore, when this is another reactor's way to the same device.</param>
    public UserBackstore(LunOptions options, Reactor reactor, ILogger logger, Action<HandlerLink, string> dropped, DataMemory memory, LunName? name = null, UserBackstore? first = null)
    {
        _first = first;
        _all = [this];
        if (first is not null)
        {
            first._all = [.. first._all, this];
        }

        _pump = PumpAlone;
        Options = options;
        Name = name ?? new LunName(options.Number);
        _reactor = reactor;
        _dropped = dropped;
        _memory = memory;
        _queue = new CommandQueue(this, options.QueueFullTimeoutMs, options.DataAreaBytes);
        _journal = first?._journal ?? new LunJournal(Name, logger);
    }

    /// <summary>The logical unit's own, and the ways of other reactors to the same device; of one of these, it alone.</summary>
    public IReadOnlyList<UserBackstore> All => _all;

    /// <summary>The one reactor's part of the target whose commands come here, where the target is spread over several; for the logical unit's own, null.</summary>
    public TargetLane? Lane { get; set; }

    /// <summary>Whether all that it may be asked to do can be done by its reactor alone; if not, somebody else has to stand still for it.</summary>
    bool MustBeAlone => _queue.Shared > 0 && _unit.Exclusion is { IsHeld: false };

    public LunOptions Options { get; }

    /// <summary>What lines for people call the logical unit.</summary>
    public LunName Name { get; }

    /// <summary>The handler there is; null while there is none.</summary>
    public HandlerLink? Link => _queue.Link;

    /// <summary>Whether there is a handler now.</summary>
    public bool IsAttached => _queue.Link is not null;

    /// <summary>Every command there is, those in the pool included.</summary>
    public IReadOnlyList<RingCommand> Commands => _queue.Commands;

    /// <summary>How many commands wait for room, or for a handler.</summary>
    public int Waiting => _queue.Waiting;

    /// <summary>How many answered commands' blocks the handler keeps.</summary>
    public int Kept => _kept.Count;

    /// <summary>What happened lately.</summary>
    public LunEvents Events => _journal.Events;

    /// <summary>Whether the operator holds commands back.</summary>
    public bool IsBlocked { get; private set; }

    /// <summary>Whether posting waits until the handler has answered what it has.</summary>
    public bool IsDraining { get; private set; }

    /// <summary>The logical unit it stands behind.</summary>
    public LogicalUnit LogicalUnit => _unit;

    public bool IsOpen => _first is null ? _info is not null : _first.IsOpen && TakesPart;

    /// <summary>Whether the handlers of the device give this reactor a ring of its own. The logical unit's own always has one.</summary>
    public bool TakesPart { get; private set; }

    public bool IsRefusing => _isClosed || (Link is null && !_isHandlerExpected && Options.OnHandlerLoss != HandlerLossPolicy.Hold);

    public ScsiResult Refusal => Options.OnHandlerLoss == HandlerLossPolicy.Busy && !_isClosed ? ScsiResult.With(ScsiStatus.Busy) : CommunicationFailure;

    public PassLevel PassLevel => _first?._level ?? _level;

    public BlockDeviceInfo Info => (_first ?? this)._info!;

    public DeviceServer DeviceServer => (_first ?? this)._deviceServer!;

    public TimerWheel Timers => Lane?.Timers ?? _unit.Timers;

    public long NowMs => Lane?.NowMs ?? _unit.NowMs;

    public long NowNs => _reactor.NowNs;

    /// <summary>Where the commands' time has gone.</summary>
    public StageTimes Times { get; } = new();

    public void Bind(LogicalUnit logicalUnit)
    {
        Array.ForEach(_all, each => each._unit = logicalUnit);
    }

    /// <summary>Has the device server keep what it wants kept in a store, and begin with what was kept there; before a handler attaches.</summary>
    public void KeepDeviceState(IDeviceStateStore store, DeviceState kept) => (_stateStore, _keptState) = (store, kept);

    // ---- tasks ----

    public void Prepare(ScsiTask task)
    {
        RingCommand command = _queue.Rent();
        command.Task = task;
        command.OutLength = task.DataOutLength;
        command.InLength = task.DataInCapacity;
        task.BackstoreState = command;
        if (!task.IsOnLane)
        {
            _queue.MarkShared(command);
        }

        _queue.WantMemory(command);
    }

    public void Adopted(ScsiTask task)
    {
        if (task.BackstoreState is RingCommand command)
        {
            _queue.MarkShared(command);
        }
    }

    public void Submit(ScsiTask task)
    {
        var command = (RingCommand)task.BackstoreState!;
        command.Times.Collected(_reactor.NowNs);
        _queue.WantSlot(command);
    }

    public void Announce(AbortCause cause, IReadOnlyList<ScsiTask> tasks)
    {
        foreach (UserBackstore backstore in _all)
        {
            backstore.AnnounceHere(cause, tasks);
        }
    }

    void AnnounceHere(AbortCause cause, IReadOnlyList<ScsiTask> tasks)
    {
        if (Link is not { } link)
        {
            return;
        }

        _ids.Clear();
        foreach (ScsiTask task in tasks)
        {
            if (!task.IsUnwanted && task.BackstoreState is RingCommand { State: RingCommandState.Posted } command && (task.Backstore ?? _first ?? this) == this) // told once
            {
                _ids.Add(command.Id);
            }
        }

        if (_ids.Count > 0 || (_first is null && cause >= AbortCause.LogicalUnitReset))
        {
            link.TellTaskManagement((byte)cause, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_ids));
        }
    }

    public void IsLate(ScsiTask task, TaskLateness lateness, long ageMs)
    {
        if (task.BackstoreState is not RingCommand command)
        {
            return;
        }

        if (lateness == TaskLateness.Slow)
        {
            _journal.Slow(NowMs, Describe(command), WhereIs(command), ageMs);
        }
        else if (command.State == RingCommandState.Posted)
        {
            Link!.TellTaskManagement((byte)AbortCause.AbortTask, [command.Id]);
        }
    }

    public bool Cancel(ScsiTask task) => task.BackstoreState is RingCommand command && CommandQueue.TryWithdraw(command);

    public void Abandon(ScsiTask task)
    {
        if (task.BackstoreState is RingCommand command)
        {
            task.BackstoreState = null;
            GiveUp(command);
        }
    }

    public void Release(ScsiTask task)
    {
        if (task.BackstoreState is RingCommand command)
        {
            if (command.IsInPlace)
            {
                _inPlaceBytes -= task.DataIn.Length;
                command.LeavePlace();
            }

            if (command.Times.IsAnswered)
            {
                Times.Add(command.Times, _reactor.NowNs);
            }

            task.BackstoreState = null;
            command.Task = null;
            FreeUnlessKept(command);
            Pump();
        }
    }

    /// <summary>Serves the queues as far as there is room; soon, and alone, where somebody else's command may be among those that wait.</summary>
    void Pump()
    {
        if (!MustBeAlone)
        {
            _queue.Pump();
        }
        else if (!_isPumpPosted && _queue.Waiting > 0)
        {
            _isPumpPosted = true;
            _reactor.Post(_pump);
        }
    }

    void PumpAlone()
    {
        _isPumpPosted = false;
        _queue.Pump();
    }

    void FreeUnlessKept(RingCommand command)
    {
        if (command.IsKept)
        {
            command.State = RingCommandState.Kept;
            _queue.Unmark(command);
        }
        else
        {
            _queue.Free(command);
        }
    }

    /// <summary>A call to fill in and to give to <see cref="Execute"/>.</summary>
    public DeviceCall RentCall() => _calls.TryPop(out DeviceCall? call) ? call : new DeviceCall(_calls);

    /// <summary>A command of the device server's own. The call is not the caller's any more.</summary>
    public ValueTask<ScsiResult> Execute(DeviceCall call)
    {
        ValueTask<ScsiResult> completion = call.Completion;
        if (IsRefusing)
        {
            call.Complete(Refusal);
            return completion;
        }

        RingCommand command = _queue.Rent();
        _queue.MarkShared(command);
        command.Call = call;
        command.OutLength = call.From.Length;
        command.InLength = call.Into.Length;
        if (Options.CommandTimeoutMs > 0)
        {
            Timers.Set(command.Deadline ??= new RingCommandTimer(command, CallIsOverdue), NowMs + Options.CommandTimeoutMs);
        }

        _queue.WantMemory(command);
        return completion;
    }

    void ICommandQueueOwner.HasMemory(RingCommand command)
    {
        if (command.Call is { } call)
        {
            command.Blocks.DataOut(command.OutLength).CopyFrom(call.From);
            _queue.WantSlot(command);
        }
        else
        {
            command.Times.Waited(_reactor.NowNs);
            command.ShowBuffers();
            _unit.Prepared(command.Task!);
        }
    }

    void ICommandQueueOwner.IsTooLarge(RingCommand command) =>
        Finish(command, ScsiResult.Check(SenseKey.IllegalRequest, AdditionalSense.InvalidFieldInCdb));

    void ICommandQueueOwner.IsQueueFull(RingCommand command)
    {
        _journal.QueueFull(NowMs, Describe(command), Options.QueueFullTimeoutMs);
        Finish(command, ScsiResult.With(ScsiStatus.TaskSetFull));
    }

    /// <summary>For the data area: commands that found no room because of other logical units may find some now.</summary>
    public void MemoryIsThere() => Pump();

    // ---- answers ----

    /// <summary>Takes every answer of a handler; tells how many, or 1 when it was given up instead.</summary>
    public int Reap(HandlerLink link)
    {
        if (!MustBeAlone)
        {
            return ReapHere(link);
        }

        ITargetExclusion exclusion = _unit.Exclusion!;
        exclusion.Enter();
        int answers = link == Link ? ReapHere(link) : 1; // somebody else may have taken the handler away meanwhile
        exclusion.Exit();
        return answers;
    }

    int ReapHere(HandlerLink link)
    {
        int answers = 0;
        while (link.Ring.TryReap(out RingAnswer answer))
        {
            answers++;
            Answered(link.Take(answer.Id), link, answer);
        }

        if (link.Ring.Violation is { } violation && link == Link)
        {
            if (_unit.Exclusion is { IsHeld: false })
            {
                GiveUpSoon(link, violation);
            }
            else
            {
                GiveUp(link, violation, isViolation: true);
            }

            return Math.Max(answers, 1);
        }

        if (answers > 0)
        {
            Pump();
            TellIfSettled();
            TellIfDrained();
        }

        return answers;
    }

    void GiveUpSoon(HandlerLink link, string violation)
    {
        if (_liar != link)
        {
            _liar = link;
            _reactor.Post(() => GiveUpLiar(link, violation));
        }
    }

    void Answered(RingCommand command, HandlerLink link, RingAnswer answer)
    {
        command.State = RingCommandState.Answered;
        command.Times.Answered(answer.ServiceNs, _reactor.NowNs);
        if ((answer.Flags & ResponseFlags.KeepBuffer) != 0)
        {
            command.IsKept = true;
            _kept.Add(command);
        }

        if (command.Task is null && command.Call is null)
        {
            FreeUnlessKept(command); // overdue: its initiator was told long ago
            return;
        }

        if ((answer.Flags & ResponseFlags.UnknownOp) != 0)
        {
            Finish(command, ScsiResult.Check(SenseData.InvalidOperationCode));
            return;
        }

        var status = (ScsiStatus)answer.Status;
        bool hasLength = (answer.Flags & ResponseFlags.ReadLength) != 0;
        ReadOnlySpan<byte> sense = default;
        if (status == ScsiStatus.CheckCondition)
        {
            link.Ring.CopySense(_sense);
            sense = SenseLength.Cut(_sense);
            if (sense.IsEmpty)
            {
                Finish(command, ScsiResult.Check(SenseKey.HardwareError, AdditionalSense.InternalTargetFailure));
                return;
            }
        }

        if ((answer.Flags & ResponseFlags.OwnMemory) != 0 && !TryTakeFromMemory(command, link.OwnMemory!, answer))
        {
            Finish(command, ScsiResult.Check(SenseKey.HardwareError, AdditionalSense.InternalTargetFailure));
            return;
        }

        // A read length that fills all the room says nothing of what there would have been beyond it: then the CDB tells, for GOOD.
        bool isShort = hasLength && answer.ReadLength < (uint)command.InLength;
        int dataInLength = isShort ? (int)answer.ReadLength
            : hasLength && status != ScsiStatus.Good ? command.InLength
            : -1;
        if (command.Task is { } task)
        {
            _unit.HandlerAnswered(task, status, sense, dataInLength);
        }
        else
        {
            CompleteCall(command, status, sense, dataInLength);
        }
    }

    /// <summary>The data stands in the handler's own memory: it is sent from there, where that is good enough for whoever waits for it, or copied now. False when it cannot be read.</summary>
    bool TryTakeFromMemory(RingCommand command, HandlerMemory memory, in RingAnswer answer)
    {
        int length = (answer.Flags & ResponseFlags.ReadLength) != 0 ? (int)Math.Min(answer.ReadLength, (uint)command.InLength) : command.InLength;
        if (command.Task is { TakesDataInWhereItLies: true, Attribute: <= TaskAttribute.Simple } && length <= MaxInPlaceBytes - _inPlaceBytes)
        {
            command.ShowInPlace(memory, answer.Place, length);
            _inPlaceBytes += length;
            return true;
        }

        return memory.TryCopy(answer.Place, command.Blocks.DataIn(length));
    }

    public void SettleDataIn()
    {
        foreach (UserBackstore backstore in _all)
        {
            backstore.SettleHere();
        }
    }

    void SettleHere()
    {
        if (_inPlaceBytes == 0)
        {
            return;
        }

        foreach (RingCommand command in _queue.Commands)
        {
            // What cannot be read is left where it is: sending it fails, too.
            if (command is { IsInPlace: true, Task: { } task } && command.TrySettle())
            {
                _inPlaceBytes -= task.DataIn.Length;
                task.Transport.OnDataInMoved(task);
            }
        }
    }

    void CompleteCall(RingCommand command, ScsiStatus status, ReadOnlySpan<byte> sense, int dataInLength)
    {
        DeviceCall call = command.Call!;
        int length = dataInLength < 0 && status == ScsiStatus.Good ? command.InLength : Math.Max(dataInLength, 0);
        call.Into.CopyFrom(command.Blocks.DataIn(command.InLength));
        ScsiResult result = new(status, sense.IsEmpty ? default : SenseData.Parse(sense), length);
        EndCall(command);
        call.Complete(result);
    }

    void EndCall(RingCommand command)
    {
        command.Call = null;
        if (command.Deadline is { } deadline)
        {
            TimerWheel.Clear(deadline);
        }

        FreeUnlessKept(command);
    }

    /// <summary>Ends a command that stands in no queue and that no handler has.</summary>
    void Finish(RingCommand command, ScsiResult result)
    {
        if (command.Task is { } task)
        {
            _unit.HandlerFailed(task, result);
        }
        else if (command.Call is { } call)
        {
            EndCall(command);
            call.Complete(result);
        }
        else
        {
            FreeUnlessKept(command);
        }
    }

    void CallIsOverdue(RingCommand command)
    {
        DeviceCall call = command.Call!;
        GiveUp(command);
        call.Complete(CommunicationFailure);
    }

    /// <summary>The command has missed its time limit. What the handler has stays the handler's until it answers or is gone.</summary>
    void GiveUp(RingCommand command)
    {
        _journal.TimedOut(NowMs, Describe(command), WhereIs(command), Options.CommandTimeoutMs);
        if (command.State == RingCommandState.Posted)
        {
            command.Task = null;
            command.Call = null;
            ReplaceHung();
        }
        else
        {
            CommandQueue.TryWithdraw(command);
            _queue.Free(command);
        }
    }

    /// <summary>Takes the answers that are in one of the handler's rings, if it still is the handler.</summary>
    public void LookAtAnswers(HandlerLink link) => Array.Find(_all, backstore => backstore.Link == link)?.Reap(link);

    /// <summary>What the handler kept beyond its answers is given back.</summary>
    public void FreeKept(HandlerLink link, ReadOnlySpan<ushort> ids)
    {
        Array.Find(_all, backstore => backstore.Link == link)?.FreeKeptHere(link, ids);
    }

    void FreeKeptHere(HandlerLink link, ReadOnlySpan<ushort> ids)
    {
        foreach (ushort id in ids)
        {
            if (link != Link)
            {
                return;
            }

            int index = _kept.FindIndex(command => command.Id == id);
            if (index < 0)
            {
                GiveUp(link, $"the handler freed id {id}, which it does not keep", isViolation: true);
                return;
            }

            link.Ring.ReleaseKept(id);
            LetGo(index);
        }

        _queue.Pump();
    }

    void LetGo(int index)
    {
        RingCommand command = _kept[index];
        _kept.RemoveAt(index);
        command.IsKept = false;
        if (command.State == RingCommandState.Kept)
        {
            _queue.Free(command);
        }
    }

    // ---- operators ----

    /// <summary>Holds back what would be posted: commands wait, each within its limits. What the handler has goes on. The kernel's block_dev.</summary>
    public void Block()
    {
        if (!IsBlocked)
        {
            foreach (UserBackstore backstore in _all)
            {
                backstore.IsBlocked = true;
                backstore._queue.IsPaused = true;
            }

            _journal.Blocked();
        }
    }

    /// <summary>Lets commands through again.</summary>
    public void Unblock()
    {
        if (IsBlocked)
        {
            _journal.Unblocked();
            foreach (UserBackstore backstore in _all)
            {
                backstore.IsBlocked = false;
                backstore.GoOn();
            }
        }
    }

    /// <summary>
    /// Ends every command that a handler was given, and gives the handler up with its region: it, or the next one, starts anew. Commands that were never
    /// posted wait on. The kernel's reset_ring. Returns how many were ended.
    /// </summary>
    public int ResetRing(RingReset how)
    {
        ReapAll(); // what is answered is answered
        HandlerLink? dropped = Link;
        int ended = _all.Sum(backstore => backstore.ResetHere(how));
        _journal.RingReset(ended, how);
        if (dropped is not null)
        {
            _dropped(dropped, "its ring was reset");
            foreach (UserBackstore backstore in _all)
            {
                backstore.EndWaiting();
            }
        }

        return ended;
    }

    void ReapAll()
    {
        foreach (UserBackstore backstore in _all)
        {
            if (backstore.Link is { } link)
            {
                backstore.ReapHere(link);
            }
        }
    }

    int ResetHere(RingReset how)
    {
        if (Link is not null)
        {
            StopLink();
        }

        List<RingCommand> posted = [.. _queue.Commands.Where(static command => command is { State: RingCommandState.WantsSlot, WasPosted: true })];
        foreach (RingCommand command in posted)
        {
            CommandQueue.TryWithdraw(command);
            Finish(command, how == RingReset.Busy ? ScsiResult.With(ScsiStatus.Busy) : CommunicationFailure);
        }

        return posted.Count;
    }

    // ---- replacement ----

    /// <summary>
    /// What comes before a drain, so that the drain is short: commands that need not be answered promptly, such as flushes, are set aside, all others go on.
    /// <paramref name="settled"/> is called once, perhaps before this returns: when the handler has none of the former left, or is gone. It ends as a drain does.
    /// </summary>
    public void Settle(Action settled)
    {
        Action one = CountDown(settled);
        foreach (UserBackstore backstore in _all)
        {
            backstore.SettleHere(one);
        }
    }

    /// <summary>What each of them calls once; the last one's call is passed on. They may call on different threads.</summary>
    Action CountDown(Action done)
    {
        int left = _all.Length;
        return () =>
        {
            if (Interlocked.Decrement(ref left) == 0)
            {
                done();
            }
        };
    }

    void SettleHere(Action settled)
    {
        _isHandlerExpected = true;
        _queue.IsPromptOnly = true;
        _queue.IsWaitingLimited = false;
        _settled = settled;
        TellIfSettled();
    }

    /// <summary>
    /// Posts nothing more until <see cref="Resume"/>, or until another handler attaches. <paramref name="drained"/> is called once, perhaps before this returns: when the
    /// handler has nothing left to answer, or is gone.
    /// </summary>
    public void Drain(Action drained)
    {
        _journal.Draining(_all.Sum(static backstore => backstore.Link?.Outstanding ?? 0));
        Action one = CountDown(drained);
        foreach (UserBackstore backstore in _all)
        {
            backstore.DrainHere(one);
        }
    }

    void DrainHere(Action drained)
    {
        IsDraining = true;
        _isHandlerExpected = true;
        _queue.IsPaused = true;
        _queue.IsWaitingLimited = false;
        _drained = drained;
        TellIfDrained();
    }

    /// <summary>Ends a drain: posting goes on.</summary>
    public void Resume()
    {
        if (IsDraining || _queue.IsPromptOnly)
        {
            _journal.Resumed();
            foreach (UserBackstore backstore in _all)
            {
                backstore._isHandlerExpected = false;
                backstore.EndDraining();
                backstore.GoOn();
                backstore.EndWaiting();
            }
        }
    }

    void EndDraining()
    {
        IsDraining = false;
        _settled = null;
        _drained = null;
        _queue.IsPromptOnly = false;
        _queue.IsWaitingLimited = true;
    }

    void TellIfSettled()
    {
        if (_settled is { } settled && (Link is null || !_queue.HasSlowPosted))
        {
            _settled = null;
            settled();
        }
    }

    void TellIfDrained()
    {
        if (_drained is { } drained && Link is not { Outstanding: > 0 })
        {
            _drained = null;
            drained();
        }
    }

    void GoOn()
    {
        _queue.IsPaused = IsBlocked || IsDraining;
        _queue.Pump();
    }

    // ---- handlers come and go ----

    /// <summary>A handler takes over; what was kept is posted to it in the order it came.</summary>
    public void Attach(HandlerLink link, BlockDeviceInfo info, PassLevel level) => Attach([link], info, level);

    /// <summary>The same, with a ring for the reactor of each of <see cref="All"/>, or for as many as the handler takes: those without go another way.</summary>
    public void Attach(IReadOnlyList<HandlerLink> links, BlockDeviceInfo info, PassLevel level)
    {
        HandlerLink link = links[0];
        // What the data area cannot hold is refused by its CDB, and initiators are told of the limit beforehand.
        info = info with { MaxTransferBytes = (int)Math.Min(info.MaxTransferBytes, Options.DataAreaBytes - (Options.DataAreaBytes % info.BlockSize)) };
        bool first = _info is null;
        bool resized = !first && _info!.SizeBytes != info.SizeBytes;
        _info = info;
        _level = level;
        _deviceServer ??= new DeviceServer(new RingBlockDevice(this))
        {
            TargetCommands = TargetCommands.All,
            HasCopyManager = true,
            TimeSource = TimeProvider.System,
            TellsResources = true,
            CommandLimitSeconds = (uint)(_unit.CommandTimeoutMs / 1000),
        };
        if (level == PassLevel.Io && _stateStore is { } store && _deviceServer.Store is null)
        {
            _deviceServer.Store = store; // at level all the device server is in the handler's process, and keeps nothing
            _deviceServer.Restore(_keptState);
        }

        int repeated = 0;
        int next = 0;
        foreach (UserBackstore backstore in _all)
        {
            backstore.TakesPart = next < links.Count;
            repeated += backstore.TakesPart ? backstore.Join(links[next++]) : 0;
        }

        _journal.Attached(link, repeated);
        if (first)
        {
            _unit.Opened();
        }
        else if (resized)
        {
            _journal.Resized(info.SizeBytes);
            _unit.CapacityChanged();
        }
        else
        {
            _unit.LostData(); // perhaps: one that forgets what it had begins with an empty disk
        }

        if (!first && level == PassLevel.All)
        {
            _unit.HandlerStartedAnew();
        }

        foreach (UserBackstore backstore in _all)
        {
            backstore.GoOn();
        }
    }

    int Join(HandlerLink link)
    {
        link.Join(this, _reactor, _memory);
        int repeated = _queue.Start(link);
        _isHandlerExpected = false;
        EndDraining();
        return repeated;
    }

    /// <summary>The device has another size while it is served: initiators are told, and commands that come from now on are measured by it.</summary>
    /// <param name="link">The region of the handler that says so; of one that serves no more it means nothing.</param>
    /// <param name="sizeBytes">The new size.</param>
    public void Resize(HandlerLink link, long sizeBytes)
    {
        if (link == Link && _info is { } info && info.SizeBytes != sizeBytes)
        {
            _info = info with { SizeBytes = sizeBytes };
            _journal.Resized(sizeBytes);
            _unit.CapacityChanged();
        }
    }

    /// <summary>The handler is gone. What it had taken and not answered is kept for the next one, or ended, by policy.</summary>
    /// <param name="link">The handler's region.</param>
    /// <param name="reason">How it ended, for the operator.</param>
    /// <param name="asPlanned">Whether it was asked to go.</param>
    public void Detach(HandlerLink link, string reason, bool asPlanned = false)
    {
        if (link != Link)
        {
            return;
        }

        ReapAll(); // what it answered before it died is answered
        if (link == Link)
        {
            foreach (UserBackstore backstore in _all)
            {
                backstore._isHandlerExpected |= asPlanned;
            }

            _journal.Detached(link, reason, asPlanned);
            Lose();
        }
    }

    /// <summary>Gives a handler up that was caught at something, if it is still the one.</summary>
    public void GiveUpLiar(HandlerLink link, string what)
    {
        if (link == Link)
        {
            GiveUp(link, what, isViolation: true);
        }
    }

    /// <summary>Gives a handler up that cannot be trusted any more.</summary>
    void GiveUp(HandlerLink link, string reason, bool isViolation)
    {
        if (isViolation)
        {
            _journal.Violation(link, reason);
        }
        else
        {
            _journal.Hung(link);
        }

        UserBackstore first = _first ?? this;
        HandlerLink known = first.Link!; // by which others know the handler
        first.Lose();
        _dropped(known, reason);
    }

    /// <summary>Keeps what the handler had for the next one, but for what nobody waits for any more and what must not be done twice; or ends it, by policy.</summary>
    void Lose()
    {
        int notRepeated = 0;
        foreach (UserBackstore backstore in _all)
        {
            notRepeated += backstore.LoseHere();
        }

        if (notRepeated > 0)
        {
            _journal.NotRepeated(notRepeated);
        }

        foreach (UserBackstore backstore in _all)
        {
            backstore.EndWaiting();
            backstore.TellIfSettled();
            backstore.TellIfDrained();
        }
    }

    int LoseHere()
    {
        if (Link is null)
        {
            return 0;
        }

        int notRepeated = 0;
        foreach (RingCommand command in StopLink())
        {
            if (!command.IsWanted)
            {
                CommandQueue.TryWithdraw(command);
                Finish(command, ScsiResult.Check(SenseKey.AbortedCommand, AdditionalSense.None));
            }
            else if (!RepeatableCommands.Includes(command.Cdb[0]))
            {
                notRepeated++;
                CommandQueue.TryWithdraw(command);
                Finish(command, ScsiResult.Check(SenseKey.AbortedCommand, AdditionalSense.CommunicationFailure));
            }
        }

        return notRepeated;
    }

    IReadOnlyList<RingCommand> StopLink()
    {
        while (_kept.Count > 0)
        {
            LetGo(_kept.Count - 1);
        }

        return _queue.Stop();
    }

    /// <summary>The logical unit goes away, and its handler has: what still waits ends, and whatever is asked of the device from now on fails. On the reactor, once.</summary>
    public void Close()
    {
        foreach (UserBackstore backstore in _all)
        {
            backstore._isClosed = true;
        }

        Lose(); // what handler there still is has no connection any more
    }

    /// <summary>Without a handler, and by policy without hope for one: everything that waits ends.</summary>
    void EndWaiting()
    {
        if (!IsRefusing)
        {
            return;
        }

        RingCommand[] waiting = [.. _queue.Commands.Where(static command => command.State is RingCommandState.WantsMemory or RingCommandState.WantsSlot).OrderBy(static command => command.Sequence)];
        foreach (RingCommand command in waiting)
        {
            if (CommandQueue.TryWithdraw(command))
            {
                Finish(command, Refusal);
            }
        }
    }

    /// <summary>
    /// The handler has missed a command's time limit: it is given up, so that nothing it still does can touch a newer command's data.
    /// Not at once: the timers are being walked, and what else is overdue is to be failed first.
    /// </summary>
    void ReplaceHung()
    {
        HandlerLink hung = Link!;
        _reactor.Post(() =>
        {
            if (hung == Link)
            {
                GiveUp(hung, "it did not answer in time", isViolation: false);
            }
        });
    }

    // ---- for people ----

    static string Describe(RingCommand command) => OperationName.Describe(command.Cdb);

    static string WhereIs(RingCommand command) => command.State switch
    {
        RingCommandState.Posted => "with the handler",
        RingCommandState.WantsMemory => "waiting for room",
        RingCommandState.WantsSlot => "waiting for a handler or for room in its ring",
        _ => "under way",
    };
}
