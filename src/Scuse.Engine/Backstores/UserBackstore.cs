using Microsoft.Extensions.Logging;
using Scuse.Device;
using Scuse.Engine.Reactors;
using Scuse.Ring;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Engine.Backstores;

/// <summary>
/// The backstore whose commands a user process executes: finds blocks in the data area, posts to the command ring, reaps the answers, and keeps
/// the commands for the next handler when this one dies.
/// </summary>
/// <remarks>
/// Touched only by the owning reactor. Two queues, in order of arrival: commands that wait for blocks, and commands with their data that wait
/// for a slot. The second is served first: its commands hold blocks that the first may be waiting for.
/// </remarks>
sealed partial class UserBackstore : IBackstore
{
    readonly Reactor _reactor;
    readonly LunOptions _options;
    readonly ILogger _logger;
    readonly Action<HandlerLink, string> _dropped;
    readonly List<RingCommand> _commands = [];
    readonly Stack<RingCommand> _pool = new();
    readonly LinkedList<RingCommand> _wantMemory = new();
    readonly LinkedList<RingCommand> _wantSlot = new();
    readonly byte[] _sense = new byte[RingAbi.SenseBytes];
    BlockDeviceInfo? _info;
    DeviceServer? _deviceServer;
    HandlerLink? _link;
    LogicalUnit _unit = null!;
    long _sequence;

    /// <param name="options">The logical unit's configuration.</param>
    /// <param name="reactor">The owner.</param>
    /// <param name="logger">Where to tell.</param>
    /// <param name="dropped">Called when the backstore itself gives a handler up, with the reason.</param>
    public UserBackstore(LunOptions options, Reactor reactor, ILogger logger, Action<HandlerLink, string> dropped)
    {
        _options = options;
        _reactor = reactor;
        _logger = logger;
        _dropped = dropped;
        reactor.AddTicker(Tick);
    }

    public bool IsOpen => _info is not null;

    /// <summary>Whether there is a handler now.</summary>
    public bool IsAttached => _link is not null;

    /// <summary>The logical unit it stands behind.</summary>
    public LogicalUnit LogicalUnit => _unit;

    public PassLevel PassLevel { get; private set; }

    public BlockDeviceInfo Info => _info!;

    public DeviceServer DeviceServer => _deviceServer!;

    public void Bind(LogicalUnit logicalUnit) => _unit = logicalUnit;

    // ---- tasks ----

    public void Prepare(ScsiTask task)
    {
        RingCommand command = Rent();
        command.Task = task;
        command.OutLength = task.DataOutLength;
        command.InLength = task.DataInCapacity;
        task.BackstoreState = command;
        WantMemory(command);
    }

    public void Submit(ScsiTask task)
    {
        var command = (RingCommand)task.BackstoreState!;
        if (command.Reserved.Link is not null)
        {
            command.MoveToReserved();
            SetBuffers(command);
        }

        WantSlot(command);
    }

    public bool Cancel(ScsiTask task)
    {
        if (task.BackstoreState is not RingCommand command)
        {
            return false;
        }

        switch (command.State)
        {
            case RingCommandState.WantsMemory:
                _wantMemory.Remove(command.Place);
                command.State = RingCommandState.Collecting;
                return true;
            case RingCommandState.WantsSlot:
                _wantSlot.Remove(command.Place);
                command.State = RingCommandState.Collecting;
                return true;
            case RingCommandState.Posted when !command.IsAbortTold:
                command.IsAbortTold = true;
                _link!.TellAborted(command);
                return false;
            default:
                return false;
        }
    }

    public void Abandon(ScsiTask task)
    {
        if (task.BackstoreState is not RingCommand command)
        {
            return;
        }

        task.BackstoreState = null;
        if (command.State == RingCommandState.Posted)
        {
            command.Task = null; // its blocks stay the handler's until it answers or is gone
            LogOverdue(_logger, _unit.Number, task.Cdb[0], _options.CommandTimeoutMs);
            ReplaceHung();
            return;
        }

        if (command.State is RingCommandState.WantsMemory)
        {
            _wantMemory.Remove(command.Place);
        }
        else if (command.State is RingCommandState.WantsSlot)
        {
            _wantSlot.Remove(command.Place);
        }

        Free(command);
    }

    public void Release(ScsiTask task)
    {
        if (task.BackstoreState is RingCommand command)
        {
            task.BackstoreState = null;
            Free(command);
            Pump();
        }
    }

    /// <summary>A command of the device server's own.</summary>
    public ValueTask<ScsiResult> CallAsync(byte[] cdb, DataBuffer from, DataBuffer into)
    {
        var call = new DeviceCall(cdb, from, into, _reactor.NowMs);
        RingCommand command = Rent();
        command.Call = call;
        command.OutLength = from.Length;
        command.InLength = into.Length;
        WantMemory(command);
        return call.Completion;
    }

    // ---- the way to the ring ----

    RingCommand Rent()
    {
        if (!_pool.TryPop(out RingCommand? command))
        {
            command = new RingCommand();
            _commands.Add(command);
        }

        command.Sequence = _sequence++;
        return command;
    }

    void Free(RingCommand command)
    {
        command.Blocks.Free();
        command.Reserved.Free();
        command.Task = null;
        command.Call = null;
        command.IsAbortTold = false;
        command.State = RingCommandState.Free;
        _pool.Push(command);
    }

    void WantMemory(RingCommand command)
    {
        if (_link is { } link && _wantMemory.First is null && command.Blocks.TryAllocate(link, command.OutLength, command.InLength))
        {
            HasMemory(command);
            return;
        }

        command.State = RingCommandState.WantsMemory;
        _wantMemory.AddLast(command.Place);
    }

    void HasMemory(RingCommand command)
    {
        command.State = RingCommandState.Collecting;
        if (command.Call is { } call)
        {
            command.Blocks.DataOut(command.OutLength).CopyFrom(call.From);
            WantSlot(command);
        }
        else
        {
            SetBuffers(command);
            _unit.Prepared(command.Task!);
        }
    }

    static void SetBuffers(RingCommand command) =>
        command.Task!.SetBuffers(command.Blocks.DataOut(command.OutLength), command.Blocks.DataIn(command.InLength));

    void WantSlot(RingCommand command)
    {
        command.State = RingCommandState.WantsSlot;
        if (_link is null || _wantSlot.First is not null || command.Blocks.Link != _link || !TryPost(command))
        {
            if (command.State == RingCommandState.WantsSlot)
            {
                _wantSlot.AddLast(command.Place);
            }
        }
    }

    /// <summary>False when the ring is full for now. A command that can never be posted is failed, which counts as posted.</summary>
    bool TryPost(RingCommand command)
    {
        switch (_link!.TryPost(command))
        {
            case PostResult.Posted:
                command.State = RingCommandState.Posted;
                return true;
            case PostResult.TooLarge:
                command.State = RingCommandState.Answered;
                Fail(command, ScsiResult.Check(SenseKey.IllegalRequest, AdditionalSense.InvalidFieldInCdb));
                return true;
            default:
                return false;
        }
    }

    /// <summary>Serves the queues as far as there is room.</summary>
    void Pump()
    {
        while (_link is { } link && _wantSlot.First?.Value is { } command && command.Blocks.Link == link)
        {
            _wantSlot.Remove(command.Place);
            if (!TryPost(command))
            {
                _wantSlot.AddFirst(command.Place);
                break;
            }
        }

        while (_link is { } link && _wantMemory.First?.Value is { } command && command.Blocks.TryAllocate(link, command.OutLength, command.InLength))
        {
            _wantMemory.Remove(command.Place);
            HasMemory(command);
        }
    }

    // ---- answers ----

    public bool Reap(HandlerLink link)
    {
        bool any = false;
        while (link.Ring.TryReap(out RingAnswer answer))
        {
            any = true;
            Answered(link.Take(answer.Id), link, answer);
        }

        if (link.Ring.Violation is { } violation && link == _link)
        {
            LogViolation(_logger, _unit.Number, link.HandlerName, link.Pid, violation);
            Lose(link);
            _dropped(link, violation);
            return true;
        }

        if (any)
        {
            Pump();
        }

        return any;
    }

    void Answered(RingCommand command, HandlerLink link, RingAnswer answer)
    {
        command.State = RingCommandState.Answered;
        if (command.Task is null && command.Call is null)
        {
            Free(command); // overdue: its initiator was told long ago
            return;
        }

        if ((answer.Flags & ResponseFlags.UnknownOp) != 0)
        {
            Fail(command, ScsiResult.Check(SenseData.InvalidOperationCode));
            return;
        }

        var status = (ScsiStatus)answer.Status;
        ReadOnlySpan<byte> sense = default;
        if (status == ScsiStatus.CheckCondition)
        {
            link.Ring.CopySense(_sense);
            sense = SenseLength.Cut(_sense);
            if (sense.IsEmpty)
            {
                Fail(command, ScsiResult.Check(SenseKey.HardwareError, AdditionalSense.InternalTargetFailure));
                return;
            }
        }

        // A read length that fills all the room says nothing of what there would have been beyond it: then the CDB tells.
        bool isShort = (answer.Flags & ResponseFlags.ReadLength) != 0 && answer.ReadLength < (uint)command.InLength;
        int dataInLength = isShort ? (int)answer.ReadLength : -1;
        if (command.Task is { } task)
        {
            _unit.HandlerAnswered(task, status, sense, dataInLength);
        }
        else
        {
            CompleteCall(command, status, sense);
        }
    }

    void CompleteCall(RingCommand command, ScsiStatus status, ReadOnlySpan<byte> sense)
    {
        DeviceCall call = command.Call!;
        if (status == ScsiStatus.Good)
        {
            call.Into.CopyFrom(command.Blocks.DataIn(command.InLength));
        }

        ScsiResult result = new(status, sense.IsEmpty ? default : SenseData.Parse(sense), status == ScsiStatus.Good ? command.InLength : 0);
        Free(command);
        call.Complete(result);
    }

    void Fail(RingCommand command, ScsiResult result)
    {
        if (command.Task is { } task)
        {
            _unit.HandlerFailed(task, result);
        }
        else if (command.Call is { } call)
        {
            Free(command);
            call.Complete(result);
        }
        else
        {
            Free(command);
        }
    }

    /// <summary>The device server's own calls have the same time limit as tasks.</summary>
    void Tick(long nowMs)
    {
        if (_options.CommandTimeoutMs == 0)
        {
            return;
        }

        for (int i = 0; i < _commands.Count; i++)
        {
            RingCommand command = _commands[i];
            if (command.Call is { } call && nowMs - call.ArrivedMs >= _options.CommandTimeoutMs)
            {
                switch (command.State)
                {
                    case RingCommandState.Posted:
                        command.Call = null;
                        ReplaceHung();
                        break;
                    case RingCommandState.WantsMemory:
                        _wantMemory.Remove(command.Place);
                        Free(command);
                        break;
                    default:
                        _wantSlot.Remove(command.Place);
                        Free(command);
                        break;
                }

                LogOverdue(_logger, _unit.Number, call.Cdb[0], _options.CommandTimeoutMs);
                call.Complete(ScsiResult.Check(SenseKey.NotReady, AdditionalSense.CommunicationFailure));
            }
        }
    }

    // ---- handlers come and go ----

    /// <summary>A handler takes over; what was kept is posted to it in the order it came.</summary>
    public void Attach(HandlerLink link, BlockDeviceInfo info, PassLevel level)
    {
        bool first = _info is null;
        bool resized = !first && _info!.SizeBytes != info.SizeBytes;
        _info = info;
        PassLevel = level;
        _deviceServer ??= new DeviceServer(new RingBlockDevice(this));
        _link = link;
        link.Join(this, _reactor);
        int repeated = MoveTo(link);
        LogAttached(_logger, _unit.Number, link.HandlerName, link.Pid);
        if (repeated > 0)
        {
            LogRepeated(_logger, _unit.Number, repeated);
        }

        if (first)
        {
            _unit.Opened();
        }
        else if (resized)
        {
            _unit.CapacityChanged();
        }

        Pump();
    }

    /// <summary>
    /// Finds blocks in the new region for every command that has some in an old one. They all fit: the old region, no larger, held them all at once,
    /// and nothing new is let in before.
    /// </summary>
    int MoveTo(HandlerLink link)
    {
        int repeated = 0;
        foreach (RingCommand command in _commands)
        {
            if (command.State is not (RingCommandState.Collecting or RingCommandState.WantsSlot) || command.Blocks.Link is null || command.Blocks.Link == link)
            {
                continue;
            }

            command.Reserved.Free();
            if (!command.Reserved.TryAllocate(link, command.OutLength, command.InLength))
            {
                throw new InvalidOperationException("a fresh region is too small for the commands of the one before");
            }

            if (command.State == RingCommandState.WantsSlot)
            {
                repeated++;
                command.MoveToReserved();
                if (command.Task is not null)
                {
                    SetBuffers(command);
                }
            }
        }

        return repeated;
    }

    /// <summary>The handler is gone. What it had taken and not answered is kept for the next one.</summary>
    /// <param name="link">The handler's region.</param>
    /// <param name="reason">How it ended, for the operator.</param>
    /// <param name="asPlanned">Whether it was asked to go.</param>
    public void Detach(HandlerLink link, string reason, bool asPlanned = false)
    {
        if (link != _link)
        {
            return;
        }

        Reap(link); // what it answered before it died is answered
        if (link == _link)
        {
            if (asPlanned)
            {
                LogRemoved(_logger, _unit.Number, link.HandlerName, link.Pid);
            }
            else
            {
                LogDetached(_logger, _unit.Number, link.HandlerName, link.Pid, reason, link.Ring.Outstanding);
            }

            Lose(link);
        }
    }

    void Lose(HandlerLink link)
    {
        _link = null;
        List<RingCommand> lost = [.. _commands.Where(command => command.State == RingCommandState.Posted).OrderBy(static command => command.Sequence)];
        link.Retire();
        foreach (RingCommand command in lost.AsEnumerable().Reverse())
        {
            command.State = RingCommandState.WantsSlot;
            _wantSlot.AddFirst(command.Place);
        }

        foreach (RingCommand command in lost)
        {
            if (command.Call is null && command.Task is not { IsUnwanted: false })
            {
                _wantSlot.Remove(command.Place);
                command.State = RingCommandState.Answered;
                Fail(command, ScsiResult.Check(SenseKey.AbortedCommand, AdditionalSense.None));
            }
        }
    }

    /// <summary>
    /// The handler has missed a command's time limit: it is given up, so that nothing it still does can touch a newer command's data.
    /// Not in the middle of a tick, which walks the tasks.
    /// </summary>
    void ReplaceHung()
    {
        HandlerLink hung = _link!;
        _reactor.Post(() =>
        {
            if (hung == _link)
            {
                LogHung(_logger, _unit.Number, hung.HandlerName, hung.Pid);
                Lose(hung);
                _dropped(hung, "it did not answer in time");
            }
        });
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "LUN {Lun}: handler {Handler} (pid {Pid}) did not answer in time and is given up; the LUN is held until a handler attaches anew")]
    static partial void LogHung(ILogger logger, int lun, string handler, int pid);

    [LoggerMessage(Level = LogLevel.Information, Message = "LUN {Lun}: handler {Handler} attached (pid {Pid})")]
    static partial void LogAttached(ILogger logger, int lun, string handler, int pid);

    [LoggerMessage(Level = LogLevel.Information, Message = "LUN {Lun}: {Repeated} commands held for it are repeated")]
    static partial void LogRepeated(ILogger logger, int lun, int repeated);

    [LoggerMessage(Level = LogLevel.Information, Message = "LUN {Lun}: handler {Handler} (pid {Pid}) has ended")]
    static partial void LogRemoved(ILogger logger, int lun, string handler, int pid);

    [LoggerMessage(Level = LogLevel.Warning, Message = "LUN {Lun}: handler {Handler} (pid {Pid}) is gone: {Reason}; {Held} commands held for the next one")]
    static partial void LogDetached(ILogger logger, int lun, string handler, int pid, string reason, int held);

    [LoggerMessage(Level = LogLevel.Error, Message = "LUN {Lun}: handler {Handler} (pid {Pid}) broke the ring's rules: {Violation}; the LUN is held until a handler attaches anew")]
    static partial void LogViolation(ILogger logger, int lun, string handler, int pid, string violation);

    [LoggerMessage(Level = LogLevel.Warning, Message = "LUN {Lun}: command {OperationCode:X2}h was not answered within {LimitMs} ms and has failed with LUN COMMUNICATION FAILURE")]
    static partial void LogOverdue(ILogger logger, int lun, byte operationCode, int limitMs);
}
