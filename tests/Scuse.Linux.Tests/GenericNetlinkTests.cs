namespace Scuse.Linux.Tests;

/// <summary>The controller of generic netlink, which every kernel has that has the family at all.</summary>
public sealed class GenericNetlinkTests
{
    [Fact]
    public void A_question_is_answered_and_then_nothing_is_there()
    {
        using GenericNetlinkSocket socket = Open();
        Assert.Equal(-Errno.EAGAIN, socket.Receive(new byte[4096]));

        // nlmsghdr with NLM_F_REQUEST, genlmsghdr with CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME "nlctrl".
        socket.Send([32, 0, 0, 0, 0x10, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0, 11, 0, 2, 0, .. "nlctrl\0\0"u8]);

        Assert.True(socket.WaitReadable(5000));
        byte[] answer = new byte[4096];
        int length = socket.Receive(answer);
        Assert.Equal((length, 0x10, 9u), (BitConverter.ToInt32(answer), BitConverter.ToUInt16(answer, 4), BitConverter.ToUInt32(answer, 8)));
        Assert.Equal(-Errno.EAGAIN, socket.Receive(answer));
    }

    [Fact]
    public void That_messages_were_lost_is_told_once_and_those_that_found_room_are_there()
    {
        using GenericNetlinkSocket socket = Open();
        byte[] question = [32, 0, 0, 0, 0x10, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0, 11, 0, 2, 0, .. "nlctrl\0\0"u8];
        byte[] answer = new byte[4096];

        // Answers that nobody takes, until one has found no room: then the kernel refuses the question as well, or says so at the next receive.
        const int most = 100_000;
        int sent = 0, received = 0;
        try
        {
            for (; sent < most; sent++)
            {
                socket.Send(question);
            }
        }
        catch (LinuxException)
        {
            // no room
        }

        int lost = 0, result;
        while ((result = socket.Receive(answer)) != -Errno.EAGAIN)
        {
            lost += result == -Errno.ENOBUFS ? 1 : 0;
            received += result > 0 ? 1 : 0;
            Assert.True(result is > 0 or -Errno.ENOBUFS, $"{result}");
        }

        Assert.Equal(1, lost);
        Assert.InRange(received, 100, sent);
        socket.Send(question);
        Assert.True(socket.WaitReadable(5000));
        Assert.True(socket.Receive(answer) > 0);
    }

    [Fact]
    public void A_buffer_that_is_too_short_is_told()
    {
        using GenericNetlinkSocket socket = Open();
        socket.Send([32, 0, 0, 0, 0x10, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0, 11, 0, 2, 0, .. "nlctrl\0\0"u8]);
        Assert.True(socket.WaitReadable(5000));

        Assert.Equal(-Errno.EMSGSIZE, socket.Receive(new byte[20]));
    }

    [Fact]
    public void A_group_that_nobody_has_cannot_be_joined()
    {
        using GenericNetlinkSocket socket = Open();

        Assert.Equal("setsockopt", Assert.Throws<LinuxException>(() => socket.Join(0x7FFF_FFFF)).Call);
    }

    [Fact]
    public void Once_disposed_it_has_no_descriptor()
    {
        GenericNetlinkSocket socket = Open();
        socket.Dispose();
        socket.Dispose();

        Assert.Equal(-1, socket.Descriptor);
    }

    static GenericNetlinkSocket Open()
    {
        try
        {
            return GenericNetlinkSocket.Open();
        }
        catch (LinuxException failure)
        {
            Assert.Skip($"needs generic netlink: {failure.Message}");
            throw;
        }
    }
}
