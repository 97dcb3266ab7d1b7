using System.Diagnostics;
using System.Globalization;

namespace Scuse.Peers;

/// <summary>What /proc says about processes, and signals to them.</summary>
static class ProcessTree
{
    /// <summary>One line of /proc/PID/stat, as far as it is used here. Times are in clock ticks. proc(5).</summary>
    public readonly record struct Stat(int Pid, char State, int Parent, int Session, long CpuTicks)
    {
        /// <summary>Whether the process still runs; one that has ended but was not waited for does not.</summary>
        public bool IsAlive => State is not ('Z' or 'X');
    }

    /// <summary>Reads one process' line, or null when there is no such process.</summary>
    public static Stat? Read(int pid)
    {
        string line;
        try
        {
            line = File.ReadAllText($"/proc/{pid}/stat");
        }
        catch (IOException)
        {
            return null;
        }

        // The name is in parentheses and may hold anything; the fields after the last one are plain. State is field 3.
        string[] fields = line[(line.LastIndexOf(')') + 2)..].Split(' ');
        long Field(int number) => long.Parse(fields[number - 3], CultureInfo.InvariantCulture);
        return new Stat(pid, fields[0][0], (int)Field(4), (int)Field(6), Field(14) + Field(15));
    }

    public static bool IsAlive(int pid) => Read(pid) is { IsAlive: true };

    /// <summary>The running processes that <paramref name="root"/> started or that live in its session; without itself.</summary>
    public static IReadOnlyList<Stat> Descendants(int root)
    {
        List<Stat> all = [.. All()];
        HashSet<int> found = [root];
        bool grew = true;
        while (grew)
        {
            grew = false;
            foreach (Stat stat in all)
            {
                grew |= (found.Contains(stat.Parent) || stat.Session == root) && found.Add(stat.Pid);
            }
        }

        return [.. all.Where(stat => stat.Pid != root && found.Contains(stat.Pid) && stat.IsAlive)];
    }

    /// <summary>Sends a signal by name (TERM, INT, KILL ...); a process that is gone is no error.</summary>
    public static void Signal(string name, params int[] pids)
    {
        if (pids.Length == 0)
        {
            return;
        }

        using Process kill = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", $"kill -s {name} {string.Join(' ', pids)} 2>/dev/null"]))!;
        kill.WaitForExit();
    }

    /// <summary>Sends a signal to a process group, as a terminal does for its keys.</summary>
    public static void SignalGroup(string name, int group)
    {
        using Process kill = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", $"kill -s {name} -- -{group} 2>/dev/null"]))!;
        kill.WaitForExit();
    }

    /// <summary>Ends a process and all its descendants at once.</summary>
    public static void Kill(int root) => Signal("KILL", [root, .. Descendants(root).Select(stat => stat.Pid)]);

    /// <summary>Waits until a process is gone, at most <paramref name="deadline"/>; tells whether it is.</summary>
    public static async Task<bool> WaitForEndAsync(int pid, TimeSpan deadline)
    {
        Stopwatch clock = Stopwatch.StartNew();
        while (IsAlive(pid))
        {
            if (clock.Elapsed > deadline)
            {
                return false;
            }

            await Task.Delay(20);
        }

        return true;
    }

    /// <summary>Processor time used by a process and its running descendants, in seconds.</summary>
    public static double CpuSeconds(int root)
    {
        long ticks = Descendants(root).Sum(stat => stat.CpuTicks) + (Read(root)?.CpuTicks ?? 0);
        return ticks / (double)TicksPerSecond;
    }

    /// <summary>All of a process's memory that is in use, shared memory included, in KiB.</summary>
    public static int ResidentKilobytes(int pid)
    {
        string line = File.ReadLines($"/proc/{pid}/status").First(static line => line.StartsWith("VmRSS:", StringComparison.Ordinal));
        return int.Parse(line.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }

    // USER_HZ: 100 on every architecture that .NET runs on.
    const int TicksPerSecond = 100;

    static IEnumerable<Stat> All()
    {
        foreach (string folder in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(folder), out int pid) && Read(pid) is { } stat)
            {
                yield return stat;
            }
        }
    }
}
