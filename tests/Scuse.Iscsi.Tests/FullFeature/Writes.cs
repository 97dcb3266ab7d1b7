using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;
using Scuse.Scsi;

namespace Scuse.Iscsi.Tests.FullFeature;

public class Writes
{
    static readonly string[] Solicited = ["InitialR2T=Yes", "ImmediateData=No"];
    static readonly string[] Unsolicited = ["InitialR2T=No", "ImmediateData=Yes", "FirstBurstLength=8192", "MaxBurstLength=16384", "MaxOutstandingR2T=2"];

    [Fact]
    public void Immediate_data_is_written_at_once()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        byte[] data = Initiator.Pattern(4096);
        initiator.Write(5, 2, 8, data);
        Assert.Equal(0, initiator.ReceiveOne().Response.Status);
        Assert.Equal(data, initiator.Device.Disk[1024..5120]);
        Assert.Equal(0, initiator.Device.InUse);
    }

    [Fact]
    public void Without_unsolicited_data_every_burst_is_asked_for()
    {
        Initiator initiator = new Initiator(new Node()).Login([.. Solicited, "MaxBurstLength=2048", "MaxOutstandingR2T=1"]);
        byte[] data = Initiator.Pattern(4096);
        initiator.Write(5, 0, 8);
        Pdu first = initiator.ReceiveOne();
        Assert.Equal((0u, 0u, 2048u), (first.R2T.R2TSN, first.R2T.BufferOffset, first.R2T.DesiredLength));
        initiator.SendDataOut(5, first.R2T.TargetTransferTag, 0, 0, data.AsSpan(0, 1024), final: false);
        Assert.Empty(initiator.Receive());
        initiator.SendDataOut(5, first.R2T.TargetTransferTag, 1, 1024, data.AsSpan(1024, 1024), final: true);
        Pdu second = initiator.ReceiveOne();
        Assert.Equal((1u, 2048u, 2048u), (second.R2T.R2TSN, second.R2T.BufferOffset, second.R2T.DesiredLength));
        initiator.SendDataOut(5, second.R2T.TargetTransferTag, 0, 2048, data.AsSpan(2048), final: true);
        Pdu response = initiator.ReceiveOne();
        Assert.Equal((0, 2u), (response.Response.Status, response.Response.ExpDataSN));
        Assert.Equal(data, initiator.Device.Disk[..4096]);
    }

    [Fact]
    public void Immediate_unsolicited_and_asked_for_data_join_to_one_write()
    {
        Initiator initiator = new Initiator(new Node()).Login(Unsolicited);
        byte[] data = Initiator.Pattern(65536);
        initiator.Write(5, 0, 128, data[..4096], final: false);
        Assert.Empty(initiator.Receive());
        initiator.SendDataOut(5, Initiator.None, 0, 4096, data.AsSpan(4096, 4096), final: true);
        List<Pdu> r2ts = initiator.Receive();
        Assert.Equal([8192u, 24576u], r2ts.Select(static pdu => pdu.R2T.BufferOffset));
        AnswerAll(initiator, data, r2ts);
        Assert.Equal(data, initiator.Device.Disk[..65536]);
    }

    internal static void AnswerAll(Initiator initiator, byte[] data, List<Pdu> r2ts)
    {
        Queue<Pdu> open = new(r2ts);
        while (open.TryDequeue(out Pdu? pdu))
        {
            if (pdu.Opcode == Opcode.Reject)
            {
                continue; // of damaged data, which is asked for again
            }

            if (pdu.Opcode == Opcode.ScsiResponse)
            {
                Assert.Equal(0, pdu.Response.Status);
                return;
            }

            int offset = (int)pdu.R2T.BufferOffset;
            initiator.SendDataOut(pdu.Tag, pdu.R2T.TargetTransferTag, 0, offset, data.AsSpan(offset, (int)pdu.R2T.DesiredLength), final: true);
            initiator.Receive().ForEach(open.Enqueue);
        }

        Assert.Fail("no response came");
    }

    [Fact]
    public void Data_that_comes_before_there_is_room_waits_for_it()
    {
        Initiator initiator = new Initiator(new Node()).Login(Unsolicited);
        initiator.Device.HoldsPrepare = true;
        byte[] data = Initiator.Pattern(8192);
        initiator.Write(5, 0, 16, data[..4096], final: false);
        initiator.SendDataOut(5, Initiator.None, 0, 4096, data.AsSpan(4096), final: true);
        Assert.Empty(initiator.Receive());
        initiator.Device.PrepareHeld();
        Assert.Equal(0, initiator.ReceiveOne().Response.Status);
        Assert.Equal(data, initiator.Device.Disk[..8192]);
    }

    [Fact]
    public void Room_may_come_in_the_middle_of_a_segment()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.Device.HoldsPrepare = true;
        byte[] data = Initiator.Pattern(8192);
        byte[] pdu = new byte[48 + 8192];
        ScsiCommandPdu.WriteTo(pdu, 0xA1, 0, 5, 8192, initiator.CmdSN++, 0, Initiator.Cdb(0x2A, 0, 16), 0, 8192);
        data.CopyTo(pdu, 48);
        initiator.Feed(pdu.AsSpan(0, 3000));
        initiator.Device.PrepareHeld();
        initiator.Feed(pdu.AsSpan(3000));
        Assert.Equal(0, initiator.ReceiveOne().Response.Status);
        Assert.Equal(data, initiator.Device.Disk[..8192]);
    }

    [Theory]
    [InlineData(10000u, 0x02, 9488u)]
    [InlineData(200u, 0x04, 312u)]
    [InlineData(512u, 0x00, 0u)]
    public void What_does_not_match_the_expected_length_is_a_residual(uint expected, byte flag, uint count)
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.Write(5, 0, 1, Initiator.Pattern((int)expected), expected: expected);
        Pdu pdu = initiator.ReceiveOne();
        Assert.Equal((flag, count), ((byte)(pdu.Response.Flags & 0x06), pdu.Response.Residual));
        Assert.Equal(0, pdu.Response.Status);
    }

    [Fact]
    public void A_refused_write_answers_when_its_unsolicited_burst_is_over()
    {
        Initiator initiator = new Initiator(new Node()).Login(Unsolicited);
        initiator.SendCommand(ScsiCommandPdu.WriteBit, 5, 8192, Initiator.Cdb(0x2A, 0, 16), new byte[4096], final: false, lun: 0x0007_0000_0000_0000);
        Assert.Empty(initiator.Receive());
        initiator.SendDataOut(5, Initiator.None, 0, 4096, new byte[2048], final: false);
        Assert.Empty(initiator.Receive());
        initiator.SendDataOut(5, Initiator.None, 1, 6144, new byte[2048], final: true);
        Pdu pdu = initiator.ReceiveOne();
        Assert.Equal((2, 0x82, 8192u), (pdu.Response.Status, pdu.Response.Flags, pdu.Response.Residual));
        initiator.Read(6, 0, 1);
        Assert.Equal(512, initiator.ReceiveOne().Data.Length);
    }

    [Fact]
    public void A_bidirectional_command_moves_data_both_ways_with_a_residual_for_each()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        byte[] data = Initiator.Pattern(1000);
        initiator.Device.Answer = _ => (ScsiStatus.Good, [], 300);
        initiator.SendCommand(ScsiCommandPdu.ReadBit | ScsiCommandPdu.WriteBit, 5, 1000, Initiator.Cdb(0xC1), data, bidirectionalRead: 400);
        List<Pdu> pdus = initiator.Receive();
        Assert.Equal(300, pdus[0].Data.Length);
        Assert.Equal((0, 0x88, 100u, 0u), (pdus[1].Response.Status, pdus[1].Response.Flags, pdus[1].Response.BidirectionalReadResidual, pdus[1].Response.Residual));
        Assert.Equal(data, Assert.Single(initiator.Device.Written));
    }

    [Fact]
    public void Data_in_of_a_bidirectional_command_is_numbered_behind_its_R2Ts()
    {
        Initiator initiator = new Initiator(new Node()).Login(Solicited);
        byte[] data = Initiator.Pattern(1000);
        initiator.SendCommand(ScsiCommandPdu.ReadBit | ScsiCommandPdu.WriteBit, 5, 1000, Initiator.Cdb(0xC1), bidirectionalRead: 400);
        Pdu r2t = initiator.ReceiveOne();
        initiator.SendDataOut(5, r2t.R2T.TargetTransferTag, 0, 0, data, final: true);
        List<Pdu> pdus = initiator.Receive();
        Assert.Equal((0u, 1u, 2u), (r2t.R2T.R2TSN, pdus[0].DataIn.DataSN, pdus[1].Response.ExpDataSN));
    }

    [Theory]
    [InlineData(27u, 0)]
    [InlineData(0xFFFFFFFFu, 0)]
    [InlineData(0u, 256)]
    public void A_Data_Out_out_of_sequence_is_rejected_and_fails_its_task_only(uint dataSN, int offset)
    {
        Initiator initiator = new Initiator(new Node()).Login(Solicited);
        initiator.Write(5, 0, 1);
        Pdu r2t = initiator.ReceiveOne();
        initiator.SendDataOut(5, r2t.R2T.TargetTransferTag, dataSN, offset, new byte[256], final: false);
        initiator.SendDataOut(5, r2t.R2T.TargetTransferTag, 0, 0, new byte[512], final: true);
        List<Pdu> pdus = initiator.Receive();
        Assert.Equal(RejectReason.ProtocolError, pdus[0].RejectReason);
        Assert.Equal((2, 0x82, 512u), (pdus[1].Response.Status, pdus[1].Response.Flags, pdus[1].Response.Residual));
        Assert.Equal((0x0B, 0x47, 0x05), (pdus[1].Data[4] & 0xF, pdus[1].Data[14], pdus[1].Data[15]));
        Assert.Equal((2, 0), (pdus.Count, initiator.Device.InUse));
        initiator.Read(5, 0, 1);
        Assert.Equal(512, initiator.ReceiveOne().Data.Length);
    }

    [Fact]
    public void Unsolicited_data_out_of_sequence_fails_a_task_that_waits_for_room_or_was_refused()
    {
        Initiator initiator = new Initiator(new Node()).Login(Unsolicited);
        initiator.Device.HoldsPrepare = true;
        initiator.Write(5, 0, 16, new byte[512], final: false);
        initiator.SendCommand(ScsiCommandPdu.WriteBit, 6, 8192, Initiator.Cdb(0x2A, 0, 16), final: false, lun: 0x0007_0000_0000_0000);
        initiator.SendDataOut(5, Initiator.None, 1, 512, new byte[512], final: true);
        initiator.SendDataOut(6, Initiator.None, 1, 0, new byte[512], final: true);
        Assert.Equal(
            [Opcode.Reject, Opcode.ScsiResponse, Opcode.Reject, Opcode.ScsiResponse], initiator.Receive().Select(static pdu => pdu.Opcode));
        Assert.Equal((0, 0), (initiator.Device.Preparing.Count, initiator.Connection.Session!.OutstandingTasks));
    }

    [Theory]
    [InlineData(0u, 0, 1024, "beyond")]
    [InlineData(0u, 0, 256, "ended at")]
    public void A_Data_Out_of_the_wrong_length_is_rejected_and_ends_the_connection(uint dataSN, int offset, int length, string reason)
    {
        Initiator initiator = new Initiator(new Node()).Login(Solicited);
        initiator.Write(5, 0, 1);
        Pdu r2t = initiator.ReceiveOne();
        initiator.SendDataOut(5, r2t.R2T.TargetTransferTag, dataSN, offset, new byte[length], final: true);
        Assert.Equal(RejectReason.ProtocolError, initiator.ReceiveOne().RejectReason);
        Assert.Contains(reason, Assert.Single(initiator.CloseRequests), StringComparison.Ordinal);
        initiator.Connection.Closed();
        Assert.Equal(0, initiator.Device.InUse);
    }

    [Fact]
    public void A_Data_Out_with_a_wrong_transfer_tag_ends_the_connection()
    {
        Initiator initiator = new Initiator(new Node()).Login(Solicited);
        initiator.Write(5, 0, 1);
        Pdu r2t = initiator.ReceiveOne();
        initiator.SendDataOut(5, r2t.R2T.TargetTransferTag + 1, 0, 0, new byte[512], final: true);
        Assert.Equal(RejectReason.ProtocolError, initiator.ReceiveOne().RejectReason);
        Assert.True(initiator.Connection.ShouldClose);
    }

    [Fact]
    public void Unsolicited_data_that_was_not_negotiated_is_rejected()
    {
        Initiator initiator = new Initiator(new Node()).Login(Solicited);
        initiator.Write(5, 0, 1, new byte[512]);
        Assert.Equal(RejectReason.ProtocolError, initiator.ReceiveOne().RejectReason);
        initiator.Write(6, 0, 1, final: false);
        Assert.Equal(RejectReason.ProtocolError, initiator.ReceiveOne().RejectReason);
        initiator.Read(7, 0, 1);
        Assert.Equal(512, initiator.ReceiveOne().Data.Length);
    }

    [Fact]
    public void Large_segments_are_received_straight_into_the_tasks_memory()
    {
        Initiator initiator = new Initiator(new Node()).Login("FirstBurstLength=262144", "MaxBurstLength=262144", "InitialR2T=No", "ImmediateData=Yes");
        initiator.Device.HoldsSubmit = true;
        byte[] header = new byte[48];
        ScsiCommandPdu.WriteTo(header, 0xA1, 0, 5, 131072, initiator.CmdSN++, 0, Initiator.Cdb(0x2A, 0, 256), 0, 131072);
        initiator.Feed(header);
        var buffers = new Memory<byte>[64];
        int count = initiator.Connection.GetReceiveBuffers(buffers);
        Assert.Equal(33, count);
        Assert.All(buffers[..32], static piece => Assert.Equal(4096, piece.Length));
        Assert.Equal(65536, buffers[32].Length);
    }
}
