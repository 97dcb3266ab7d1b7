using Scuse.Linux;
using Scuse.Tcmu;

namespace Scuse.Handlers.Tests;

/// <summary>The messages of generic netlink, byte by byte; numbers as on a little-endian machine.</summary>
public sealed class TcmuNoticeTests
{
    // nlmsghdr and genlmsghdr of a notice of family 1Ch, then its attributes: name, minor, id.
    static readonly byte[] s_added = Bytes("""
        48 00 00 00  1C 00 00 00  00 00 00 00  00 00 00 00   01 02 00 00
        23 00 01 00  74 63 6D 2D 75 73 65 72 2F 30 2F 64 31 2F 73 63 75 73 65 2D 6D 65 6D 6F 72 79 2F 36 34 4D 00  00
        08 00 02 00  03 00 00 00
        08 00 08 00  07 00 00 00
        """);

    [Fact]
    public void A_question_for_the_family_is_as_the_controller_wants_it() =>
        Assert.Equal(
            Bytes("24 00 00 00  10 00 01 00  01 00 00 00  00 00 00 00   03 01 00 00   0D 00 02 00  54 43 4D 2D 55 53 45 52 00  00 00 00"),
            NetlinkMessages.FamilyRequest("TCM-USER", 1));

    [Fact]
    public void The_controllers_answer_has_the_familys_number_and_its_groups()
    {
        byte[] body = Bytes("""
            01 02 00 00
            0D 00 02 00  54 43 4D 2D 55 53 45 52 00  00 00 00
            06 00 01 00  1C 00 00 00
            34 00 07 80
              18 00 01 80  08 00 02 00 05 00 00 00  0A 00 01 00 6F 74 68 65 72 00 00 00
              18 00 02 80  08 00 02 00 06 00 00 00  0B 00 01 00 63 6F 6E 66 69 67 00 00
            """);

        Assert.True(NetlinkMessages.TryReadFamily(body, "config", out ushort family, out uint group));
        Assert.Equal((0x1C, 6u), (family, group));
        Assert.False(NetlinkMessages.TryReadFamily(body, "conf", out _, out _));
        for (int length = 0; length < body.Length; length++)
        {
            NetlinkMessages.TryReadFamily(body.AsSpan(0, length), "config", out _, out _); // every one too short is read without a fault
        }
    }

    [Fact]
    public void A_notice_tells_which_backstore_was_added()
    {
        Assert.Equal(
            new TcmuNotice { Command = TcmuCommand.Added, Name = new BackstoreName(0, "d1", "scuse-memory/64M"), Minor = 3, DeviceId = 7 },
            ReadOnly(s_added));
    }

    [Fact]
    public void A_reconfiguration_tells_what_is_to_change()
    {
        byte[] head = Bytes("03 02 00 00  08 00 02 00 03 00 00 00");

        Assert.Equal(1L << 40, TcmuNotice.Read([.. head, .. Bytes("0C 00 05 00 00 00 00 00 00 01 00 00")])!.SizeBytes);
        Assert.Equal("a/b", TcmuNotice.Read([.. head, .. Bytes("08 00 04 00 61 2F 62 00")])!.NewConfiguration);
        Assert.True(TcmuNotice.Read([.. head, .. Bytes("05 00 06 00 01 00 00 00")])!.WriteCache);
        Assert.Null(TcmuNotice.Read(head)!.DeviceId);
    }

    [Theory]
    [InlineData(TcmuCommand.Added, 0, "24 00 00 00 1C 00 01 00 00 00 00 00 00 00 00 00  04 02 00 00  08 00 07 00 00 00 00 00  08 00 08 00 07 00 00 00")]
    [InlineData(TcmuCommand.Removed, 0, "24 00 00 00 1C 00 01 00 00 00 00 00 00 00 00 00  05 02 00 00  08 00 07 00 00 00 00 00  08 00 08 00 07 00 00 00")]
    [InlineData(TcmuCommand.Reconfigure, -95, "24 00 00 00 1C 00 01 00 00 00 00 00 00 00 00 00  06 02 00 00  08 00 07 00 A1 FF FF FF  08 00 08 00 07 00 00 00")]
    internal void An_answer_names_the_device_by_its_id_and_says_how_it_went(TcmuCommand command, int status, string bytes) =>
        Assert.Equal(Bytes(bytes), TcmuNotice.Answer(0x1C, command, 7, status));

    [Fact]
    public void Several_messages_may_come_at_once_and_a_cut_one_is_none()
    {
        ReadOnlySpan<byte> rest = (byte[])[.. s_added, .. s_added, .. s_added.AsSpan(0, 30)];

        Assert.True(NetlinkMessages.TryTake(ref rest, out ushort type, out _, out ReadOnlySpan<byte> first));
        Assert.True(NetlinkMessages.TryTake(ref rest, out _, out _, out ReadOnlySpan<byte> second));
        Assert.True(type == 0x1C && first.SequenceEqual(second));
        Assert.False(NetlinkMessages.TryTake(ref rest, out _, out _, out _));
    }

    [Theory]
    [InlineData("")]
    [InlineData("01 02 00")]
    [InlineData("01 02 00 00")] // without a minor number
    [InlineData("09 02 00 00  08 00 02 00 03 00 00 00")] // of a later time
    [InlineData("04 02 00 00  08 00 02 00 03 00 00 00")] // an answer, not for us
    [InlineData("01 02 00 00  09 00 02 00 03 00 00 00")] // longer than there is
    [InlineData("01 02 00 00  03 00 02 00 03 00 00 00")] // shorter than its own header
    public void What_is_no_notice_is_passed_over(string body) => Assert.Null(TcmuNotice.Read(Bytes(body)));

    [Fact]
    public void The_end_of_the_message_may_be_anywhere()
    {
        ReadOnlySpan<byte> rest = s_added;
        NetlinkMessages.TryTake(ref rest, out _, out _, out ReadOnlySpan<byte> body);
        for (int length = 0; length < body.Length; length++)
        {
            TcmuNotice? cut = TcmuNotice.Read(body[..length]);
            Assert.True(cut is null || cut.Minor == 3);
        }
    }

    [Fact]
    public void An_error_has_a_number()
    {
        Assert.Equal(-2, NetlinkMessages.ReadError(Bytes("FE FF FF FF 00 00 00 00")));
        Assert.Equal(0, NetlinkMessages.ReadError([1]));
    }

    [Fact]
    public void Where_the_module_is_not_loaded_the_message_says_so()
    {
        Assert.SkipWhen(Directory.Exists("/sys/module/target_core_user"), "needs a kernel without target_core_user");
        Exception? failure = Record.Exception(() => TcmuNotices.Open().Dispose());

        Assert.True(failure is LinuxException || failure!.Message == "the kernel has no netlink family TCM-USER; load its module: modprobe target_core_user", failure?.Message);
    }

    static TcmuNotice? ReadOnly(ReadOnlySpan<byte> message)
    {
        Assert.True(NetlinkMessages.TryTake(ref message, out _, out _, out ReadOnlySpan<byte> body));
        Assert.True(message.IsEmpty);
        return TcmuNotice.Read(body);
    }

    static byte[] Bytes(string text) => Convert.FromHexString(string.Concat(text.Where(static c => !char.IsWhiteSpace(c))));
}
