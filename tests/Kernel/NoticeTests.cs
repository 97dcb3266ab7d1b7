namespace Scuse.Kernel;

/// <summary>Notices of the kernel that a handler does not get, or gets too late.</summary>
public sealed class NoticeTests(Guest guest) : PeerTest, IClassFixture<Guest>
{
    const long SizeBytes = 64 << 20;
    const string NobodyWaits = "hw_block_size=512,nl_reply_supported=-1";

    [Fact]
    public async Task What_changed_while_notices_were_lost_is_found()
    {
        await PrepareAsync();
        await using GuestHandler handler = await GuestHandler.StartAsync(guest, "file"), listener = await GuestHandler.StartAsync(guest, "memory");
        await using UserBackstore stays = await CreateAsync("stays"), goes = await CreateAsync("goes"), again = await CreateAsync("again");
        await using UserBackstore flood = await UserBackstore.CreateAsync(guest, "flood", "nobodys", SizeBytes, NobodyWaits);
        foreach (string name in (string[])["stays", "goes", "again"])
        {
            await handler.MustLogAsync($"device 'user_0/{name}': served: 64M");
        }

        string disk = await stays.MapLocallyAsync();
        await handler.SignalAsync("STOP");

        // Its socket is full when the kernel has counted one that found no room. The other handler takes its own meanwhile, so the kernel does not fail for want of listeners.
        string lost = await guest.MustRunAsync($$"""
            for i in $(seq 400); do
                for j in $(seq 50); do echo $(({{SizeBytes}} + j * 512)) >{{flood.Folder}}/attrib/dev_size; done
                drops=$(awk '$2 == 16 && $3 == {{handler.Pid}} { print $9 }' /proc/net/netlink)
                [ "$drops" = 0 ] || { echo $drops after $((i * 50)); exit; }
            done
            cat /proc/net/netlink; exit 1
            """);
        TestContext.Current.TestOutputHelper?.WriteLine($"lost: {lost}");
        await guest.MustRunAsync($"echo {2 * SizeBytes} >{stays.Folder}/attrib/dev_size && rmdir {goes.Folder} {again.Folder}");
        await using UserBackstore comes = await CreateAsync("comes"), anew = await CreateAsync("again", 3 * SizeBytes);
        await handler.SignalAsync("CONT");

        await handler.MustLogAsync("notices of the kernel were lost");
        await handler.MustLogAsync("device 'user_0/stays': the size is 128M now");
        await handler.MustLogAsync("device 'user_0/comes': served: 64M");
        await handler.MustLogAsync("device 'user_0/again': served: 192M");
        await MustHaveOpenAsync(handler, "again.img", "comes.img", "stays.img");
        await guest.MustRunAsync($"echo 1 >/sys/block/{disk[5..]}/device/rescan; [ $(blockdev --getsize64 {disk}) = {2 * SizeBytes} ]");
        await MustWorkAsync(disk);
        await MustWorkAsync(await comes.MapLocallyAsync());
        await MustWorkAsync(await anew.MapLocallyAsync());
    }

    [Fact]
    public async Task A_backstore_that_was_removed_and_made_anew_before_the_handler_heard_of_either_is_served()
    {
        await PrepareAsync();
        await using GuestHandler handler = await GuestHandler.StartAsync(guest, "file");
        await using UserBackstore first = await CreateAsync("quick");
        await handler.MustLogAsync("device 'user_0/quick': served: 64M");

        await handler.SignalAsync("STOP");
        await first.RemoveAsync();
        await using UserBackstore second = await CreateAsync("quick", 2 * SizeBytes);
        await handler.SignalAsync("CONT");

        await handler.MustLogAsync("device 'user_0/quick': served: 128M");
        await MustHaveOpenAsync(handler, "quick.img");
        await MustWorkAsync(await second.MapLocallyAsync());
    }

    async Task PrepareAsync()
    {
        Needs.TheLongerTests();
        await GuestHandler.PrepareAsync(guest);
    }

    Task<UserBackstore> CreateAsync(string name, long sizeBytes = SizeBytes) => UserBackstore.CreateAsync(guest, name, $"scuse-file//tmp/{name}.img", sizeBytes, NobodyWaits);

    /// <summary>A handler has these files open, and as many backstores, and no others.</summary>
    async Task MustHaveOpenAsync(GuestHandler handler, params string[] files) =>
        await guest.MustRunAsync($$"""
            for i in $(seq 100); do
                found=$(ls -l /proc/{{handler.Pid}}/fd | sed -n 's#.* /tmp/\(.*\.img\)$#\1#p; s#.* /dev/uio.*#uio#p' | sort | xargs)
                [ "$found" = '{{string.Join(' ', files.Concat(Enumerable.Repeat("uio", files.Length)))}}' ] && exit
                sleep 0.1
            done
            echo "$found"; exit 1
            """);

    async Task MustWorkAsync(string disk) => await guest.MustRunAsync($"fio --name=load --filename={disk} --bs=4k --iodepth=16 --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 --rw=randwrite --size=2M");
}
