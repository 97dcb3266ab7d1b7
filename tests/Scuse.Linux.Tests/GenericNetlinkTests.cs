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
