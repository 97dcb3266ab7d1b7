using System.Text.Json.Nodes;

namespace Scuse.Peers;

public sealed class PortalTests : PeerTest
{
    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Discovery_tells_of_every_portal_and_each_leads_to_the_disk()
    {
        Needs.Libiscsi("iscsi-ls");
        Needs.Qemu();
        Needs.IPv6();
        ScuseServe serve = await StartAsync("memory:8M", "--portal", "127.0.0.1:0", "--portal", "[::1]:0", "--portal-group", "5");
        string[] portals = await PortalsAsync();

        Outcome list = (await Peer.RunAsync("iscsi-ls", serve.PortalUrl)).OrThrow();

        Assert.Equal(2, portals.Length);
        Assert.All(portals, portal => Assert.Contains($"Target:{serve.Target} Portal:{portal},5", list.Output));
        await Qemu.IoMustSucceedAsync($"iscsi://{portals[0]}/{serve.Target}/0", "write -P 0x11 0 8M");
        await Qemu.IoMustSucceedAsync($"iscsi://{portals[1]}/{serve.Target}/0", "read -P 0x11 0 8M");
    }

    [Fact]
    public async Task A_portal_on_every_address_is_told_by_the_one_that_was_used_and_an_advertised_one_as_it_says()
    {
        Needs.Libiscsi("iscsi-ls");
        ScuseServe serve = await StartAsync("memory:8M", "--allow-anyone", "--portal", "127.0.0.1:0", "--portal", "0.0.0.0:0", "--portal", "127.0.0.2:0?advertise=disks.example:4000");
        string everywhere = (await PortalsAsync())[1].Split(':')[^1];

        Outcome list = (await Peer.RunAsync("iscsi-ls", serve.PortalUrl)).OrThrow();

        Assert.Contains($"Portal:127.0.0.1:{everywhere},1", list.Output);
        Assert.Contains("Portal:disks.example:4000,1", list.Output);
        Assert.DoesNotContain("0.0.0.0", list.Output);
    }

    [Fact]
    public async Task Portals_come_and_go_while_initiators_are_at_work()
    {
        Needs.LibiscsiHeaders();
        Needs.Libiscsi("iscsi-ls");
        ScuseServe serve = await StartAsync("memory:32M");
        string added = (string)JsonNode.Parse((await ScuseAsync("portal", "add", "127.0.0.1:0", "--json")).OrThrow().Output)!["address"]!;
        using IscsiLoad load = await IscsiLoad.StartAsync($"iscsi://{added}/{serve.Target}/0", area: 0, "--no-reconnect");
        Assert.Contains($"Portal:{added},1", (await Peer.RunAsync("iscsi-ls", serve.PortalUrl)).OrThrow().Output);

        Outcome removed = (await ScuseAsync("portal", "remove", added)).OrThrow();

        Assert.Contains("1 connections go on", removed.Output);
        Assert.DoesNotContain(added, (await Peer.RunAsync("iscsi-ls", serve.PortalUrl)).OrThrow().Output);
        Assert.NotEqual(0, (await Peer.RunAsync("iscsi-ls", $"iscsi://{added}")).ExitCode);
        await Task.Delay(300);
        (await load.StopAsync()).AssertUndisturbed();
    }

    [Fact]
    public async Task A_portal_can_be_removed_with_its_connections_but_not_the_last_one()
    {
        Needs.LibiscsiHeaders();
        ScuseServe serve = await StartAsync("memory:32M", "--portal", "127.0.0.1:0", "--portal", "127.0.0.2:0");
        using IscsiLoad load = await IscsiLoad.StartAsync(serve.Url, area: 0, "--no-reconnect");

        (await ScuseAsync("portal", "remove", serve.Portal, "--close")).OrThrow();
        LoadReport report = await load.StopAsync();
        string left = Assert.Single(await PortalsAsync());
        Outcome last = await ScuseAsync("portal", "remove", left);

        Assert.True(report.LostConnection);
        Assert.Equal(1, last.ExitCode);
        Assert.Contains("is the only portal", last.Error);
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("::1:3260")]
    [InlineData("127.0.0.1:0?advertise")]
    [InlineData("127.0.0.1:0?tag=2")]
    public async Task A_portal_that_is_none_is_one_line_and_exit_code_2(string portal)
    {
        Outcome outcome = await ScuseServe.RunAsync(Deadline, "serve", "memory:1M", "--portal", portal);

        Assert.Equal(2, outcome.ExitCode);
        Assert.Single(outcome.Error.TrimEnd().Split('\n'));
    }

    Task<ScuseServe> StartAsync(params string[] arguments) => ServeAsync([.. arguments, "--socket", TemporaryFile("attach.sock")]);

    Task<Outcome> ScuseAsync(params string[] arguments) => ScuseServe.RunAsync(Deadline, [.. arguments, "--control", TemporaryFile("attach.sock.control")]);

    async Task<string[]> PortalsAsync() =>
        [.. JsonNode.Parse((await ScuseAsync("portal", "ls", "--json")).OrThrow().Output)!.AsArray().Select(static portal => (string)portal!["address"]!)];
}
