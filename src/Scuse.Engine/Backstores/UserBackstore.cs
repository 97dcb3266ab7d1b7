using Microsoft.Extensions.Logging;
using Scuse.Device;
using Scuse.Engine.Reactors;
using Scuse.Ring;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Engine.Backstores;

/// <summary>
/// The backstore whose commands a user process executes: brings tasks to the ring, reaps the answers, and keeps the commands for the next handler when
/// this one dies.
/// </summary>
/// <remarks>
/// Touched only by the owning reactor. How commands wait and get to the ring is the <see cref="CommandQueue"/>'s business; here is what they mean.
/// </remarks>
sealed partial class UserBackstore : IBackstore
{
    readonly Reactor _reactor;
    readonly LunOptions _options;
    readonly ILogger _logger;
    readonly Action<HandlerLink, string> _dropped;
    readonly CommandQueue _queue;
    readonly byte[] _sense = new byte[RingAbi.SenseBytes];
    BlockDeviceInfo? _info;
    DeviceServer? _deviceServer;
    LogicalUnit _unit = null!;

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
        _queue = new CommandQueue(HasMemory, command => Fail(command, ScsiResult.Check(SenseKey.IllegalRequest, AdditionalSense.InvalidFieldInCdb)));
        reactor.AddTicker(Tick);
    }

    public bool IsOpen => _info is not null;

    /// <summary>Whether there is a handler now.</summary>
    public bool IsAttached => _queue.Link is not null;

    /// <summary>The logical unit it stands behind.</summary>
    public LogicalUnit LogicalUnit => _unit;

    public PassLevel PassLevel { get; private set; }

    public BlockDeviceInfo Info => _info!;

    public DeviceServer DeviceServer => _deviceServer!;

    public void Bind(LogicalUnit logicalUnit) => _unit = logicalUnit;

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

    public void Submit(ScsiTask task) => _queue.WantSlot((RingCommand)task.BackstoreState!);

    public bool Cancel(ScsiTask task)
    {
        if (task.BackstoreState is not RingCommand command)
        {
            return false;
        }

        if (command.State == RingCommandState.Posted && !command.IsAbortTold)
        {
            command.IsAbortTold = true;
            _queue.Link!.TellAborted(command);
        }

        return _queue.TryWithdraw(command);
    }

    public void Abandon(ScsiTask task)
    {
        if (task.BackstoreState is RingCommand command)
        {
            task.BackstoreState = null;
            GiveUp(command, task.Cdb[0]);
        }
    }

    public void Release(ScsiTask task)
    {
        if (task.BackstoreState is RingCommand command)
        {
            task.BackstoreState = null;
            _queue.Free(command);
            _queue.Pump();
        }
    }

    /// <summary>A command of the device server's own.</summary>
    public ValueTask<ScsiResult> CallAsync(byte[] cdb, DataBuffer from, DataBuffer into)
    {
        var call = new DeviceCall(cdb, from, into, _reactor.NowMs);
        RingCommand command = _queue.Rent();
        command.Call = call;
        command.OutLength = from.Length;
        command.InLength = into.Length;
        _queue.WantMemory(command);
        return call.Completion;
    }

    void HasMemory(RingCommand command)
    {
        if (command.Call is { } call)
        {
            command.Blocks.DataOut(command.OutLength).CopyFrom(call.From);
            _queue.WantSlot(command);
        }
        else
        {
            command.ShowBuffers();
            _unit.Prepared(command.Task!);
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

        if (link.Ring.Violation is { } violation && link == _queue.Link)
        {
            LogViolation(_logger, _unit.Number, link.HandlerName, link.Pid, violation);
            Lose();
            _dropped(link, violation);
            return true;
        }

        if (any)
        {
            _queue.Pump();
        }

        return any;
    }

    void Answered(RingCommand command, HandlerLink link, RingAnswer answer)
    {
        command.State = RingCommandState.Answered;
        if (command.Task is null && command.Call is null)
        {
            _queue.Free(command); // overdue: its initiator was told long ago
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
        _queue.Free(command);
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
            _queue.Free(command);
            call.Complete(result);
        }
        else
        {
            _queue.Free(command);
        }
    }

    /// <summary>The device server's own calls have the same time limit as tasks.</summary>
    void Tick(long nowMs)
    {
        if (_options.CommandTimeoutMs == 0)
        {
            return;
        }

        for (int i = 0; i < _queue.Commands.Count; i++)
        {
            RingCommand command = _queue.Commands[i];
            if (command.Call is { } call && nowMs - call.ArrivedMs >= _options.CommandTimeoutMs)
            {
                GiveUp(command, call.Cdb[0]);
                call.Complete(ScsiResult.Check(SenseKey.NotReady, AdditionalSense.CommunicationFailure));
            }
        }
    }

    /// <summary>The command has missed its time limit. What the handler has stays the handler's until it answers or is gone.</summary>
    void GiveUp(RingCommand command, byte operationCode)
    {
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

        LogOverdue(_logger, _unit.Number, operationCode, _options.CommandTimeoutMs);
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
        link.Join(this, _reactor);
        int repeated = _queue.Start(link);
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

        _queue.Pump();
    }

    /// <summary>The handler is gone. What it had taken and not answered is kept for the next one.</summary>
    /// <param name="link">The handler's region.</param>
    /// <param name="reason">How it ended, for the operator.</param>
    /// <param name="asPlanned">Whether it was asked to go.</param>
    public void Detach(HandlerLink link, string reason, bool asPlanned = false)
    {
        if (link != _queue.Link)
        {
            return;
        }

        Reap(link); // what it answered before it died is answered
        if (link == _queue.Link)
        {
            if (asPlanned)
            {
                LogRemoved(_logger, _unit.Number, link.HandlerName, link.Pid);
            }
            else
            {
                LogDetached(_logger, _unit.Number, link.HandlerName, link.Pid, reason, link.Ring.Outstanding);
            }

            Lose();
        }
    }

    /// <summary>Keeps what the handler had, but for what nobody waits for any more.</summary>
    void Lose()
    {
        foreach (RingCommand command in _queue.Stop())
        {
            if (command.Call is null && command.Task is not { IsUnwanted: false })
            {
                _queue.TryWithdraw(command);
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
        HandlerLink hung = _queue.Link!;
        _reactor.Post(() =>
        {
            if (hung == _queue.Link)
            {
                LogHung(_logger, _unit.Number, hung.HandlerName, hung.Pid);
                Lose();
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
