using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

[assembly: SupportedOSPlatform("linux")]

namespace Scuse.Linux.Tests;

public sealed class SeqPacketTests : IDisposable
{
    readonly TempFolder _folder = new();
    int _pairs;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Packets_keep_their_boundaries()
    {
        using Pair pair = Connect();
        pair.Client.Send("one"u8);
        pair.Client.Send("three"u8);
        byte[] room = new byte[64];

        Assert.Equal(3, pair.Server.Receive(room, null));
        Assert.Equal(5, pair.Server.Receive(room, null));
        Assert.Equal("three"u8, room.AsSpan(0, 5));
    }

    [Fact]
    public void What_the_peer_said_before_it_closed_is_read_even_when_it_has_not_read_everything()
    {
        using Pair pair = Connect();
        pair.Client.Send("unread"u8);
        pair.Server.Send("last words"u8);
        pair.Server.Dispose();
        byte[] room = new byte[64];

        Assert.Equal(10, pair.Client.Receive(room, null));
        Assert.Equal(0, pair.Client.Receive(room, null));
    }

    [Fact]
    public void A_pair_is_connected_to_itself()
    {
        (SeqPacketSocket one, SeqPacketSocket other) = SeqPacketSocket.Pair();
        byte[] room = new byte[64];
        one.Send("there"u8);
        other.Send("back"u8);

        Assert.Equal((5, 4), (other.Receive(room, null), one.Receive(room, null)));
        Assert.Equal(Environment.ProcessId, one.PeerPid);
        one.Dispose();
        Assert.Equal(0, other.Receive(room, null));
        other.Dispose();
    }

    [Fact]
    public void A_passed_descriptor_is_the_same_memory_in_the_receiver()
    {
        using Pair pair = Connect();
        using MemFd memory = MemFd.Create("test", 4096);
        using EventFd bell = EventFd.Create();
        List<SafeFileHandle> received = [];

        pair.Client.Send("region"u8, [memory.Handle, bell.Handle]);
        int length = pair.Server.Receive(new byte[64], received);

        Assert.Equal(6, length);
        Assert.Equal(2, received.Count);
        using MappedRegion ours = MappedRegion.Map(memory.Handle, 4096);
        using MappedRegion theirs = MappedRegion.Map(received[0], 4096);
        ours.Slice(100, 1).Span[0] = 77;
        Assert.Equal(77, theirs.Slice(100, 1).Span[0]);
        using EventFd theirBell = EventFd.FromHandle(received[1]);
        theirBell.Signal();
        Assert.Equal(1, Waiting.ForEvents(bell.Descriptor, Native.POLLIN, 0));
        received[0].Dispose();
    }

    [Fact]
    public void Descriptors_that_nobody_asked_for_are_closed()
    {
        using Pair pair = Connect(), passed = Connect();
        pair.Client.Send("x"u8, [passed.Client.Handle]);
        passed.Client.Dispose();
        Assert.Equal(-Errno.EAGAIN, passed.Server.Receive(new byte[1], null, timeoutMs: 0)); // open, on its way

        pair.Server.Receive(new byte[64], null);

        Assert.Equal(0, passed.Server.Receive(new byte[1], null, timeoutMs: 1000));
    }

    [Fact]
    public void The_peers_end_is_a_length_of_zero()
    {
        using Pair pair = Connect();

        pair.Client.Dispose();

        Assert.Equal(0, pair.Server.Receive(new byte[64], null));
    }

    [Fact]
    public void A_packet_longer_than_the_room_is_an_error_and_its_descriptors_are_closed()
    {
        using Pair pair = Connect(), passed = Connect();
        List<SafeFileHandle> received = [];
        pair.Client.Send(new byte[100], [passed.Client.Handle]);
        passed.Client.Dispose();

        LinuxException failure = Assert.Throws<LinuxException>(() => pair.Server.Receive(new byte[99], received));

        Assert.Equal(Errno.EMSGSIZE, failure.Errno);
        Assert.Empty(received);
        Assert.Equal(0, passed.Server.Receive(new byte[1], null, timeoutMs: 1000));
    }

    [Fact]
    public void Waiting_ends_in_time_when_nothing_comes()
    {
        using Pair pair = Connect();

        Assert.Equal(-Errno.EAGAIN, pair.Server.Receive(new byte[64], null, timeoutMs: 10));
    }

    [Fact]
    public void Sending_to_a_peer_that_is_gone_is_an_error_and_no_signal()
    {
        using Pair pair = Connect();
        pair.Server.Dispose();

        LinuxException failure = Assert.Throws<LinuxException>(() => pair.Client.Send("x"u8));

        Assert.Equal(Errno.EPIPE, failure.Errno);
    }

    [Fact]
    public void Sending_to_a_peer_that_never_reads_ends_in_time()
    {
        using Pair pair = Connect();
        byte[] packet = new byte[16 * 1024];

        LinuxException failure = Assert.Throws<LinuxException>(() =>
        {
            for (int i = 0; i < 10_000; i++)
            {
                pair.Client.Send(packet, timeoutMs: 20);
            }
        });

        Assert.Equal(Errno.ETIMEDOUT, failure.Errno);
    }

    [Fact]
    public void Each_end_knows_the_process_and_user_of_the_other()
    {
        using Pair pair = Connect();

        Assert.Equal(Environment.ProcessId, pair.Server.PeerPid);
        Assert.Equal(Environment.ProcessId, pair.Client.PeerPid);
        Assert.Equal(pair.Client.PeerUid, pair.Server.PeerUid);
    }

    [Fact]
    public void Nobody_to_accept_is_null()
    {
        using SeqPacketListener listener = SeqPacketListener.Listen(_folder["s"]);

        Assert.Null(listener.Accept());
    }

    [Fact]
    public void The_socket_file_is_for_its_owner_only_and_goes_with_the_listener()
    {
        string path = _folder["s"];
        SeqPacketListener listener = SeqPacketListener.Listen(path);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));

        listener.Dispose();

        Assert.False(File.Exists(path));
    }

    [Fact]
    public void A_socket_file_that_a_dead_owner_left_is_replaced()
    {
        string path = _folder["s"];
        LeaveStaleSocket(path);
        Assert.True(File.Exists(path));

        using SeqPacketListener listener = SeqPacketListener.Listen(path);
        using SeqPacketSocket client = SeqPacketSocket.Connect(path);

        Assert.NotNull(listener.Accept());
    }

    [Fact]
    public void A_socket_file_with_a_living_owner_is_left_alone()
    {
        string path = _folder["s"];
        using SeqPacketListener first = SeqPacketListener.Listen(path);

        LinuxException failure = Assert.Throws<LinuxException>(() => SeqPacketListener.Listen(path));

        Assert.Equal(Errno.EADDRINUSE, failure.Errno);
        using SeqPacketSocket client = SeqPacketSocket.Connect(path);
    }

    [Fact]
    public void A_plain_file_in_the_way_is_left_alone()
    {
        string path = _folder["s"];
        File.WriteAllText(path, "precious");

        LinuxException failure = Assert.Throws<LinuxException>(() => SeqPacketListener.Listen(path));

        Assert.Equal(Errno.EADDRINUSE, failure.Errno);
        Assert.Equal("precious", File.ReadAllText(path));
    }

    [Fact]
    public void A_path_that_is_too_long_says_how_long_it_may_be()
    {
        LinuxException failure = Assert.Throws<LinuxException>(() => SeqPacketListener.Listen(_folder[new string('x', 120)]));

        Assert.Equal(Errno.ENAMETOOLONG, failure.Errno);
        Assert.Contains("107", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Connecting_where_nobody_listens_names_the_path()
    {
        LinuxException failure = Assert.Throws<LinuxException>(() => SeqPacketSocket.Connect(_folder["absent"]));

        Assert.Equal(Errno.ENOENT, failure.Errno);
        Assert.Contains(_folder["absent"], failure.Message, StringComparison.Ordinal);
    }

    Pair Connect()
    {
        string path = _folder[$"s{_pairs++}"];
        SeqPacketListener listener = SeqPacketListener.Listen(path);
        SeqPacketSocket client = SeqPacketSocket.Connect(path);
        return new Pair(listener, client, listener.Accept()!);
    }

    static unsafe void LeaveStaleSocket(string path)
    {
        Native.UnixAddress address = Native.UnixAddress.From(path, "bind");
        int fd = Native.socket(Native.AF_UNIX, Native.SOCK_SEQPACKET | Native.SOCK_CLOEXEC, 0);
        Assert.Equal(0, Native.bind(fd, &address, (uint)sizeof(Native.UnixAddress)));
        Assert.Equal(0, Native.listen(fd, 1));
        _ = Native.close(fd);
    }

    sealed record Pair(SeqPacketListener Listener, SeqPacketSocket Client, SeqPacketSocket Server) : IDisposable
    {
        public void Dispose()
        {
            Client.Dispose();
            Server.Dispose();
            Listener.Dispose();
        }
    }
}
