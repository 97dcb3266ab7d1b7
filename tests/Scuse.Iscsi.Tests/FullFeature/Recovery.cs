using Scuse.Iscsi.Output;
using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.FullFeature;

/// <summary>What is sent again within a connection: ErrorRecoveryLevel 1. RFC 7143 sections 7.8, 7.9 and 11.16.</summary>
public class Recovery
{
    static Initiator LogIn(params string[] keys) =>
        new Initiator(new Node(new IscsiOptions { ErrorRecoveryLevel = 1 })).Login(["ErrorRecoveryLevel=1", "HeaderDigest=CRC32C", "DataDigest=CRC32C", .. keys]);

    // ---- statuses ----

    [Fact]
    public void Every_status_that_is_not_acknowledged_can_be_had_again_as_it_was()
    {
        Initiator initiator = LogIn();
        initiator.Acknowledges = false;
        initiator.Write(1, 0, 1, new byte[512]);
        initiator.SendNop(2, Initiator.Pattern(77));
        initiator.SendCommand(0, 3, 0, Initiator.Cdb(0x00), lun: 0x0007_0000_0000_0000); // with sense data
        List<Pdu> sent = initiator.Receive();
        initiator.SendSnack(SnackType.Status, Initiator.None, sent[0].StatSN, 3);
        Assert.Equal(sent.Select(static pdu => pdu.Content), initiator.Receive().Select(static pdu => pdu.Content));
        initiator.SendSnack(SnackType.Status, Initiator.None, sent[1].StatSN, 0);
        Assert.Equal([2u, 3u], initiator.Receive().Select(static pdu => pdu.Tag));
        initiator.SendSnack(SnackType.Status, Initiator.None, 0, 0);
        Assert.Equal([1u, 2u, 3u], initiator.Receive().Where(static pdu => pdu.Tag < 0x9999).Select(static pdu => pdu.Tag));
    }

    [Fact]
    public void The_status_that_a_Data_In_carried_comes_again_in_a_response()
    {
        Initiator initiator = LogIn("MaxRecvDataSegmentLength=512");
        initiator.Acknowledges = false;
        initiator.Read(1, 0, 2, expected: 2000);
        Pdu last = initiator.Receive()[^1];
        initiator.SendSnack(SnackType.Status, Initiator.None, last.StatSN, 1);
        Pdu again = initiator.ReceiveOne();
        Assert.Equal((last.StatSN, 0, 2u, 976u), (again.StatSN, again.Response.Status, again.Response.ExpDataSN, again.Response.Residual));
    }

    [Fact]
    public void What_was_acknowledged_is_given_back_and_cannot_be_had_again()
    {
        Initiator initiator = LogIn();
        initiator.Acknowledges = false;
        initiator.Read(1, 0, 8);
        Pdu sent = initiator.ReceiveOne();
        Assert.Equal(1, initiator.Device.InUse);
        initiator.SendSnack(SnackType.Status, Initiator.None, sent.StatSN, 1, expStatSN: sent.StatSN + 1);
        Assert.Equal(RejectReason.SnackReject, initiator.ReceiveOne().RejectReason);
        Assert.Equal(0, initiator.Device.InUse);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(-1000, 0)]
    [InlineData(0, 5)]
    public void A_status_that_was_never_sent_is_not_had(int offset, uint count)
    {
        Initiator initiator = LogIn();
        initiator.Acknowledges = false;
        initiator.SendNop(2);
        uint statSN = initiator.ReceiveOne().StatSN;
        initiator.SendSnack(SnackType.Status, Initiator.None, (uint)(statSN + offset), count);
        Assert.Equal(RejectReason.SnackReject, initiator.ReceiveOne().RejectReason);
    }

    [Fact]
    public void An_initiator_that_acknowledges_nothing_loses_what_is_oldest_and_holds_no_more_than_the_limits()
    {
        Initiator initiator = LogIn();
        initiator.Acknowledges = false;
        initiator.Read(1, 0, 256);
        uint first = initiator.Receive()[^1].StatSN;
        for (uint tag = 0; tag < 300; tag++)
        {
            initiator.Read(tag, 0, 256); // 128 KiB
            initiator.Receive();
        }

        Assert.Equal(SentStatuses.MaxBytes / (256 * 512), initiator.Device.InUse);
        initiator.SendSnack(SnackType.Status, Initiator.None, first, 1);
        Assert.Equal(RejectReason.SnackReject, initiator.ReceiveOne().RejectReason);
        for (uint tag = 0; tag < 600; tag++)
        {
            initiator.SendNop(tag);
            initiator.Receive();
        }

        Assert.Equal(0, initiator.Device.InUse);
        initiator.Connection.Closed();
    }

    // ---- data for the initiator ----

    [Theory]
    [InlineData(0u, 0u)]
    [InlineData(3u, 2u)]
    [InlineData(5u, 0u)]
    [InlineData(10u, 1u)]
    public void Data_In_can_be_had_again_as_it_was_until_its_status_is_acknowledged(uint first, uint count)
    {
        Initiator initiator = LogIn("MaxRecvDataSegmentLength=1000", "MaxBurstLength=2500");
        initiator.Acknowledges = false;
        Initiator.Pattern(9000).CopyTo(initiator.Device.Disk, 0);
        initiator.Read(1, 0, 17); // 8704 bytes: 1000, 1000, 500 | 1000, 1000, 500 | 1000, 1000, 500 | 1000, 204
        List<Pdu> sent = initiator.Receive();
        Assert.Equal(11, sent.Count);
        initiator.SendSnack(SnackType.DataOrR2T, 1, first, count);
        IEnumerable<Pdu> expected = sent.Skip((int)first).Take(count == 0 ? 11 : (int)count);
        Assert.Equal(expected.Select(static pdu => pdu.Content), initiator.Receive().Select(static pdu => pdu.Content));
        initiator.SendSnack(SnackType.Status, Initiator.None, 0, 0, expStatSN: sent[^1].StatSN + 1);
        initiator.Receive();
        Assert.Equal(0, initiator.Device.InUse);
    }

    [Theory]
    [InlineData(1u, 0u, 3u)]
    [InlineData(1u, 2u, 1u)]
    [InlineData(1u, 0xFFFFFFFFu, 2u)]
    [InlineData(9u, 0u, 0u)]
    public void Data_that_was_never_sent_is_not_had(uint tag, uint first, uint count)
    {
        Initiator initiator = LogIn("MaxRecvDataSegmentLength=512");
        initiator.Acknowledges = false;
        initiator.Read(1, 0, 2);
        initiator.Receive();
        initiator.SendSnack(SnackType.DataOrR2T, tag, first, count);
        Assert.Equal(RejectReason.SnackReject, initiator.ReceiveOne().RejectReason);
    }

    [Fact]
    public void Data_is_acknowledged_when_the_end_of_a_burst_asks_for_it_and_is_not_had_again_then()
    {
        Initiator initiator = LogIn("MaxRecvDataSegmentLength=512", "MaxBurstLength=1024");
        initiator.Acknowledges = false;
        initiator.Read(1, 0, 4);
        List<Pdu> sent = initiator.Receive();
        Assert.Equal([false, true, false, false], sent.Select(static pdu => pdu.DataIn.AsksForAcknowledgment));
        initiator.SendSnack(SnackType.DataAck, Initiator.None, 2, 0, mark: sent[1].DataIn.TargetTransferTag);
        Assert.Empty(initiator.Receive());
        initiator.SendSnack(SnackType.DataOrR2T, 1, 1, 1);
        Assert.Equal(RejectReason.SnackReject, initiator.ReceiveOne().RejectReason);
        initiator.SendSnack(SnackType.DataOrR2T, 1, 2, 0);
        Assert.Equal([2u, 3u], initiator.Receive().Select(static pdu => pdu.DataIn.DataSN));
        initiator.SendSnack(SnackType.DataAck, Initiator.None, 5, 0, mark: sent[1].DataIn.TargetTransferTag);
        Assert.Equal(RejectReason.InvalidDataAck, initiator.ReceiveOne().RejectReason);
    }

    [Fact]
    public void After_a_new_segment_length_data_comes_in_its_cut_and_the_response_carries_the_mark()
    {
        Initiator initiator = LogIn("MaxRecvDataSegmentLength=1024");
        initiator.Acknowledges = false;
        Initiator.Pattern(4096).CopyTo(initiator.Device.Disk, 0);
        initiator.Read(1, 0, 8);
        uint statSN = initiator.Receive()[^1].StatSN;
        initiator.SendText(Initiator.Text("MaxRecvDataSegmentLength=512"));
        initiator.Receive();
        initiator.SendSnack(SnackType.DataOrR2T, 1, 0, 0);
        Assert.Equal(RejectReason.SnackReject, initiator.ReceiveOne().RejectReason);
        initiator.SendSnack(SnackType.ResegmentedData, 1, 0, 0, mark: 0x1234);
        List<Pdu> again = initiator.Receive();
        Assert.Equal(Initiator.Pattern(4096), again.SkipLast(1).SelectMany(static pdu => pdu.Data));
        Assert.Equal([0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u], again.SkipLast(1).Select(static pdu => pdu.DataIn.DataSN));
        Assert.All(again.SkipLast(1), static pdu => Assert.False(pdu.DataIn.HasStatus));
        Assert.Equal((statSN, 0x1234u, 8u), (again[^1].StatSN, again[^1].Response.SnackTag, again[^1].Response.ExpDataSN));
    }

    // ---- data from the initiator ----

    [Fact]
    public void An_R2T_can_be_had_again_while_it_is_open()
    {
        Initiator initiator = LogIn("InitialR2T=Yes", "ImmediateData=No", "MaxBurstLength=512", "MaxOutstandingR2T=2");
        initiator.Write(1, 0, 2);
        List<Pdu> r2ts = initiator.Receive();
        initiator.SendSnack(SnackType.DataOrR2T, 1, 1, 1);
        Assert.Equal(r2ts[1].Content, initiator.ReceiveOne().Content);
        initiator.SendDataOut(1, r2ts[0].R2T.TargetTransferTag, 0, 0, new byte[512], final: true);
        initiator.SendSnack(SnackType.DataOrR2T, 1, 0, 1);
        Assert.Equal(RejectReason.SnackReject, initiator.ReceiveOne().RejectReason);
    }

    [Theory]
    [InlineData(Cut.Whole)]
    [InlineData(Cut.OneByte)]
    [InlineData(Cut.Random)]
    public void Damaged_data_is_asked_for_again_from_where_it_was_lost(Cut cut)
    {
        Initiator initiator = new Initiator(new Node(new IscsiOptions { ErrorRecoveryLevel = 1 }), cut).Login(
            "ErrorRecoveryLevel=1", "DataDigest=CRC32C", "InitialR2T=Yes", "ImmediateData=No", "MaxBurstLength=4096", "MaxOutstandingR2T=2");
        byte[] data = Initiator.Pattern(8192);
        initiator.Write(1, 0, 16);
        List<Pdu> r2ts = initiator.Receive();
        uint first = r2ts[0].R2T.TargetTransferTag, second = r2ts[1].R2T.TargetTransferTag;
        initiator.SendDataOut(1, first, 0, 0, data.AsSpan(0, 1024), final: false);
        initiator.NextDamage = Damage.Data;
        initiator.SendDataOut(1, first, 1, 1024, data.AsSpan(1024, 1024), final: false);
        initiator.SendDataOut(1, first, 2, 2048, data.AsSpan(2048, 2048), final: true);
        List<Pdu> answers = initiator.Receive();
        Assert.Equal(RejectReason.DataDigestError, answers[0].RejectReason);
        Assert.Equal((2u, 1024u, 3072u), (answers[1].R2T.R2TSN, answers[1].R2T.BufferOffset, answers[1].R2T.DesiredLength));
        initiator.SendDataOut(1, second, 0, 4096, data.AsSpan(4096), final: true);
        Assert.Empty(initiator.Receive());
        initiator.SendDataOut(1, answers[1].R2T.TargetTransferTag, 0, 1024, data.AsSpan(1024, 3072), final: true);
        Pdu response = initiator.ReceiveOne();
        Assert.Equal((0, 3u), (response.Response.Status, response.Response.ExpDataSN));
        Assert.Equal(data, initiator.Device.Disk[..8192]);
    }

    [Fact]
    public void Damage_to_the_last_PDU_of_a_sequence_ends_the_sequence()
    {
        Initiator initiator = LogIn("InitialR2T=Yes", "ImmediateData=No");
        initiator.Write(1, 0, 4);
        initiator.NextDamage = Damage.Data;
        initiator.SendDataOut(1, initiator.ReceiveOne().R2T.TargetTransferTag, 0, 0, new byte[2048], final: true);
        Pdu r2t = initiator.Receive()[1];
        initiator.SendDataOut(1, r2t.R2T.TargetTransferTag, 0, 0, new byte[2048], final: true);
        Assert.Equal(0, initiator.ReceiveOne().Response.Status);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Damaged_unsolicited_data_is_asked_for_with_the_rest(bool roomIsLate)
    {
        Initiator initiator = LogIn("InitialR2T=No", "FirstBurstLength=4096");
        initiator.Device.HoldsPrepare = roomIsLate;
        byte[] data = Initiator.Pattern(8192);
        initiator.Write(1, 0, 16, data[..1024], final: false);
        initiator.NextDamage = Damage.Data;
        initiator.SendDataOut(1, Initiator.None, 0, 1024, data.AsSpan(1024, 1024), final: false);
        initiator.SendDataOut(1, Initiator.None, 1, 2048, data.AsSpan(2048, 2048), final: true);
        initiator.Device.PrepareHeld();
        List<Pdu> answers = initiator.Receive();
        Assert.Equal(RejectReason.DataDigestError, answers[0].RejectReason);
        Assert.Equal((1024u, 7168u), (answers[1].R2T.BufferOffset, answers[1].R2T.DesiredLength));
        initiator.SendDataOut(1, answers[1].R2T.TargetTransferTag, 0, 1024, data.AsSpan(1024), final: true);
        Assert.Equal(0, initiator.ReceiveOne().Response.Status);
        Assert.Equal(data, initiator.Device.Disk[..8192]);
    }

    [Fact]
    public void A_gap_in_a_sequence_is_asked_for_again()
    {
        Initiator initiator = LogIn("InitialR2T=Yes", "ImmediateData=No");
        byte[] data = Initiator.Pattern(2048);
        initiator.Write(1, 0, 4);
        uint tag = initiator.ReceiveOne().R2T.TargetTransferTag;
        initiator.SendDataOut(1, tag, 0, 0, data.AsSpan(0, 512), final: false);
        initiator.SendDataOut(1, tag, 2, 1024, data.AsSpan(1024), final: true);
        Pdu r2t = initiator.ReceiveOne();
        Assert.Equal((512u, 1536u), (r2t.R2T.BufferOffset, r2t.R2T.DesiredLength));
        initiator.SendDataOut(1, r2t.R2T.TargetTransferTag, 0, 512, data.AsSpan(512), final: true);
        Assert.Equal(0, initiator.ReceiveOne().Response.Status);
        Assert.Equal(data, initiator.Device.Disk[..2048]);
    }

    [Fact]
    public void Data_that_is_damaged_every_time_is_not_asked_for_for_ever()
    {
        Initiator initiator = LogIn("InitialR2T=Yes", "ImmediateData=No");
        initiator.Write(1, 0, 1);
        Pdu last = initiator.ReceiveOne();
        int rounds = 0;
        for (; last.Opcode == Opcode.R2T && rounds < 100; rounds++)
        {
            initiator.NextDamage = Damage.Data;
            initiator.SendDataOut(1, last.R2T.TargetTransferTag, 0, 0, new byte[512], final: true);
            last = initiator.Receive()[^1];
        }

        Assert.Equal((17, 2), (rounds, last.Response.Status));
        Assert.Equal((0x0B, 0x47, 0x05), (last.Data[4] & 0xF, last.Data[14], last.Data[15]));
    }

    // ---- commands ----

    [Fact]
    public void A_damaged_command_leaves_its_number_open_until_it_is_retried()
    {
        Initiator initiator = LogIn();
        uint number = initiator.CmdSN;
        byte[] data = Initiator.Pattern(512);
        initiator.NextDamage = Damage.Data;
        initiator.Write(1, 0, 1, data);
        initiator.Read(2, 0, 1);
        Pdu reject = initiator.ReceiveOne();
        Assert.Equal((RejectReason.DataDigestError, number), (reject.RejectReason, reject.ExpCmdSN));
        initiator.SendCommand(ScsiCommandPdu.WriteBit, 1, 512, Initiator.Cdb(0x2A, 0, 1), data, cmdSN: number);
        Assert.Equal([1u, 2u], initiator.Receive().Select(static pdu => pdu.Tag).Order());
        Assert.Equal(data, initiator.Device.Disk[..512]);
    }

    [Fact]
    public void A_retry_of_a_command_that_was_here_is_ignored()
    {
        Initiator initiator = LogIn();
        initiator.Device.HoldsSubmit = true;
        initiator.Read(1, 0, 1);
        initiator.SendCommand(ScsiCommandPdu.ReadBit, 1, 512, Initiator.Cdb(0x28, 0, 1), cmdSN: initiator.CmdSN - 1);
        initiator.Device.AnswerHeld();
        Assert.Equal(1u, initiator.ReceiveOne().Tag);
        Assert.Equal(1, initiator.Connection.Session!.IgnoredRequests);
    }

    [Fact]
    public void Reading_pauses_while_an_initiator_asks_for_everything_again_and_does_not_listen()
    {
        Initiator initiator = LogIn("InitialR2T=Yes", "ImmediateData=No", "MaxRecvDataSegmentLength=512");
        initiator.Acknowledges = false;
        initiator.Read(1, 0, 8);
        initiator.Write(2, 0, 1);
        initiator.Receive();
        for (int i = 0; i < 200; i++)
        {
            initiator.SendSnack(SnackType.DataOrR2T, 1, 0, 0);
            initiator.SendSnack(SnackType.DataOrR2T, 2, 0, 0);
        }

        var buffers = new Memory<byte>[8];
        Assert.Equal(0, initiator.Connection.GetReceiveBuffers(buffers));
        Assert.InRange(initiator.Receive().Count, 128 * 8, 140 * 9);
        Assert.Equal(1, initiator.Connection.GetReceiveBuffers(buffers));
        initiator.Connection.Closed();
        Assert.Equal(0, initiator.Device.InUse);
    }

    [Fact]
    public void A_connection_that_is_lost_while_data_is_sent_again_gives_everything_back_once()
    {
        Initiator initiator = LogIn("MaxRecvDataSegmentLength=512");
        initiator.Acknowledges = false;
        initiator.Read(1, 0, 8);
        initiator.Receive();
        initiator.SendSnack(SnackType.DataOrR2T, 1, 0, 0);
        initiator.SendSnack(SnackType.DataOrR2T, 1, 0, 0);
        var buffers = new Memory<byte>[5];
        initiator.Connection.GetSendBuffers(buffers);
        initiator.Connection.Sent(100);
        initiator.Connection.Closed();
        Assert.Equal(0, initiator.Device.InUse);
    }
}
