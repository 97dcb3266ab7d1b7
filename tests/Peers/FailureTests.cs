using System.Net.NetworkInformation;

namespace Scuse.Peers;

/// <summary>What initiators see when handlers and engines die.</summary>
public sealed class FailureTests : PeerTest
{
    static readonly TimeSpan BenchDeadline = TimeSpan.FromMinutes(4);

    [Theory]
    [InlineData("memory:256M")]
    [InlineData("memory:256M?level=all")]
    public async Task A_handler_killed_under_load_is_replaced_before_the_load_notices_and_the_session_stays(string spec)
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync(spec);
        await serve.WaitForAttachmentAsync();
        using RunningPeer load = RunningPeer.Start("qemu-img", "bench", "-w", "-c", "150000", "-d", "32", "-s", "4096", "-t", "none", "-f", "raw", serve.Url);
        int[] sessions = await ClientPortsAsync(serve.Port);

        TimeSpan killed = serve.Now;
        ProcessTree.Signal("KILL", serve.HandlerPid());
        Attached next = await serve.WaitForAttachmentAsync(count: 2, seconds: 30);

        Assert.False(load.HasExited, "the load ended before the handler was killed; make it longer");
        Assert.Equal(sessions, await ClientPortsAsync(serve.Port));
        Outcome outcome = (await load.WaitAsync(BenchDeadline)).OrThrow();
        Assert.Contains("Run completed", outcome.Output);
        TestContext.Current.TestOutputHelper?.WriteLine($"the next handler attached after {(next.At - killed).TotalSeconds:0.00} s"); // tests/Endurance/run kills wants less than a second
    }

    [Theory]
    [InlineData("io")]
    [InlineData("all")]
    public async Task Every_acknowledged_write_to_a_file_survives_the_death_of_its_handlers(string level)
    {
        Needs.Qemu();
        string spec = $"file:{TemporaryFile("disk.img")}?size=16M&level={level}";
        ScuseServe serve = await ServeAsync(spec);
        await serve.WaitForAttachmentAsync();
        AcknowledgedWrites[] writers = Writers(serve.Url);
        using CancellationTokenSource stop = new();
        Task<string?>[] writing = [.. writers.Select(writer => writer.RunAsync(stop.Token))];

        for (int death = 1; death <= 3; death++)
        {
            await AcknowledgedWrites.GoOnAsync(writers);
            ProcessTree.Signal("KILL", serve.HandlerPid());
            await serve.WaitForAttachmentAsync(count: death + 1, seconds: 30);
        }

        await AcknowledgedWrites.GoOnAsync(writers);
        await stop.CancelAsync();

        Assert.All(await Task.WhenAll(writing), Assert.Null);
        await VerifyAsync(writers, serve.Url);
    }

    [Fact]
    public async Task Every_acknowledged_write_to_a_file_survives_the_death_of_the_engine()
    {
        Needs.Qemu();
        string spec = $"file:{TemporaryFile("disk.img")}?size=16M";
        ScuseServe first = await ServeAsync(spec);
        AcknowledgedWrites[] writers = Writers(first.Url);
        using CancellationTokenSource stop = new();
        Task<string?>[] writing = [.. writers.Select(writer => writer.RunAsync(stop.Token))];

        await AcknowledgedWrites.GoOnAsync(writers);
        first.Signal("KILL");
        await first.WaitForExitAsync();
        await stop.CancelAsync();
        await Task.WhenAll(writing);

        ScuseServe second = await ServeAsync(spec);
        await VerifyAsync(writers, second.Url);
    }

    [Fact]
    public async Task A_handler_s_death_shows_on_its_own_LUN_only()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync("memory:16M", "attach:nobody");
        await serve.WaitForAttachmentAsync();
        using RunningPeer waiting = RunningPeer.Start("qemu-io", "-f", "raw", "-c", "read 0 4k", serve.Urls[1]);

        await Qemu.IoMustSucceedAsync(serve.Urls[0], "write -P 1 0 16M", "read -P 1 0 16M");

        Assert.False(waiting.HasExited, waiting.OutputSoFar);
    }

    [Fact]
    public async Task When_the_engine_is_killed_its_handlers_end_by_themselves()
    {
        ScuseServe serve = await ServeAsync("memory:16M", $"file:{TemporaryFile("disk.img")}?size=16M");
        int[] handlers = [(await serve.WaitForAttachmentAsync(0)).Pid, (await serve.WaitForAttachmentAsync(1)).Pid];
        Assert.All(handlers, pid => Assert.True(ProcessTree.IsAlive(pid)));

        serve.Signal("KILL");

        bool[] ended = await Task.WhenAll(handlers.Select(pid => ProcessTree.WaitForEndAsync(pid, TimeSpan.FromSeconds(20))));
        Assert.DoesNotContain(false, ended);
    }

    [Theory]
    [InlineData("TERM")]
    [InlineData("INT")]
    public async Task A_stopped_engine_exits_with_0_and_leaves_no_process_and_no_socket(string signal)
    {
        string socket = TemporaryFile("attach.sock");
        ScuseServe serve = await ServeAsync("memory:16M", "memory:16M", "--socket", socket);
        int[] handlers = [(await serve.WaitForAttachmentAsync(0)).Pid, (await serve.WaitForAttachmentAsync(1)).Pid];
        Assert.True(File.Exists(socket), "the attach socket is not where --socket says");
        Assert.NotEmpty(ProcessTree.Descendants(serve.Pid));

        int exitCode = await serve.StopAsync(signal);

        Assert.Equal(0, exitCode);
        Assert.False(File.Exists(socket), "the attach socket is still there");
        Assert.All(handlers, pid => Assert.False(ProcessTree.IsAlive(pid), $"handler {pid} still runs"));
        Assert.Empty(ProcessTree.Descendants(serve.Pid));
    }

    [Fact]
    public async Task An_engine_that_is_stopped_under_load_still_ends_in_time_with_0()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync("memory:64M");
        using RunningPeer load = RunningPeer.Start("qemu-img", "bench", "-w", "-c", "10000000", "-d", "32", "-s", "4096", "-t", "none", "-f", "raw", serve.Url);
        await ClientPortsAsync(serve.Port);

        Assert.Equal(0, await serve.StopAsync());
    }

    [Fact]
    public async Task An_engine_that_is_stopped_while_a_command_waits_for_a_handler_ends_with_0()
    {
        Needs.Qemu();
        ScuseServe serve = await ServeAsync("attach:nobody");
        using RunningPeer waiting = RunningPeer.Start("qemu-io", "-f", "raw", "-c", "read 0 4k", serve.Url);
        await ClientPortsAsync(serve.Port);

        Assert.Equal(0, await serve.StopAsync());
    }

    static AcknowledgedWrites[] Writers(string url) =>
        [.. Enumerable.Range(0, 4).Select(i => new AcknowledgedWrites(url, i * AcknowledgedWrites.AreaBytes, random: i))];

    static Task VerifyAsync(AcknowledgedWrites[] writers, string url) => Task.WhenAll(writers.Select(writer => writer.VerifyAsync(url)));

    /// <summary>The initiators' ends of the connections to a portal, once there is one: a reconnect would show as another port.</summary>
    static async Task<int[]> ClientPortsAsync(int portal)
    {
        for (int attempt = 0; attempt < 200; attempt++)
        {
            int[] ports = [.. IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpConnections()
                .Where(connection => connection.RemoteEndPoint.Port == portal && connection.State == TcpState.Established)
                .Select(connection => connection.LocalEndPoint.Port)
                .Order()];
            if (ports.Length > 0)
            {
                await Task.Delay(200);
                return ports;
            }

            await Task.Delay(20);
        }

        throw new PeerException($"No initiator connected to port {portal}.");
    }
}
