using System.Net;
using Scuse.Iscsi.FullFeature;
using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;
using Scuse.Target;

namespace Scuse.Iscsi.Tests.FullFeature;

public class Discovery
{
    static Initiator Discover(IscsiOptions? options = null, int moreTargets = 0, string local = "192.0.2.7:3260", params string[] keys)
    {
        var node = new Node(options);
        for (int i = 0; i < moreTargets; i++)
        {
            node.Server.Add(new IscsiTarget(new ScsiTarget($"iqn.2026-11.example:more.{i:D4}", [])));
        }

        var initiator = new Initiator(node, local: local);
        initiator.SendLogin(1, 3, transit: true, Initiator.Text(["InitiatorName=iqn.x", "SessionType=Discovery", .. keys]));
        Assert.Equal(0, initiator.ReceiveOne().Login.Status);
        return initiator;
    }

    [Fact]
    public void All_targets_are_told_with_the_address_the_initiator_used()
    {
        Initiator initiator = Discover(moreTargets: 1);
        initiator.SendText(Initiator.Text("SendTargets=All"));
        Pdu pdu = initiator.ReceiveOne();
        Assert.Equal(
            [$"TargetName={Node.TargetName}", "TargetAddress=192.0.2.7:3260,1", "TargetName=iqn.2026-11.example:more.0000", "TargetAddress=192.0.2.7:3260,1"],
            pdu.Text);
        Assert.True(pdu.Final);
        Assert.Equal(Initiator.None, pdu.TextResponse.TargetTransferTag);
        Assert.True(initiator.Connection.Session!.IsDiscovery);
    }

    [Fact]
    public void One_target_is_told_by_name_and_an_unknown_one_not_at_all()
    {
        Initiator initiator = Discover(moreTargets: 1);
        initiator.SendText(Initiator.Text($"SendTargets={Node.TargetName}"));
        Assert.Equal($"TargetName={Node.TargetName}", initiator.ReceiveOne().Text[0]);
        initiator.SendText(Initiator.Text("SendTargets=iqn.unknown"));
        Assert.Empty(initiator.ReceiveOne().Data);
    }

    [Fact]
    public void A_long_list_goes_out_in_parts()
    {
        Initiator initiator = Discover(moreTargets: 100, keys: "MaxRecvDataSegmentLength=1024");
        initiator.SendText(Initiator.Text("SendTargets=All"));
        Pdu part = initiator.ReceiveOne();
        List<byte> text = [.. part.Data];
        while (!part.Final)
        {
            Assert.True(part.TextResponse.Continue);
            initiator.SendText([], transferTag: part.TextResponse.TargetTransferTag);
            part = initiator.ReceiveOne();
            text.AddRange(part.Data);
        }

        Assert.Equal(202, new Pdu([], [.. text]).Text.Length);
    }

    [Fact]
    public void A_normal_session_may_ask_for_its_own_target_only()
    {
        Initiator initiator = new Initiator(new Node(), local: "[2001:db8::1]:3260").Login();
        initiator.SendText(Initiator.Text("SendTargets="));
        Assert.Equal([$"TargetName={Node.TargetName}", "TargetAddress=[2001:db8::1]:3260,1"], initiator.ReceiveOne().Text);
        initiator.SendText(Initiator.Text("SendTargets=All"));
        Assert.Equal(["SendTargets=Reject"], initiator.ReceiveOne().Text);
    }

    [Theory]
    [InlineData(null, "192.0.2.7:3260", "192.0.2.7:3260")]
    [InlineData(null, "2001:db8::1:3260", "[2001:db8::1]:3260")]
    [InlineData("disks.example:3261", "192.0.2.7:3260", "disks.example:3261")]
    [InlineData("0.0.0.0:3261", "192.0.2.7:3260", "192.0.2.7:3261")]
    [InlineData("[::]:3261", "2001:db8::1:3260", "[2001:db8::1]:3261")]
    public void A_wildcard_is_never_told(string? advertised, string local, string told) => Assert.Equal(told, IscsiPortal.Resolve(advertised, local));

    [Fact]
    public void Every_portal_is_told_with_the_tag_of_their_group()
    {
        Initiator initiator = Discover(new IscsiOptions { TargetPortalGroupTag = 7 });
        foreach (string address in new[] { "192.0.2.7:3260", "192.0.2.8:3261", "[2001:db8::1]:3260" })
        {
            initiator.Node.Server.Entity.Add(new IscsiPortal(IPEndPoint.Parse(address)));
        }

        initiator.Node.Server.Entity.Add(new IscsiPortal(IPEndPoint.Parse("10.0.0.1:3260"), "disks.example:4000"));
        initiator.SendText(Initiator.Text("SendTargets=All"));

        Assert.Equal(
            [
                $"TargetName={Node.TargetName}", "TargetAddress=192.0.2.7:3260,7", "TargetAddress=192.0.2.8:3261,7", "TargetAddress=[2001:db8::1]:3260,7",
                "TargetAddress=disks.example:4000,7",
            ],
            initiator.ReceiveOne().Text);
    }

    [Theory]
    [InlineData("0.0.0.0:3261", "192.0.2.7:3260", "192.0.2.7:3261")]
    [InlineData("[::]:3261", "[2001:db8::1]:3260", "[2001:db8::1]:3261")]
    [InlineData("[::]:3261", "[fe80::1%2]:3260", "[fe80::1]:3261")]
    [InlineData("[::]:3261", "192.0.2.7:3260", null)]
    [InlineData("0.0.0.0:3261", "[2001:db8::1]:3260", null)]
    public void A_portal_that_listens_everywhere_is_told_by_the_address_that_the_initiator_has_used_if_it_is_of_the_same_family(string portal, string local, string? told) =>
        Assert.Equal(told, new IscsiPortal(IPEndPoint.Parse(portal)).AddressFor(local));

    [Fact]
    public void A_portal_that_was_removed_is_told_no_more()
    {
        Initiator initiator = Discover();
        var gone = new IscsiPortal(IPEndPoint.Parse("192.0.2.8:3261"));
        initiator.Node.Server.Entity.Add(new IscsiPortal(IPEndPoint.Parse("192.0.2.7:3260")));
        initiator.Node.Server.Entity.Add(gone);

        Assert.True(initiator.Node.Server.Entity.Remove(gone));
        initiator.SendText(Initiator.Text("SendTargets=All"));

        Assert.Equal([$"TargetName={Node.TargetName}", "TargetAddress=192.0.2.7:3260,1"], initiator.ReceiveOne().Text);
    }

    [Fact]
    public void A_discovery_session_takes_no_SCSI_commands()
    {
        Initiator initiator = Discover();
        initiator.Read(5, 0, 1);
        Assert.Equal(RejectReason.ProtocolError, initiator.ReceiveOne().RejectReason);
        initiator.SendTaskManagement(TaskManagementFunction.LogicalUnitReset);
        Assert.Equal(RejectReason.ProtocolError, initiator.ReceiveOne().RejectReason);
        initiator.SendNop(9);
        Assert.Equal(Opcode.NopIn, initiator.ReceiveOne().Opcode);
    }

    [Fact]
    public void Text_may_declare_a_new_segment_length_in_full_feature_phase()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.SendText(Initiator.Text("MaxRecvDataSegmentLength=512", "MaxBurstLength=512"));
        Assert.Equal(["MaxBurstLength=Reject"], initiator.ReceiveOne().Text);
        initiator.Read(5, 0, 2);
        Assert.Equal(2, initiator.Receive().Count);
    }

    [Fact]
    public void A_text_request_with_an_unknown_transfer_tag_is_rejected()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.SendText([], transferTag: 5);
        Assert.Equal(RejectReason.InvalidPduField, initiator.ReceiveOne().RejectReason);
    }
}
