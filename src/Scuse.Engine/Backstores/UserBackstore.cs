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
/// Touched only by the owning reactor. How commands wait and get to the ring is the <see cref="CommandQueue"/>'s business, what is told about it the
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
    readonly List<RingCommand> _kept = [];
    readonly List<ushort> _ids = [];
    readonly byte[] _sense = new byte[RingAbi.SenseBytes];
    BlockDeviceInfo? _info;
    DeviceServer? _deviceServer;
    IDeviceStateStore? _stateStore;
    DeviceState _keptState = DeviceState.Empty;
    LogicalUnit _unit = null!;
    Action? _settled;
    Action? _drained;
    int _inPlaceBytes;
    bool _isHandlerExpected;
    bool _isClosed;

    /// <param name="options">The logical unit's configuration.</param>
    /// <param name="reactor">The owner.</param>
    /// <param name="logger">Where to tell.</param>
    /// <param name="dropped">Called when the backstore itself gives a handler up, with the reason.</param>
    /// <param name="memory">What all data areas share.</param>
    /// <param name="name">What lines for people call the logical unit; by its number alone when not given.</param>
    public UserBackstore(LunOptions options, Reactor reactor, ILogger logger, Action<HandlerLink, string> dropped, DataMemory memory, LunName? name = null)
    {
        Options = options;
        Name = name ?? new LunName(options.Number);
        _reactor = reactor;
        _dropped = dropped;
        _memory = memory;
        _queue = new CommandQueue(this, options.QueueFullTimeoutMs, options.DataAreaBytes);
        _journal = new LunJournal(Name, logger);
    }

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

    public bool IsOpen => _info is not null;

    public bool IsRefusing => _isClosed || (Link is null && !_isHandlerExpected && Options.OnHandlerLoss != HandlerLossPolicy.Hold);

    public ScsiResult Refusal => Options.OnHandlerLoss == HandlerLossPolicy.Busy && !_isClosed ? ScsiResult.With(ScsiStatus.Busy) : CommunicationFailure;

    public PassLevel PassLevel { get; private set; }

    public BlockDeviceInfo Info => _info!;

    public DeviceServer DeviceServer => _deviceServer!;

    public TimerWheel Timers => _unit.Timers;

    public long NowMs => _unit.NowMs;

    public long NowNs => _reactor.NowNs;

    /// <summary>Where the commands' time has gone.</summary>
    public StageTimes Times { get; } = new();

    public void Bind(LogicalUnit logicalUnit) => _unit = logicalUnit;

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
        _queue.WantMemory(command);
    }

    public void Submit(ScsiTask task)
    {
        var command = (RingCommand)task.BackstoreState!;
        command.Times.Collected(_reactor.NowNs);
        _queue.WantSlot(command);
    }

    public void Announce(AbortCause cause, IReadOnlyList<ScsiTask> tasks)
    {
        if (Link is not { } link)
        {
            return;
        }

        _ids.Clear();
        foreach (ScsiTask task in tasks)
        {
            if (!task.IsUnwanted && task.BackstoreState is RingCommand { State: RingCommandState.Posted } command) // told once
            {
                _ids.Add(command.Id);
            }
        }

        if (_ids.Count > 0 || cause >= AbortCause.LogicalUnitReset)
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

    public bool Cancel(ScsiTask task) => task.BackstoreState is RingCommand command && _queue.TryWithdraw(command);

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
            _queue.Pump();
        }
    }

    void FreeUnlessKept(RingCommand command)
    {
        if (command.IsKept)
        {
            command.State = RingCommandState.Kept;
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
    public void MemoryIsThere() => _queue.Pump();

    // ---- answers ----

    /// <summary>Takes every answer of a handler; tells how many, or 1 when it was given up instead.</summary>
    public int Reap(HandlerLink link)
    {
        int answers = 0;
        while (link.Ring.TryReap(out RingAnswer answer))
        {
            answers++;
            Answered(link.Take(answer.Id), link, answer);
        }

        if (link.Ring.Violation is { } violation && link == Link)
        {
            GiveUp(link, violation, isViolation: true);
            return Math.Max(answers, 1);
        }

        if (answers > 0)
        {
            _queue.Pump();
            TellIfSettled();
            TellIfDrained();
        }

        return answers;
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
            Timers.Clear(deadline);
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
            _queue.TryWithdraw(command);
            _queue.Free(command);
        }
    }

    /// <summary>What the handler kept beyond its answers is given back.</summary>
    public void FreeKept(HandlerLink link, ReadOnlySpan<ushort> ids)
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
            IsBlocked = true;
            _queue.IsPaused = true;
            _journal.Blocked();
        }
    }

    /// <summary>Lets commands through again.</summary>
    public void Unblock()
    {
        if (IsBlocked)
        {
            IsBlocked = false;
            _journal.Unblocked();
            GoOn();
        }
    }

    /// <summary>
    /// Ends every command that a handler was given, and gives the handler up with its region: it, or the next one, starts anew. Commands that were never
    /// posted wait on. The kernel's reset_ring. Returns how many were ended.
    /// </summary>
    public int ResetRing(RingReset how)
    {
        if (Link is { } link)
        {
            Reap(link); // what is answered is answered
        }

        HandlerLink? dropped = Link;
        if (dropped is not null)
        {
            StopLink();
        }

        List<RingCommand> posted = [.. _queue.Commands.Where(static command => command is { State: RingCommandState.WantsSlot, WasPosted: true })];
        foreach (RingCommand command in posted)
        {
            _queue.TryWithdraw(command);
            Finish(command, how == RingReset.Busy ? ScsiResult.With(ScsiStatus.Busy) : CommunicationFailure);
        }

        _journal.RingReset(posted.Count, how);
        if (dropped is not null)
        {
            _dropped(dropped, "its ring was reset");
            EndWaiting();
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
        IsDraining = true;
        _isHandlerExpected = true;
        _queue.IsPaused = true;
        _queue.IsWaitingLimited = false;
        _drained = drained;
        _journal.Draining(Link?.Outstanding ?? 0);
        TellIfDrained();
    }

    /// <summary>Ends a drain: posting goes on.</summary>
    public void Resume()
    {
        if (IsDraining || _queue.IsPromptOnly)
        {
            _journal.Resumed();
            _isHandlerExpected = false;
            EndDraining();
            GoOn();
            EndWaiting();
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

    /// <summary>A handler takes over, with as many rings as it has links.</summary>
    public void Attach(IReadOnlyList<HandlerLink> links, BlockDeviceInfo info, PassLevel level) => Attach(links[0], info, level); // the others: see lanes

    /// <summary>A handler takes over; what was kept is posted to it in the order it came.</summary>
    public void Attach(HandlerLink link, BlockDeviceInfo info, PassLevel level)
    {
        // What the data area cannot hold is refused by its CDB, and initiators are told of the limit beforehand.
        info = info with { MaxTransferBytes = (int)Math.Min(info.MaxTransferBytes, Options.DataAreaBytes - (Options.DataAreaBytes % info.BlockSize)) };
        bool first = _info is null;
        bool resized = !first && _info!.SizeBytes != info.SizeBytes;
        _info = info;
        PassLevel = level;
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

        link.Join(this, _reactor, _memory);
        int repeated = _queue.Start(link);
        _isHandlerExpected = false;
        EndDraining();
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

        GoOn();
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

        Reap(link); // what it answered before it died is answered
        if (link == Link)
        {
            _isHandlerExpected |= asPlanned;
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

        Lose();
        _dropped(link, reason);
    }

    /// <summary>Keeps what the handler had for the next one, but for what nobody waits for any more and what must not be done twice; or ends it, by policy.</summary>
    void Lose()
    {
        int notRepeated = 0;
        foreach (RingCommand command in StopLink())
        {
            if (!command.IsWanted)
            {
                _queue.TryWithdraw(command);
                Finish(command, ScsiResult.Check(SenseKey.AbortedCommand, AdditionalSense.None));
            }
            else if (!RepeatableCommands.Includes(command.Cdb[0]))
            {
                notRepeated++;
                _queue.TryWithdraw(command);
                Finish(command, ScsiResult.Check(SenseKey.AbortedCommand, AdditionalSense.CommunicationFailure));
            }
        }

        if (notRepeated > 0)
        {
            _journal.NotRepeated(notRepeated);
        }

        EndWaiting();
        TellIfSettled();
        TellIfDrained();
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
        _isClosed = true;
        if (Link is not null)
        {
            Lose(); // it had no connection any more
        }
        else
        {
            EndWaiting();
        }
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
            if (_queue.TryWithdraw(command))
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
