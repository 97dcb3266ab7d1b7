using System.Diagnostics;
using System.Net.Sockets;
using System.Text.Json.Nodes;

namespace Scuse.Peers;

/// <summary>A thousand sessions in one engine, each of which reads and looks at every byte. At length with <c>tests/Endurance/run sessions</c>.</summary>
[Collection(Alone.Name)]
public sealed class ManySessionsTests : PeerTest
{
    const int Sessions = 1000;
    const int MostKilobytesASession = 100;

    [Fact]
    [Trait("scenario", "sessions")]
    public async Task A_thousand_sessions_work_at_once_cost_little_and_are_listed_in_a_moment()
    {
        Needs.Program("gcc", "gcc and libc6-dev");
        string socket = TemporaryFile("attach.sock");
        ScuseServe serve = await ServeAsync("memory:32M", "--socket", socket);
        using HttpClient control = ControlOf(socket + ".control");
        string depth = LongForm.IsAsked ? "4" : "1";
        await LightInitiator.RunAsync(serve.Url, 1, "--verify", "yes", "--depth", depth); // what the first session costs is not the price of another one
        Assert.Empty(JsonNode.Parse(await control.GetStringAsync("/sessions", TestContext.Current.CancellationToken))!.AsArray());
        int without = ProcessTree.ResidentKilobytes(serve.Pid);

        var clock = Stopwatch.StartNew();
        using LightInitiator light = await LightInitiator.StartAsync(serve.Url, LongForm.IsAsked ? 60 : 4, "--verify", "yes", "--sessions", $"{Sessions}", "--depth", depth);
        double loginSeconds = clock.Elapsed.TotalSeconds;
        await Task.Delay(LongForm.IsAsked ? 30_000 : 1_000, TestContext.Current.CancellationToken);
        int with = ProcessTree.ResidentKilobytes(serve.Pid);
        clock.Restart();
        JsonArray listed = JsonNode.Parse(await control.GetStringAsync("/sessions", TestContext.Current.CancellationToken))!.AsArray();
        double listMs = clock.Elapsed.TotalMilliseconds;
        Outcome table = (await ScuseServe.RunAsync(TimeSpan.FromSeconds(30), "sessions", "--control", socket + ".control")).OrThrow();
        LightReport report = await light.ReportAsync();
        double each = (with - without) / (double)Sessions;
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{Sessions} sessions logged in after {loginSeconds:0.0} s; {report.Operations / report.Seconds:n0} reads/s, the slowest session {report.SlowestSession} of {report.MeanSession:0} on average; "
            + $"{without} KiB before, {with} KiB with them: {each:0.0} KiB each; listed in {listMs:0} ms, as a table by a command of its own in {table.Elapsed.TotalMilliseconds:0} ms");

        Assert.Equal(Sessions, listed.Count);
        Assert.All(listed, static session => Assert.True((long)session!["commands"]! > 2));
        Assert.Equal(Sessions + 1, table.Output.TrimEnd().Split('\n').Length);
        Assert.InRange(report.SlowestSession, 1, long.MaxValue);
        Assert.InRange(each, 0, MostKilobytesASession);
        Assert.InRange(listMs, 0, 1000);
        Assert.InRange(table.Elapsed.TotalMilliseconds, 0, LongForm.IsAsked ? 1000 : 5000); // a whole process, which others may slow down
    }

    /// <summary>Speaks HTTP over a Unix socket.</summary>
    static HttpClient ControlOf(string path) => new(new SocketsHttpHandler
    {
        ConnectCallback = async (_, cancellation) =>
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        },
    })
    {
        BaseAddress = new Uri("http://engine"),
    };
}
