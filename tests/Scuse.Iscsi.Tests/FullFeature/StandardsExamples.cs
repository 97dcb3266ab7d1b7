using System.Net;
using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Access;
using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.FullFeature;

/// <summary>The sequences that RFC 7143 gives as examples in its appendices A, B and C, but those with Kerberos and SRP.</summary>
public class StandardsExamples
{
    static readonly string[] Solicited = ["InitialR2T=Yes", "ImmediateData=No", "MaxRecvDataSegmentLength=1024", "MaxBurstLength=2048", "MaxOutstandingR2T=2"];

    /// <summary>Appendix A.1. The status rides on the last Data-In, as it may.</summary>
    [Fact]
    public void A_read()
    {
        Initiator initiator = new Initiator(new Node()).Login(Solicited);
        initiator.Read(1, 0, 6);
        List<Pdu> pdus = initiator.Receive();
        Assert.Equal([Opcode.DataIn, Opcode.DataIn, Opcode.DataIn], pdus.Select(static pdu => pdu.Opcode));
        Assert.Equal([0u, 1u, 2u], pdus.Select(static pdu => pdu.DataIn.DataSN));
        Assert.Equal([false, true, true], pdus.Select(static pdu => pdu.Final)); // at the end of the first burst, and of the data
        Assert.Equal([false, false, true], pdus.Select(static pdu => pdu.DataIn.HasStatus));
    }

    /// <summary>Appendix A.2, and A.3.1: two R2Ts are open, the data for the first comes in two PDUs.</summary>
    [Fact]
    public void A_write()
    {
        Initiator initiator = new Initiator(new Node()).Login(Solicited);
        byte[] data = Initiator.Pattern(5120);
        initiator.Write(1, 0, 10);
        List<Pdu> r2ts = initiator.Receive();
        Assert.Equal([0u, 1u], r2ts.Select(static pdu => pdu.R2T.R2TSN));
        initiator.SendDataOut(1, r2ts[0].R2T.TargetTransferTag, 0, 0, data.AsSpan(0, 1024), final: false);
        initiator.SendDataOut(1, r2ts[0].R2T.TargetTransferTag, 1, 1024, data.AsSpan(1024, 1024), final: true);
        Pdu third = initiator.ReceiveOne();
        Assert.Equal((2u, 4096u, 1024u), (third.R2T.R2TSN, third.R2T.BufferOffset, third.R2T.DesiredLength));
        initiator.SendDataOut(1, r2ts[1].R2T.TargetTransferTag, 0, 2048, data.AsSpan(2048, 2048), final: true);
        Assert.Empty(initiator.Receive());
        initiator.SendDataOut(1, third.R2T.TargetTransferTag, 0, 4096, data.AsSpan(4096), final: true);
        Assert.Equal(0, initiator.ReceiveOne().Response.Status);
        Assert.Equal(data, initiator.Device.Disk[..5120]);
    }

    /// <summary>Appendix A.3.3: R2Ts and Data-In of one command are numbered together.</summary>
    [Fact]
    public void A_bidirectional_command()
    {
        Initiator initiator = new Initiator(new Node()).Login(Solicited);
        initiator.SendCommand(ScsiCommandPdu.ReadBit | ScsiCommandPdu.WriteBit, 1, 1024, Initiator.Cdb(0xC1), bidirectionalRead: 2048);
        Pdu r2t = initiator.ReceiveOne();
        initiator.SendDataOut(1, r2t.R2T.TargetTransferTag, 0, 0, new byte[512], final: false);
        initiator.SendDataOut(1, r2t.R2T.TargetTransferTag, 1, 512, new byte[512], final: true);
        List<Pdu> pdus = initiator.Receive();
        Assert.Equal((0u, 1u, 2u), (r2t.R2T.R2TSN, pdus[0].DataIn.DataSN, pdus[1].DataIn.DataSN));
        Assert.Equal((0, 3u), (pdus[2].Response.Status, pdus[2].Response.ExpDataSN));
    }

    /// <summary>Appendix A.3.4: immediate data, unsolicited data numbered from 0, then data for an R2T numbered from 0.</summary>
    [Fact]
    public void A_write_with_immediate_and_unsolicited_data()
    {
        Initiator initiator = new Initiator(new Node()).Login("InitialR2T=No", "ImmediateData=Yes", "FirstBurstLength=2048");
        byte[] data = Initiator.Pattern(4096);
        initiator.Write(1, 0, 8, data[..512], final: false);
        initiator.SendDataOut(1, Initiator.None, 0, 512, data.AsSpan(512, 512), final: false);
        initiator.SendDataOut(1, Initiator.None, 1, 1024, data.AsSpan(1024, 1024), final: true);
        Pdu r2t = initiator.ReceiveOne();
        Assert.Equal((0u, 2048u, 2048u), (r2t.R2T.R2TSN, r2t.R2T.BufferOffset, r2t.R2T.DesiredLength));
        initiator.SendDataOut(1, r2t.R2T.TargetTransferTag, 0, 2048, data.AsSpan(2048), final: true);
        Assert.Equal(0, initiator.ReceiveOne().Response.Status);
        Assert.Equal(data, initiator.Device.Disk[..4096]);
    }

    /// <summary>Appendix B: security is negotiated to None, then operational keys in two rounds, the second of which ends the login.</summary>
    [Fact]
    public void A_login_through_both_stages()
    {
        var initiator = new Initiator(new Node());
        initiator.SendLogin(0, 1, transit: true, Initiator.Text([.. Initiator.Names, "AuthMethod=None"]));
        Pdu security = initiator.ReceiveOne();
        Assert.Equal((true, 0, 1), (security.Login.Transit, security.Login.CurrentStage, security.Login.NextStage));
        initiator.SendLogin(1, 0, transit: false, Initiator.Text("HeaderDigest=CRC32C,None", "InitialR2T=No"));
        Pdu first = initiator.ReceiveOne();
        Assert.Equal((false, 1, 0), (first.Login.Transit, first.Login.CurrentStage, first.Login.Tsih));
        initiator.SendLogin(1, 3, transit: true, Initiator.Text("MaxBurstLength=65536"));
        Pdu last = initiator.ReceiveOne();
        Assert.Equal((true, 1, 3), (last.Login.Transit, last.Login.CurrentStage, last.Login.NextStage));
        Assert.NotEqual(0, last.Login.Tsih);
        Assert.True(initiator.Connection.HasHeaderDigest);
    }

    /// <summary>Appendix B: an initiator that has nothing to negotiate goes to full feature phase with its first request.</summary>
    [Fact]
    public void A_login_in_one_request()
    {
        var initiator = new Initiator(new Node());
        initiator.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names));
        Assert.Equal((0, 3), (initiator.ReceiveOne().Login.Status, 3));
        Assert.NotNull(initiator.Connection.Session);
    }

    /// <summary>Appendix B: CHAP is picked out of what the initiator offers, the initiator proves itself, and so does the target where it is asked.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_login_with_CHAP(bool mutual)
    {
        var initiator = new Initiator(ChapRig.Node());
        Assert.Contains("AuthMethod=CHAP", initiator.Security(false, [.. Initiator.Names, "AuthMethod=KRB5,CHAP"]).Text);
        Pdu challenge = initiator.Security(false, "CHAP_A=7,6");
        Assert.Equal(["CHAP_A", "CHAP_I", "CHAP_C"], challenge.Text.Select(static pair => pair.Split('=')[0]));
        Assert.Equal("CHAP_A=7", challenge.Text[0]);
        Assert.False(challenge.Login.Transit);
        string[] asked = mutual ? ["CHAP_I=5", "CHAP_C=0x0102030405060708090a0b0c0d0e0f10"] : [];
        Pdu proof = initiator.Security(true, [$"CHAP_N={ChapRig.User}", ChapRig.Answer(), .. asked]);
        Assert.Equal((0, true, 0, 1), (proof.Login.Status, proof.Login.Transit, proof.Login.CurrentStage, proof.Login.NextStage));
        Assert.Equal(mutual ? ["CHAP_N", "CHAP_R"] : [], proof.Text.Select(static pair => pair.Split('=')[0]));
        initiator.SendLogin(1, 0, transit: false, Initiator.Text("HeaderDigest=CRC32C,None"));
        Assert.Contains("HeaderDigest=CRC32C", initiator.ReceiveOne().Text);
        initiator.SendLogin(1, 3, transit: true, []);
        Pdu last = initiator.ReceiveOne();
        Assert.Equal((0, true, 3), (last.Login.Status, last.Login.Transit, last.Login.NextStage));
        Assert.Equal(mutual, initiator.Connection.Session!.IsMutual);
    }

    /// <summary>Appendix B: what the initiator offers includes None, and the target wants no more.</summary>
    [Fact]
    public void A_login_whose_initiator_leaves_it_to_the_target()
    {
        var initiator = new Initiator(new Node());
        Pdu picked = initiator.Security(true, [.. Initiator.Names, "AuthMethod=KRB5,SRP,None"]);
        Assert.Contains("AuthMethod=None", picked.Text);
        Assert.Equal((0, true, 0, 1), (picked.Login.Status, picked.Login.Transit, picked.Login.CurrentStage, picked.Login.NextStage));
        initiator.SendLogin(1, 3, transit: true, []);
        Assert.Equal(0, initiator.ReceiveOne().Login.Status);
        Assert.Null(initiator.Connection.Session!.ChapUser);
    }

    /// <summary>Appendix B: the target wants CHAP, and the initiator offers nothing that it takes.</summary>
    [Theory]
    [InlineData("AuthMethod=None")]
    [InlineData("AuthMethod=KRB5,SRP,None")]
    public void A_login_that_is_refused_for_want_of_authentication(string offer) =>
        ChapRig.MustFail(new Initiator(ChapRig.Node()).Security(true, [.. Initiator.Names, offer]));

    /// <summary>Appendix C: one target that can be reached by two portals of a group, asked for by all three forms of SendTargets.</summary>
    [Fact]
    public void A_discovery()
    {
        var node = new Node();
        node.Server.Entity.Add(new IscsiPortal(IPEndPoint.Parse("10.1.0.45:3000")));
        node.Server.Entity.Add(new IscsiPortal(IPEndPoint.Parse("10.2.0.45:3000")));
        string[] record = [$"TargetName={Node.TargetName}", "TargetAddress=10.1.0.45:3000,1", "TargetAddress=10.2.0.45:3000,1"];

        Initiator discovery = new(node);
        discovery.SendLogin(1, 3, transit: true, Initiator.Text("InitiatorName=iqn.2026-11.example:host", "SessionType=Discovery"));
        discovery.ReceiveOne();
        foreach (string which in (string[])["All", Node.TargetName])
        {
            discovery.SendText(Initiator.Text($"SendTargets={which}"));
            Assert.Equal(record, discovery.ReceiveOne().Text);
        }

        Initiator within = new Initiator(node).Login();
        within.SendText(Initiator.Text("SendTargets="));
        Assert.Equal(record, within.ReceiveOne().Text);
    }
}
