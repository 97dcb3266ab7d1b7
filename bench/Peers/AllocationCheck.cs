using System.Globalization;
using System.Text.RegularExpressions;
using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>Counts the managed bytes that the engine and a handler allocate while they answer a million reads.</summary>
static partial class AllocationCheck
{
    const int Reads = 1_000_000;
    const int WarmUpReads = 100_000;
    const int BlockBytes = 4096;
    const int Depth = 32;

    // Less than this for a read is what a session's start and a timer now and then cost; one object a read would be 24 bytes at least.
    const double BoundBytesPerRead = 1;

    // The processes report once a second.
    static readonly TimeSpan TwoReports = TimeSpan.FromSeconds(2.2);
    static readonly TimeSpan Deadline = TimeSpan.FromMinutes(5);

    /// <summary>Runs the check; 0 when neither process allocated for reads.</summary>
    public static async Task<int> RunAsync()
    {
        using ScuseServe serve = await ScuseServe.StartAsync(
            ["memory:256M", "--report-allocations"], new Dictionary<string, string> { ["SCUSE_REPORT_ALLOCATIONS"] = "1" });
        await serve.WaitForAttachmentAsync();
        await ReadAsync(serve, WarmUpReads);
        await Task.Delay(TwoReports);

        Dictionary<string, long> before = Latest(serve);
        TimeSpan start = serve.Now;
        await ReadAsync(serve, Reads);
        await Task.Delay(TwoReports);
        TimeSpan length = serve.Now - start;
        Dictionary<string, long> after = Latest(serve);
        await Task.Delay(length);
        Dictionary<string, long> idle = Latest(serve);

        bool holds = true;
        foreach (string process in before.Keys.Order())
        {
            long run = after[process] - before[process];
            long baseline = idle[process] - after[process];
            double perRead = (double)Math.Max(run - baseline, 0) / Reads;
            holds &= perRead < BoundBytesPerRead;
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{process}: {run} bytes while {Reads} reads ran, {baseline} bytes in {length.TotalSeconds:0.0} idle seconds: {perRead:0.000} bytes a read"));
        }

        Console.WriteLine(holds ? $"holds: less than {BoundBytesPerRead} byte a read" : $"DOES NOT HOLD: {BoundBytesPerRead} byte a read or more");
        return holds ? 0 : 3;
    }

    static Task<double> ReadAsync(ScuseServe serve, int reads) => QemuBench.RunAsync(Deadline, serve.Url, BlockBytes, Depth, reads, write: false);

    /// <summary>The last figure of each process, from the log.</summary>
    static Dictionary<string, long> Latest(ScuseServe serve)
    {
        Dictionary<string, long> latest = [];
        foreach (Match match in serve.LogLines.Select(line => Report().Match(line)).Where(match => match.Success))
        {
            latest[match.Groups[1].Value] = long.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture);
        }

        return latest.ContainsKey("engine") && latest.ContainsKey("handler")
            ? latest
            : throw new PeerException($"The log has no `allocated:` lines of the engine and the handler.\n{serve.Log}");
    }

    [GeneratedRegex(@"allocated: (engine|handler) (\d+)")]
    private static partial Regex Report();
}
