using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.FullFeature;

public class SessionLife
{
    [Fact]
    public void A_ping_is_echoed_up_to_the_initiators_segment_length()
    {
        Initiator initiator = new Initiator(new Node()).Login("MaxRecvDataSegmentLength=1024");
        byte[] data = Initiator.Pattern(100_000);
        initiator.SendNop(9, data);
        Pdu pdu = initiator.ReceiveOne();
        Assert.Equal(data[..1024], pdu.Data);
        Assert.Equal((9u, Initiator.None), (pdu.Tag, new NopInPdu(pdu.Header).TargetTransferTag));
    }

    [Fact]
    public void A_silent_initiator_is_asked_and_lives_when_it_answers()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        long start = initiator.NowMs;
        initiator.Connection.Tick(start + 14_999);
        Assert.Empty(initiator.Receive());
        initiator.Connection.Tick(start + 15_000);
        Pdu ping = initiator.ReceiveOne();
        Assert.Equal((Opcode.NopIn, Initiator.None), (ping.Opcode, ping.Tag));
        initiator.NowMs = start + 20_000;
        initiator.SendNop(Initiator.None, immediate: true, transferTag: new NopInPdu(ping.Header).TargetTransferTag);
        initiator.Connection.Tick(start + 34_999);
        Assert.Empty(initiator.Receive());
        Assert.Empty(initiator.CloseRequests);
    }

    [Fact]
    public void A_silent_initiator_that_does_not_answer_is_closed()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.Connection.Tick(initiator.NowMs + 15_000);
        initiator.Connection.Tick(initiator.NowMs + 44_999);
        Assert.Empty(initiator.CloseRequests);
        initiator.Connection.Tick(initiator.NowMs + 45_000);
        Assert.Single(initiator.CloseRequests);
        Assert.True(initiator.Connection.CloseNow);
    }

    [Fact]
    public void A_logout_ends_the_session_answers_and_closes()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.Device.HoldsSubmit = true;
        initiator.Read(5, 0, 1);
        initiator.SendLogout(LogoutRequestPdu.CloseSession);
        Pdu pdu = initiator.ReceiveOne();
        Assert.Equal((Opcode.LogoutResponse, 0), (pdu.Opcode, new LogoutResponsePdu(pdu.Header).Response));
        Assert.True(initiator.Connection.ShouldClose);
        Assert.Empty(initiator.Node.Server.Sessions);
        Assert.Equal(0, initiator.Device.InUse);
        initiator.Device.AnswerHeld();
        initiator.Connection.Closed();
    }

    [Fact]
    public void Answers_before_a_logout_are_still_sent()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.Read(5, 0, 1);
        initiator.SendLogout(LogoutRequestPdu.CloseSession);
        Assert.Equal([Opcode.DataIn, Opcode.LogoutResponse], initiator.Receive().Select(static pdu => pdu.Opcode));
        Assert.Equal(0, initiator.Device.InUse);
    }

    [Theory]
    [InlineData(LogoutRequestPdu.CloseConnection, 0, LogoutResponsePdu.Closed, true)]
    [InlineData(LogoutRequestPdu.CloseConnection, 7, LogoutResponsePdu.ConnectionIdNotFound, false)]
    [InlineData(LogoutRequestPdu.RemoveConnectionForRecovery, 0, LogoutResponsePdu.RecoveryNotSupported, false)]
    public void A_logout_is_answered_by_its_reason(byte reason, ushort connectionId, byte response, bool closes)
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.SendLogout(reason, connectionId);
        Assert.Equal(response, new LogoutResponsePdu(initiator.ReceiveOne().Header).Response);
        Assert.Equal(closes, initiator.Connection.ShouldClose);
    }

    [Fact]
    public void A_lost_connection_gives_everything_back_once()
    {
        Initiator initiator = new Initiator(new Node()).Login("InitialR2T=No", "MaxRecvDataSegmentLength=512");
        initiator.Write(1, 0, 8, final: false); // collecting
        initiator.Read(2, 0, 64); // answered, partly sent
        initiator.SendCommand(ScsiCommandPdu.WriteBit, 3, 8192, Initiator.Cdb(0x2A, 0, 16), final: false, lun: 0x0007_0000_0000_0000); // refused, burst open
        var buffers = new Memory<byte>[3];
        initiator.Connection.GetSendBuffers(buffers);
        initiator.Connection.Sent(100);
        initiator.Device.HoldsSubmit = true;
        initiator.Read(4, 0, 1); // with the device
        initiator.Device.HoldsPrepare = true;
        initiator.Read(5, 0, 1); // waits for room
        initiator.SendCommand(ScsiCommandPdu.ReadBit, 6, 512, Initiator.Cdb(0x28), cmdSN: initiator.CmdSN + 3); // held
        initiator.Connection.Closed();
        Assert.Equal(0, initiator.Device.InUse);
        Assert.Empty(initiator.Node.Server.Sessions);
        Assert.Equal(0, initiator.Connection.Session!.OutstandingTasks);
        initiator.Connection.Closed();
        Assert.False(initiator.Connection.HasOutput);
    }

    [Fact]
    public void Snack_and_login_have_no_place_in_full_feature_phase()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        byte[] header = new byte[48];
        SnackPdu.WriteTo(header, 0, 1, 0, 0, 0);
        initiator.Send(header);
        Assert.Equal(RejectReason.SnackReject, initiator.ReceiveOne().RejectReason);
        initiator.SendLogin(1, 3, true, []);
        Assert.Equal(RejectReason.ProtocolError, initiator.ReceiveOne().RejectReason);
        Assert.True(initiator.Connection.ShouldClose);
    }

    [Fact]
    public void A_tag_in_use_is_rejected()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.Device.HoldsSubmit = true;
        initiator.Read(5, 0, 1);
        initiator.Read(5, 0, 1);
        Assert.Equal(RejectReason.TaskInProgress, initiator.ReceiveOne().RejectReason);
    }

    [Fact]
    public void A_segment_beyond_what_we_declared_ends_the_connection()
    {
        Initiator initiator = new Initiator(new Node(new IscsiOptions { MaxRecvDataSegmentLength = 4096 })).Login();
        initiator.SendNop(9, new byte[4097]);
        Assert.Contains("4097", Assert.Single(initiator.CloseRequests), StringComparison.Ordinal);
        var buffers = new Memory<byte>[8];
        Assert.Equal(0, initiator.Connection.GetReceiveBuffers(buffers));
    }

    [Fact]
    public void Reading_pauses_while_the_initiator_does_not_listen()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        for (uint tag = 0; tag < 300; tag++)
        {
            initiator.SendNop(tag, immediate: true);
        }

        var buffers = new Memory<byte>[8];
        Assert.Equal(0, initiator.Connection.GetReceiveBuffers(buffers));
        Assert.Equal(256, initiator.Receive().Count);
        Assert.Equal(1, initiator.Connection.GetReceiveBuffers(buffers));
    }

    [Fact]
    public void A_peer_that_does_not_take_the_last_output_is_closed_all_the_same()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.SendLogout(LogoutRequestPdu.CloseSession);
        initiator.Connection.Tick(10_000);
        Assert.False(initiator.Connection.CloseNow);
        initiator.Connection.Tick(15_000);
        Assert.True(initiator.Connection.CloseNow);
        Assert.Equal(2, initiator.CloseRequests.Count);
    }
}
