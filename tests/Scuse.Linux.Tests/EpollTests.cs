namespace Scuse.Linux.Tests;

public sealed class EpollTests
{
    [Fact]
    public void Each_report_carries_the_token_of_its_descriptor()
    {
        using Epoll epoll = Epoll.Create();
        using EventFd first = EventFd.Create(), second = EventFd.Create(), silent = EventFd.Create();
        epoll.Add(first.Descriptor, EpollEvents.In, 0x1111_2222_3333_4444);
        epoll.Add(second.Descriptor, EpollEvents.In, ulong.MaxValue);
        epoll.Add(silent.Descriptor, EpollEvents.In, 3);
        first.Signal();
        second.Signal();
        var events = new EpollEvent[8];

        int count = epoll.Wait(events, 1000);

        Assert.Equal(2, count);
        Assert.Equal([0x1111_2222_3333_4444, ulong.MaxValue], events.Take(2).Select(e => e.Token).Order().ToArray());
        Assert.All(events.Take(2), e => Assert.Equal(EpollEvents.In, e.Events));
    }

    [Fact]
    public void Without_an_event_the_wait_ends_in_time_with_none()
    {
        using Epoll epoll = Epoll.Create();
        var events = new EpollEvent[1];

        Assert.Equal(0, epoll.Wait(events, 10));
    }

    [Fact]
    public void A_modified_descriptor_reports_its_new_token_and_a_removed_one_nothing()
    {
        using Epoll epoll = Epoll.Create();
        using EventFd bell = EventFd.Create();
        var events = new EpollEvent[1];
        epoll.Add(bell.Descriptor, EpollEvents.In, 1);
        bell.Signal();

        epoll.Modify(bell.Descriptor, EpollEvents.In, 2);
        Assert.Equal(1, epoll.Wait(events, 1000));
        Assert.Equal(2ul, events[0].Token);

        epoll.Remove(bell.Descriptor);
        Assert.Equal(0, epoll.Wait(events, 0));
    }

    [Fact]
    public void Removing_what_is_not_in_the_set_names_the_call_and_the_error()
    {
        using Epoll epoll = Epoll.Create();
        using EventFd bell = EventFd.Create();

        LinuxException failure = Assert.Throws<LinuxException>(() => epoll.Remove(bell.Descriptor));

        Assert.Equal(("epoll_ctl", Errno.ENOENT), (failure.Call, failure.Errno));
        Assert.Contains("No such file or directory", failure.Message, StringComparison.Ordinal);
    }
}
