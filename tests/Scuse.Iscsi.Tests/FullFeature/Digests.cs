using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.FullFeature;

/// <summary>Digest errors at ErrorRecoveryLevel 0. RFC 7143 section 7.8.</summary>
public class Digests
{
    static readonly string[] Both = ["HeaderDigest=CRC32C,None", "DataDigest=CRC32C,None"];

    [Fact]
    public void Nothing_of_the_login_has_a_digest_and_everything_after_it_has()
    {
        var initiator = new Initiator(new Node());
        initiator.SendLogin(1, 3, transit: true, Initiator.Text([.. Initiator.Names, .. Both]));
        Assert.Contains("DataDigest=CRC32C", initiator.ReceiveOne().Text);
        int login = initiator.Transcript.Length;
        initiator.HasHeaderDigest = initiator.HasDataDigest = true;
        initiator.SendNop(9, new byte[5], immediate: true);
        Assert.Equal(new byte[5], initiator.ReceiveOne().Data);
        Assert.Equal(48 + 4 + 8 + 4, initiator.Transcript.Length - login);
    }

    [Fact]
    public void A_header_that_does_not_match_its_digest_ends_the_connection()
    {
        Initiator initiator = new Initiator(new Node()).Login(Both);
        initiator.NextDamage = Damage.Header;
        initiator.Read(5, 0, 1);
        Assert.Contains("digest", Assert.Single(initiator.CloseRequests), StringComparison.Ordinal);
        Assert.Empty(initiator.Receive());
    }

    [Fact]
    public void A_length_is_not_believed_before_its_digest_is_right()
    {
        Initiator initiator = new Initiator(new Node()).Login(Both);
        byte[] pdu = initiator.Sealed(new byte[48], []);
        pdu[5] = 0xFF; // of DataSegmentLength: sixteen megabytes
        initiator.Feed(pdu);
        Assert.Contains("digest", Assert.Single(initiator.CloseRequests), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Cut.Whole)]
    [InlineData(Cut.OneByte)]
    public void Damaged_immediate_data_is_rejected_with_its_command_and_the_session_is_begun_anew(Cut cut)
    {
        Initiator initiator = new Initiator(new Node(), cut).Login(Both);
        uint before = initiator.CmdSN;
        initiator.NextDamage = Damage.Data;
        initiator.Write(5, 0, 2, new byte[1024]);
        Pdu reject = initiator.ReceiveOne();
        Assert.Equal((RejectReason.DataDigestError, before), (reject.RejectReason, reject.ExpCmdSN));
        Assert.Equal(5u, new BasicHeader(reject.Data).InitiatorTaskTag);
        Assert.Equal((0, 0), (initiator.Device.InUse, initiator.Connection.Session!.OutstandingTasks));
        Assert.Single(initiator.CloseRequests);
    }

    [Fact]
    public void Damaged_data_of_an_immediate_ping_costs_the_ping_only()
    {
        Initiator initiator = new Initiator(new Node()).Login(Both);
        initiator.NextDamage = Damage.Data;
        initiator.SendNop(9, new byte[100], immediate: true);
        Assert.Equal(RejectReason.DataDigestError, initiator.ReceiveOne().RejectReason);
        initiator.Read(5, 0, 1);
        Assert.Equal(512, initiator.ReceiveOne().Data.Length);
    }

    [Fact]
    public void Damaged_data_ends_its_task_when_all_that_was_asked_for_has_come()
    {
        Initiator initiator = new Initiator(new Node()).Login([.. Both, "InitialR2T=Yes", "ImmediateData=No", "MaxBurstLength=2048", "MaxOutstandingR2T=2"]);
        initiator.Write(5, 0, 16);
        List<Pdu> r2ts = initiator.Receive();
        initiator.NextDamage = Damage.Data;
        initiator.SendDataOut(5, r2ts[0].R2T.TargetTransferTag, 0, 0, new byte[1024], final: false);
        Assert.Equal(RejectReason.DataDigestError, initiator.ReceiveOne().RejectReason);
        initiator.SendDataOut(5, r2ts[0].R2T.TargetTransferTag, 1, 1024, new byte[1024], final: true);
        Assert.Empty(initiator.Receive());
        initiator.SendDataOut(5, r2ts[1].R2T.TargetTransferTag, 0, 2048, new byte[2048], final: true);
        Pdu response = initiator.ReceiveOne();
        Assert.Equal((2, 0x82, 8192u), (response.Response.Status, response.Response.Flags, response.Response.Residual));
        Assert.Equal((0x0B, 0x47, 0x05), (response.Data[4] & 0xF, response.Data[14], response.Data[15]));
        Assert.Equal((0, 0), (initiator.Device.InUse, initiator.Device.Written.Count));
        initiator.Read(5, 0, 1);
        Assert.Equal(512, initiator.ReceiveOne().Data.Length);
    }

    [Fact]
    public void Damaged_unsolicited_data_ends_its_task_at_the_end_of_the_burst()
    {
        Initiator initiator = new Initiator(new Node()).Login([.. Both, "InitialR2T=No", "FirstBurstLength=8192"]);
        initiator.Write(5, 0, 16, new byte[1024], final: false);
        initiator.NextDamage = Damage.Data;
        initiator.SendDataOut(5, Initiator.None, 0, 1024, new byte[1024], final: false);
        Assert.Equal(RejectReason.DataDigestError, initiator.ReceiveOne().RejectReason);
        initiator.SendDataOut(5, Initiator.None, 1, 2048, new byte[6144], final: true);
        Assert.Equal(2, initiator.ReceiveOne().Response.Status);
        Assert.Equal(0, initiator.Device.InUse);
    }

    [Fact]
    public void Data_that_goes_straight_into_a_tasks_memory_is_summed_up_there()
    {
        Initiator initiator = new Initiator(new Node(), Cut.Random, seed: 4).Login([.. Both, "InitialR2T=Yes", "ImmediateData=No", "MaxBurstLength=262144"]);
        byte[] data = Initiator.Pattern(200 * 512);
        initiator.Write(5, 0, 200);
        initiator.SendDataOut(5, initiator.ReceiveOne().R2T.TargetTransferTag, 0, 0, data, final: true);
        Assert.Equal(0, initiator.ReceiveOne().Response.Status);
        Assert.Equal(data, initiator.Device.Disk[..data.Length]);
        initiator.Write(6, 0, 200);
        initiator.NextDamage = Damage.Data;
        initiator.SendDataOut(6, initiator.ReceiveOne().R2T.TargetTransferTag, 0, 0, new byte[data.Length], final: true);
        Assert.Equal([Opcode.Reject, Opcode.ScsiResponse], initiator.Receive().Select(static pdu => pdu.Opcode));
        Assert.Equal(data, initiator.Device.Disk[..data.Length]);
    }
}
