using System.Security.Cryptography;

namespace Scuse.Kernel;

/// <summary>What every <c>./test</c> does where a guest is at hand: one login of a real kernel, and data that is compared on both sides.</summary>
public sealed class SmokeTests(Guest guest) : PeerTest, IClassFixture<Guest>
{
    [Fact]
    public async Task A_Linux_kernel_logs_in_by_open_iscsi_and_what_it_writes_is_on_the_disk()
    {
        await guest.BootAsync();
        string image = TemporaryFile("disk.img");
        ScuseServe serve = await ServeAsync([$"file:{image}?size=64M", .. OpenIscsi.PortalForGuest().Arguments]);
        await using OpenIscsi initiator = await OpenIscsi.StartAsync(guest, serve);

        Outcome targets = (await initiator.DiscoverAsync()).OrThrow();
        string disk = await initiator.LoginToDiskAsync();
        string written = await guest.MustRunAsync($"""
            head -c 8M /dev/urandom >/tmp/data
            dd if=/tmp/data of={disk} bs=1M seek=8 oflag=direct status=none && sync && echo 3 >/proc/sys/vm/drop_caches
            dd if={disk} bs=1M skip=8 count=8 iflag=direct status=none | cmp - /tmp/data && sha256sum </tmp/data
            """);
        await initiator.LogoutAsync();
        await serve.StopAsync();

        Assert.Contains($"{initiator.Portal},1 {serve.Target}", targets.Output);
        Assert.StartsWith(Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(image).AsSpan(8 << 20, 8 << 20))), written);
    }
}
