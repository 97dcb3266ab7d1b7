using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Scuse.Peers;

/// <summary>Initiators that are sent from one engine to another, with other people's initiators. Both engines offer a target of the same name.</summary>
public sealed class MovingTests : PeerTest
{
    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    Task<ScuseServe> StartAsync(string name, params string[] arguments) => ServeAsync([.. arguments, "--socket", Socket(name)]);

    string Socket(string name) => TemporaryFile($"{name}.sock");

    async Task<string> ScuseAsync(string name, params string[] arguments) =>
        (await ScuseServe.RunAsync(Deadline, [.. arguments, "--control", $"{Socket(name)}.control"])).OrThrow().Output;

    async Task<JsonArray> SessionsAsync(string name) => JsonNode.Parse(await ScuseAsync(name, "sessions", "--json"))!.AsArray();

    [Fact]
    public async Task Libiscsi_and_qemu_follow_a_redirection_and_come_back_when_it_is_taken_away()
    {
        Needs.Libiscsi("iscsi-inq");
        Needs.Libiscsi("iscsi-ls");
        Needs.Qemu();
        ScuseServe here = await StartAsync("here", "memory:8M"), there = await StartAsync("there", "memory:8M");
        await Qemu.IoMustSucceedAsync(here.Url, "write -P 0x11 0 8M");
        await Qemu.IoMustSucceedAsync(there.Url, "write -P 0x22 0 8M");

        string told = await ScuseAsync("here", "target", "redirect", there.Portal);
        await Qemu.IoMustSucceedAsync(here.Url, "read -P 0x22 0 8M");
        (await Peer.RunAsync(Deadline, "iscsi-inq", here.Url)).OrThrow();
        Outcome list = (await Peer.RunAsync(Deadline, "iscsi-ls", "-s", here.PortalUrl)).OrThrow();
        string status = await ScuseAsync("here", "status");
        await ScuseAsync("here", "target", "redirect", "--off");
        await Qemu.IoMustSucceedAsync(here.Url, "read -P 0x11 0 8M");

        Assert.Contains($"new sessions are sent to {there.Portal} for now", told);
        Assert.Contains($"{here.Target}: new sessions are sent to {there.Portal} for now; 0 sessions here", status);
        Assert.Contains($"Portal:{here.Portal},1", list.Output);
        await here.MustLogAsync($"0101 (TargetMovedTemporarily): sent on to {there.Portal}");
        Assert.DoesNotContain("warn", here.Log, StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>libiscsi follows none of the two statuses but 0101h; whoever does is at the new place afterwards, and so is who asks which targets there are.</summary>
    [Fact]
    public async Task A_move_for_good_is_told_by_discovery_and_libiscsi_goes_no_further_at_the_old_place()
    {
        Needs.Libiscsi("iscsi-ls");
        Needs.Qemu();
        ScuseServe here = await StartAsync("here", "memory:8M"), there = await StartAsync("there", "memory:8M", "--portal-group", "7");
        await Qemu.IoMustSucceedAsync(there.Url, "write -P 0x22 0 8M");

        await ScuseAsync("here", "target", "redirect", $"{there.Portal},7", "--permanent");

        Assert.Contains($"Target:{here.Target} Portal:{there.Portal},7", (await Peer.RunAsync(Deadline, "iscsi-ls", here.PortalUrl)).OrThrow().Output);
        Outcome old = await Qemu.IoAsync(here.Url, "read 0 4k");
        Assert.NotEqual(0, old.ExitCode);
        Assert.Contains("Target moved permanently", old.Text);
        await Qemu.IoMustSucceedAsync($"iscsi://{there.Portal}/{here.Target}/0", "read -P 0x22 0 8M");
        await here.MustLogAsync("0102 (TargetMovedPermanently)");
    }

    [Fact]
    public async Task Who_has_to_prove_itself_does_so_where_it_is_sent_to()
    {
        Needs.Libiscsi("iscsi-inq");
        string file = TemporaryFile("chap.json");
        await File.WriteAllTextAsync(file, """{ "users": [{ "name": "alice", "secret": "correct-horse-battery" }], "mutual": { "name": "disks", "secret": "target-secret-123456" } }""", TestContext.Current.CancellationToken);
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        ScuseServe here = await StartAsync("here", "memory:8M", "--chap-file", file), there = await StartAsync("there", "memory:8M", "--chap-file", file);
        await ScuseAsync("here", "target", "redirect", there.Portal);
        string url = here.Url.Replace("iscsi://", "iscsi://alice%correct-horse-battery@", StringComparison.Ordinal);

        Outcome right = await Peer.RunAsync(Deadline, "env", "LIBISCSI_CHAP_TARGET_USERNAME=disks", "LIBISCSI_CHAP_TARGET_PASSWORD=target-secret-123456", "iscsi-inq", url);
        Outcome wrong = await Peer.RunAsync(Deadline, "iscsi-inq", url.Replace("correct", "another", StringComparison.Ordinal));

        right.OrThrow();
        Assert.NotEqual(0, wrong.ExitCode);
        await there.MustLogAsync("0201 (AuthenticationFailure)");
        Assert.Equal(2, here.LogLines.Count(static line => line.Contains("sent on to", StringComparison.Ordinal)));
        Assert.Single(there.LogLines, static line => line.Contains("0201 (AuthenticationFailure)", StringComparison.Ordinal));
    }

    /// <summary>
    /// The whole of a planned move, under load: initiators are sent over, the disk's handler follows when nobody is left, and what they want meanwhile waits for it. Two handlers never
    /// have the disk at a time.
    /// </summary>
    [Fact]
    public async Task A_disk_moves_to_another_engine_under_load_without_an_error_or_a_lost_write()
    {
        Needs.LibiscsiHeaders();
        string disk = $"file:{TemporaryFile("disk.img")}?size=32M";
        ScuseServe here = await StartAsync("here", "attach:mine"), there = await StartAsync("there", "attach:mine");
        using RunningPeer before = Attach("here", disk);
        await here.WaitForAttachmentAsync();
        using IscsiLoad load = await IscsiLoad.StartAsync(here.Url);

        await MoveAsync(here, there);
        await EndAsync(before);
        using RunningPeer after = Attach("there", disk);
        await there.WaitForAttachmentAsync();
        long moved = await CommandsAsync("there");
        await UntilAsync(async () => await CommandsAsync("there") > moved + 1000);
        LoadReport report = await load.StopAsync();

        report.AssertWhole();
        Assert.True(report.Errors == 0, $"the initiator saw errors\n{report.Text}");
        Assert.True(report.Reconnects > 0, report.Text);
        TestContext.Current.TestOutputHelper?.WriteLine(report.Summary);
    }

    [Fact]
    public async Task Qemu_moves_with_its_commands_under_way()
    {
        Needs.Qemu();
        string disk = $"file:{TemporaryFile("disk.img")}?size=32M";
        ScuseServe here = await StartAsync("here", "attach:mine"), there = await StartAsync("there", "attach:mine");
        using RunningPeer before = Attach("here", disk);
        await here.WaitForAttachmentAsync();
        await Qemu.IoMustSucceedAsync(here.Url, "write -P 0x11 0 32M");
        using RunningPeer bench = RunningPeer.Start("qemu-img", "bench", "-f", "raw", "-t", "none", "-w", "--pattern", "34", "-d", "16", "-s", "4096", "-S", "4096", "-c", "400000", here.Url);
        await UntilAsync(async () => await CommandsAsync("here") > 1000);

        await MoveAsync(here, there);
        await EndAsync(before);
        using RunningPeer after = Attach("there", disk);
        await there.WaitForAttachmentAsync();
        Outcome outcome = await bench.WaitAsync(TimeSpan.FromMinutes(4));

        outcome.OrThrow();
        await here.MustLogAsync("sent on to"); // it was in the middle of it
        Assert.DoesNotContain("error", outcome.Text, StringComparison.OrdinalIgnoreCase);
        await Qemu.IoMustSucceedAsync(there.Url, "read -P 34 0 32M");
    }

    [Fact]
    public async Task Who_does_not_go_is_dropped_when_the_time_is_over_and_a_drain_can_be_ended()
    {
        Needs.Qemu();
        ScuseServe here = await StartAsync("here", "memory:8M");

        // A session of an initiator that does not go by itself: one whose process is stopped.
        using RunningPeer deaf = RunningPeer.Start("qemu-io", "-f", "raw", "-t", "none", here.Url);
        await UntilAsync(async () => (await SessionsAsync("here")).Count == 1);
        ProcessTree.Signal("STOP", deaf.Id);
        string told = await ScuseAsync("here", "drain", "--seconds", "2");
        Outcome refused = await Qemu.IoAsync(here.Url, "read 0 4k");
        await UntilAsync(async () => (await SessionsAsync("here")).Count == 0);
        string status = await ScuseAsync("here", "status");
        await ScuseAsync("here", "drain", "--off");
        await Qemu.IoMustSucceedAsync(here.Url, "read 0 4k");

        Assert.Contains("new sessions are refused; 1 session here, with 2 s to log out", told);
        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains("new sessions are refused; nobody is here any more", status);
        await here.MustLogAsync("0301 (ServiceUnavailable)");
        await here.MustLogAsync("has not left");
    }

    [Theory]
    [InlineData("target", "redirect")]
    [InlineData("target", "redirect", "2001:db8::1")]
    [InlineData("target", "redirect", "192.0.2.7", "--off")]
    [InlineData("drain", "--seconds", "65536")]
    public async Task A_move_that_makes_no_sense_is_one_line_and_exit_code_2(params string[] arguments)
    {
        Outcome outcome = await ScuseServe.RunAsync(Deadline, [.. arguments, "--control", TemporaryFile("nobody.control")]);

        Assert.Equal(2, outcome.ExitCode);
        Assert.Single(outcome.Error.TrimEnd().Split('\n'));
    }

    [Fact]
    public async Task A_target_that_is_not_there_and_a_place_that_is_this_one_are_refused()
    {
        ScuseServe here = await StartAsync("here", "memory:8M");
        string control = $"{Socket("here")}.control";

        Outcome unknown = await ScuseServe.RunAsync(Deadline, "drain", "--target", "iqn.2026-11.example:none", "--control", control);
        Outcome circle = await ScuseServe.RunAsync(Deadline, "target", "redirect", here.Portal, "--control", control);

        Assert.Equal((1, 1), (unknown.ExitCode, circle.ExitCode));
        Assert.Contains($"there is no target iqn.2026-11.example:none; there are {here.Target}", unknown.Error);
        Assert.Contains($"{here.Portal} is a portal of this engine", circle.Error);
    }

    RunningPeer Attach(string name, string disk) => RunningPeer.Start("dotnet", ScuseServe.Dll, "handler", disk, "--socket", Socket(name), "--device", "mine");

    /// <summary>Sends initiators from one engine to the other, and waits until none is left.</summary>
    async Task MoveAsync(ScuseServe here, ScuseServe there)
    {
        await ScuseAsync("here", "target", "redirect", there.Portal);
        await ScuseAsync("here", "drain", "--seconds", "20");
        await UntilAsync(async () => (await SessionsAsync("here")).Count == 0);
        Assert.DoesNotContain("has not left", here.Log, StringComparison.Ordinal); // it went when it was asked to
    }

    static async Task EndAsync(RunningPeer handler)
    {
        ProcessTree.Signal("TERM", handler.Id);
        await handler.WaitAsync(Deadline);
    }

    async Task<long> CommandsAsync(string name) => (await SessionsAsync(name)).Sum(static session => (long)session!["commands"]!);

    static async Task UntilAsync(Func<Task<bool>> what)
    {
        Stopwatch clock = Stopwatch.StartNew();
        while (!await what())
        {
            Assert.True(clock.Elapsed < Deadline, "it did not come about");
            await Task.Delay(50);
        }
    }
}
