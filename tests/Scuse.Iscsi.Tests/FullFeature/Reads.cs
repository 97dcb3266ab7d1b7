using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;
using Scuse.Scsi;

namespace Scuse.Iscsi.Tests.FullFeature;

public class Reads
{
    [Fact]
    public void A_read_returns_its_data_with_the_status_in_the_last_Data_In()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        Initiator.Pattern(4096).CopyTo(initiator.Device.Disk, 1024);
        initiator.Read(tag: 5, lba: 2, blocks: 8);
        Pdu pdu = initiator.ReceiveOne();
        Assert.Equal(Initiator.Pattern(4096), pdu.Data);
        Assert.Equal((5u, 0x81, 0), (pdu.Tag, pdu.DataIn.Flags, pdu.DataIn.Status));
        Assert.Equal(0, initiator.Device.InUse);
    }

    [Fact]
    public void Data_is_cut_at_the_initiators_segment_length_and_marked_at_the_end_of_each_burst()
    {
        Initiator initiator = new Initiator(new Node()).Login("MaxRecvDataSegmentLength=1024", "MaxBurstLength=2048");
        Initiator.Pattern(5120).CopyTo(initiator.Device.Disk, 0);
        initiator.Read(5, 0, 10);
        List<Pdu> pdus = initiator.Receive();
        Assert.Equal(Initiator.Pattern(5120), pdus.SelectMany(static pdu => pdu.Data));
        Assert.Equal([0x00, 0x80, 0x00, 0x80, 0x81], pdus.Select(static pdu => pdu.DataIn.Flags));
        Assert.Equal([0u, 1u, 2u, 3u, 4u], pdus.Select(static pdu => pdu.DataIn.DataSN));
        Assert.Equal([0u, 1024u, 2048u, 3072u, 4096u], pdus.Select(static pdu => pdu.DataIn.BufferOffset));
    }

    [Theory]
    [InlineData(0, 0x04, 512)] // no room at all
    [InlineData(200, 0x04, 312)]
    [InlineData(10000, 0x02, 9488)]
    [InlineData(512, 0, 0)]
    public void What_does_not_match_the_expected_length_is_a_residual(uint expected, byte flag, uint count)
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.Read(5, 0, 1, expected);
        Pdu pdu = initiator.ReceiveOne();
        Assert.Equal((int)Math.Min(expected, 512), pdu.Data.Length);
        (byte flags, uint residual) = pdu.Opcode == Opcode.DataIn ? (pdu.DataIn.Flags, pdu.DataIn.Residual) : (pdu.Response.Flags, pdu.Response.Residual);
        Assert.Equal((flag, count), ((byte)(flags & 0x06), residual));
    }

    [Fact]
    public void A_read_flagged_as_a_write_skips_the_data_and_reports_overflow()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.SendCommand(ScsiCommandPdu.WriteBit, 5, 512, Initiator.Cdb(0x28, 0, 1), new byte[512]);
        Pdu pdu = initiator.ReceiveOne();
        Assert.Equal((0, 0x84, 512u), (pdu.Response.Status, pdu.Response.Flags, pdu.Response.Residual));
    }

    [Fact]
    public void Data_before_an_error_is_sent_and_then_the_sense_data_in_a_response()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        byte[] sense = new byte[18];
        new SenseData(SenseKey.MediumError, 0x1100).WriteFixed(sense);
        initiator.Device.Answer = _ => (ScsiStatus.CheckCondition, sense, 100);
        initiator.SendCommand(ScsiCommandPdu.ReadBit, 5, 1000, Initiator.Cdb(0xC5));
        List<Pdu> pdus = initiator.Receive();
        Assert.Equal(100, pdus[0].Data.Length);
        Assert.False(pdus[0].DataIn.HasStatus);
        Assert.Equal((2, 0x82, 900u, 1u), (pdus[1].Response.Status, pdus[1].Response.Flags, pdus[1].Response.Residual, pdus[1].Response.ExpDataSN));
        Assert.Equal([0, 18, .. sense], pdus[1].Data);
        Assert.Equal(0, initiator.Device.InUse);
    }

    [Fact]
    public void An_answer_that_comes_later_tells_the_host()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.Device.HoldsSubmit = true;
        initiator.Read(5, 0, 1);
        Assert.Empty(initiator.Receive());
        int before = initiator.OutputReadyCalls;
        initiator.Device.AnswerHeld();
        Assert.Equal(before + 1, initiator.OutputReadyCalls);
        Assert.Equal(512, initiator.ReceiveOne().Data.Length);
    }

    [Fact]
    public void A_long_CDB_arrives_whole()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        byte[] cdb = [0xC0, .. Initiator.Pattern(31)];
        byte[]? seen = null;
        initiator.Device.Answer = task =>
        {
            seen = task.Cdb.ToArray();
            return (ScsiStatus.Good, [], 0);
        };
        initiator.SendCommand(0, 5, 0, cdb);
        Assert.Equal(0, initiator.ReceiveOne().Response.Status);
        Assert.Equal(cdb, seen);
    }
}
