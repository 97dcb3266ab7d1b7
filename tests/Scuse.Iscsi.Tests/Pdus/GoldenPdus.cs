using Scuse.Iscsi.Pdus;

namespace Scuse.Iscsi.Tests.Pdus;

/// <summary>Each layout as bytes, from the figures of RFC 7143 section 11; reserved bytes are dirty before and zero after.</summary>
public class GoldenPdus
{
    static byte[] Dirty(int length = 48)
    {
        byte[] bytes = new byte[length];
        Array.Fill(bytes, (byte)0xEE);
        return bytes;
    }

    static void Equal(string expected, byte[] actual) => Assert.Equal(expected.Replace(" ", "", StringComparison.Ordinal), Convert.ToHexString(actual));

    [Fact]
    public void A_SCSI_command_has_its_fields_where_the_figure_has_them()
    {
        byte[] pdu = Dirty();
        ScsiCommandPdu.WriteTo(pdu, 0xC1, 0x0001_0000_0000_0000, 0x11223344, 0x200, 5, 6, [0x28, 1, 2, 3], 0, 0, immediate: true);
        Equal("41C10000 00000000 0001000000000000 11223344 00000200 00000005 00000006 28010203000000000000000000000000", pdu);
        var view = new ScsiCommandPdu(pdu);
        Assert.True(view.Read && !view.Write && view.Final && view.Header.Immediate);
        Assert.Equal((1, 0x200u, 5u, 6u), (view.Attribute, view.ExpectedDataTransferLength, view.Header.CmdSN, view.Header.ExpStatSN));
    }

    [Fact]
    public void A_SCSI_response_has_its_fields_where_the_figure_has_them()
    {
        byte[] pdu = Dirty();
        ScsiResponsePdu.WriteTo(pdu, 0x12, 0x02, 0x11223344, 9, 0x100, 0x200, 20);
        SequenceNumbers.Write(pdu, 1, 2, 3);
        Equal("21920002 00000014 0000000000000000 11223344 00000000 00000001 00000002 00000003 00000009 00000100 00000200", pdu);
        var view = new ScsiResponsePdu(pdu);
        Assert.Equal((2, 9u, 0x100u, 0x200u), (view.Status, view.ExpDataSN, view.BidirectionalReadResidual, view.Residual));
    }

    [Fact]
    public void A_task_management_request_has_its_fields_where_the_figure_has_them()
    {
        byte[] pdu = Dirty();
        TaskManagementRequestPdu.WriteTo(pdu, 1, 0x0002_0000_0000_0000, 7, 0xAABBCCDD, 4, 5, 6);
        Equal("42810000 00000000 0002000000000000 00000007 AABBCCDD 00000005 00000006 00000004 00000000 00000000 00000000", pdu);
        Assert.Equal((1, 0xAABBCCDDu, 4u), (new TaskManagementRequestPdu(pdu).Function, new TaskManagementRequestPdu(pdu).ReferencedTaskTag, new TaskManagementRequestPdu(pdu).RefCmdSN));
    }

    [Fact]
    public void A_task_management_response_has_its_fields_where_the_figure_has_them()
    {
        byte[] pdu = Dirty();
        TaskManagementResponsePdu.WriteTo(pdu, 5, 7);
        Equal("22800500 00000000 0000000000000000 00000007 00000000 00000000 00000000 00000000 00000000 00000000 00000000", pdu);
    }

    [Fact]
    public void Data_out_has_its_fields_where_the_figure_has_them()
    {
        byte[] pdu = Dirty();
        DataOutPdu.WriteTo(pdu, true, 0x0003_0000_0000_0000, 7, 8, 9, 10, 0x2000, 0x012345);
        Equal("05800000 00012345 0003000000000000 00000007 00000008 00000000 00000009 00000000 0000000A 00002000 00000000", pdu);
        Assert.Equal((8u, 10u, 0x2000u, 0x012345), (new DataOutPdu(pdu).TargetTransferTag, new DataOutPdu(pdu).DataSN, new DataOutPdu(pdu).BufferOffset, new BasicHeader(pdu).DataSegmentLength));
    }

    [Fact]
    public void Data_in_has_its_fields_where_the_figure_has_them()
    {
        byte[] pdu = Dirty();
        DataInPdu.WriteTo(pdu, 0x83, 0, 7, 2, 0x1000, 0x30, 512);
        SequenceNumbers.Write(pdu, 1, 2, 3);
        Equal("25830000 00000200 0000000000000000 00000007 FFFFFFFF 00000001 00000002 00000003 00000002 00001000 00000030", pdu);
    }

    [Fact]
    public void R2T_has_its_fields_where_the_figure_has_them()
    {
        byte[] pdu = Dirty();
        R2TPdu.WriteTo(pdu, 0x0004_0000_0000_0000, 7, 8, 1, 0x10000, 0x20000);
        SequenceNumbers.Write(pdu, 1, 2, 3);
        Equal("31800000 00000000 0004000000000000 00000007 00000008 00000001 00000002 00000003 00000001 00010000 00020000", pdu);
    }

    [Fact]
    public void A_login_request_has_its_fields_where_the_figure_has_them()
    {
        byte[] pdu = Dirty();
        LoginRequestPdu.WriteTo(pdu, 0x87, 0x800000000001, 0x0102, 7, 0x0A0B, 5, 6, 300);
        Equal("43870000 0000012C 800000000001 0102 00000007 0A0B0000 00000005 00000006 00000000 00000000 00000000 00000000", pdu);
        var view = new LoginRequestPdu(pdu);
        Assert.True(view.Transit && !view.Continue);
        Assert.Equal((1, 3, 0x800000000001ul, (ushort)0x0102, (ushort)0x0A0B), (view.CurrentStage, view.NextStage, view.Isid, view.Tsih, view.ConnectionId));
    }

    [Fact]
    public void A_login_response_has_its_fields_where_the_figure_has_them()
    {
        byte[] pdu = Dirty();
        LoginResponsePdu.WriteTo(pdu, 0x87, 0x800000000001, 9, 7, 0x0203, 0);
        SequenceNumbers.Write(pdu, 1, 2, 3);
        Equal("23870000 00000000 800000000001 0009 00000007 00000000 00000001 00000002 00000003 02030000 00000000 00000000", pdu);
        Assert.Equal(0x0203, new LoginResponsePdu(pdu).Status);
    }

    [Fact]
    public void Text_has_its_fields_where_the_figures_have_them()
    {
        byte[] pdu = Dirty();
        TextRequestPdu.WriteTo(pdu, true, false, 7, 0xFFFFFFFF, 5, 6, 16);
        Equal("04800000 00000010 0000000000000000 00000007 FFFFFFFF 00000005 00000006 00000000 00000000 00000000 00000000", pdu);
        TextResponsePdu.WriteTo(pdu, false, true, 7, 8, 16);
        Equal("24400000 00000010 0000000000000000 00000007 00000008 00000000 00000000 00000000 00000000 00000000 00000000", pdu);
    }

    [Fact]
    public void Logout_has_its_fields_where_the_figures_have_them()
    {
        byte[] pdu = Dirty();
        LogoutRequestPdu.WriteTo(pdu, 1, 7, 0x0A0B, 5, 6);
        Equal("46810000 00000000 0000000000000000 00000007 0A0B0000 00000005 00000006 00000000 00000000 00000000 00000000", pdu);
        LogoutResponsePdu.WriteTo(pdu, 2, 7, 3, 20);
        Equal("26800200 00000000 0000000000000000 00000007 00000000 00000000 00000000 00000000 00000000 00030014 00000000", pdu);
    }

    [Fact]
    public void Nop_has_its_fields_where_the_figures_have_them()
    {
        byte[] pdu = Dirty();
        NopOutPdu.WriteTo(pdu, 0, 7, 0xFFFFFFFF, 5, 6, 4, immediate: true);
        Equal("40800000 00000004 0000000000000000 00000007 FFFFFFFF 00000005 00000006 00000000 00000000 00000000 00000000", pdu);
        NopInPdu.WriteTo(pdu, 0, 0xFFFFFFFF, 8, 0);
        Equal("20800000 00000000 0000000000000000 FFFFFFFF 00000008 00000000 00000000 00000000 00000000 00000000 00000000", pdu);
    }

    [Fact]
    public void Reject_has_its_fields_where_the_figure_has_them()
    {
        byte[] pdu = Dirty();
        RejectPdu.WriteTo(pdu, RejectReason.ProtocolError, 48);
        Equal("3F800400 00000030 0000000000000000 FFFFFFFF 00000000 00000000 00000000 00000000 00000000 00000000 00000000", pdu);
    }

    [Fact]
    public void An_asynchronous_message_has_its_fields_where_the_figure_has_them()
    {
        byte[] pdu = Dirty();
        AsyncMessagePdu.WriteTo(pdu, 1, 0, 2, 3, 4, 0);
        Equal("32800000 00000000 0000000000000000 FFFFFFFF 00000000 00000000 00000000 00000000 01000002 00030004 00000000", pdu);
    }

    [Fact]
    public void Snack_has_its_fields_where_the_figure_has_them()
    {
        byte[] pdu = Dirty();
        SnackPdu.WriteTo(pdu, SnackType.Status, 7, 6, 8, 9);
        Equal("10810000 00000000 0000000000000000 00000007 FFFFFFFF 00000000 00000006 00000000 00000000 00000008 00000009", pdu);
    }

    [Fact]
    public void Additional_header_segments_carry_a_long_CDB_and_the_read_length()
    {
        byte[] ahs = Dirty(20);
        int length = AdditionalHeaders.WriteExtendedCdb(ahs, [1, 2, 3, 4, 5]);
        length += AdditionalHeaders.WriteBidirectionalReadLength(ahs.AsSpan(length), 0x1000);
        Equal("00060100 01020304 05000000 00050200 00001000", ahs[..length]);
        Assert.True(AdditionalHeaders.TryRead(ahs.AsSpan(0, length), out AdditionalHeaders headers));
        Assert.Equal([1, 2, 3, 4, 5], headers.ExtendedCdb.ToArray());
        Assert.Equal(0x1000u, headers.BidirectionalReadDataLength);
    }

    [Theory]
    [InlineData("000001FF")] // no length
    [InlineData("00090100 01020304")] // longer than what is there
    [InlineData("00040200 00000000")] // wrong length for its type
    [InlineData("00050200 00000001 00050200 00000001")] // twice
    [InlineData("0005")] // cut off
    public void Additional_header_segments_that_do_not_add_up_are_refused(string hex) =>
        Assert.False(AdditionalHeaders.TryRead(Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal)), out _));

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(47)]
    public void A_header_that_is_too_short_is_no_header(int length) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new BasicHeader(new byte[length]).Opcode);

    [Fact]
    public void Serial_numbers_wrap_around()
    {
        Assert.True(SerialNumber.IsBefore(0xFFFFFFFF, 0));
        Assert.False(SerialNumber.IsBefore(0, 0xFFFFFFFF));
        Assert.True(SerialNumber.IsWithin(1, 0xFFFFFFF0, 5));
        Assert.False(SerialNumber.IsWithin(5, 5, 4));
    }
}
