using System.Globalization;
using System.Runtime.CompilerServices;

namespace Scuse.Peers;

/// <summary>The endurance tests that measure how long initiators wait: for them the machine has nothing else to do. <c>tests/Endurance/run stop</c> is the long form.</summary>
[Collection(Alone.Name)]
public sealed class TimeLimitTests : PeerTest
{
    static bool IsLong => LongForm.IsAsked;

    [Fact]
    [Trait("scenario", "stop")]
    public async Task A_stopped_handler_s_commands_fail_at_their_time_limit_and_the_next_one_serves_within_two_more_seconds()
    {
        Needs.LibiscsiHeaders();
        ScuseServe serve = await ServeAsync($"file:{TemporaryFile("disk.img")}?size=32M&timeout=2", "memory:32M");
        await serve.WaitForAttachmentAsync(0);
        await serve.WaitForAttachmentAsync(1);
        LoadReport quiet = await BesideAsync(serve, async () =>
        {
            using IscsiLoad load = await IscsiLoad.StartAsync(serve.Url, area: 0, "--no-reconnect");
            await Task.Delay(IsLong ? 10_000 : 3_000);
            (await load.StopAsync()).AssertUndisturbed();
        });

        for (int i = 1; i <= LongForm.Times(1); i++)
        {
            LoadReport stopped = null!;
            LoadReport beside = await BesideAsync(serve, async () =>
            {
                using IscsiLoad load = await IscsiLoad.StartAsync(serve.Url, area: 0, "--no-reconnect");
                await Task.Delay(500);
                int old = serve.HandlerPid();
                int attachments = serve.Attachments.Count(static attached => attached.Lun == 0);
                ProcessTree.Signal("STOP", old);
                await serve.WaitForAttachmentAsync(0, attachments + 1, seconds: 30);
                ProcessTree.Signal("CONT", old);
                await Task.Delay(IsLong ? 2_000 : 700);
                stopped = await load.StopAsync();
                Assert.False(ProcessTree.IsAlive(old), "the handler that was given up still runs");
            });

            Say($"stopped: errors {Text(stopped.ErrorKinds)} after {stopped.ErrorMinMs:0} to {stopped.ErrorMaxMs:0} ms; served again after {stopped.MaxGapMs:0} ms");
            Say($"the other LUN: p99 {beside.P99Us / 1000:0.00} ms, longest gap {beside.MaxGapMs:0.0} ms; without: p99 {quiet.P99Us / 1000:0.00} ms, {quiet.MaxGapMs:0.0} ms");
            AssertFailedInTime(stopped);
            stopped.AssertWhole();
            beside.AssertUndisturbed();
            AssertAsQuietAs(beside, quiet);
        }
    }

    [Fact]
    [Trait("scenario", "stop")]
    public async Task A_handler_that_was_given_up_and_cannot_be_killed_changes_nothing_when_it_goes_on()
    {
        Needs.LibiscsiHeaders();
        string socket = TemporaryFile("attach.sock");
        string program = await BuildStubbornAsync();
        ScuseServe serve = await ServeAsync("attach:c?timeout=2", "--socket", socket);
        using RunningPeer first = StartStubborn(program, socket, "first");
        await serve.WaitForAttachmentAsync();
        int old = await PidAsync("first");
        LoadReport stopped;
        using (IscsiLoad load = await IscsiLoad.StartAsync(serve.Url, area: 0, "--no-reconnect", "--writes", "100"))
        {
            await Task.Delay(300);
            ProcessTree.Signal("STOP", old);
            using RunningPeer next = StartStubbornUntilItStays(program, socket);
            await serve.WaitForAttachmentAsync(count: 2, seconds: 30);
            await Task.Delay(300);
            stopped = await load.StopAsync();
            AssertFailedInTime(stopped);

            // The disk of the next one is another: what counts is written from now on.
            using IscsiLoad again = await IscsiLoad.StartAsync(serve.Url, area: 0, "--no-reconnect");
            await Task.Delay(300);
            Assert.True(ProcessTree.IsAlive(old), "the stubborn one was killed after all");
            ProcessTree.Signal("CONT", old);
            await Task.Delay(IsLong ? 5_000 : 1_000);
            LoadReport report = await again.StopAsync();
            Say($"stopped: errors {Text(stopped.ErrorKinds)} after {stopped.ErrorMinMs:0} to {stopped.ErrorMaxMs:0} ms; afterwards, with the old one going on: {report.Summary}");
            report.AssertUndisturbed();
            Assert.Equal(2, serve.Attachments.Count);
            Assert.DoesNotContain("broke the ring's rules", serve.Log);
        }

        ProcessTree.Signal("KILL", old);
    }

    /// <summary>Runs a load on LUN 1 while something happens.</summary>
    static async Task<LoadReport> BesideAsync(ScuseServe serve, Func<Task> happens)
    {
        using IscsiLoad beside = await IscsiLoad.StartAsync(serve.Urls[1], area: 0, "--no-reconnect");
        await happens();
        return await beside.StopAsync();
    }

    static void AssertFailedInTime(LoadReport stopped)
    {
        double slack = IsLong ? 0 : 10_000; // others may be at work beside us, and a command has 30 s otherwise
        Assert.False(stopped.LostConnection, stopped.Text);
        Assert.True(stopped.Errors > 0, $"no command failed\n{stopped.Text}");
        Assert.Equal(["02/08/00"], stopped.ErrorKinds.Keys);
        Assert.True(stopped.ErrorMinMs >= 1_500 && stopped.ErrorMaxMs <= 2_500 + slack, $"not at the time limit of 2 s\n{stopped.Text}");
        Assert.True(stopped.MaxGapMs <= 4_000 + (2 * slack), $"not served again in time\n{stopped.Text}");
    }

    static void AssertAsQuietAs(LoadReport beside, LoadReport quiet)
    {
        double noiseUs = IsLong ? 5_000 : 50_000;
        Assert.True(beside.P99Us <= (2 * quiet.P99Us) + noiseUs, $"the other LUN noticed: p99 was {quiet.P99Us} us\n{beside.Text}");
        Assert.True(beside.MaxGapMs <= (2 * quiet.MaxGapMs) + (IsLong ? 100 : 1_000), $"the other LUN stood still: {quiet.MaxGapMs} ms before\n{beside.Text}");
    }

    static async Task<string> BuildStubbornAsync([CallerFilePath] string thisFile = "")
    {
        string source = Path.Combine(Path.GetDirectoryName(thisFile)!, "../Endurance/stubborn.c");
        Assert.SkipUnless(File.Exists(source), "needs the sources (tests/Endurance)");
        string program = Path.Combine(AppContext.BaseDirectory, "stubborn");
        (await Peer.RunAsync("gcc", "-std=gnu99", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source)).OrThrow();
        return program;
    }

    RunningPeer StartStubborn(string program, string socket, string name) =>
        RunningPeer.Start(program, [socket, "c", $"{32 << 20}"], new Dictionary<string, string> { ["STUBBORN_PID"] = TemporaryFile(name) }, workingDirectory: null);

    /// <summary>As an operator's unit file would: until the one before is given up, the next one is refused and ends.</summary>
    static RunningPeer StartStubbornUntilItStays(string program, string socket) =>
        RunningPeer.Start("/bin/sh", "-c", $"until {program} {socket} c {32 << 20} 2>/dev/null; do sleep 0.1; done");

    async Task<int> PidAsync(string name)
    {
        for (int attempt = 0; attempt < 500; attempt++)
        {
            if (File.Exists(TemporaryFile(name)) && int.TryParse(await File.ReadAllTextAsync(TemporaryFile(name)), CultureInfo.InvariantCulture, out int pid))
            {
                return pid;
            }

            await Task.Delay(10);
        }

        throw new PeerException($"{name} has not told its process number");
    }

    static string Text(Dictionary<string, long> kinds) => string.Join(", ", kinds.Select(static kind => $"{kind.Key} x {kind.Value}"));

    static void Say(string text) => TestContext.Current.TestOutputHelper?.WriteLine(text);
}
