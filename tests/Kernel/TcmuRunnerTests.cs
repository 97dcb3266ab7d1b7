using System.Text.RegularExpressions;

namespace Scuse.Kernel;

/// <summary>tcmu-runner and our handlers behind the same kernel at the same time: neither takes, answers for or disturbs what is the other's.</summary>
public sealed partial class TcmuRunnerTests(Guest guest) : PeerTest, IClassFixture<Guest>
{
    const long SizeBytes = 64 << 20;

    // It tells the kernel of every backstore that it has no handler for that it cannot be enabled. Who is asked for no answer is not told so.
    const string NobodyWaits = "hw_block_size=512,nl_reply_supported=-1";

    const int LoadSeconds = 900;

    [Fact]
    public async Task Its_disk_works_on_while_ours_come_and_grow_and_die_and_go()
    {
        const int rounds = 2;
        await PrepareAsync();
        await using TcmuRunner runner = await TcmuRunner.StartAsync(guest);
        await using UserBackstore its = await CreateItsAsync("its");
        string disk = await its.MapLocallyAsync();
        int pid = runner.Pid;
        string before = await StateAsync(its);
        await guest.MustRunAsync("dmesg -C");
        Task<Outcome> load = LoadAsync(disk);

        for (int round = 0; round < rounds; round++)
        {
            await using GuestHandler first = await GuestHandler.StartAsync(guest, "file");
            await using UserBackstore ours = await UserBackstore.CreateAsync(guest, "ours", "scuse-file//tmp/ours.img", SizeBytes, NobodyWaits);
            string ourDisk = await ours.MapLocallyAsync();
            await MustVerifyAsync(ourDisk);
            await guest.MustRunAsync($"echo {2 * SizeBytes} >{ours.Folder}/attrib/dev_size");
            await first.MustLogAsync("device 'user_0/ours': the size is 128M now");
            await first.SignalAsync("KILL");
            await first.WaitForEndAsync();
            await using GuestHandler second = await GuestHandler.StartAsync(guest, "file");
            await second.MustLogAsync("device 'user_0/ours': served: 128M");
            await MustVerifyAsync(ourDisk);

            Assert.DoesNotContain("user_0/its", await first.LogAsync() + await second.LogAsync());
            Assert.Equal("1 1", $"{await UioCountAsync(second.Pid)} {await UioCountAsync(runner.Pid)}");
            await ours.RemoveAsync();
            await guest.MustRunAsync("rm /tmp/ours.img");
        }

        Assert.Equal(before, await StateAsync(its));
        Assert.Equal(pid, runner.Pid);
        await MustEndWellAsync(load);
        Assert.Equal("", await runner.ComplaintsAsync());
        await its.RemoveAsync(); // it answers
        await MustBeCalmAsync();
    }

    [Fact]
    public async Task Our_disk_works_on_while_it_ends_and_dies_and_comes_back_to_its_own()
    {
        await PrepareAsync();
        await using TcmuRunner runner = await TcmuRunner.StartAsync(guest);
        await using GuestHandler handler = await GuestHandler.StartAsync(guest, "file");
        await using UserBackstore its = await CreateItsAsync("its");
        await using UserBackstore ours = await UserBackstore.CreateAsync(guest, "ours", "scuse-file//tmp/ours.img", SizeBytes, NobodyWaits);
        string itsDisk = await its.MapLocallyAsync(), ourDisk = await ours.MapLocallyAsync();
        string log = await handler.LogAsync(), before = await StateAsync(ours);
        await guest.MustRunAsync("dmesg -C");
        Task<Outcome> load = LoadAsync(ourDisk);

        foreach (string signal in (string[])["TERM", "KILL", "KILL"])
        {
            await MustVerifyAsync(itsDisk);
            await runner.EndAsync(signal);

            // Its promise to answer outlives it. Nobody waits for that with backstores of ours.
            await using (UserBackstore meanwhile = await UserBackstore.CreateAsync(guest, "meanwhile", "scuse-file//tmp/meanwhile.img", SizeBytes, NobodyWaits))
            {
                await handler.MustLogAsync("device 'user_0/meanwhile': served");
                await meanwhile.RemoveAsync();
            }

            await runner.RestartAsync();
        }

        await MustVerifyAsync(itsDisk);
        await MustEndWellAsync(load);
        Assert.Equal(before, await StateAsync(ours));
        Assert.Equal(log, MeanwhileLines().Replace(await handler.LogAsync(), ""));
        Assert.Equal("1 1", $"{await UioCountAsync(handler.Pid)} {await UioCountAsync(runner.Pid)}");
        await its.RemoveAsync();
        await ours.RemoveAsync();
        await MustBeCalmAsync();
    }

    [Fact]
    public async Task The_command_shows_its_disks_and_makes_and_removes_ours_beside_them()
    {
        await PrepareAsync();
        GuestScuse scuse = await GuestScuse.PrepareAsync(guest);
        await using TcmuRunner runner = await TcmuRunner.StartAsync(guest);
        await using GuestHandler handler = await GuestHandler.StartAsync(guest, "file");
        await using UserBackstore its = await CreateItsAsync("its");
        string disk = await its.MapLocallyAsync();
        string before = await StateAsync(its);

        await scuse.MustRunAsync("kernel create ours file:/tmp/ours.img --size 64M --hba 0");
        await handler.MustLogAsync("device 'user_0/ours': served");
        string ourDisk = (await scuse.MustRunAsync("kernel map ours")).Trim().Split(' ')[^1];
        await MustVerifyAsync(ourDisk);
        string list = await scuse.MustRunAsync("kernel list"), doctor = await scuse.MustRunAsync("kernel doctor");
        Outcome refused = await scuse.RunAsync("kernel create waits file:/tmp/waits.img --size 64M --hba 0 --wait-for-answers");
        await scuse.MustRunAsync("kernel remove ours");

        Assert.Matches($@"user_0/its +qcow//tmp/its\.img +64M +512 +served +tcmu-runner \({runner.Pid}\) +{disk}", list);
        Assert.Matches($@"user_0/ours +scuse-file//tmp/ours\.img +64M +512 +served +kernel-handlers \({handler.Pid}\) +{ourDisk}", list);
        Assert.Matches($@"ok +user_0/its: served by tcmu-runner \(pid {runner.Pid}\)", doctor);

        // It says for the kernel to hear that it has no handler for it. What was begun is taken back.
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("--wait-for-answers", refused.Output);
        Assert.Equal("its", (await guest.MustRunAsync("ls -d /sys/kernel/config/target/core/user_0/*/ | xargs -n 1 basename")).Trim());
        Assert.Equal(before, await StateAsync(its));
        await MustVerifyAsync(disk);
        await its.RemoveAsync();
        await MustBeCalmAsync();
    }

    [GeneratedRegex("(?m)^device 'user_0/meanwhile'.*\n")]
    private static partial Regex MeanwhileLines();

    [GeneratedRegex("I/O error|Buffer I/O|critical|hung|blocked for more than|BUG|ring is broken")]
    private static partial Regex IoError();

    const string Fio = "fio --name=load --bs=4k --iodepth=16 --ioengine=libaio --direct=1 --verify=crc32c --do_verify=1 --verify_fatal=1";

    async Task PrepareAsync()
    {
        Needs.TheLongerTests();
        await GuestHandler.PrepareAsync(guest);
    }

    /// <summary>A disk that tcmu-runner serves from a raw image.</summary>
    async Task<UserBackstore> CreateItsAsync(string name)
    {
        await guest.MustRunAsync($"truncate -s {SizeBytes} /tmp/{name}.img");
        return await UserBackstore.CreateAsync(guest, name, $"qcow//tmp/{name}.img", SizeBytes, attributes: ("cmd_time_out", "120"));
    }

    /// <summary>Writes, reads and compares until it is told to end.</summary>
    Task<Outcome> LoadAsync(string disk) => guest.RunAsync($"rm -f /run/enough; while :; do {Fio} --filename={disk} --rw=randwrite --size=4M || exit; echo round; [ ! -e /run/enough ] || exit 0; done", LoadSeconds);

    async Task MustEndWellAsync(Task<Outcome> load)
    {
        Assert.False(load.IsCompleted, "the load has ended by itself");
        await guest.MustRunAsync("touch /run/enough");
        Outcome outcome = (await load).OrThrow();
        TestContext.Current.TestOutputHelper?.WriteLine($"{Regex.Count(outcome.Output, "round")} rounds of 4 MiB written at random and verified");
        Assert.DoesNotMatch(IoError(), await guest.KernelLogAsync());
    }

    async Task MustVerifyAsync(string disk) => await guest.MustRunAsync($"{Fio} --filename={disk} --rw=randwrite --size=1M", LoadSeconds);

    /// <summary>Everything about a backstore that somebody could have set.</summary>
    Task<string> StateAsync(UserBackstore backstore) => guest.MustRunAsync($"cd {backstore.Folder}; grep -sH . info enable attrib/* action/block_dev wwn/vpd_unit_serial");

    async Task<int> UioCountAsync(int pid) => int.Parse(await guest.MustRunAsync($"ls -l /proc/{pid}/fd | grep -c ' /dev/uio' || true"));

    /// <summary>No process waits in the kernel for what does not come.</summary>
    async Task MustBeCalmAsync() =>
        await guest.MustRunAsync("for i in $(seq 200); do waiting=$(ps -eo pid,stat,comm --no-headers | awk '$2 ~ /^D/'); [ -n \"$waiting\" ] || exit 0; sleep 0.1; done; echo \"$waiting\"; exit 1");
}
