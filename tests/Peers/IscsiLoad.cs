using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Scuse.Peers;

/// <summary>What a load found, as its last line tells. tests/initiators/load.c.</summary>
sealed record LoadReport
{
    public double Seconds { get; init; }
    public double StartedUnix { get; init; }
    public long Ops { get; init; }
    public long Writes { get; init; }
    public long Errors { get; init; }
    public Dictionary<string, long> ErrorKinds { get; init; } = [];
    public double FirstErrorAt { get; init; }
    public double FirstGoodAfterErrorAt { get; init; }
    public double ErrorMinMs { get; init; }
    public double ErrorMaxMs { get; init; }
    public long Mismatches { get; init; }
    public long Reconnects { get; init; }
    public bool LostConnection { get; init; }
    public double P50Us { get; init; }
    public double P99Us { get; init; }
    public double P999Us { get; init; }
    public double MaxGapMs { get; init; }
    public double MaxGapAt { get; init; }
    public bool Checked { get; init; }
    public long Right { get; init; }
    public long Newer { get; init; }
    public long NeverWritten { get; init; }
    public long Lost { get; init; }
    public long Foreign { get; init; }
    public long Torn { get; init; }
    public long Unread { get; init; }

    /// <summary>All of the line, and what the load complained of.</summary>
    public string Text { get; init; } = "";

    /// <summary>One line for people.</summary>
    public string Summary => string.Create(CultureInfo.InvariantCulture,
        $"{Ops:n0} commands in {Seconds:0.0} s, {Writes:n0} of them writes; latency {P50Us / 1000:0.00} ms (p50), {P99Us / 1000:0.0} ms (p99); longest gap {MaxGapMs:0.0} ms; {Errors} errors, {Reconnects} reconnects");

    /// <summary>Nothing acknowledged is missing, undone or mixed up, and every check was made.</summary>
    public void AssertWhole()
    {
        Assert.True(Checked && Unread == 0, $"not all could be read back\n{Text}");
        Assert.True(Mismatches == 0 && Lost == 0 && Foreign == 0 && Torn == 0, $"acknowledged writes are not there\n{Text}");
    }

    /// <summary>And the initiator has seen no error and kept its connection.</summary>
    public void AssertUndisturbed()
    {
        AssertWhole();
        Assert.True(Errors == 0 && Reconnects == 0 && !LostConnection, $"the initiator was disturbed\n{Text}");
        Assert.True(Newer == 0, $"a write is there that was never acknowledged, and yet none failed\n{Text}");
    }
}

/// <summary>The verifying load generator: built once, started as often as wanted.</summary>
sealed class IscsiLoad : IDisposable
{
    static readonly TimeSpan StartDeadline = TimeSpan.FromSeconds(30);
    static readonly JsonSerializerOptions s_json = new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase };
    static readonly Lazy<Task<string>> s_program = new(static () => Initiators.BuildAsync("load"));

    static int s_writers;

    readonly RunningPeer _running;

    IscsiLoad(RunningPeer running) => _running = running;

    public bool HasExited => _running.HasExited;

    public string OutputSoFar => _running.OutputSoFar;

    /// <summary>
    /// Starts a load on a part of a LUN, 16 MiB unless <paramref name="options"/> say otherwise, as an initiator of its own. Returns when its first command was answered.
    /// </summary>
    public static async Task<IscsiLoad> StartAsync(string url, int area = 0, params string[] options)
    {
        int writer = Interlocked.Increment(ref s_writers); // what an earlier one left on the disk is not taken for its own
        string initiator = $"iqn.2026-11.example.scuse:load{writer}";
        IscsiLoad load = await StartAnyAsync([url, "--offset", $"{area * 16}", "--writer", $"{writer}", "--seed", $"{Random.Shared.Next()}", "--initiator", initiator, .. options]);
        Stopwatch clock = Stopwatch.StartNew();
        while (!load.OutputSoFar.Contains("started", StringComparison.Ordinal))
        {
            if (load.HasExited || clock.Elapsed > StartDeadline)
            {
                throw new PeerException($"the load has not begun\n{(load.HasExited ? (await load._running.WaitAsync(StartDeadline)).Text : load.OutputSoFar)}");
            }

            await Task.Delay(5);
        }

        return load;
    }

    /// <summary>Checks a disk against what a load has saved.</summary>
    public static async Task<LoadReport> VerifyAsync(string url, string state, params string[] options)
    {
        using IscsiLoad load = await StartAnyAsync([url, "--verify", state, .. options]);
        return await load.ReportAsync();
    }

    static async Task<IscsiLoad> StartAnyAsync(string[] arguments) => new(RunningPeer.Start(await s_program.Value, arguments));

    /// <summary>Ends the load: what is under way is answered, then everything is checked.</summary>
    public Task<LoadReport> StopAsync(double seconds = 120)
    {
        ProcessTree.Signal("TERM", _running.Id);
        return ReportAsync(seconds);
    }

    async Task<LoadReport> ReportAsync(double seconds = 120)
    {
        Outcome outcome = await _running.WaitAsync(TimeSpan.FromSeconds(seconds));
        string? line = outcome.Output.Split('\n').LastOrDefault(static line => line.StartsWith('{'));
        return line is null
            ? throw new PeerException(outcome.Text)
            : JsonSerializer.Deserialize<LoadReport>(line, s_json)! with { Text = $"{outcome.Text}" };
    }

    public void Dispose() => _running.Dispose();
}
