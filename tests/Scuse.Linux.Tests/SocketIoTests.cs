using System.Net;
using System.Net.Sockets;

namespace Scuse.Linux.Tests;

public sealed unsafe class SocketIoTests : IDisposable
{
    readonly Socket _one;
    readonly Socket _other;

    public SocketIoTests()
    {
        using Socket listener = new(SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(1);
        _one = new Socket(SocketType.Stream, ProtocolType.Tcp);
        _one.Connect(listener.LocalEndPoint!);
        _other = listener.Accept();
    }

    public void Dispose()
    {
        _one.Dispose();
        _other.Dispose();
    }

    [Fact]
    public void What_is_gathered_from_pieces_is_scattered_over_others()
    {
        byte* memory = stackalloc byte[16];
        "abcdefgh"u8.CopyTo(new Span<byte>(memory, 8));
        Assert.Equal(8, SocketIo.Send(Fd(_one), [Piece(memory, 3), Piece(memory + 3, 5)]));
        Waiting.ForEvents(Fd(_other), Native.POLLIN, 1000);

        int received = SocketIo.Receive(Fd(_other), [Piece(memory + 8, 6), Piece(memory + 14, 2)]);

        Assert.Equal(8, received);
        Assert.Equal("abcdefgh"u8, new ReadOnlySpan<byte>(memory + 8, 8));
    }

    [Fact]
    public void With_nothing_there_it_says_so_even_on_a_blocking_socket()
    {
        byte* memory = stackalloc byte[8];

        Assert.Equal(-Errno.EAGAIN, SocketIo.Receive(Fd(_one), [Piece(memory, 8)]));
        Assert.Equal(-Errno.EAGAIN, SocketIo.Receive(Fd(_one), [Piece(memory, 4), Piece(memory + 4, 4)]));
    }

    [Fact]
    public void The_end_of_the_stream_is_zero_and_sending_after_it_is_an_error_and_no_signal()
    {
        byte* memory = stackalloc byte[8];
        _other.Dispose();
        Waiting.ForEvents(Fd(_one), Native.POLLIN, 1000);

        Assert.Equal(0, SocketIo.Receive(Fd(_one), [Piece(memory, 8)]));
        SocketIo.Send(Fd(_one), [Piece(memory, 8)]); // provokes the reset
        Waiting.ForEvents(Fd(_one), Native.POLLIN, 1000);
        Assert.Contains(SocketIo.Send(Fd(_one), [Piece(memory, 8)]), new[] { -Errno.EPIPE, -Errno.ECONNRESET });
    }

    [Fact]
    public void When_the_peer_does_not_read_sending_says_that_there_is_no_room()
    {
        byte[] block = GC.AllocateArray<byte>(1 << 20, pinned: true);
        int result = 0;
        fixed (byte* memory = block)
        {
            for (int i = 0; i < 100 && result >= 0; i++)
            {
                result = SocketIo.Send(Fd(_one), [Piece(memory, block.Length)]);
            }
        }

        Assert.Equal(-Errno.EAGAIN, result);
    }

    static IoVector Piece(byte* start, int length) => new() { Base = (nint)start, Length = (nuint)length };

    static int Fd(Socket socket) => (int)socket.Handle;
}
