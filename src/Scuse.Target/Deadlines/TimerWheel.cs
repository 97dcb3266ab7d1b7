namespace Scuse.Target;

/// <summary>
/// Deadlines of many commands at the cost of a list entry each: setting and clearing one is a few pointer writes and allocates nothing. A hashed wheel of
/// slots, each 64 ms wide; a timer of a later round stays in its slot until its time has come.
/// </summary>
/// <remarks>It reads no clock: time goes on when <see cref="Advance"/> is called. Touched only by the owning thread.</remarks>
public sealed class TimerWheel
{
    /// <summary>A slot covers 64 ms; with 1024 of them a round is 65 s, longer than most time limits.</summary>
    const int SlotShift = 6, Slots = 1024, SlotMask = Slots - 1;

    readonly Sentinel[] _slots = new Sentinel[Slots];
    readonly Sentinel _due = new();
    long _position;

    /// <summary>A wheel with nothing on it, at time 0.</summary>
    public TimerWheel()
    {
        for (int i = 0; i < Slots; i++)
        {
            _slots[i] = new Sentinel();
        }
    }

    /// <summary>How many timers are set.</summary>
    public int Count { get; private set; }

    /// <summary>Sets a timer, which may be set already: then it gets the new time. A time in the past is due at the next <see cref="Advance"/>.</summary>
    public void Set(WheelTimer timer, long dueMs)
    {
        ArgumentNullException.ThrowIfNull(timer);
        Clear(timer);
        timer.DueMs = dueMs;
        timer.Wheel = this;
        timer.InsertBefore(_slots[(int)Math.Max(dueMs >> SlotShift, _position) & SlotMask]);
        Count++;
    }

    /// <summary>Clears a timer, whichever wheel it is on; one that is not set stays so.</summary>
    public static void Clear(WheelTimer timer)
    {
        ArgumentNullException.ThrowIfNull(timer);
        if (timer.IsSet)
        {
            timer.Unlink();
            timer.Wheel!.Count--;
        }
    }

    /// <summary>Time has gone on: calls every timer that is due, after clearing it. A timer may set and clear any timer meanwhile, itself included.</summary>
    public void Advance(long nowMs)
    {
        long last = nowMs >> SlotShift;
        if (Count > 0)
        {
            // After a long pause one round visits every slot there is.
            for (long slot = Math.Max(_position, last - Slots + 1); slot <= last; slot++)
            {
                CollectDue(_slots[(int)slot & SlotMask], nowMs);
            }
        }

        _position = Math.Max(_position, last);
        while (_due.Next is { } timer && timer != _due)
        {
            Clear(timer);
            timer.Due(nowMs);
        }
    }

    void CollectDue(Sentinel slot, long nowMs)
    {
        for (WheelTimer timer = slot.Next!; timer != slot;)
        {
            WheelTimer next = timer.Next!;
            if (timer.DueMs <= nowMs)
            {
                timer.Unlink();
                timer.InsertBefore(_due);
            }

            timer = next;
        }
    }

    sealed class Sentinel : WheelTimer
    {
        public Sentinel() => Next = Previous = this;

        protected internal override void Due(long nowMs) => throw new InvalidOperationException("a slot's own entry is never due");
    }
}

/// <summary>Something to be done at a time, on a <see cref="TimerWheel"/>. It is its own place in the wheel's lists, so make one and reuse it.</summary>
public abstract class WheelTimer
{
    /// <summary>When it is due, on the wheel's clock; meaningful while <see cref="IsSet"/>.</summary>
    public long DueMs { get; internal set; }

    /// <summary>Whether it is on a wheel.</summary>
    public bool IsSet => Next is not null;

    /// <summary>The wheel that it was set on last.</summary>
    internal TimerWheel? Wheel { get; set; }

    internal WheelTimer? Next { get; set; }

    internal WheelTimer? Previous { get; set; }

    /// <summary>Its time has come; it is not set any more.</summary>
    protected internal abstract void Due(long nowMs);

    internal void InsertBefore(WheelTimer other)
    {
        Next = other;
        Previous = other.Previous;
        other.Previous!.Next = this;
        other.Previous = this;
    }

    internal void Unlink()
    {
        Previous!.Next = Next;
        Next!.Previous = Previous;
        Next = Previous = null;
    }
}
