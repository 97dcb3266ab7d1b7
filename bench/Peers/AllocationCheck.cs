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

    // A session's start allocates; a short session shows how much.
    const int ShortSessionReads = 1_000;

    // What a timer now and then costs is less than this for a read; one object a read would be 24 bytes at least.
    const double BoundBytesPerRead = 0.05;

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

        Dictionary<string, long> shortSession = await MeasureAsync(serve, () => ReadAsync(serve, ShortSessionReads));
        TimeSpan start = serve.Now;
        Dictionary<string, long> longSession = await MeasureAsync(serve, () => ReadAsync(serve, Reads));
        TimeSpan length = serve.Now - start;
        Dictionary<string, long> idle = await MeasureAsync(serve, () => Task.Delay(length - TwoReports));

        bool holds = true;
        foreach (string process in longSession.Keys.Order())
        {
            double perRead = (double)Math.Max(longSession[process] - Math.Max(shortSession[process], idle[process]), 0) / (Reads - ShortSessionReads);
            holds &= perRead < BoundBytesPerRead;
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{process}: {longSession[process]} bytes in a session of {Reads} reads, {shortSession[process]} in one of {ShortSessionReads}, {idle[process]} in {length.TotalSeconds:0.0} idle seconds: {perRead:0.0000} bytes a read"));
        }

        Console.WriteLine(holds ? $"holds: less than {BoundBytesPerRead} byte a read" : $"DOES NOT HOLD: {BoundBytesPerRead} byte a read or more");
        return holds ? 0 : 3;
    }

    /// <summary>How many bytes each process allocates meanwhile.</summary>
    static async Task<Dictionary<string, long>> MeasureAsync(ScuseServe serve, Func<Task> work)
    {
        Dictionary<string, long> before = Latest(serve);
        await work();
        await Task.Delay(TwoReports);
        Dictionary<string, long> after = Latest(serve);
        return after.ToDictionary(pair => pair.Key, pair => pair.Value - before[pair.Key]);
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
