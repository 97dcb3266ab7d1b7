using System.Diagnostics;
using System.Text.Json;

namespace Scuse.Peers;

/// <summary>What the light initiator has measured. tests/initiators/light.c.</summary>
/// <param name="Operations">How many commands were answered.</param>
/// <param name="Seconds">In how long.</param>
/// <param name="P50Us">Half of them were answered within so many microseconds.</param>
/// <param name="P99Us">99 of 100.</param>
/// <param name="P999Us">999 of 1000.</param>
/// <param name="MaxUs">All of them.</param>
/// <param name="AboveMs">How many took longer than 1, 2, 4, 8 and 16 milliseconds.</param>
/// <param name="SlowestSession">How many commands the session with the fewest had.</param>
/// <param name="MeanSession">How many a session had on average.</param>
sealed record LightReport(long Operations, double Seconds, double P50Us, double P99Us, double P999Us, double MaxUs, long[] AboveMs, long SlowestSession, double MeanSession);

/// <summary>An initiator that does as little as one can, with one session or many, and looks at every byte that it reads when told to.</summary>
sealed class LightInitiator : IDisposable
{
    static readonly TimeSpan StartDeadline = TimeSpan.FromSeconds(60), EndDeadline = TimeSpan.FromSeconds(60);
    static readonly JsonSerializerOptions s_json = new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase };
    static readonly Lazy<Task<string>> s_program = new(static () => Initiators.BuildAsync("light"));

    readonly RunningPeer _running;
    readonly int _seconds;

    LightInitiator(RunningPeer running, int seconds)
    {
        _running = running;
        _seconds = seconds;
    }

    public int Pid => _running.Id;

    /// <summary>Whether it has ended, well or not.</summary>
    public bool HasEnded => _running.HasExited;

    /// <summary>Starts one; returns when all its sessions are logged in and its load begins.</summary>
    /// <exception cref="PeerException">It does not come so far.</exception>
    public static async Task<LightInitiator> StartAsync(string url, int seconds, params string[] options)
    {
        var address = new Uri(url); // iscsi://ADDRESS:PORT/TARGET/LUN
        string[] place = [address.Host, $"{address.Port}", address.Segments[1].TrimEnd('/'), address.Segments[2]];
        var running = RunningPeer.Start(await s_program.Value, [.. place, "--tell", "yes", "--seconds", $"{seconds}", .. options]);
        var light = new LightInitiator(running, seconds);
        var clock = Stopwatch.StartNew();
        while (!running.OutputSoFar.Contains("started", StringComparison.Ordinal))
        {
            if (running.HasExited || clock.Elapsed > StartDeadline)
            {
                throw new PeerException($"the light initiator has not begun\n{(running.HasExited ? (await running.WaitAsync(StartDeadline)).Text : running.OutputSoFar)}");
            }

            await Task.Delay(5);
        }

        return light;
    }

    /// <summary>The same, to its end.</summary>
    public static async Task<LightReport> RunAsync(string url, int seconds, params string[] options)
    {
        using LightInitiator light = await StartAsync(url, seconds, options);
        return await light.ReportAsync();
    }

    /// <summary>Waits for its end.</summary>
    /// <exception cref="PeerException">A command failed, wrong data came, or the connection ended.</exception>
    public async Task<LightReport> ReportAsync()
    {
        Outcome outcome = (await _running.WaitAsync(TimeSpan.FromSeconds(_seconds) + EndDeadline)).OrThrow();
        return JsonSerializer.Deserialize<LightReport>(outcome.Output.Split('\n').Last(static line => line.StartsWith('{')), s_json)!;
    }

    /// <summary>Has it answer for what is under way, and end now.</summary>
    /// <exception cref="PeerException">A command failed, wrong data came, or the connection ended.</exception>
    public Task<LightReport> StopAsync()
    {
        ProcessTree.Signal("TERM", _running.Id);
        return ReportAsync();
    }

    public void Dispose() => _running.Dispose();
}
