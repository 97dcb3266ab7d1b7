using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;

namespace Scuse.Peers;

/// <summary>
/// What initiators see when handlers and engines are killed, stopped, replaced and starved, over and over, under a load that checks every byte. Here in short; the long form is
/// <c>tests/Endurance/run</c>, which sets SCUSE_ENDURANCE to how often. The figures are written to the test's output.
/// </summary>
[Collection(Alone.Name)]
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
        for (int kill = 1; kill <= times; kill++)
        {
            await Task.Delay(s_random.Next(20, 500));
            ProcessTree.Signal("KILL", serve.HandlerPid());
            await serve.WaitForAttachmentAsync(count: kill + 1, seconds: 20);
        }

        await Task.Delay(300);
        LoadReport[] reports = await Task.WhenAll(first.StopAsync(), second.StopAsync());
        Say($"{times} kills; {Count(serve, "are repeated")} times commands were repeated");
        Say(reports);
        Assert.All(reports, static report => report.AssertUndisturbed());
    }

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

        for (int i = 1; i <= Times(1); i++)
        {
            LoadReport stopped = null!;
            LoadReport beside = await BesideAsync(serve, async () =>
            {
                using IscsiLoad load = await IscsiLoad.StartAsync(serve.Url, area: 0, "--no-reconnect");
                await Task.Delay(500);
                int old = serve.HandlerPid();
                int attachments = serve.Attachments.Count(static attached => attached.Lun == 0);
                ProcessTree.Signal("STOP", old);
                await serve.WaitForAttachmentAsync(0, attachments + 1, seconds: 10);
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
            await serve.WaitForAttachmentAsync(count: 2, seconds: 15);
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
            while (!initiator.OutputSoFar.Contains("found", StringComparison.Ordinal) && !initiator.HasExited)
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
            int next = (await serve.WaitForAttachmentAsync(seconds: 20)).Pid;
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
        string disk = TemporaryFile("disk.img"), state = TemporaryFile("state");
        ScuseServe serve = await ServeAsync($"file:{disk}?size=16M");
        string earlier = TemporaryFile("earlier.img");
        using (IscsiLoad load = await IscsiLoad.StartAsync(serve.Url, area: 0, "--save", state))
        {
            await Task.Delay(500);
            (await Peer.RunAsync("cp", disk, earlier)).OrThrow();
            await Task.Delay(500);
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

    // Not by .NET's own files, which respect the handler's lock.
    static async Task CopyMebibyteAsync(string from, int number, string to, int toNumber) =>
        (await Peer.RunAsync("dd", $"if={from}", $"of={to}", "bs=1M", $"skip={number}", $"seek={toNumber}", "count=1", "conv=notrunc", "status=none")).OrThrow();

    // ---- what the scenarios share ----

    /// <summary>Runs a load on LUN 1 while something happens.</summary>
    static async Task<LoadReport> BesideAsync(ScuseServe serve, Func<Task> happens)
    {
        using IscsiLoad beside = await IscsiLoad.StartAsync(serve.Urls[1], area: 0, "--no-reconnect");
        await happens();
        return await beside.StopAsync();
    }

    static void AssertFailedInTime(LoadReport stopped)
    {
        double slack = IsLong ? 0 : 1_500;
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

    static int Count(ScuseServe serve, string text) => serve.LogLines.Count(line => line.Contains(text, StringComparison.Ordinal));

    static string Text(Dictionary<string, long> kinds) => string.Join(", ", kinds.Select(static kind => $"{kind.Key} x {kind.Value}"));

    static void Say(params LoadReport[] reports) => Array.ForEach(reports, static report => Say(report.Summary));

    static void Say(string text) => TestContext.Current.TestOutputHelper?.WriteLine(text);
}
