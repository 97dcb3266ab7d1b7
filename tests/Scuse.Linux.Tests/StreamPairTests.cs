using System.Net.Sockets;

namespace Scuse.Linux.Tests;

public class StreamPairTests
{
    [Fact]
    public void What_is_sent_at_one_end_arrives_at_the_other_and_an_end_that_is_closed_is_seen()
    {
        (Socket one, Socket other) = StreamPair.Create();
        byte[] buffer = new byte[8];

        one.Send("abc"u8);
        Assert.Equal(3, other.Receive(buffer));
        Assert.Equal("abc"u8, buffer.AsSpan(0, 3));
        other.Send("d"u8);
        Assert.Equal(1, one.Receive(buffer));

        one.Dispose();
        Assert.Equal(0, other.Receive(buffer));
        other.Dispose();
    }
}
