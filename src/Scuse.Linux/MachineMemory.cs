using System.Globalization;

namespace Scuse.Linux;

/// <summary>How much memory the machine has to give. proc(5), /proc/meminfo.</summary>
public static class MachineMemory
{
    const string File = "/proc/meminfo", Field = "MemAvailable:", Unit = "kB";

    /// <summary>What could be used without swapping, in bytes: the kernel's own estimate, MemAvailable.</summary>
    /// <exception cref="LinuxException">The kernel does not say.</exception>
    public static long ReadAvailableBytes()
    {
        foreach (string line in System.IO.File.ReadLines(File))
        {
            if (line.StartsWith(Field, StringComparison.Ordinal)
                && long.TryParse(line.AsSpan(Field.Length).Trim().TrimEnd(Unit).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out long kibibytes))
            {
                return kibibytes << 10;
            }
        }

        throw new LinuxException(File, Errno.ENOSYS);
    }
}
