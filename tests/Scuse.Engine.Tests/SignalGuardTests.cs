using System.Runtime.InteropServices;
using Scuse.Engine.Reactors;
using Scuse.Ring.Attach;
using Scuse.Target.Tests;

namespace Scuse.Engine.Tests;

/// <summary>The doorbell that the engine rings is shared with the handler, who can make ringing it wait for ever.</summary>
public sealed partial class SignalGuardTests
{
    const int SetFlags = 4; // F_SETFL

    [Fact]
    public async Task A_handler_that_makes_its_doorbell_wait_is_given_up_and_the_reactor_goes_on()
    {
        using var disk = new Disk();
        TestHandler handler = disk.Attach();
        disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        int bell = (int)handler.Link.Descriptors[1].DangerousGetHandle();
        Assert.Equal(0, Control(bell, SetFlags, 0));
        ulong full = ulong.MaxValue - 1;
        Assert.Equal(sizeof(ulong), Write(bell, ref full, sizeof(ulong)));

        Task ringing = Task.Factory.StartNew(handler.Link.Publish, TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        for (int looks = 0; !ringing.IsCompleted && looks < 3000; looks++)
        {
            disk.Reactor.SignalGuard.Look();
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        Assert.True(ringing.IsCompletedSuccessfully);
        disk.Reactor.RunPosted();

        Assert.Contains("doorbell wait", Assert.Single(disk.Dropped), StringComparison.Ordinal);
        Assert.Single(disk.Attach(abilities: ReadyMessage.RingWaitFlags).TakeAll());
    }

    [Fact]
    public void A_handler_that_only_fills_its_doorbell_keeps_nobody_waiting()
    {
        using var disk = new Disk();
        TestHandler handler = disk.Attach();
        disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        ulong full = ulong.MaxValue - 1;
        Write((int)handler.Link.Descriptors[1].DangerousGetHandle(), ref full, sizeof(ulong));

        handler.Answer(handler.TakeOne());

        Assert.Equal("Good", disk.Initiator.Outcome);
        Assert.Empty(disk.Dropped);
    }

    /// <summary>A reactor that is kept from going on by others on the machine is stuck in whatever it was doing, and that may be a ring.</summary>
    [Fact]
    public void A_ring_that_takes_long_is_held_against_its_handler_only_while_the_doorbell_makes_it_wait()
    {
        var guard = new SignalGuard();
        var signal = new Ring();
        guard.Enter(signal);

        guard.Look();
        guard.Look();
        guard.Look();
        Assert.Equal(0, signal.Unblocked);

        signal.IsBlocked = true;
        guard.Look();
        Assert.Equal(1, signal.Unblocked);

        guard.Leave();
        guard.Look();
        guard.Look();
        Assert.Equal(1, signal.Unblocked);
    }

    sealed class Ring : IGuardedSignal
    {
        public volatile int Unblocked;

        public bool IsBlocked { get; set; }

        public void Unblock() => Unblocked++;
    }

    [LibraryImport("libc", EntryPoint = "fcntl")]
    private static partial int Control(int fd, int command, int argument);

    [LibraryImport("libc", EntryPoint = "write")]
    private static partial nint Write(int fd, ref ulong value, nuint length);
}
