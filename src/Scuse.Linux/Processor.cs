namespace Scuse.Linux;

/// <summary>The processors this process may use.</summary>
public static class Processor
{
    const int MaskBytes = 1024; // 8192 processors: as many as the kernel can be built for

    /// <summary>How many there are for this process; with one, waiting in a loop only keeps the other side from running.</summary>
    public static int Count => Environment.ProcessorCount;

    /// <summary>Which they are, by their numbers. sched_getaffinity(2).</summary>
    public static unsafe int[] Allowed()
    {
        Span<byte> mask = stackalloc byte[MaskBytes];
        mask.Clear();
        fixed (byte* bits = mask)
        {
            if (Native.sched_getaffinity(0, MaskBytes, bits) < 0)
            {
                return [.. Enumerable.Range(0, Count)];
            }
        }

        List<int> allowed = [];
        for (int i = 0; i < MaskBytes * 8; i++)
        {
            if ((mask[i / 8] & (1 << (i % 8))) != 0)
            {
                allowed.Add(i);
            }
        }

        return [.. allowed];
    }

    /// <summary>Keeps the calling thread on one of them from now on; false when that cannot be. sched_setaffinity(2).</summary>
    public static unsafe bool TryPin(int processor)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(processor);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(processor, MaskBytes * 8);
        Span<byte> mask = stackalloc byte[MaskBytes];
        mask.Clear();
        mask[processor / 8] = (byte)(1 << (processor % 8));
        fixed (byte* bits = mask)
        {
            return Native.sched_setaffinity(0, MaskBytes, bits) == 0;
        }
    }

    /// <summary>Lets another thread run that is ready, if there is one. sched_yield(2).</summary>
    public static void Yield() => _ = Native.sched_yield();
}
