using System.Globalization;

namespace Scuse.Peers;

/// <summary>
/// Initiators that mean harm, and a session beside them that reads and looks at every byte. In short here; <c>tests/Endurance/run hostile</c> measures how much slower it gets, in turns with
/// and without.
/// </summary>
[Collection(Alone.Name)]
public sealed class HostileInitiatorTests : PeerTest
{
    const int HalfOpen = 10_000;
    const int MaxInLogin = 512; // IscsiOptions.MaxConnectionsInLogin
    const int MostKilobytes = 300 << 10;
    const int MostP99Us = 500_000; // on a machine that has many other things to do as well

    // A session that reads until it is told to stop has so long.
    const int EndSeconds = 120;

    static readonly string[] s_reads = ["--depth", "1", "--block", "4096", "--verify", "yes"];

    Task<ScuseServe> StartAsync(params string[] arguments) => ServeAsync(["memory:32M", "memory:16M", .. arguments]);

    /// <summary>What stands in a report's way, as one line in the test's output.</summary>
    static void Say(string text) => TestContext.Current.TestOutputHelper?.WriteLine(text);

    /// <summary>
    /// A session that was there before reads through all of it, another one logs in in the midst of it and is measured. Both are on another disk than the hostile ones: what a disk's
    /// own initiators leave of it for each other is not asked here.
    /// </summary>
    static async Task<HostileReport> AttackAsync(ScuseServe serve, string kind, params string[] options)
    {
        Needs.Program("gcc", "gcc and libc6-dev");
        int seconds = LongForm.IsAsked ? 5 : 1;
        using LightInitiator before = await LightInitiator.StartAsync(serve.Urls[1], EndSeconds, [.. s_reads, "--rate", "500"]);
        HostileReport report;
        using (HostileInitiator hostile = await HostileInitiator.StartAsync(serve, kind, options))
        {
            LightReport beside = await LightInitiator.RunAsync(serve.Urls[1], seconds, s_reads);
            int kilobytes = ProcessTree.ResidentKilobytes(serve.Pid);
            report = await hostile.StopAsync();
            Say($"{kind} {string.Join(' ', options)}: {beside.Operations:n0} reads, p50 {beside.P50Us} us, p99 {beside.P99Us} us; engine {kilobytes} KiB; {report}");
            Assert.InRange(kilobytes, 1, MostKilobytes);
            Assert.True(beside.Operations > seconds && beside.P99Us < MostP99Us, $"{beside}");
        }

        LightReport through = await before.StopAsync();
        Assert.True(through.Operations > seconds, $"{through}");
        Assert.DoesNotContain(" error ", serve.Log);
        Assert.DoesNotContain(" critical ", serve.Log);
        return report;
    }

    // ---- before login ----

    [Fact]
    public async Task Ten_thousand_connections_that_say_nothing_keep_nobody_out()
    {
        ScuseServe serve = await StartAsync();

        HostileReport report = await AttackAsync(serve, "idle", "--connections", $"{HalfOpen}", "--again", "no");

        Assert.Equal(HalfOpen, report.Opened);
        Assert.InRange(report.Open, 1, MaxInLogin);
    }

    [Fact]
    public async Task Connections_that_come_again_as_often_as_they_are_closed_keep_nobody_out()
    {
        ScuseServe serve = await StartAsync();

        HostileReport report = await AttackAsync(serve, "idle", "--connections", "2000");

        Assert.True(report.Opened > 4000, $"{report}");
        Assert.InRange(serve.LogLines.Count, 1, 2000); // of many thousands
    }

    [Fact]
    public async Task Logins_that_come_byte_by_byte_run_into_their_time_limit()
    {
        ScuseServe serve = await StartAsync("--limit", "login-seconds=1");

        HostileReport report = await AttackAsync(serve, "drip", "--connections", "300", "--every", "50");

        Assert.True(report.Closed > 200, $"{report}");
        await serve.MustLogAsync("login was not over within 1000 ms");
    }

    [Fact]
    public async Task Lengths_of_gigabytes_are_refused_wherever_they_stand()
    {
        ScuseServe serve = await StartAsync();

        HostileReport report = await AttackAsync(serve, "segment", "--connections", "4");

        Assert.True(report is { Closed: > 30, Logins: > 10 }, $"{report}");
        await serve.MustLogAsync("announces a data segment of 16777215 bytes; 8192 are allowed");
        await serve.MustLogAsync("announces a data segment of 16777215 bytes; 262144 are allowed");
    }

    [Fact]
    public async Task Additional_headers_that_lie_cost_their_own_connection()
    {
        ScuseServe serve = await StartAsync("--limit", "login-seconds=1");

        HostileReport report = await AttackAsync(serve, "ahs", "--connections", "8");

        Assert.True(report is { Closed: > 10, Logins: > 5 }, $"{report}");
    }

    [Fact]
    public async Task A_login_loop_disturbs_nobody()
    {
        ScuseServe serve = await StartAsync();

        HostileReport report = await AttackAsync(serve, "login", "--connections", "4");

        Assert.True(report.Logins > 50, $"{report}");
    }

    [Fact]
    public async Task Logins_that_fail_over_and_over_are_slowed_down_and_disturb_nobody()
    {
        Needs.LibiscsiHeaders();
        string file = TemporaryFile("chap.json");
        await File.WriteAllTextAsync(file, """{ "users": [{ "name": "alice", "secret": "correct-horse-battery" }] }""", TestContext.Current.CancellationToken);
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        ScuseServe serve = await ServeAsync("memory:32M", "--chap-file", file);
        using IscsiLoad good = await IscsiLoad.StartAsync(serve.Url.Replace("iscsi://", "iscsi://alice%correct-horse-battery@", StringComparison.Ordinal), area: 0, "--no-reconnect");

        using HostileInitiator hostile = await HostileInitiator.StartAsync(serve, "chap", "--connections", "4");
        await Task.Delay(3000, TestContext.Current.CancellationToken);
        HostileReport report = await hostile.StopAsync();
        LoadReport load = await good.StopAsync();

        Say($"{load.Summary}; {report}");
        load.AssertUndisturbed();
        Assert.InRange(load.P99Us, 0, MostP99Us);
        Assert.Equal(0, report.Logins);
        Assert.InRange(report.Refused, 1, 20); // half a second's wait after the first, then ever more: four connections guess no faster than one
    }

    // ---- after login ----

    [Fact]
    public async Task Initiators_that_never_receive_are_closed_and_what_they_tied_up_is_there_again()
    {
        ScuseServe serve = await StartAsync("--limit", "output-seconds=1", "--socket", TemporaryFile("attach.sock"));

        HostileReport report = await AttackAsync(serve, "deaf", "--connections", "8");

        Assert.True(report is { Closed: > 0, Logins: >= 8 }, $"{report}");
        await serve.MustLogAsync("of its output within 1000 ms, and more is waiting");
        Outcome status = (await ScuseServe.RunAsync(TimeSpan.FromSeconds(30), "status", "--json", "--control", TemporaryFile("attach.sock.control"))).OrThrow();
        Assert.Equal(0, (long)System.Text.Json.Nodes.JsonNode.Parse(status.Output)!["dataAreaBytesInUse"]!);
    }

    [Theory]
    [InlineData("dataout")]
    [InlineData("nop")]
    [InlineData("text")]
    public async Task A_flood_of_requests_by_who_is_logged_in_disturbs_nobody(string kind)
    {
        ScuseServe serve = await StartAsync();

        HostileReport report = await AttackAsync(serve, kind, "--connections", "2");

        Assert.True(report is { Logins: 2, Closed: 0, SentBytes: > 1_000_000 }, $"{report}");
    }

    // ---- without descriptors, without a reader of the log ----

    [Fact]
    public async Task Without_descriptors_the_engine_serves_on_neither_spins_nor_ends_and_takes_connections_again()
    {
        Needs.Program("prlimit", "util-linux");
        ScuseServe serve = await StartAsync();
        using LightInitiator good = await LightInitiator.StartAsync(serve.Url, EndSeconds, [.. s_reads, "--rate", "100"]);
        int open = Directory.GetFiles($"/proc/{serve.Pid}/fd").Length;
        (await Peer.RunAsync("prlimit", "--pid", $"{serve.Pid}", $"--nofile={open + 20}:{open + 20}")).OrThrow();

        using (HostileInitiator hostile = await HostileInitiator.StartAsync(serve, "idle", "--connections", "200", "--again", "no"))
        {
            double before = ProcessTree.Read(serve.Pid)!.Value.CpuTicks;
            await Task.Delay(2000, TestContext.Current.CancellationToken);
            double ticks = ProcessTree.Read(serve.Pid)!.Value.CpuTicks - before;
            Say($"{ticks} ticks of 10 ms in 2 s");
            Assert.InRange(ticks, 0, 100); // a busy loop has 200
            Assert.Equal(1, serve.LogLines.Count(static line => line.Contains("a connection could not be accepted", StringComparison.Ordinal)));
            await hostile.StopAsync();
        }

        LightReport after = await LightInitiator.RunAsync(serve.Urls[1], 1, s_reads);
        LightReport report = await good.StopAsync();
        Assert.True(after.Operations > 10 && report.Operations > 100, $"{after} {report}");
    }

    [Fact]
    public async Task With_few_descriptors_there_are_fewer_connections_and_the_engine_says_so()
    {
        Needs.Program("prlimit", "util-linux");
        Outcome outcome = await Peer.RunAsync("prlimit", "--nofile=400:400", "timeout", "-s", "TERM", "5", "dotnet", ScuseServe.Dll, "serve", "memory:16M", "--portal", "127.0.0.1:0", "--socket", TemporaryFile("few.sock"));

        Assert.Contains("with 400 descriptors there is room for 196 connections, not for 2048", outcome.Error);
        Assert.Contains("iscsi://", outcome.Output);
    }

    [Fact]
    public async Task A_log_that_nobody_reads_holds_nobody_up()
    {
        Needs.Program("gcc", "gcc and libc6-dev");
        string pipe = TemporaryFile("log");
        string[] command = ["dotnet", ScuseServe.Dll, "serve", "memory:16M", "--portal", "127.0.0.1:0", "--socket", TemporaryFile("attach.sock")];

        // The pipe's other end is open, and it is full but for a few lines.
        using var engine = RunningPeer.Start("/bin/sh", "-c", $"mkfifo {pipe} && exec 3<>{pipe} && head -c 65000 /dev/zero >&3 && exec {string.Join(' ', command)} 2>&3");
        while (!engine.OutputSoFar.Contains('\n', StringComparison.Ordinal) && !engine.HasExited)
        {
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        string url = engine.OutputSoFar.Trim();
        using HostileInitiator hostile = await HostileInitiator.StartAsync(new Uri(url), "login", "--connections", "4");
        LightReport report = await LightInitiator.RunAsync(url, 2, s_reads);
        Assert.True((await hostile.StopAsync()).Logins > 50);
        Assert.True(report.Operations > 10, $"{report}");
        ProcessTree.Signal("TERM", engine.Id);
        Assert.Equal(0, (await engine.WaitAsync(TimeSpan.FromSeconds(20))).ExitCode);
    }

    // ---- how much slower it gets ----

    [Fact]
    [Trait("scenario", "hostile")]
    public async Task How_much_slower_a_session_gets_beside_each_kind()
    {
        Assert.SkipUnless(LongForm.IsAsked, "takes minutes: tests/Endurance/run hostile");
        Needs.Program("gcc", "gcc and libc6-dev");
        (string Kind, string[] Options)[] kinds =
        [
            ("idle", ["--connections", $"{HalfOpen}", "--again", "no"]),
            ("idle", ["--connections", "2000"]),
            ("drip", ["--connections", "500", "--every", "20"]),
            ("segment", ["--connections", "4"]),
            ("ahs", ["--connections", "64"]),
            ("login", ["--connections", "1"]),
            ("login", ["--connections", "16"]),
            ("deaf", ["--connections", "16"]),
            ("dataout", ["--connections", "2"]),
            ("nop", ["--connections", "2"]),
            ("text", ["--connections", "2"]),
        ];
        foreach ((string kind, string[] options) in kinds)
        {
            ScuseServe serve = await StartAsync();
            List<double> alone = [], beside = [];
            LightReport last = null!;
            HostileReport report = null!;
            for (int i = 0; i < LongForm.Times(1); i++)
            {
                alone.Add((await LightInitiator.RunAsync(serve.Urls[1], 5, s_reads)).P99Us);
                using HostileInitiator hostile = await HostileInitiator.StartAsync(serve, kind, options);
                last = await LightInitiator.RunAsync(serve.Urls[1], 5, s_reads);
                beside.Add(last.P99Us);
                report = await hostile.StopAsync();
            }

            Say(string.Create(CultureInfo.InvariantCulture,
                $"{kind,-8} {string.Join(' ', options),-40} p99 alone {Median(alone)} us, beside {Median(beside)} us: {Median(beside) / Median(alone):0.00} times; engine {ProcessTree.ResidentKilobytes(serve.Pid)} KiB; {report}"));
            Assert.True(last.P99Us < MostP99Us, $"{kind}: {last}");
            await serve.StopAsync();
        }
    }

    static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
