namespace Scuse.Peers;

public sealed class DiscoveryTests : PeerTest
{
    [Fact]
    public async Task Discovery_lists_the_target_and_both_LUNs()
    {
        Needs.Libiscsi("iscsi-ls");
        ScuseServe serve = await ServeAsync("memory:64M", "memory:32M", "--target", "iqn.2026-11.scuse.test:two");

        Outcome list = (await Peer.RunAsync("iscsi-ls", "-s", serve.PortalUrl)).OrThrow();

        Assert.Contains($"Target:iqn.2026-11.scuse.test:two Portal:{serve.Portal},1", list.Output);
        Assert.Matches(@"Lun:0\s+Type:DIRECT_ACCESS", list.Output);
        Assert.Matches(@"Lun:1\s+Type:DIRECT_ACCESS", list.Output);
        Assert.DoesNotContain("Lun:2", list.Output);
    }

    [Fact]
    public async Task The_printed_URLs_name_the_portal_the_target_and_each_LUN()
    {
        ScuseServe serve = await ServeAsync("memory:1M", "memory:1M", "--target", "iqn.2026-11.scuse.test:urls");

        Assert.NotEqual(0, serve.Port);
        Assert.Equal(
            [$"iscsi://127.0.0.1:{serve.Port}/iqn.2026-11.scuse.test:urls/0", $"iscsi://127.0.0.1:{serve.Port}/iqn.2026-11.scuse.test:urls/1"],
            serve.Urls);
    }

    [Fact]
    public async Task Without_a_spec_one_GiB_of_memory_is_served()
    {
        Needs.Libiscsi("iscsi-readcapacity16");
        ScuseServe serve = await ServeAsync();

        Outcome capacity = (await Peer.RunAsync("iscsi-readcapacity16", serve.Url)).OrThrow();

        Assert.Contains("Total size:1073741824", capacity.Output);
    }

    [Fact]
    public async Task A_target_name_that_is_not_served_is_refused_at_login()
    {
        Needs.Libiscsi("iscsi-inq");
        ScuseServe serve = await ServeAsync("memory:1M");

        Outcome inquiry = await Peer.RunAsync("iscsi-inq", $"{serve.PortalUrl}/iqn.2026-11.scuse.test:another/0");

        Assert.NotEqual(0, inquiry.ExitCode);
    }

    [Fact]
    public async Task A_LUN_that_is_not_served_is_reported_as_not_supported()
    {
        Needs.Libiscsi("iscsi-readcapacity16");
        ScuseServe serve = await ServeAsync("memory:1M");

        Outcome capacity = await Peer.RunAsync("iscsi-readcapacity16", $"{serve.PortalUrl}/{serve.Target}/5");

        Assert.NotEqual(0, capacity.ExitCode);
        Assert.Contains("LOGICAL_UNIT_NOT_SUPPORTED", capacity.Text);
    }

    [Fact]
    public async Task Two_engines_side_by_side_have_their_own_ports_and_data()
    {
        Needs.Qemu();
        ScuseServe one = await ServeAsync("memory:8M");
        ScuseServe two = await ServeAsync("memory:8M");
        Assert.NotEqual(one.Port, two.Port);

        await Qemu.IoMustSucceedAsync(one.Url, "write -P 0x11 0 8M");
        await Qemu.IoMustSucceedAsync(two.Url, "write -P 0x22 0 8M");

        await Qemu.IoMustSucceedAsync(one.Url, "read -P 0x11 0 8M");
        await Qemu.IoMustSucceedAsync(two.Url, "read -P 0x22 0 8M");
    }
}
