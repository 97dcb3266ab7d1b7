using System.Globalization;

namespace Scuse.Fuzz.Running;

/// <summary>What the process holds, to see whether it grows.</summary>
readonly record struct MemoryUse(long ResidentBytes, long HeapBytes, int OpenDescriptors)
{
    /// <summary>Resident memory may grow by this much between a run's first fifth and its end: the collector's own ups and downs, and code that is compiled once more.</summary>
    const long ResidentSlackBytes = 32 << 20;

    /// <summary>What is reachable may grow by this much.</summary>
    const long HeapSlackBytes = 2 << 20;

    public static MemoryUse Now()
    {
        // Aggressive: what is free goes back to the system, or the collector's budget for new objects would be counted as growth.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        long pages = long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1], CultureInfo.InvariantCulture);
        return new MemoryUse(pages * Environment.SystemPageSize, GC.GetTotalMemory(forceFullCollection: false), Descriptors());
    }

    /// <summary>Why this is more than can be explained, compared with an earlier time; null when it is not.</summary>
    public string? GrownSince(MemoryUse earlier) =>
        ResidentBytes - earlier.ResidentBytes > ResidentSlackBytes ? $"resident memory grew from {Text(earlier.ResidentBytes)} to {Text(ResidentBytes)}"
        : HeapBytes - earlier.HeapBytes > HeapSlackBytes ? $"the heap grew from {Text(earlier.HeapBytes)} to {Text(HeapBytes)}"
        : OpenDescriptors > earlier.OpenDescriptors ? $"open descriptors grew from {earlier.OpenDescriptors} to {OpenDescriptors}"
        : null;

    public override string ToString() => $"{Text(ResidentBytes)} resident, {Text(HeapBytes)} heap, {OpenDescriptors} descriptors";

    // Without the runtime's own, which it opens when they are first needed: two of each assembly, and a source of random numbers.
    static int Descriptors() =>
        Directory.EnumerateFileSystemEntries("/proc/self/fd").Count(static entry =>
            new FileInfo(entry).LinkTarget is { } target && !target.EndsWith(".dll", StringComparison.Ordinal) && target != "/dev/urandom");

    static string Text(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:0.0} MiB");
}
