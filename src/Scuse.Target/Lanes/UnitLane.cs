using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target;

/// <summary>
/// One thread's way to a logical unit of a target that is spread over several: plain reads and writes, from arrival to status. A task of a lane concerns nobody else, until somebody who is
/// alone takes it over into the logical unit's own task set (<see cref="LogicalUnit.Adopt"/>), where it ends as any other.
/// </summary>
/// <remarks>
/// Touched by its thread, and by whoever is alone. What it looks at of the logical unit and its device server changes only while somebody is alone, so it cannot change under a task that is being begun.
/// </remarks>
sealed class UnitLane(TargetLane lane, LogicalUnit unit, IBackstore backstore)
{
    const int ThresholdCheckMs = 1000;

    IoStatistics? _statistics; // the lane's own place to count in, once the device is known
    long _nextThresholdCheckMs;

    /// <summary>The lane's tasks, in the order of their arrival.</summary>
    public LinkedList<ScsiTask> Tasks { get; } = new();

    /// <summary>The way to the device.</summary>
    public IBackstore Backstore => backstore;

    /// <summary>The device is known now. For whoever is alone.</summary>
    public void Opened() => _statistics ??= unit.Backstore.DeviceServer.Statistics.NewPart();

    /// <summary>Begins a task if it is a plain read or write and nothing is in its way; otherwise nothing has happened.</summary>
    public bool TryBegin(ScsiTask task)
    {
        if (task.Attribute > TaskAttribute.Simple
            || task.Cdb.Length < Math.Max(1, Cdb.Length(task.Cdb))
            || PassTable.For(PassLevel.Io, task.Cdb) != Responder.Handler
            || _statistics is not { } statistics
            || !unit.AdmitsLanes
            || task.Nexus.PendingAttentions != 0
            || !backstore.IsOpen
            || backstore.IsRefusing
            || (!unit.Reservations.IsFree && unit.Reservations.Conflicts(task.Nexus, task.Cdb))
            || (task.Nexus.MayOnlyRead(unit.Number) && !ReadOnlyAccess.Admits(task.Cdb))
            || !unit.TryMeasureTransfer(task, out bool isWrite, out _)
            || (task.DataOutLength == 0 && task.DataInCapacity == 0))
        {
            return false;
        }

        LogicalUnit.Count(statistics, task, isWrite);
        task.LogicalUnit = unit;
        task.Lane = this;
        task.Backstore = backstore;
        task.Responder = Responder.Handler;
        Tasks.AddLast(task.Place);
        StartTimer(task);
        task.State = TaskState.Preparing;
        backstore.Prepare(task);
        return true;
    }

    void StartTimer(ScsiTask task) => task.Timer.Start(lane.Timers, unit.TimeLimits, lane.NowMs);

    /// <summary>The task has its buffers.</summary>
    public void Prepared(ScsiTask task)
    {
        if (task.DataOutLength > 0)
        {
            task.State = TaskState.Collecting;
            TimerWheel.Clear(task.Timer); // the initiator takes its time now, not the handler
            task.Transport.OnDataOutWanted(task);
        }
        else
        {
            Execute(task);
        }
    }

    /// <summary>All of its data is in place.</summary>
    public void Execute(ScsiTask task)
    {
        if (!task.Timer.IsSet)
        {
            StartTimer(task);
        }

        task.State = TaskState.Executing;
        if (backstore.IsRefusing)
        {
            Failed(task, backstore.Refusal); // the handler went while the data came
        }
        else
        {
            backstore.Submit(task);
        }
    }

    /// <summary>The handler has answered.</summary>
    public void HandlerAnswered(ScsiTask task, ScsiStatus status, ReadOnlySpan<byte> sense, int dataInLength)
    {
        if (status != ScsiStatus.Good || !sense.IsEmpty)
        {
            task.SetOutcome(status, sense, dataInLength);
            lane.PutOff(new Deferred(DeferredKind.Answered, task));
            return;
        }

        task.SetOutcome(status, sense, dataInLength < 0 ? task.DataInWantedByCdb : dataInLength);
        TimerWheel.Clear(task.Timer);
        Tasks.Remove(task.Place);
        if (unit.Backstore.DeviceServer.WatchesThresholds && lane.NowMs >= _nextThresholdCheckMs)
        {
            _nextThresholdCheckMs = lane.NowMs + ThresholdCheckMs;
            lane.PutOff(new Deferred(DeferredKind.LookAtThresholds, Unit: unit));
        }

        task.State = TaskState.Completed;
        task.Transport.OnCompleted(task);
    }

    /// <summary>The task cannot be executed.</summary>
    public void Failed(ScsiTask task, ScsiResult result) => lane.PutOff(new Deferred(DeferredKind.Failed, task, Result: result));

    /// <summary>The task's data cannot be brought. False when it is too late or too early for that.</summary>
    public bool TryFailDelivery(ScsiTask task, SenseData sense)
    {
        bool isWithInitiator = task.State == TaskState.Collecting || (task.State == TaskState.Preparing && backstore.Cancel(task));
        if (isWithInitiator)
        {
            task.State = TaskState.Executing; // what else comes for it is too late
            Failed(task, ScsiResult.Check(sense));
        }

        return isWithInitiator;
    }

    /// <summary>The answer is sent: the last step.</summary>
    public void Release(ScsiTask task)
    {
        if (task.BackstoreState is not null)
        {
            backstore.Release(task);
        }

        lane.Return(task);
    }
}
