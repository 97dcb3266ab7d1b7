using System.Globalization;
using System.Text.RegularExpressions;
using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>Counts the managed bytes that the engine and a handler allocate while they answer reads, writes and unmaps, on disks of both block sizes; and how long collections made them stand still.</summary>
static partial class AllocationCheck
{
    const int Seconds = 5;
    const int BlockBytes = 4096;

    // What a timer now and then costs is less than this for a command; one object a command would be 24 bytes at least.
    const double BoundBytesPerCommand = 0.05;

    // The processes report once a second.
    static readonly TimeSpan s_twoReports = TimeSpan.FromSeconds(2.2);

    /// <summary>Runs the check; 0 when neither process allocated for commands.</summary>
    public static async Task<int> RunAsync()
    {
        bool holds = true;
        foreach (int blockSize in (int[])[512, 4096])
        {
            using ScuseServe serve = await ScuseServe.StartAsync(
                [$"memory:256M?block={blockSize}", "--report-allocations"], new Dictionary<string, string> { ["SCUSE_REPORT_ALLOCATIONS"] = "1" });
            await serve.WaitForAttachmentAsync();
            foreach (string operation in (string[])["write", "read", "unmap"])
            {
                await LoadAsync(serve, operation, 1);
                holds &= await HoldsAsync(serve, operation, blockSize);
            }
        }

        Console.WriteLine(holds ? $"holds: less than {BoundBytesPerCommand} byte a command" : $"DOES NOT HOLD: {BoundBytesPerCommand} byte a command or more");
        return holds ? 0 : 3;
    }

    /// <summary>A session's start allocates, and so does time: a short session and an idle while show how much.</summary>
    static async Task<bool> HoldsAsync(ScuseServe serve, string operation, int blockSize)
    {
        long fewCommands = 0, manyCommands = 0;
        Dictionary<string, Report> few = await MeasureAsync(serve, async () => fewCommands = await LoadAsync(serve, operation, 1));
        Dictionary<string, Report> many = await MeasureAsync(serve, async () => manyCommands = await LoadAsync(serve, operation, Seconds));
        Dictionary<string, Report> idle = await MeasureAsync(serve, () => Task.Delay(TimeSpan.FromSeconds(Seconds)));

        bool holds = true;
        foreach (string process in many.Keys.Order())
        {
            Report report = many[process];
            double each = (double)Math.Max(report.Bytes - Math.Max(few[process].Bytes, idle[process].Bytes), 0) / (manyCommands - fewCommands);
            holds &= each < BoundBytesPerCommand;
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{operation}, blocks of {blockSize}, {process}: {report.Bytes} bytes in a session of {manyCommands} commands, {few[process].Bytes} in one of {fewCommands}, {idle[process].Bytes} in {Seconds} idle seconds: {each:0.0000} bytes a command; {report.Collections} collections, {report.PauseMs:0.0} ms of pauses"));
        }

        return holds;
    }

    static async Task<long> LoadAsync(ScuseServe serve, string operation, int seconds) =>
        (await LightInitiator.RunAsync(serve.Url, seconds, "--op", operation, "--block", $"{BlockBytes}")).Operations;

    /// <summary>What each process allocates meanwhile.</summary>
    static async Task<Dictionary<string, Report>> MeasureAsync(ScuseServe serve, Func<Task> work)
    {
        Dictionary<string, Report> before = Latest(serve);
        await work();
        await Task.Delay(s_twoReports);
        return Latest(serve).ToDictionary(static pair => pair.Key, pair => pair.Value.Since(before[pair.Key]));
    }

    /// <summary>The last figures of each process, from the log.</summary>
    static Dictionary<string, Report> Latest(ScuseServe serve)
    {
        Dictionary<string, Report> latest = [];
        foreach (Match match in serve.LogLines.Select(static line => Line().Match(line)).Where(static match => match.Success))
        {
            latest[match.Groups[1].Value] = new Report(
                long.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture),
                int.Parse(match.Groups[3].ValueSpan, CultureInfo.InvariantCulture),
                double.Parse(match.Groups[4].ValueSpan, CultureInfo.InvariantCulture));
        }

        return latest.ContainsKey("engine") && latest.ContainsKey("handler")
            ? latest
            : throw new PeerException($"The log has no `allocated:` lines of the engine and the handler.\n{serve.Log}");
    }

    [GeneratedRegex(@"allocated: (engine|handler) (\d+) bytes, (\d+) collections, ([0-9.]+) ms")]
    private static partial Regex Line();

    readonly record struct Report(long Bytes, int Collections, double PauseMs)
    {
        public Report Since(Report before) => new(Bytes - before.Bytes, Collections - before.Collections, PauseMs - before.PauseMs);
    }
}
