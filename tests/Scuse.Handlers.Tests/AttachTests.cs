using System.Text;
using Scuse.Ring.Attach;

namespace Scuse.Handlers.Tests;

public sealed class AttachTests
{
    [Fact]
    public async Task A_handler_introduces_itself_describes_its_device_and_ends_in_order_when_removed()
    {
        using FakeTarget target = new();
        ArrayDisk disk = null!;

        target.Serve(device => disk = new ArrayDisk(device));
        target.RemoveDevice();

        Assert.Equal(0, await target.ExitCode());
        Assert.Equal(("disk", 1), (target.Hello!.Device, target.Hello.Version));
        Assert.Equal((1 << 20, 512, "io"), (target.Ready!.SizeBytes, target.Ready.BlockSize, target.Ready.Level));
        Assert.Empty(target.Ready.Features);
        Assert.Contains("waitFlags", target.Ready.Ring);
        Assert.True(disk.Closed.Task.IsCompleted);
        Assert.Null(target.Receive());
    }

    [Fact]
    public void What_is_overridden_is_what_the_target_is_told()
    {
        using FakeTarget target = new();

        target.Serve(device => new FullDisk(device));

        Assert.Equal(["flush", "unmap", "writeZeroes"], target.Ready!.Features);
    }

    [Fact]
    public void A_disk_that_is_gone_with_its_process_says_so()
    {
        using FakeTarget target = new();

        target.Serve(device => new Memory.MemoryHandler(device.SizeBytes, 512));

        Assert.Contains("volatile", target.Ready!.Features);
    }

    [Fact]
    public void A_device_that_the_operator_wants_read_only_stays_thin_and_is_asked_for_no_zeros()
    {
        using FakeTarget target = new();

        target.Serve(device => new FullDisk(device), new DeviceMessage { Device = "disk", SizeBytes = 1 << 20, ReadOnly = true });

        Assert.Equal(["flush", "unmap", "readOnly"], target.Ready!.Features);
    }

    [Fact]
    public void The_operators_pass_level_is_the_block_handlers()
    {
        using FakeTarget target = new();

        target.Serve(device => new ArrayDisk(device), new DeviceMessage { Device = "disk", SizeBytes = 1 << 20, Level = "all" });

        Assert.Equal("all", target.Ready!.Level);
    }

    [Fact]
    public void What_the_target_asks_for_comes_before_the_command_line_and_that_before_the_defaults()
    {
        using FakeTarget target = new();
        DeviceInfo seen = null!;

        target.Serve(
            device => new ArrayDisk(seen = device),
            new DeviceMessage { Device = "disk", SizeBytes = 8192, Serial = "S1" },
            waitFlags: true,
            "--size", "1M", "--block-size", "4096", "--config", "text", "mine");

        Assert.Equal((8192, 4096, "text", "S1"), (seen.SizeBytes, seen.BlockSize, seen.Config, seen.Serial));
        Assert.Equal(["mine"], seen.Arguments);
        Assert.Equal(DeviceInfo.DefaultSizeBytes, new DeviceInfo { Name = "x" }.SizeBytes);
    }

    [Fact]
    public async Task A_refusal_ends_the_handler_with_the_targets_reason()
    {
        using FakeTarget target = new();
        target.Start(device => new ArrayDisk(device));
        target.AcceptHello();

        target.Send(new RefusedMessage { Message = "there is no device 'disk'" });

        Assert.Equal(1, await target.ExitCode());
        Assert.Equal("the target refused: there is no device 'disk'\n", target.HandlerErrors.ToString());
    }

    [Fact]
    public async Task A_device_that_cannot_be_opened_is_reported_in_one_line_to_both()
    {
        using FakeTarget target = new();
        target.Start(BlockHandler (_) => throw new IOException("the medium\nis gone"));
        target.AcceptHello();

        target.Send(new DeviceMessage { Device = "disk" });

        FailedMessage failed = Assert.IsType<FailedMessage>(target.Receive());
        Assert.Equal("the medium is gone", failed.Message);
        Assert.Null(target.Receive());
        Assert.Equal(1, await target.ExitCode());
        Assert.Equal("cannot open 'disk': the medium is gone\n", target.HandlerErrors.ToString());
    }

    [Fact]
    public async Task A_size_that_is_no_multiple_of_the_block_size_is_a_failed_open()
    {
        using FakeTarget target = new();
        target.Start(device => new ArrayDisk(device));
        target.AcceptHello();

        target.Send(new DeviceMessage { Device = "disk", SizeBytes = 1000 });

        Assert.Contains("1000", Assert.IsType<FailedMessage>(target.Receive()).Message, StringComparison.Ordinal);
        Assert.Equal(1, await target.ExitCode());
    }

    [Fact]
    public async Task Without_a_target_the_handler_says_where_it_looked()
    {
        StringWriter errors = new();
        HandlerOptions options = HandlerOptions.Parse(["--socket", "/nonexistent/attach", "--device", "disk"], _ => null);

        int exit = await new HandlerHost(options, (_, _, _) => throw new InvalidOperationException(), errors).RunAsync();

        Assert.Equal(1, exit);
        Assert.Equal("cannot attach to /nonexistent/attach: No such file or directory; is `scuse serve` running?\n", errors.ToString());
    }

    [Fact]
    public async Task Messages_of_unknown_types_are_passed_over()
    {
        using FakeTarget target = new();
        target.Start(device => new ArrayDisk(device));
        target.AcceptHello();
        target.Socket.Send("""{"type":"fromTheFuture","x":1}"""u8);
        target.Send(new DeviceMessage { Device = "disk", SizeBytes = 4096 });
        Assert.IsType<ReadyMessage>(target.Receive());
        target.Socket.Send("""{"type":"fromTheFuture"}"""u8);
        target.GiveRegion(waitFlags: true);
        target.Socket.Send("""{"type":"fromTheFuture"}"""u8);

        Assert.True(target.Read(0, 1).Data.All(b => b == 0));
        target.RemoveDevice();
        Assert.Equal(0, await target.ExitCode());
    }

    [Fact]
    public async Task What_is_not_a_message_ends_the_handler_with_a_line()
    {
        using FakeTarget target = new();
        target.Start(device => new ArrayDisk(device));
        target.AcceptHello();

        target.Socket.Send(Encoding.UTF8.GetBytes("hello?"));

        Assert.Equal(1, await target.ExitCode());
        Assert.Contains("what is not a message", target.HandlerErrors.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_region_longer_than_its_memory_is_refused()
    {
        using FakeTarget target = new();
        target.Start(device => new ArrayDisk(device));
        target.AcceptHello();
        target.Send(new DeviceMessage { Device = "disk", SizeBytes = 4096 });
        Assert.IsType<ReadyMessage>(target.Receive());

        target.GiveRegion(waitFlags: true, mapBytes: 1L << 40);

        Assert.Equal(1, await target.ExitCode());
        Assert.Contains("unusable", target.HandlerErrors.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_device_removed_before_it_has_a_region_is_closed()
    {
        using FakeTarget target = new();
        ArrayDisk disk = null!;
        target.Start(device => disk = new ArrayDisk(device));
        target.AcceptHello();
        target.Send(new DeviceMessage { Device = "disk", SizeBytes = 4096 });
        Assert.IsType<ReadyMessage>(target.Receive());

        target.RemoveDevice();

        Assert.Equal(0, await target.ExitCode());
        Assert.True(disk.Closed.Task.IsCompleted);
    }

    [Fact]
    public async Task When_the_target_closes_the_handler_ends_in_order()
    {
        using FakeTarget target = new();
        ArrayDisk disk = null!;
        target.Serve(device => disk = new ArrayDisk(device));

        target.Socket.Dispose();

        Assert.Equal(0, await target.ExitCode());
        Assert.True(disk.Closed.Task.IsCompleted);
    }

    [Fact]
    public async Task When_the_target_closes_what_is_under_way_is_aborted_first()
    {
        using FakeTarget target = new();
        WaitingDisk disk = null!;
        target.Serve(device => disk = new WaitingDisk(device));
        target.Post([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], dataInLength: 512);
        SpinWait.SpinUntil(() => disk.LastAborted.CanBeCanceled, 5000);

        target.Socket.Dispose();

        Assert.Equal(0, await target.ExitCode());
        Assert.True(disk.LastAborted.IsCancellationRequested);
    }

    [Fact]
    public async Task A_request_to_stop_answers_what_was_taken_and_ends()
    {
        using FakeTarget target = new();
        WaitingDisk disk = null!;
        target.Serve(device => disk = new WaitingDisk(device));
        PostedCommand read = target.Post([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], dataInLength: 512);
        SpinWait.SpinUntil(() => disk.LastAborted.CanBeCanceled, 5000);

        target.Host.RequestStop();
        await Task.Delay(50);
        Assert.False(target.Run.IsCompleted);
        disk.Gate(0).SetResult();

        Assert.Equal(0, await target.ExitCode());
        Assert.Equal(Scsi.ScsiStatus.Good, target.Take(read).Status);
    }
}
