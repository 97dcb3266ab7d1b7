using Scuse.Ring.Attach;
using Scuse.Scsi;

namespace Scuse.Handlers.Tests;

/// <summary>What becomes of a device when its target goes, for good or for now, and when another handler takes over.</summary>
public sealed class LifecycleTests : IDisposable
{
    static readonly DeviceMessage s_kept = new() { Device = "disk", SizeBytes = 1 << 20, Identity = "first", KeepSeconds = 30 };

    readonly TempFolder _folder = new();

    string Path => _folder["attach"];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_handler_keeps_its_device_and_attaches_again_to_the_next_target(bool isPlanned)
    {
        ArrayDisk disk = null!;
        int opened = 0;
        byte[] data = [.. Enumerable.Repeat((byte)5, 4096)];
        using FakeTarget first = new(path: Path);
        first.Serve(
            device =>
            {
                opened++;
                return disk = new ArrayDisk(device);
            },
            s_kept);
        Assert.Equal("", first.Hello!.Identity);
        Assert.Equal(ScsiStatus.Good, first.Write(0, data).Status);
        if (isPlanned)
        {
            first.Listener.Dispose();
            first.ReleaseDevice();
            Assert.Null(first.Receive());
        }
        else
        {
            first.Die();
        }

        await Task.Delay(200);
        Assert.False(first.Run.IsCompleted);
        Assert.False(disk.Closed.Task.IsCompleted);
        using FakeTarget second = new FakeTarget(path: Path).InheritFrom(first);
        second.Handshake(s_kept, waitFlags: true);

        Assert.Equal("first", second.Hello!.Identity);
        Assert.Equal(data, second.Read(0, 8).Data);
        second.RemoveDevice();
        Assert.Equal(0, await second.ExitCode());
        Assert.True(disk.Closed.Task.IsCompleted);
        Assert.Equal(1, opened);
    }

    [Fact]
    public async Task It_survives_several_targets_one_after_the_other()
    {
        FakeTarget target = new(path: Path);
        target.Serve(device => new ArrayDisk(device), s_kept);
        for (int i = 0; i < 5; i++)
        {
            Assert.Equal(ScsiStatus.Good, target.Write(i, new byte[512]).Status);
            target.Die();
            FakeTarget next = new FakeTarget(path: Path).InheritFrom(target);
            next.Handshake(s_kept, waitFlags: i % 2 == 0);
            target = next;
        }

        target.RemoveDevice();
        Assert.Equal(0, await target.ExitCode());
        target.Dispose();
    }

    [Fact]
    public async Task When_no_target_comes_back_in_time_the_device_is_closed_and_the_handler_ends()
    {
        ArrayDisk disk = null!;
        using FakeTarget target = new(path: Path);
        target.Serve(device => disk = new ArrayDisk(device), s_kept with { KeepSeconds = 1 });

        long start = Environment.TickCount64;
        target.Die();

        Assert.Equal(0, await target.ExitCode());
        Assert.InRange(Environment.TickCount64 - start, 900, 8000);
        Assert.True(disk.Closed.Task.IsCompleted);
        Assert.Equal("no target came back within 1 seconds\n", target.HandlerErrors.ToString());
    }

    [Fact]
    public async Task A_target_that_refuses_a_handler_that_attaches_again_ends_it()
    {
        ArrayDisk disk = null!;
        using FakeTarget first = new(path: Path);
        first.Serve(device => disk = new ArrayDisk(device), s_kept);
        first.Die();
        using FakeTarget second = new FakeTarget(path: Path).InheritFrom(first);
        second.AcceptHello();

        second.Send(new RefusedMessage { Message = "the device is configured otherwise" });

        Assert.Equal(1, await first.ExitCode());
        Assert.True(disk.Closed.Task.IsCompleted);
        Assert.Equal("the target refused: the device is configured otherwise\n", first.HandlerErrors.ToString());
    }

    [Fact]
    public async Task A_target_that_means_another_device_by_the_name_is_told_and_left()
    {
        ArrayDisk disk = null!;
        using FakeTarget first = new(path: Path);
        first.Serve(device => disk = new ArrayDisk(device), s_kept);
        first.Die();
        using FakeTarget second = new FakeTarget(path: Path).InheritFrom(first);
        second.AcceptHello();

        second.Send(s_kept with { Identity = "second" });

        Assert.IsType<FailedMessage>(second.Receive());
        Assert.Equal(1, await first.ExitCode());
        Assert.True(disk.Closed.Task.IsCompleted);
    }

    [Fact]
    public async Task Targets_that_go_before_they_answer_are_as_good_as_none()
    {
        using FakeTarget first = new(path: Path);
        first.Serve(device => new ArrayDisk(device), s_kept);
        first.Die();
        using FakeTarget second = new FakeTarget(path: Path).InheritFrom(first);

        Assert.True(SpinWait.SpinUntil(second.TurnAway, 5000));
        second.AcceptHello();
        second.Socket.Dispose();
        second.AcceptHello();
        second.Send(s_kept);
        Assert.IsType<ReadyMessage>(second.Receive());
        second.Socket.Dispose();
        second.Handshake(s_kept, waitFlags: true);

        Assert.Equal(ScsiStatus.Good, second.Read(0, 1).Status);
        second.RemoveDevice();
        Assert.Equal(0, await second.ExitCode());
    }

    [Fact]
    public async Task A_release_in_place_of_a_region_keeps_the_device()
    {
        using FakeTarget first = new(path: Path);
        first.Start(device => new ArrayDisk(device));
        first.AcceptHello();
        first.Send(s_kept);
        Assert.IsType<ReadyMessage>(first.Receive());
        first.Listener.Dispose();
        first.ReleaseDevice();
        Assert.Null(first.Receive());

        using FakeTarget second = new FakeTarget(path: Path).InheritFrom(first);
        second.Handshake(s_kept, waitFlags: true);
        Assert.Equal(ScsiStatus.Good, second.Read(0, 1).Status);
        second.RemoveDevice();
        Assert.Equal(0, await second.ExitCode());
    }

    [Fact]
    public async Task A_release_is_obeyed_after_everything_posted_is_answered()
    {
        WaitingDisk disk = null!;
        using FakeTarget target = new(path: Path);
        target.Serve(device => disk = new WaitingDisk(device), s_kept);
        PostedCommand read = target.Post([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], dataInLength: 512);
        SpinWait.SpinUntil(() => disk.LastAborted.CanBeCanceled, 5000);

        target.Listener.Dispose();
        target.ReleaseDevice();
        PostedCommand write = target.Post([0x2A, 0, 0, 0, 0, 1, 0, 0, 1, 0], new byte[512]);
        Assert.Equal(ScsiStatus.Good, target.Take(write).Status);
        Assert.False(target.HasAnswerTo(read));
        disk.Gate(0).SetResult();

        Assert.Equal(ScsiStatus.Good, target.Take(read).Status);
        Assert.Null(target.Receive());
        target.Host.RequestStop();
        Assert.Equal(0, await target.ExitCode());
    }

    [Fact]
    public async Task Before_it_attaches_again_a_handler_gives_up_what_is_under_way()
    {
        WaitingDisk disk = null!;
        using FakeTarget first = new(path: Path);
        first.Serve(device => disk = new WaitingDisk(device), s_kept);
        first.Post([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], dataInLength: 512);
        SpinWait.SpinUntil(() => disk.LastAborted.CanBeCanceled, 5000);

        first.Die();
        using FakeTarget second = new FakeTarget(path: Path).InheritFrom(first);
        second.AcceptHello();

        Assert.True(disk.LastAborted.IsCancellationRequested);
        second.Send(s_kept);
        Assert.IsType<ReadyMessage>(second.Receive());
        second.GiveRegion(waitFlags: true);
        disk.Gate(512).SetResult();
        Assert.Equal(ScsiStatus.Good, second.Read(1, 1).Status);
        second.RemoveDevice();
        Assert.Equal(0, await second.ExitCode());
    }

    [Fact]
    public async Task A_command_that_never_ends_ends_the_process_instead_of_attaching_again()
    {
        TaskCompletionSource never = new();
        ScriptedDisk disk = null!;
        int started = 0;
        using FakeTarget target = new(path: Path);
        target.Serve(
            device => disk = new ScriptedDisk(device, () =>
            {
                Interlocked.Increment(ref started);
                return new ValueTask(never.Task);
            }),
            s_kept);
        target.Post([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], dataInLength: 512);
        SpinWait.SpinUntil(() => Volatile.Read(ref started) > 0, 5000);

        target.Die();

        Assert.Equal(1, await target.ExitCode());
        Assert.False(disk.Closed.Task.IsCompleted);
        Assert.Equal("1 commands did not end after the target was gone\n", target.HandlerErrors.ToString());
    }

    [Fact]
    public async Task A_handler_that_waits_for_its_target_can_be_stopped()
    {
        ArrayDisk disk = null!;
        using FakeTarget target = new(path: Path);
        target.Serve(device => disk = new ArrayDisk(device), s_kept);
        target.Die();
        await Task.Delay(100);

        target.Host.RequestStop();

        Assert.Equal(0, await target.ExitCode());
        Assert.True(disk.Closed.Task.IsCompleted);
    }

    [Fact]
    public async Task A_successor_says_so_once_and_waits_for_the_device()
    {
        using FakeTarget target = new(path: Path);
        int opened = 0;
        target.Start(
            device =>
            {
                opened++;
                return new ArrayDisk(device);
            },
            "--replace");
        target.AcceptHello();
        Assert.True(target.Hello!.Replace);

        await Task.Delay(300); // the one before it answers what it has
        Assert.Equal(0, opened);
        target.Introduce(s_kept);
        Assert.Equal(ScsiStatus.Good, target.Read(0, 1).Status);

        target.Die();
        using FakeTarget next = new FakeTarget(path: Path).InheritFrom(target);
        next.AcceptHello();
        Assert.False(next.Hello!.Replace);
        target.Host.RequestStop();
        Assert.Equal(0, await target.ExitCode());
    }

    [Fact]
    public async Task A_successor_that_is_not_wanted_any_more_can_be_stopped_while_it_waits()
    {
        using FakeTarget target = new(path: Path);
        target.Start(device => new ArrayDisk(device), "--replace");
        target.AcceptHello();

        target.Host.RequestStop();

        Assert.Null(target.Receive());
        Assert.Equal(0, await target.ExitCode());
    }

    [Fact]
    public async Task The_connection_is_closed_last_so_that_its_end_says_that_the_device_is_free()
    {
        ArrayDisk disk = null!;
        TaskCompletionSource mayClose = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using FakeTarget target = new(path: Path);
        target.Serve(device => disk = new SlowlyClosingDisk(device, mayClose.Task));

        target.RemoveDevice();
        await disk.Closed.Task.WaitAsync(TimeSpan.FromSeconds(5));
        Assert.False(target.CanReceive());
        mayClose.SetResult();

        Assert.Null(target.Receive());
        Assert.Equal(0, await target.ExitCode());
    }

    sealed class SlowlyClosingDisk(DeviceInfo device, Task mayClose) : ArrayDisk(device)
    {
        public override async ValueTask CloseAsync()
        {
            await base.CloseAsync();
            await mayClose;
        }
    }
}
