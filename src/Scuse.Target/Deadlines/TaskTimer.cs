namespace Scuse.Target;

/// <summary>The watch over one task while the backstore has it: first it is slow, then almost overdue, then overdue.</summary>
sealed class TaskTimer(ScsiTask task) : WheelTimer
{
    enum Stage
    {
        Slow,
        AlmostOverdue,
        Overdue,
    }

    Stage _next;
    long _startMs;

    /// <summary>The backstore has got the task.</summary>
    public void Start(TimerWheel wheel, TimeLimits limits, long nowMs)
    {
        _startMs = nowMs;
        _next = Stage.Slow;
        wheel.Set(this, nowMs + limits.SlowMs);
    }

    protected internal override void Due(long nowMs)
    {
        LogicalUnit unit = task.LogicalUnit!;
        unit.Adopt(task); // of a lane: what takes long is everybody's business
        TimeLimits limits = unit.TimeLimits;
        if (limits.LimitMs > 0 && nowMs - _startMs >= limits.LimitMs)
        {
            _next = Stage.Overdue; // time may go on in leaps
        }

        switch (_next)
        {
            case Stage.Slow:
                if (limits.LimitMs > 0)
                {
                    _next = Stage.AlmostOverdue;
                    unit.Timers.Set(this, _startMs + limits.LastChanceMs);
                }

                unit.IsLate(task, TaskLateness.Slow, nowMs - _startMs);
                break;
            case Stage.AlmostOverdue:
                _next = Stage.Overdue;
                unit.Timers.Set(this, _startMs + limits.LimitMs);
                unit.IsLate(task, TaskLateness.AlmostOverdue, nowMs - _startMs);
                break;
            default:
                unit.IsOverdue(task);
                break;
        }
    }
}
