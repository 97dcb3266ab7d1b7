namespace Scuse.Peers;

/// <summary>Handlers that somebody else starts, in C# and in C.</summary>
public sealed class HandlerTests : PeerTest
{
    const int DiskBytes = 64 << 20;

    [Fact]
    public async Task Commands_that_came_before_the_handler_wait_for_it()
    {
        Needs.Qemu();
        string socket = TemporaryFile("attach.sock");
        ScuseServe serve = await ServeAsync("attach:late", "--socket", socket);
        using RunningPeer early = RunningPeer.Start("qemu-io", "-f", "raw", "-t", "none", "-c", "write -P 9 1M 2M", "-c", "read -P 9 1M 2M", serve.Url);
        await Task.Delay(700);
        Assert.False(early.HasExited, early.OutputSoFar);

        using RunningPeer handler = StartHandler("memory:16M", socket, "late");

        (await early.WaitAsync(TimeSpan.FromSeconds(20))).OrThrow();
        Assert.Equal(handler.Id, serve.HandlerPid());
    }

    [Fact]
    public async Task A_handler_that_was_started_by_hand_can_be_replaced_by_another()
    {
        Needs.Qemu();
        string socket = TemporaryFile("attach.sock");
        string spec = $"file:{TemporaryFile("disk.img")}?size=16M";
        ScuseServe serve = await ServeAsync("attach:mine", "--socket", socket);
        using (RunningPeer first = StartHandler(spec, socket, "mine"))
        {
            await serve.WaitForAttachmentAsync();
            await Qemu.IoMustSucceedAsync(serve.Url, "write -P 5 0 16M", "flush");
        }

        using RunningPeer second = StartHandler(spec, socket, "mine");

        await Qemu.IoMustSucceedAsync(serve.Url, "read -P 5 0 16M");
        Assert.Equal(second.Id, serve.HandlerPid());
    }

    [Fact]
    public async Task A_handler_in_plain_C_serves_a_disk_over_the_same_socket()
    {
        Needs.Qemu();
        string image = RandomFile("image", DiskBytes, seed: 7);
        string socket = TemporaryFile("attach.sock");
        string disk = await CHandler.BuildAsync(TemporaryFile("disk"));
        ScuseServe serve = await ServeAsync("attach:c", "--socket", socket);
        using RunningPeer handler = RunningPeer.Start(disk, socket, "c", $"{DiskBytes}");
        await serve.WaitForAttachmentAsync();

        await Qemu.WriteImageAsync(image, serve.Url);

        await Qemu.CompareAsync(image, serve.Url);
        Assert.Equal(handler.Id, serve.HandlerPid());
    }

    [Fact]
    public async Task A_handler_in_plain_C_can_be_started_by_the_engine()
    {
        Needs.Qemu();
        string disk = await CHandler.BuildAsync(TemporaryFile("disk"));
        ScuseServe serve = await ServeAsync($"exec:{disk} - - {DiskBytes}");

        await Qemu.IoMustSucceedAsync(serve.Url, "write -P 4 0 64M", "read -P 4 0 64M");
    }

    static RunningPeer StartHandler(string spec, string socket, string device) =>
        RunningPeer.Start("dotnet", ScuseServe.Dll, "handler", spec, "--socket", socket, "--device", device);
}
