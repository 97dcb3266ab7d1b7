namespace Scuse.Linux;

/// <summary>How many descriptors this process may have open. getrlimit(2), RLIMIT_NOFILE.</summary>
public static unsafe class DescriptorLimit
{
    /// <summary>Raises the limit to what the process may raise it to, and returns it.</summary>
    /// <exception cref="LinuxException">The kernel does not say.</exception>
    public static int Raise()
    {
        Native.ResourceLimit limit;
        if (Native.getrlimit(Native.RLIMIT_NOFILE, &limit) < 0)
        {
            throw Native.Failed("getrlimit");
        }

        if (limit.Current < limit.Maximum)
        {
            ulong current = limit.Current;
            limit.Current = limit.Maximum;
            if (Native.setrlimit(Native.RLIMIT_NOFILE, &limit) < 0)
            {
                limit.Current = current;
            }
        }

        return (int)Math.Min(limit.Current, int.MaxValue);
    }
}
