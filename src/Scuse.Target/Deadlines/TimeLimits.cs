namespace Scuse.Target;

/// <summary>How late a task is that the backstore has.</summary>
public enum TaskLateness
{
    /// <summary>It takes unusually long: worth a line to the operator.</summary>
    Slow,

    /// <summary>Its time limit is near: the handler is to be told, and may still answer.</summary>
    AlmostOverdue,
}

/// <summary>The times, counted from when the backstore got a task, at which something is done about it; in milliseconds.</summary>
/// <param name="LimitMs">When it fails; 0 is never. The kernel's cmd_time_out.</param>
public readonly record struct TimeLimits(int LimitMs)
{
    const int LongestUnnoticedMs = 10_000;
    const int LongestLastChanceMs = 1_000;

    /// <summary>When the operator is told: a third of the limit, at most 10 s.</summary>
    public int SlowMs => LimitMs == 0 ? LongestUnnoticedMs : Math.Min(LongestUnnoticedMs, Math.Max(1, LimitMs / 3));

    /// <summary>When the handler is told: an eighth before the limit, at most 1 s before; meaningless where there is no limit.</summary>
    public int LastChanceMs => LimitMs - Math.Min(LongestLastChanceMs, LimitMs / 8);
}
