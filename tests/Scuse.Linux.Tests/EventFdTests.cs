using Microsoft.Win32.SafeHandles;

namespace Scuse.Linux.Tests;

public sealed class EventFdTests
{
    [Fact]
    public void A_signal_makes_it_readable_until_it_is_drained()
    {
        using EventFd bell = EventFd.Create();
        Assert.False(IsReadable(bell));

        bell.Signal();
        bell.Signal();
        Assert.True(IsReadable(bell));

        bell.Drain();
        Assert.False(IsReadable(bell));
    }

    [Fact]
    public unsafe void It_is_full_when_ringing_once_more_would_have_to_wait()
    {
        EventFd bell = EventFd.Create();
        bell.Signal();
        Assert.False(bell.IsFull);

        ulong rest = ulong.MaxValue - 2;
        Assert.Equal(sizeof(ulong), Native.write(bell.Descriptor, &rest, sizeof(ulong)));
        Assert.True(bell.IsFull);

        bell.Drain();
        Assert.False(bell.IsFull);
        bell.Dispose();
        Assert.False(bell.IsFull);
    }

    [Fact]
    public void Draining_a_silent_one_does_not_block()
    {
        using EventFd bell = EventFd.Create();

        bell.Drain();

        Assert.False(IsReadable(bell));
    }

    [Fact]
    public void A_passed_descriptor_that_blocks_is_made_non_blocking()
    {
        int blocking = Native.eventfd(0, Native.EFD_CLOEXEC);
        using EventFd bell = EventFd.FromHandle(new SafeFileHandle(blocking, ownsHandle: true));

        bell.Drain(); // would hang

        Assert.NotEqual(0, Native.fcntl(bell.Descriptor, Native.F_GETFL, 0) & Native.O_NONBLOCK);
    }

    [Fact]
    public void Descriptors_are_closed_in_programs_that_the_process_starts()
    {
        const int getDescriptorFlags = 1, closeOnExec = 1;
        using EventFd bell = EventFd.Create();
        using MemFd memory = MemFd.Create("test", 4096);
        using PidFd self = PidFd.Open(Environment.ProcessId);

        Assert.Equal(closeOnExec, Native.fcntl(bell.Descriptor, getDescriptorFlags, 0));
        Assert.Equal(closeOnExec, Native.fcntl((int)memory.Handle.DangerousGetHandle(), getDescriptorFlags, 0));
        Assert.Equal(closeOnExec, Native.fcntl(self.Descriptor, getDescriptorFlags, 0));
    }

    static bool IsReadable(EventFd bell) => Waiting.ForEvents(bell.Descriptor, Native.POLLIN, 0) == 1;
}
