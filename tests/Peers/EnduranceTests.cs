using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;

namespace Scuse.Peers;

/// <summary>
/// What initiators see when handlers and engines are killed, stopped, replaced and starved, over and over, under a load that checks every byte. Here in short; the long form is
/// <c>tests/Endurance/run</c>, which sets SCUSE_ENDURANCE to how often. The figures are written to the test's output.
/// </summary>
public sealed class EnduranceTests : PeerTest
{
    static readonly Random s_random = new();

    static bool IsLong => LongForm.IsAsked;

    static int Times(int shortForm) => LongForm.Times(shortForm);

    [Fact]
    [Trait("scenario", "kills")]
    public async Task Kills_of_a_file_handler_cost_neither_of_two_sessions_an_error_or_a_write()
    {
        Needs.LibiscsiHeaders();
        ScuseServe serve = await ServeAsync($"file:{TemporaryFile("disk.img")}?size=64M");
        await serve.WaitForAttachmentAsync();
        using IscsiLoad first = await IscsiLoad.StartAsync(serve.Url, area: 0, "--no-reconnect");
        using IscsiLoad second = await IscsiLoad.StartAsync(serve.Url, area: 1, "--no-reconnect");

        int times = Times(5);
        List<double> untilNext = [];
        for (int kill = 1; kill <= times; kill++)
        {
            await Task.Delay(s_random.Next(20, 500));
            TimeSpan killed = serve.Now;
            ProcessTree.Signal("KILL", serve.HandlerPid());
            untilNext.Add(((await serve.WaitForAttachmentAsync(count: kill + 1, seconds: 30)).At - killed).TotalMilliseconds);
        }

        await Task.Delay(300);
        LoadReport[] reports = await Task.WhenAll(first.StopAsync(), second.StopAsync());
        Say($"{times} kills; {Count(serve, "are repeated")} times commands were repeated; the next handler attached after {untilNext.Average():0} ms on average and {untilNext.Max():0} ms at most");
        Say(reports);
        Assert.All(reports, static report => report.AssertUndisturbed());
        Assert.True(!IsLong || untilNext.Max() < 1000, $"the next handler attached after {untilNext.Max()} ms");
    }

    [Fact]
    [Trait("scenario", "replace")]
    public async Task Replacements_under_load_cost_no_command_and_repeat_none()
    {
        Needs.LibiscsiHeaders();
        string socket = TemporaryFile("attach.sock");
        ScuseServe serve = await ServeAsync($"file:{TemporaryFile("disk.img")}?size=32M", "--socket", socket);
        await serve.WaitForAttachmentAsync();
        using IscsiLoad load = await IscsiLoad.StartAsync(serve.Url, area: 0, "--no-reconnect");

        int times = Times(5);
        List<double> pauses = [];
        for (int i = 1; i <= times; i++)
        {
            int old = serve.HandlerPid();
            Outcome outcome = (await Peer.RunAsync(TimeSpan.FromSeconds(60), "dotnet", ScuseServe.Dll, "lun", "replace", "0", "--control", socket + ".control", "--json")).OrThrow();
            JsonNode result = JsonNode.Parse(outcome.Output)!;
            pauses.Add((double)result["pauseMs"]!);
            Assert.Equal(old, (int)result["oldPid"]!);
            Attached next = await serve.WaitForAttachmentAsync(count: i + 1);
            Assert.Equal((int)result["newPid"]!, next.Pid);
            await Task.Delay(s_random.Next(50, 300));
        }

        LoadReport report = await load.StopAsync();
        Say($"{times} replacements; commands waited {pauses.Average():0.0} ms on average and {pauses.Max():0.0} ms at most, as the engine saw it; the longest gap that the initiator saw: {report.MaxGapMs:0.0} ms");
        Say(report);
        report.AssertUndisturbed();
        Assert.DoesNotContain("are repeated", serve.Log);
        Assert.True(!IsLong || pauses.Max() < 50, $"a replacement took {pauses.Max()} ms");
    }

    [Fact]
    [Trait("scenario", "full")]
    public async Task A_full_file_system_fails_writes_that_need_room_and_nothing_else()
    {
        Needs.LibiscsiHeaders();
        string folder = TemporaryFile("small");
        Directory.CreateDirectory(folder);
        Outcome mounted = await Peer.RunAsync("mount", "-t", "tmpfs", "-o", "size=12M", "scuse-endurance", folder);
        Assert.SkipUnless(mounted.ExitCode == 0, "needs the right to mount a file system (root)");
        try
        {
            ScuseServe serve = await ServeAsync($"file:{folder}/disk.img?size=64M");
            int handler = (await serve.WaitForAttachmentAsync()).Pid;
            string state = TemporaryFile("state");
            LoadReport full;
            using (IscsiLoad load = await IscsiLoad.StartAsync(serve.Url, area: 0, "--no-reconnect", "--size", "32", "--save", state))
            {
                await Task.Delay(IsLong ? 10_000 : 2_000);
                full = await load.StopAsync();
            }

            (await Peer.RunAsync("mount", "-o", "remount,size=80M", folder)).OrThrow();
            LoadReport saved = await IscsiLoad.VerifyAsync(serve.Url, state);
            using IscsiLoad again = await IscsiLoad.StartAsync(serve.Url, area: 0, "--no-reconnect", "--size", "32");
            await Task.Delay(IsLong ? 5_000 : 1_000);
            LoadReport roomy = await again.StopAsync();

            Say($"full: {Text(full.ErrorKinds)} of {full.Ops:n0} commands; with room again: {roomy.Summary}");
            Assert.True(full.Errors > 0, $"the file system was not full\n{full.Text}");
            Assert.Equal(["07/27/07"], full.ErrorKinds.Keys);
            Assert.False(full.LostConnection);
            full.AssertWhole();
            saved.AssertWhole();
            roomy.AssertUndisturbed();
            Assert.Equal(handler, Assert.Single(serve.Attachments).Pid);
            Assert.Equal(0, await serve.StopAsync());
        }
        finally
        {
            await Peer.RunAsync("umount", "-l", folder);
        }
    }

    [Fact]
    [Trait("scenario", "reservations")]
    public async Task Reservations_that_are_to_survive_a_loss_of_power_survive_kills_of_the_engine_at_any_moment()
    {
        Needs.LibiscsiHeaders();
        string reserve = await Initiators.BuildAsync("reserve");
        string[] arguments = ["memory:4M", "--state", TemporaryFile("state")];
        ScuseServe serve = await ServeAsync(arguments);
        string[] again = [.. arguments, "--portal", serve.Portal];
        HashSet<string> mayBe = ["0 0"];
        int times = Times(4), changes = 0, undecided = 0;
        for (int kill = 1; kill <= times; kill++)
        {
            await serve.WaitForAttachmentAsync();
            using RunningPeer initiator = RunningPeer.Start(reserve, serve.Url);
            string until = kill % 2 == 0 ? "found" : "done"; // every other kill may come before the first change
            int often = kill % 2 == 0 ? 1 : 3;
            while (initiator.OutputSoFar.Split(until).Length <= often && !initiator.HasExited)
            {
                await Task.Delay(2);
            }

            await Task.Delay(s_random.Next(0, 150));
            serve.Signal("KILL");
            Outcome outcome = await initiator.WaitAsync(TimeSpan.FromSeconds(30));
            Assert.True(outcome.ExitCode == 0, outcome.Text);

            string[][] said = [.. outcome.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(static line => line != "gone").Select(static line => line.Split(' ', 2))];
            Assert.Contains(said[0][1], mayBe);
            changes += said.Count(static line => line[0] == "done");
            mayBe.Clear();
            foreach (string[] line in said)
            {
                if (line[0] != "asked")
                {
                    mayBe.Clear(); // what was asked for before has been granted
                }

                mayBe.Add(line[1]);
            }

            undecided += mayBe.Count - 1;
            await serve.WaitForExitAsync();
            serve = await ServeAsync(again);
        }

        Say($"{times} kills of the engine, {changes} changes of a reservation, {undecided} of the kills while one was under way");
        Assert.True(changes > times, "hardly anything was changed");
    }

    [Fact]
    [Trait("scenario", "sanitize")]
    public async Task A_sanitize_operation_goes_on_through_every_kind_of_reset()
    {
        Assert.SkipUnless(IsLong, "takes more than a minute: tests/Endurance/run sanitize");
        Needs.Libiscsi("iscsi-test-cu");
        const int size = 64 << 20, bytesPerSecond = 8 << 20;
        string disk = await CHandler.BuildAsync(TemporaryFile("slow"));
        ScuseServe serve = await ServeAsync($"exec:{disk} - - {size} 512 {bytesPerSecond}", "--nop-interval", "0"); // the tool is silent while it sleeps

        Outcome outcome = await Peer.RunAsync(
            TimeSpan.FromMinutes(4), "iscsi-test-cu", "--dataloss", "--allow-sanitize", "--fail", "--verbose", "--test", "SCSI.Sanitize.Reset", serve.Url);

        Assert.True(SuiteTest.Parse(outcome.Output) is [{ Outcome: TestOutcome.Passed }], outcome.Text);
    }

    [Theory]
    [Trait("scenario", "engine")]
    [InlineData(0)]
    [InlineData(20)]
    public async Task An_engine_that_is_killed_and_started_again_is_found_again_by_its_initiators_with_all_they_wrote(int keepHandlers)
    {
        Needs.LibiscsiHeaders();
        Needs.Qemu();
        string socket = TemporaryFile("attach.sock");
        string[] arguments = [$"file:{TemporaryFile("disk.img")}?size=16M", $"file:{TemporaryFile("qemu.img")}?size=16M", "--socket", socket, "--keep-handlers", $"{keepHandlers}"];
        ScuseServe serve = await ServeAsync(arguments);
        int handler = (await serve.WaitForAttachmentAsync()).Pid;
        string[] again = [.. arguments, "--portal", serve.Portal];
        using IscsiLoad load = await IscsiLoad.StartAsync(serve.Url);
        using RunningPeer qemu = RunningPeer.Start("qemu-img", "bench", "-w", "-c", "10000000", "-d", "8", "-s", "4096", "-t", "none", "-f", "raw", serve.Urls[1]);

        int times = Times(1);
        List<double> handlersKept = [];
        for (int i = 1; i <= times; i++)
        {
            await Task.Delay(s_random.Next(500, 1500));
            serve.Signal("KILL");
            await serve.WaitForExitAsync();
            serve = await ServeAsync(again);
            int next = (await serve.WaitForAttachmentAsync(seconds: 30)).Pid;
            Assert.Equal(keepHandlers > 0, next == handler);
            handler = next;
            await AnswersAsync(load);
            Assert.False(qemu.HasExited, qemu.OutputSoFar);
        }

        await Task.Delay(1000);
        Assert.False(qemu.HasExited, qemu.OutputSoFar);
        LoadReport report = await load.StopAsync();
        Say($"{times} kills of the engine, {(keepHandlers > 0 ? "handlers kept" : "handlers end with it")}: {report.Summary}");
        report.AssertWhole();
        Assert.True(report.Errors == 0, report.Text);
        Assert.True(report.Reconnects >= times, report.Text);
        Assert.True(report.MaxGapMs < 30_000, report.Text);

        async Task AnswersAsync(IscsiLoad beside)
        {
            // A read by somebody else, to know that the new engine serves; the load logs in again in its own time.
            await Qemu.IoMustSucceedAsync(serve.Url, "read 0 4k");
            await Task.Delay(2500);
            Assert.False(beside.HasExited, beside.OutputSoFar);
        }
    }

    [Fact]
    public async Task A_write_that_was_lost_or_undone_is_found()
    {
        Needs.LibiscsiHeaders();
        string disk = TemporaryFile("disk.img"), state = TemporaryFile("state"), socket = TemporaryFile("attach.sock");
        ScuseServe serve = await ServeAsync($"file:{disk}?size=16M", "--socket", socket);
        string earlier = TemporaryFile("earlier.img");
        using (IscsiLoad load = await IscsiLoad.StartAsync(serve.Url, area: 0, "--save", state))
        {
            // So many that each mebibyte has had some, and some more afterwards.
            const int Many = 5_000;
            await UntilCommandsAsync(socket, Many);
            (await Peer.RunAsync("cp", disk, earlier)).OrThrow();
            await UntilCommandsAsync(socket, Many + await CommandsAsync(socket));
            (await load.StopAsync()).AssertUndisturbed();
        }

        (await IscsiLoad.VerifyAsync(serve.Url, state)).AssertWhole();
        await CopyMebibyteAsync(earlier, 1, disk, 1);
        LoadReport undone = await IscsiLoad.VerifyAsync(serve.Url, state);
        Assert.InRange(undone.Lost, 1, 256);
        Assert.Contains("lost or undone", undone.Text);

        await CopyMebibyteAsync("/dev/zero", 0, disk, 1);
        Assert.InRange((await IscsiLoad.VerifyAsync(serve.Url, state)).Lost, undone.Lost, 256);
        await CopyMebibyteAsync(earlier, 3, disk, 1);
        Assert.InRange((await IscsiLoad.VerifyAsync(serve.Url, state)).Foreign, 1, 256); // as many as the load got to
    }

    static async Task UntilCommandsAsync(string socket, long count)
    {
        Stopwatch clock = Stopwatch.StartNew();
        while (await CommandsAsync(socket) < count)
        {
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(60), $"the load does not come to {count} commands");
        }
    }

    /// <summary>How many commands the only session has had.</summary>
    static async Task<long> CommandsAsync(string socket) =>
        (long)Assert.Single(JsonNode.Parse((await ScuseServe.RunAsync(TimeSpan.FromSeconds(30), "sessions", "--json", "--control", socket + ".control")).OrThrow().Output)!.AsArray())!["commands"]!;

    // Not by .NET's own files, which respect the handler's lock.
    static async Task CopyMebibyteAsync(string from, int number, string to, int toNumber) =>
        (await Peer.RunAsync("dd", $"if={from}", $"of={to}", "bs=1M", $"skip={number}", $"seek={toNumber}", "count=1", "conv=notrunc", "status=none")).OrThrow();

    // ---- what the scenarios share ----

    static int Count(ScuseServe serve, string text) => serve.LogLines.Count(line => line.Contains(text, StringComparison.Ordinal));

    static string Text(Dictionary<string, long> kinds) => string.Join(", ", kinds.Select(static kind => $"{kind.Key} x {kind.Value}"));

    static void Say(params LoadReport[] reports) => Array.ForEach(reports, static report => Say(report.Summary));

    static void Say(string text) => TestContext.Current.TestOutputHelper?.WriteLine(text);
}
