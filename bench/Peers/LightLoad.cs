using System.Text.Json;
using System.Text.Json.Serialization;
using Scuse.Peers;

namespace Scuse.Bench.Peers;

/// <summary>The initiator that does hardly anything: tests/initiators/light.c.</summary>
static class LightLoad
{
    static readonly TimeSpan Deadline = TimeSpan.FromMinutes(2);
    static readonly Lazy<Task<string>> s_program = new(static () => Initiators.BuildAsync("light"));

    /// <summary>Puts its load on a disk, as <paramref name="options"/> say; tells what it measured.</summary>
    /// <exception cref="PeerException">It failed, or data did not come back as it was written.</exception>
    public static async Task<LightReport> RunAsync(string url, params string[] options)
    {
        var address = new Uri(url); // iscsi://ADDRESS:PORT/TARGET/LUN
        string[] place = [address.Host, $"{address.Port}", address.Segments[1].TrimEnd('/'), address.Segments[2]];
        Outcome outcome = (await Peer.RunAsync(Deadline, await s_program.Value, [.. place, .. options])).OrThrow();
        return JsonSerializer.Deserialize(outcome.Output, LightJson.Default.LightReport)!;
    }
}

/// <summary>What the light initiator has measured.</summary>
/// <param name="Operations">How many commands were answered.</param>
/// <param name="Seconds">In how long.</param>
/// <param name="P50Us">Half of them were answered within so many microseconds.</param>
/// <param name="P99Us">99 of 100.</param>
/// <param name="P999Us">999 of 1000.</param>
/// <param name="SlowestSession">How many commands the session with the fewest had.</param>
/// <param name="MeanSession">How many a session had on average.</param>
sealed record LightReport(long Operations, double Seconds, double P50Us, double P99Us, double P999Us, long SlowestSession, double MeanSession);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(LightReport))]
sealed partial class LightJson : JsonSerializerContext;
