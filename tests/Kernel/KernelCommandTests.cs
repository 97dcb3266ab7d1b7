using System.Text.Json.Nodes;

namespace Scuse.Kernel;

/// <summary><c>scuse kernel</c> on a real kernel.</summary>
public sealed class KernelCommandTests(Guest guest) : PeerTest, IClassFixture<Guest>
{
    const string Core = "/sys/kernel/config/target/core", Loopback = "/sys/kernel/config/target/loopback", Iscsi = "/sys/kernel/config/target/iscsi";

    [Fact]
    public async Task A_backstore_is_made_served_seen_resized_and_removed_and_the_doctor_is_right_each_time()
    {
        GuestScuse scuse = await PrepareAsync();
        Assert.Contains("ok     backstores: there are none", await scuse.MustRunAsync("kernel doctor"));

        Assert.Contains("user_0/disk was made, 64M; it waits for a handler of 'scuse-file'", await scuse.MustRunAsync("kernel create disk file:/tmp/disk.img --size 64M --command-timeout 60"));
        Assert.Equal("60", (await guest.MustRunAsync($"cat {Core}/user_0/disk/attrib/cmd_time_out")).Trim());
        Assert.Contains("user_0/disk: no handler serves it; nobody uses it", await scuse.MustRunAsync("kernel doctor"));
        Outcome tooEarly = await scuse.RunAsync("kernel map disk");
        Assert.Equal(1, tooEarly.ExitCode);
        Assert.Contains("Start one for 'scuse-file' first", tooEarly.Output);

        await using GuestHandler handler = await GuestHandler.StartAsync(guest, "file");
        await handler.MustLogAsync("user_0/disk");
        string mapped = (await scuse.MustRunAsync("kernel map disk")).Trim();
        Assert.StartsWith("user_0/disk is /dev/sd", mapped);
        string disk = mapped[(mapped.LastIndexOf(' ') + 1)..];
        Assert.Contains($"ok     user_0/disk: served by", await scuse.MustRunAsync("kernel doctor"));

        await guest.MustRunAsync($"mke2fs -q -t ext4 {disk} && mkdir -p /mnt && mount {disk} /mnt && cp -a /usr/sbin /mnt/ && sync");
        Assert.Contains("was asked for 128M", await scuse.MustRunAsync("kernel resize disk 128M"));
        await guest.MustRunAsync($"for i in $(seq 300); do touch /mnt/again; sync; echo 1 >/sys/block/{disk[5..]}/device/rescan; [ $(blockdev --getsize64 {disk}) = {128 << 20} ] && exit; sleep 0.1; done; exit 1");
        JsonNode listed = Assert.Single(JsonNode.Parse(await scuse.MustRunAsync("kernel list --json"))!.AsArray())!;
        Assert.Equal((128L << 20, $"{handler.Pid}", disk), ((long)listed["sizeBytes"]!, $"{listed["handler"]!["pid"]}", (string?)listed["mappings"]![0]!["disk"]));

        Outcome inUse = await scuse.RunAsync("kernel remove disk");
        Assert.Equal(1, inUse.ExitCode);
        Assert.Contains($"{disk} is mounted at /mnt", inUse.Output);
        await guest.MustRunAsync("diff -r /usr/sbin /mnt/sbin && umount /mnt");
        await scuse.MustRunAsync("kernel remove disk");

        Assert.Equal("", await guest.MustRunAsync($"ls {Core} | grep user_ || true; ls {Loopback} | grep naa || true; ls /sys/class/uio"));
        Assert.Contains("ok     backstores: there are none", await scuse.MustRunAsync("kernel doctor"));
    }

    [Fact]
    public async Task A_backstore_is_seen_over_the_kernels_iSCSI_by_those_it_was_told_and_others_stay_untouched()
    {
        GuestScuse scuse = await PrepareAsync();
        await guest.MustRunAsync($"mkdir -p {Core}/user_7/foreign; echo 'dev_config=foreign/x,dev_size=1048576,nl_reply_supported=-1' >{Core}/user_7/foreign/control; echo 1 >{Core}/user_7/foreign/enable");
        await using GuestHandler handler = await GuestHandler.StartAsync(guest, "memory");
        await scuse.MustRunAsync("kernel create shared memory:64M");
        await handler.MustLogAsync("user_0/shared");
        await OpenIscsi.StartDaemonAsync(guest);
        string initiator = (await guest.MustRunAsync("sed -n 's/^InitiatorName=//p' /etc/iscsi/initiatorname.iscsi")).Trim();

        Outcome open = await scuse.RunAsync("kernel map shared --iscsi iqn.2026-11.example.guest:lio --portal 10.0.2.15:3260");
        Assert.Equal(2, open.ExitCode);
        Assert.Contains("--initiator, or --anybody", open.Output);
        await scuse.MustRunAsync($"kernel map shared --iscsi iqn.2026-11.example.guest:lio --initiator {initiator}");
        await guest.MustRunAsync("""
            set -e
            iscsiadm -m discovery -t st -p 127.0.0.1 >/dev/null
            iscsiadm -m node -T iqn.2026-11.example.guest:lio -p 127.0.0.1 --login >/dev/null
            """);
        string disk = Assert.Single(await GuestDisk.WaitForAsync(guest, GuestDisk.OfIscsi));
        await guest.MustRunAsync($"""
            set -e
            dd if=/dev/urandom of=/tmp/random bs=1M count=16 2>/dev/null
            dd if=/tmp/random of={disk} bs=1M oflag=direct 2>/dev/null
            dd if={disk} bs=1M count=16 iflag=direct 2>/dev/null | cmp - /tmp/random
            """);
        string listed = await scuse.MustRunAsync("kernel list");
        Assert.Contains("iscsi iqn.2026-11.example.guest:lio LUN 0", listed);
        Assert.Matches("user_7/foreign +foreign/x +1M +512 +no handler", listed);

        await scuse.MustRunAsync("kernel remove shared");

        Assert.Equal("user_7", (await guest.MustRunAsync($"ls {Core} | grep user_; ls {Iscsi} | grep iqn || true")).Trim());
        await guest.RunAsync("iscsiadm -m node -T iqn.2026-11.example.guest:lio --logout; iscsiadm -m node -T iqn.2026-11.example.guest:lio -o delete");
        await scuse.MustRunAsync("kernel remove foreign");
        Assert.Equal("", await guest.MustRunAsync("ps -eo pid,stat,comm | awk '$2 ~ /^D/'"));
    }

    [Fact]
    public async Task While_somebody_waits_without_an_end_to_remove_a_backstore_it_tells_so_and_does_not_wait_with_him()
    {
        GuestScuse scuse = await PrepareAsync();
        await using GuestHandler handler = await GuestHandler.StartAsync(guest, "memory");
        await scuse.MustRunAsync("kernel create disk memory:64M");
        await handler.MustLogAsync("user_0/disk");
        await using UserBackstore foreign = await UserBackstore.CreateAsync(guest, "foreign", "foreign/x", 1 << 20);
        await guest.MustRunAsync($"{GuestHandler.Program} promise 1; echo 1 >{foreign.Folder}/attrib/nl_reply_supported");
        try
        {
            Task<Outcome> removing = guest.RunAsync($"rmdir {foreign.Folder}");
            await guest.MustRunAsync("for i in $(seq 300); do for pid in $(pgrep -x rmdir); do grep -q tcmu_destroy_device /proc/$pid/stack && exit; done; sleep 0.1; done; exit 1");

            Outcome listed = await scuse.RunAsync("kernel list");
            Outcome doctor = await scuse.RunAsync("kernel doctor");
            Outcome refused = await scuse.RunAsync("kernel resize disk 128M");

            Assert.Equal((0, 1, 1), (listed.ExitCode, doctor.ExitCode, refused.ExitCode));
            Assert.Matches("user_0/disk +scuse-memory/64M +- +- +not known +kernel-handlers", listed.Output);
            Assert.Matches("user_0/foreign +foreign/x +- +- +not known +-", listed.Output);
            Assert.Contains("somebody waits for the answer to a removal", listed.Output);
            Assert.Matches(@"WRONG +notices: rmdir \(pid \d+\) waits for a handler's answer, without an end", doctor.Output);
            Assert.Matches(@"rmdir \(pid \d+\) waits for the answer to a removal", refused.Output);
            Assert.False(removing.IsCompleted);

            // As the doctor says.
            await guest.MustRunAsync("cd /sys/module/target_core_user/parameters; echo 1 >block_netlink; echo 1 >reset_netlink; echo 0 >block_netlink");
            await removing;
        }
        finally
        {
            await guest.MustRunAsync($"{GuestHandler.Program} promise 0");
        }

        Assert.Matches("user_0/disk +scuse-memory/64M +64M +512 +served", await scuse.MustRunAsync("kernel list"));
        await scuse.MustRunAsync("kernel remove disk");
    }

    async Task<GuestScuse> PrepareAsync()
    {
        Needs.TheLongerTests();
        await GuestHandler.PrepareAsync(guest);
        await guest.MustRunAsync("mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config; mkdir -p /etc/target");
        return await GuestScuse.PrepareAsync(guest);
    }
}
