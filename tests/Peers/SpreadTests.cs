using System.Text.Json.Nodes;

namespace Scuse.Peers;

/// <summary>One logical unit whose sessions are on two reactors, each with a ring of its own to the handler: what is whole with one ring is whole with two.</summary>
public sealed class SpreadTests : PeerTest
{
    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    Task<ScuseServe> ServeSpreadAsync(params string[] arguments) => ServeAsync([.. arguments, "--reactors", "2", "--spread", "--socket", TemporaryFile("attach.sock")]);

    Task<Outcome> ScuseAsync(params string[] arguments) => ScuseServe.RunAsync(Deadline, [.. arguments, "--control", TemporaryFile("attach.sock.control")]);

    async Task<JsonArray> AskAsync(params string[] arguments) => JsonNode.Parse((await ScuseAsync([.. arguments, "--json"])).OrThrow().Output)!.AsArray();

    /// <summary>Loads that check every byte, on both reactors: sessions go to the one that has fewer.</summary>
    static async Task<IscsiLoad[]> LoadsAsync(ScuseServe serve, int count = 2) =>
        [await IscsiLoad.StartAsync(serve.Url, 0, "--no-reconnect"), .. await Task.WhenAll(Enumerable.Range(1, count - 1).Select(area => IscsiLoad.StartAsync(serve.Url, area, "--no-reconnect")))];

    static Task<LoadReport[]> StopAsync(IEnumerable<IscsiLoad> loads) => Task.WhenAll(loads.Select(static load => load.StopAsync()));

    [Fact]
    public async Task Both_rings_have_commands_and_each_session_sees_what_the_others_write()
    {
        Needs.LibiscsiHeaders();
        Needs.Qemu();
        ScuseServe serve = await ServeSpreadAsync("memory:80M");
        IscsiLoad[] loads = await LoadsAsync(serve, count: 4);
        await Task.Delay(500);

        JsonArray sessions = await AskAsync("sessions");
        JsonNode[] rings = [.. (await Task.WhenAll(RingAsync(0), RingAsync(1)))];
        await Qemu.IoMustSucceedAsync(serve.Url, "write -P 7 70M 64k");
        await Qemu.IoMustSucceedAsync(serve.Url, "read -P 7 70M 64k"); // by another session, which is on the other reactor

        LoadReport[] reports = await StopAsync(loads);
        Assert.Equal(4, sessions.Count);
        Assert.All(sessions, static session => Assert.True((long)session!["commands"]! > 0));
        Assert.Equal([2, 2], sessions.CountBy(static session => (int)session!["reactor"]!).Select(static each => each.Value));
        Assert.All(reports, static report => report.AssertUndisturbed());
        Assert.Equal([(0, 2), (1, 2)], rings.Select(static ring => ((int)ring["number"]!, (int)ring["rings"]!)));
        Assert.All(rings, static ring => Assert.True((bool)ring["ring"]!["isSound"]!));
        Assert.All(rings, static ring => Assert.NotEqual(0, (int)ring["dataArea"]!["highWaterBlocks"]!));
        Assert.Contains("has 2 rings, from 0 to 1", (await ScuseAsync("ring", "dump", "0", "--ring", "2")).Text);
    }

    async Task<JsonNode> RingAsync(int number) => JsonNode.Parse((await ScuseAsync("ring", "dump", "0", "--ring", $"{number}", "--json")).OrThrow().Output)!;

    [Fact]
    public async Task Kills_of_the_handler_cost_no_session_on_either_reactor_an_error_or_a_write()
    {
        Needs.LibiscsiHeaders();
        ScuseServe serve = await ServeSpreadAsync($"file:{TemporaryFile("disk.img")}?size=64M");
        await serve.WaitForAttachmentAsync();
        IscsiLoad[] loads = await LoadsAsync(serve);

        for (int kill = 1; kill <= 5; kill++)
        {
            await Task.Delay(Random.Shared.Next(20, 300));
            ProcessTree.Signal("KILL", serve.HandlerPid());
            await serve.WaitForAttachmentAsync(count: kill + 1, seconds: 20);
        }

        await Task.Delay(300);
        Assert.All(await StopAsync(loads), static report => report.AssertUndisturbed());
    }

    [Fact]
    public async Task Replacements_cost_no_command_and_repeat_none()
    {
        Needs.LibiscsiHeaders();
        ScuseServe serve = await ServeSpreadAsync($"file:{TemporaryFile("disk.img")}?size=64M");
        await serve.WaitForAttachmentAsync();
        IscsiLoad[] loads = await LoadsAsync(serve);

        for (int i = 1; i <= 3; i++)
        {
            (await ScuseAsync("lun", "replace", "0")).OrThrow();
            await serve.WaitForAttachmentAsync(count: i + 1);
            await Task.Delay(Random.Shared.Next(50, 200));
        }

        Assert.All(await StopAsync(loads), static report => report.AssertUndisturbed());
        Assert.DoesNotContain("are repeated", serve.Log);
    }

    [Fact]
    public async Task A_stopped_handler_is_given_up_with_both_its_rings_and_the_next_one_serves_both()
    {
        Needs.LibiscsiHeaders();
        ScuseServe serve = await ServeSpreadAsync($"file:{TemporaryFile("disk.img")}?size=64M&timeout=2");
        int old = (await serve.WaitForAttachmentAsync()).Pid;
        IscsiLoad[] loads = await LoadsAsync(serve);
        await Task.Delay(200);

        ProcessTree.Signal("STOP", old);
        await serve.WaitForAttachmentAsync(count: 2, seconds: 20);
        await Task.Delay(500);

        Assert.All(await StopAsync(loads), static report =>
        {
            report.AssertWhole();
            Assert.True(report.Errors > 0, $"nothing has failed\n{report.Text}");
            Assert.Equal(["02/08/00"], report.ErrorKinds.Keys);
            Assert.False(report.LostConnection);
        });
        Assert.False(ProcessTree.IsAlive(old), "the handler that was given up still runs");
    }

    [Fact]
    public async Task Everything_that_is_not_a_plain_read_or_write_works_beside_loads_on_both_reactors()
    {
        Needs.Libiscsi("iscsi-inq");
        Needs.Libiscsi("iscsi-test-cu");
        Needs.LibiscsiHeaders();
        ScuseServe serve = await ServeSpreadAsync("memory:64M", "memory:8M");
        IscsiLoad[] loads = await LoadsAsync(serve);

        // Compare-and-write, reservations, resets of another unit, mode pages: with a path of the suite on each reactor.
        string other = serve.Urls[1];
        Outcome outcome = await Peer.RunAsync(
            TimeSpan.FromMinutes(2), "iscsi-test-cu", "--dataloss", "--fail", "--verbose", "--test", "SCSI.CompareAndWrite,SCSI.PrinReadKeys,SCSI.ProutRegister,SCSI.ProutReserve,SCSI.ModeSense6,SCSI.MultipathIO.Simple,SCSI.MultipathIO.CompareAndWrite", other, other);
        (await ScuseAsync("lun", "reset", "1")).OrThrow();
        for (int i = 0; i < 10; i++)
        {
            (await Peer.RunAsync(Deadline, "iscsi-inq", serve.Url)).OrThrow();
        }

        LoadReport[] reports = await StopAsync(loads);
        Assert.All(SuiteTest.Parse(outcome.Output), test => Assert.True(test.Outcome is TestOutcome.Passed or TestOutcome.Skipped, outcome.Text));
        Assert.Contains(SuiteTest.Parse(outcome.Output), static test => test.Outcome == TestOutcome.Passed);
        Assert.All(reports, static report => report.AssertUndisturbed());
    }

    [Fact]
    public async Task A_handler_that_takes_one_ring_serves_sessions_on_both_reactors()
    {
        Needs.LibiscsiHeaders();
        string disk = await CHandler.BuildAsync(TemporaryFile("plain"));
        ScuseServe serve = await ServeSpreadAsync($"exec:{disk} - - {64 << 20} 512");
        IscsiLoad[] loads = await LoadsAsync(serve);
        await Task.Delay(1000);

        Assert.All(await StopAsync(loads), static report => report.AssertUndisturbed());
    }

    [Fact]
    public async Task An_engine_that_is_told_to_stop_under_load_ends_well()
    {
        Needs.Program("gcc", "gcc and libc6-dev");
        ScuseServe serve = await ServeSpreadAsync("memory:64M");
        using LightInitiator load = await LightInitiator.StartAsync(serve.Url, 60, "--depth", "8", "--sessions", "8");

        Assert.Equal(0, await serve.StopAsync());
    }
}
