using System.Text.RegularExpressions;

namespace Scuse.Kernel;

/// <summary>
/// Our handlers behind the kernel's own target (LIO, TCMU), as a disk of the guest itself and over LIO's iSCSI; and the very same program behind our engine. <c>tests/Kernel/run kills</c> is the long form.
/// </summary>
public sealed partial class TcmuTests(Guest guest) : PeerTest, IClassFixture<Guest>
{
    const long SizeBytes = 128 << 20;
    const int ShortFormKills = 4;

    // Files, digests and fio, where each takes seconds on an idle machine.
    const int LoadSeconds = 600;

    static readonly int Kills = int.TryParse(Environment.GetEnvironmentVariable("SCUSE_KERNEL_KILLS"), out int kills) ? kills : ShortFormKills;

    [Theory]
    [InlineData("memory", "scuse-memory", false)]
    [InlineData("memory", "scuse-memory", true)]
    [InlineData("file", "scuse-file//tmp/disk.img", false)]
    [InlineData("file", "scuse-file//tmp/disk.img", true)]
    [InlineData("sparse", "scuse-sparse", false)]
    [InlineData("sparse", "scuse-sparse", true)]
    public async Task A_handler_serves_a_disk_of_the_kernels_target(string kind, string configuration, bool overIscsi)
    {
        await PrepareAsync();
        await using GuestHandler handler = await GuestHandler.StartAsync(guest, kind);
        await using UserBackstore backstore = await UserBackstore.CreateAsync(guest, kind, configuration, SizeBytes);
        string disk = overIscsi ? await backstore.MapByIscsiAsync() : await backstore.MapLocallyAsync();

        await GuestDisk.MustKeepFilesAsync(guest, disk);
        await MustVerifyAsync(disk);
        await MustDiscardAsync(disk);

        await backstore.RemoveAsync();
        await MustBeCalmAsync();
    }

    [Theory]
    [InlineData("memory")]
    [InlineData("file", "--config", "CONFIG")]
    [InlineData("sparse")]
    public async Task The_same_program_serves_a_logical_unit_of_the_engine(string kind, params string[] options)
    {
        await PrepareAsync();
        string program = await NativeHandlers.FindAsync();
        string command = string.Join(' ', [program, kind, "--size", $"{SizeBytes}", .. options]).Replace("CONFIG", TemporaryFile("disk.img"), StringComparison.Ordinal);
        ScuseServe serve = await ServeAsync([$"exec:{command}", .. OpenIscsi.PortalForGuest().Arguments]);
        await using OpenIscsi initiator = await OpenIscsi.StartAsync(guest, serve);
        await initiator.FindAsync();
        string disk = await initiator.LoginToDiskAsync();

        await GuestDisk.MustKeepFilesAsync(guest, disk);
        await MustVerifyAsync(disk);
        await MustDiscardAsync(disk);

        await initiator.LogoutAsync();
        await MustBeCalmAsync();
    }

    [Fact]
    public async Task Blocks_of_4096_bytes_and_a_ring_of_another_size_are_as_good()
    {
        await PrepareAsync();
        await using GuestHandler handler = await GuestHandler.StartAsync(guest, "memory");
        await using UserBackstore backstore = await UserBackstore.CreateAsync(guest, "wide", "scuse-memory", SizeBytes, "hw_block_size=4096,cmd_ring_size_mb=1,data_pages_per_blk=4,max_data_area_mb=64");
        string disk = await backstore.MapLocallyAsync();

        await GuestDisk.MustKeepFilesAsync(guest, disk);
        await MustVerifyAsync(disk);

        Assert.Equal("4096", (await guest.MustRunAsync($"blockdev --getss {disk}")).Trim());
    }

    [Fact]
    public async Task What_initiators_see_is_what_the_operator_said()
    {
        await PrepareAsync();
        await using GuestHandler handler = await GuestHandler.StartAsync(guest, "memory");
        await using UserBackstore backstore = await UserBackstore.CreateAsync(guest, "named", "scuse-memory/64M", SizeBytes);
        await guest.MustRunAsync($"echo 11112222-3333-4444 >{backstore.Folder}/wwn/vpd_unit_serial");
        await using GuestHandler second = await RestartAsync(handler, "memory"); // it is read when the device is opened
        string disk = await backstore.MapLocallyAsync();

        string pages = await guest.MustRunAsync($"sg_inq {disk}; sg_vpd -p sn {disk}; sg_vpd -p di {disk}; sg_vpd -p bl {disk}; sg_readcap -l {disk}; sg_opcodes {disk}");

        Assert.Contains("Unit serial number: 11112222-3333-4444", pages);
        Assert.Contains("designator type: NAA", pages);
        Assert.Contains("3PC=0", pages);
        Assert.Contains("Report luns", pages);
        Assert.Equal(64 << 20, long.Parse(await guest.MustRunAsync($"blockdev --getsize64 {disk}")));
        await guest.MustRunAsync($"for i in $(seq 100); do grep -qx {64 << 20} {backstore.Folder}/attrib/dev_size && exit; sleep 0.1; done; cat {backstore.Folder}/attrib/dev_size; exit 1");
    }

    [Theory]
    [InlineData("file", "scuse-file//tmp/grows.img")]
    [InlineData("sparse", "scuse-sparse")]
    public async Task Another_size_is_seen_while_the_disk_is_in_use(string kind, string configuration)
    {
        await PrepareAsync();
        await using GuestHandler handler = await GuestHandler.StartAsync(guest, kind);
        await using UserBackstore backstore = await UserBackstore.CreateAsync(guest, "grows", configuration, SizeBytes);
        string disk = await backstore.MapLocallyAsync();
        await guest.MustRunAsync($"mke2fs -q -t ext4 {disk} && mkdir -p /mnt && mount {disk} /mnt && cp -a /usr/sbin /mnt/", LoadSeconds);

        await guest.MustRunAsync($"echo {SizeBytes * 2} >{backstore.Folder}/attrib/dev_size");
        await handler.MustLogAsync("the size is 256M now");
        await guest.MustRunAsync($"sync; touch /mnt/again; sync; echo 1 >/sys/block/{disk[5..]}/device/rescan; resize2fs {disk}; sync", LoadSeconds);

        Assert.Equal(SizeBytes * 2, long.Parse(await guest.MustRunAsync($"blockdev --getsize64 {disk}")));
        Assert.Contains("Capacity data has changed", await guest.KernelLogAsync());
        await guest.MustRunAsync($"diff -r /usr/sbin /mnt/sbin && umount /mnt && e2fsck -f -n {disk}", LoadSeconds);
    }

    [Fact]
    public async Task A_size_that_the_handler_cannot_have_is_put_right()
    {
        await PrepareAsync();
        await using GuestHandler handler = await GuestHandler.StartAsync(guest, "memory");
        await using UserBackstore backstore = await UserBackstore.CreateAsync(guest, "fixed", "scuse-memory", SizeBytes);
        string disk = await backstore.MapLocallyAsync();

        await guest.RunAsync($"echo {SizeBytes * 2} >{backstore.Folder}/attrib/dev_size");
        await handler.MustLogAsync("the size stays 128M: this kind of disk cannot be resized");

        await guest.MustRunAsync($"for i in $(seq 100); do grep -qx {SizeBytes} {backstore.Folder}/attrib/dev_size && exit; sleep 0.1; done; cat {backstore.Folder}/attrib/dev_size; exit 1");
        Assert.Equal(SizeBytes, long.Parse(await guest.MustRunAsync($"blockdev --getsize64 {disk}")));
    }

    [Theory]
    [InlineData("reset")]
    [InlineData("continue")]
    [Trait("scenario", "kills")]
    public async Task A_handler_that_is_killed_over_and_over_loses_no_write(string recovery)
    {
        await PrepareAsync();
        GuestHandler handler = await GuestHandler.StartAsync(guest, "file", "--recovery", recovery);
        try
        {
            await using UserBackstore backstore = await UserBackstore.CreateAsync(guest, "killed", "scuse-file//tmp/killed.img", SizeBytes, attributes: ("cmd_time_out", "120"));
            string disk = await backstore.MapLocallyAsync();
            await guest.MustRunAsync("dmesg -C");

            // It ends by itself, some time after the last kill.
            Task<Outcome> writing = guest.RunAsync($"while [ ! -e /run/enough ]; do {Fio} --filename={disk} --rw=randwrite --size=24M || exit; echo round; done; rm /run/enough", LoadSeconds + (Kills * 30));
            for (int i = 0; i < Kills && !writing.IsCompleted; i++)
            {
                await guest.MustRunAsync($"sleep {0.5 + Random.Shared.NextDouble():0.00}");
                await handler.SignalAsync("KILL");
                await handler.WaitForEndAsync();
                handler = await GuestHandler.StartAsync(guest, "file", "--recovery", recovery);
                await handler.MustLogAsync("served");
            }

            await guest.MustRunAsync("touch /run/enough");
            Outcome written = (await writing).OrThrow();
            string left = await guest.MustRunAsync("grep -h 'left commands behind' /tmp/file.*.log | sed 's/.*behind; //' | sort | uniq -c; rm /tmp/file.*.log");
            TestContext.Current.TestOutputHelper?.WriteLine($"{recovery}: {Kills} kills, {Regex.Count(written.Output, "round")} rounds of 24 MiB written at random and verified; what was left behind: {left.ReplaceLineEndings(" ")}");
            Assert.DoesNotMatch(IoError(), await guest.KernelLogAsync());
            Assert.NotEmpty(left);

            await backstore.RemoveAsync();
            await MustBeCalmAsync();
        }
        finally
        {
            await handler.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_handler_that_is_told_to_end_answers_everything_and_the_next_one_goes_on()
    {
        await PrepareAsync();
        await using GuestHandler handler = await GuestHandler.StartAsync(guest, "file");
        await using UserBackstore backstore = await UserBackstore.CreateAsync(guest, "orderly", "scuse-file//tmp/orderly.img", SizeBytes);
        string disk = await backstore.MapLocallyAsync();
        await guest.MustRunAsync("dmesg -C");
        Task<Outcome> writing = guest.RunAsync($"{Fio} --filename={disk} --rw=randwrite --size=24M", LoadSeconds);

        await guest.MustRunAsync("sleep 1");
        await handler.SignalAsync("TERM");
        await handler.WaitForEndAsync();
        string state = await guest.MustRunAsync($"cat {backstore.Folder}/action/block_dev");
        await using GuestHandler next = await GuestHandler.StartAsync(guest, "file");
        (await writing).OrThrow();

        Assert.Equal("blocked", state.Trim());
        Assert.DoesNotContain("left commands behind", await next.LogAsync());
        Assert.DoesNotMatch(IoError(), await guest.KernelLogAsync());
    }

    [Fact]
    public async Task A_second_process_stands_by_and_serves_when_the_first_is_killed()
    {
        await PrepareAsync();
        await using GuestHandler first = await GuestHandler.StartAsync(guest, "file");
        await using UserBackstore backstore = await UserBackstore.CreateAsync(guest, "shared", "scuse-file//tmp/shared.img", SizeBytes);
        string disk = await backstore.MapLocallyAsync();
        await using GuestHandler second = await GuestHandler.StartAsync(guest, "file");
        await second.MustLogAsync("this one stands by");
        Task<Outcome> writing = guest.RunAsync($"{Fio} --filename={disk} --rw=randwrite --size=16M", LoadSeconds);

        await guest.MustRunAsync("sleep 1");
        await first.SignalAsync("KILL");

        (await writing).OrThrow();
        await second.MustLogAsync("served");
    }

    [Fact]
    public async Task A_handler_that_is_stopped_costs_its_commands_when_their_time_is_over_and_then_goes_on()
    {
        await PrepareAsync();
        await using GuestHandler handler = await GuestHandler.StartAsync(guest, "file");
        await using UserBackstore backstore = await UserBackstore.CreateAsync(guest, "stopped", "scuse-file//tmp/stopped.img", SizeBytes, attributes: ("cmd_time_out", "3"));
        string disk = await backstore.MapLocallyAsync();

        await handler.SignalAsync("STOP");
        Outcome failed = await guest.RunAsync($"dd if=/dev/urandom of={disk} bs=64K count=16 oflag=direct");
        await handler.SignalAsync("CONT");

        Assert.NotEqual(0, failed.ExitCode);
        Assert.Contains("Logical unit communication failure", await guest.KernelLogAsync());
        await MustVerifyAsync(disk);
        Assert.DoesNotContain("makes no sense", await handler.LogAsync());
        await backstore.RemoveAsync();
        await MustBeCalmAsync();
    }

    [Fact]
    public async Task A_reset_of_the_logical_unit_comes_to_the_handler_and_disturbs_nothing()
    {
        await PrepareAsync();
        await using GuestHandler handler = await GuestHandler.StartAsync(guest, "sparse");
        await using UserBackstore backstore = await UserBackstore.CreateAsync(guest, "reset", "scuse-sparse", SizeBytes, attributes: ("tmr_notification", "1"));
        string disk = await backstore.MapLocallyAsync();
        Task<Outcome> writing = guest.RunAsync($"{Fio} --filename={disk} --rw=randwrite --size=16M", LoadSeconds);

        await guest.MustRunAsync($"for i in 1 2 3; do sleep 0.5; sg_reset -d {disk} || exit; done");

        (await writing).OrThrow();
        await handler.MustLogAsync("LogicalUnitReset");
    }

    [Fact]
    public async Task A_backstore_that_is_removed_while_it_is_busy_goes_and_leaves_nothing()
    {
        await PrepareAsync();
        await using GuestHandler handler = await GuestHandler.StartAsync(guest, "file");
        await using UserBackstore backstore = await UserBackstore.CreateAsync(guest, "busy", "scuse-file//tmp/busy.img", SizeBytes);
        string disk = await backstore.MapLocallyAsync();
        Task<Outcome> writing = guest.RunAsync($"{Fio} --filename={disk} --rw=randwrite --size=100M --time_based --runtime=200", LoadSeconds);

        await guest.MustRunAsync("sleep 1");
        await backstore.RemoveAsync();

        Assert.NotEqual(0, (await writing).ExitCode); // its disk is gone
        await guest.MustRunAsync($"for i in $(seq 100); do ls -l /proc/{handler.Pid}/fd | grep -qE '/dev/uio|busy.img' || exit 0; sleep 0.1; done; ls -l /proc/{handler.Pid}/fd; exit 1");
        await MustBeCalmAsync();

        await using UserBackstore again = await UserBackstore.CreateAsync(guest, "busy", "scuse-file//tmp/busy.img", SizeBytes);
        await MustVerifyAsync(await again.MapLocallyAsync());
    }

    [Fact]
    public async Task A_backstore_of_another_subtype_is_left_alone()
    {
        await PrepareAsync();
        await using GuestHandler handler = await GuestHandler.StartAsync(guest, "memory");
        await using UserBackstore longer = await UserBackstore.CreateAsync(guest, "longer", "scuse-memoryx/64M", SizeBytes);
        await using UserBackstore other = await UserBackstore.CreateAsync(guest, "other", "qcow//tmp/other.img", SizeBytes);
        await using UserBackstore none = await UserBackstore.CreateAsync(guest, "none", "scuse", SizeBytes);
        await using UserBackstore own = await UserBackstore.CreateAsync(guest, "own", "scuse-memory/64M", SizeBytes);

        await handler.MustLogAsync("device 'user_0/own': served: 64M");

        Assert.DoesNotMatch("longer|other|none", await handler.LogAsync());
        Assert.Equal("1", (await guest.MustRunAsync($"ls -l /proc/{handler.Pid}/fd | grep -c '/dev/uio'")).Trim());
    }

    [Fact]
    public async Task Where_a_daemon_has_promised_answers_and_died_our_backstores_go_on_all_the_same()
    {
        await PrepareAsync();
        await guest.MustRunAsync($"{GuestHandler.Program} promise 1");
        try
        {
            // Nobody answers: this waits in the kernel, and cannot be killed.
            Task<UserBackstore> enabling = UserBackstore.CreateAsync(guest, "promised", "scuse-sparse", SizeBytes);
            await guest.MustRunAsync("for i in $(seq 100); do grep -q tcm-user/0/promised /sys/class/uio/uio*/name 2>/dev/null && break; sleep 0.1; done; sleep 1");
            Assert.False(enabling.IsCompleted);

            await using GuestHandler handler = await GuestHandler.StartAsync(guest, "sparse");
            await using UserBackstore backstore = await enabling;
            await MustVerifyAsync(await backstore.MapLocallyAsync());
            await guest.MustRunAsync($"echo {SizeBytes * 2} >{backstore.Folder}/attrib/dev_size");
            Outcome refused = await guest.RunAsync($"echo 1000 >{backstore.Folder}/attrib/dev_size");

            Assert.NotEqual(0, refused.ExitCode);
            Assert.Equal($"{SizeBytes * 2}", (await guest.MustRunAsync($"cat {backstore.Folder}/attrib/dev_size")).Trim());
            await using UserBackstore second = await UserBackstore.CreateAsync(guest, "second", "scuse-sparse", SizeBytes);
            await second.RemoveAsync();
            await backstore.RemoveAsync();
        }
        finally
        {
            await guest.MustRunAsync($"{GuestHandler.Program} promise 0");
        }

        await MustBeCalmAsync();
    }

    const string Fio = "fio --name=load --bs=4k --iodepth=16 --ioengine=libaio --direct=1 --verify=crc32c --do_verify=1 --verify_fatal=1";

    [GeneratedRegex("I/O error|Buffer I/O|critical|hung|blocked for more than|BUG|ring is broken")]
    private static partial Regex IoError();

    async Task PrepareAsync()
    {
        Needs.TheLongerTests();
        await GuestHandler.PrepareAsync(guest);
    }

    async Task<GuestHandler> RestartAsync(GuestHandler handler, string kind)
    {
        await handler.SignalAsync("TERM");
        await handler.WaitForEndAsync();
        GuestHandler next = await GuestHandler.StartAsync(guest, kind);
        await next.MustLogAsync("served");
        return next;
    }

    /// <summary>Blocks that are written at random, small and large, are read back with their checksums.</summary>
    async Task MustVerifyAsync(string disk) =>
        await guest.MustRunAsync($"{Fio} --filename={disk} --rw=randwrite --size=8M && {Fio} --filename={disk} --rw=write --bs=1M --iodepth=4 --offset=16M --size=32M", LoadSeconds);

    /// <summary>What is discarded reads as zeros.</summary>
    async Task MustDiscardAsync(string disk) =>
        await guest.MustRunAsync($"dd if=/dev/urandom of={disk} bs=1M count=8 oflag=direct status=none && blkdiscard -f -o 1M -l 4M {disk} && dd if={disk} bs=1M skip=1 count=4 iflag=direct status=none | cmp -n {4 << 20} - /dev/zero && ! cmp -s -n 1048576 {disk} /dev/zero", LoadSeconds);

    /// <summary>No process waits in the kernel for what does not come.</summary>
    async Task MustBeCalmAsync() =>
        await guest.MustRunAsync("for i in $(seq 200); do waiting=$(ps -eo pid,stat,comm --no-headers | awk '$2 ~ /^D/'); [ -n \"$waiting\" ] || exit 0; sleep 0.1; done; echo \"$waiting\"; exit 1");
}
