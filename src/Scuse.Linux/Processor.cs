namespace Scuse.Linux;

/// <summary>The processors this process may use.</summary>
public static class Processor
{
    /// <summary>How many there are for this process; with one, waiting in a loop only keeps the other side from running.</summary>
    public static int Count => Environment.ProcessorCount;

    /// <summary>Lets another thread run that is ready, if there is one. sched_yield(2).</summary>
    public static void Yield() => _ = Native.sched_yield();
}
