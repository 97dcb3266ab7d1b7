using System.Diagnostics;
using System.Text.Json;

namespace Scuse.Peers;

/// <summary>What a hostile initiator has come to. tests/initiators/hostile.c.</summary>
/// <param name="Open">Connections that were open at its end.</param>
/// <param name="Opened">Connections that were opened.</param>
/// <param name="Closed">Connections that the target has closed.</param>
/// <param name="Logins">How often it was let in.</param>
/// <param name="Refused">How often it was told that it is not.</param>
/// <param name="SentBytes">What the target's side took.</param>
/// <param name="ReceivedBytes">What came.</param>
sealed record HostileReport(long Open, long Opened, long Closed, long Logins, long Refused, long SentBytes, long ReceivedBytes);

/// <summary>Initiators that mean harm: one process, one kind, as many connections as wanted.</summary>
sealed class HostileInitiator : IDisposable
{
    static readonly TimeSpan StartDeadline = TimeSpan.FromSeconds(30), EndDeadline = TimeSpan.FromSeconds(10);
    static readonly JsonSerializerOptions s_json = new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase };
    static readonly Lazy<Task<string>> s_program = new(static () => Initiators.BuildAsync("hostile"));

    readonly RunningPeer _running;

    HostileInitiator(RunningPeer running) => _running = running;

    /// <summary>Starts one, behind all others that want a processor: its like sits on another machine. Returns when every connection was tried.</summary>
    /// <exception cref="PeerException">It does not come so far.</exception>
    public static Task<HostileInitiator> StartAsync(ScuseServe serve, string kind, params string[] options) => StartAsync(new Uri(serve.Url), kind, options);

    /// <summary>The same, for an engine that is known by a URL alone.</summary>
    public static async Task<HostileInitiator> StartAsync(Uri url, string kind, params string[] options)
    {
        string[] place = [url.Host, $"{url.Port}", url.Segments[1].TrimEnd('/'), kind];
        var running = RunningPeer.Start("nice", ["-n", "19", await s_program.Value, .. place, .. options]);
        var clock = Stopwatch.StartNew();
        while (!running.OutputSoFar.Contains("ready", StringComparison.Ordinal))
        {
            if (running.HasExited || clock.Elapsed > StartDeadline)
            {
                throw new PeerException($"the hostile initiator has not begun\n{(running.HasExited ? (await running.WaitAsync(StartDeadline)).Text : running.OutputSoFar)}");
            }

            await Task.Delay(5);
        }

        return new HostileInitiator(running);
    }

    /// <summary>Ends it.</summary>
    public async Task<HostileReport> StopAsync()
    {
        ProcessTree.Signal("TERM", _running.Id);
        Outcome outcome = (await _running.WaitAsync(EndDeadline)).OrThrow();
        return JsonSerializer.Deserialize<HostileReport>(outcome.Output.Split('\n').Last(static line => line.StartsWith('{')), s_json)!;
    }

    public void Dispose() => _running.Dispose();
}
