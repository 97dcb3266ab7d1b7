using Scuse.Iscsi.Access;
using Scuse.Iscsi.Login;
using Scuse.Iscsi.Moving;
using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Access;
using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.Login;

/// <summary>Targets that are somewhere else now. RFC 7143 sections 11.13.5 and 13.8.</summary>
public class MovedTargets
{
    const string Elsewhere = "192.0.2.77:3261";
    const ushort Temporarily = (ushort)LoginStatus.TargetMovedTemporarily, Permanently = (ushort)LoginStatus.TargetMovedPermanently;

    static TargetRedirection To(string address = Elsewhere, bool permanent = false) => TargetRedirection.Parse(address)! with { IsPermanent = permanent };

    /// <summary>A target that has moved; with <paramref name="access"/>, discovery asks for the same.</summary>
    static Node Moved(bool permanent = false, TargetAccess? access = null)
    {
        Node node = access is null ? new Node() : ChapRig.Node(access);
        node.Server.Entity.DiscoveryAccess = access ?? TargetAccess.Open;
        node.IscsiTarget.Redirection = To(permanent: permanent);
        return node;
    }

    static void MustBeSentOn(Pdu answer, ushort status = Temporarily)
    {
        Assert.Equal(status, answer.Login.Status);
        Assert.Equal([$"TargetAddress={Elsewhere}"], answer.Text);
        Assert.False(answer.Login.Transit);
    }

    [Theory]
    [InlineData(false, Temporarily, 0, 1)]
    [InlineData(true, Permanently, 0, 1)]
    [InlineData(false, Temporarily, 1, 3)]
    public void A_new_session_is_sent_on_by_the_first_response_without_a_portal_group_tag(bool permanent, ushort status, int stage, int next)
    {
        var initiator = new Initiator(Moved(permanent));
        initiator.SendLogin(stage, next, transit: true, Initiator.Text([.. Initiator.Names, .. stage == 0 ? ["AuthMethod=None"] : Array.Empty<string>()]));
        MustBeSentOn(initiator.ReceiveOne(), status);
        Assert.Null(initiator.Connection.Session);
        Assert.Contains($"sent on to {Elsewhere}", Assert.Single(initiator.CloseRequests), StringComparison.Ordinal);
        Assert.False(initiator.Connection.IsRefused); // nothing that an operator has to look into
    }

    [Fact]
    public void Names_in_several_requests_are_waited_for()
    {
        var initiator = new Initiator(Moved());
        byte[] text = Initiator.Text(Initiator.Names);
        initiator.SendLogin(1, 0, transit: false, text[..30], @continue: true);
        Assert.Equal(0, initiator.ReceiveOne().Login.Status);
        initiator.SendLogin(1, 3, transit: true, text[30..]);
        MustBeSentOn(initiator.ReceiveOne());
    }

    [Theory]
    [InlineData("AuthMethod=CHAP")]
    [InlineData("AuthMethod=CHAP,None")]
    public void Who_could_ask_for_the_addresses_without_a_proof_need_not_give_it_to_be_sent_on(string methods)
    {
        Node node = Moved(access: ChapRig.Asking());
        node.Server.Entity.DiscoveryAccess = TargetAccess.Open;
        MustBeSentOn(new Initiator(node).Security(false, [.. Initiator.Names, methods]));
    }

    [Fact]
    public void Who_may_not_ask_for_the_addresses_is_not_told_without_a_proof()
    {
        Assert.True(InitiatorPattern.TryParse("iqn.2026-11.example:other", out InitiatorPattern? other));
        Node node = Moved(access: ChapRig.Asking());
        node.Server.Entity.DiscoveryAccess = new TargetAccess { Initiators = [other] };
        Assert.Equal("AuthMethod=CHAP", new Initiator(node).Security(false, [.. Initiator.Names, "AuthMethod=CHAP"]).Text[^1]);
    }

    [Fact]
    public void Who_has_to_prove_itself_is_sent_on_after_the_security_stage()
    {
        var initiator = new Initiator(Moved(access: ChapRig.Asking()));
        Assert.DoesNotContain(initiator.Challenge().Text, static pair => pair.StartsWith("TargetAddress", StringComparison.Ordinal));
        Pdu proved = initiator.Security(true, $"CHAP_N={ChapRig.User}", ChapRig.Answer());
        Assert.Equal((0, true), (proved.Login.Status, proved.Login.Transit));
        initiator.SendLogin(1, 3, transit: true, []);
        MustBeSentOn(initiator.ReceiveOne());
    }

    [Fact]
    public void The_target_proves_itself_before_it_sends_an_initiator_on()
    {
        var initiator = new Initiator(Moved(access: ChapRig.Asking()));
        initiator.Challenge();
        Pdu proof = initiator.Security(true, $"CHAP_N={ChapRig.User}", ChapRig.Answer(), "CHAP_I=77", "CHAP_C=0xc8c9cacbcccdcecfd0d1d2d3d4d5d6d7");
        Assert.Equal((0, $"CHAP_N={ChapRig.OwnName}"), (proof.Login.Status, proof.Text[0]));
        initiator.SendLogin(1, 3, transit: true, []);
        MustBeSentOn(initiator.ReceiveOne());
    }

    [Fact]
    public void A_login_that_leaves_out_the_operational_stage_is_sent_on_by_what_would_have_been_its_last_response()
    {
        var initiator = new Initiator(Moved(access: ChapRig.Asking()));
        initiator.Challenge();
        initiator.SendLogin(0, 3, transit: true, Initiator.Text($"CHAP_N={ChapRig.User}", ChapRig.Answer()));
        MustBeSentOn(initiator.ReceiveOne());
        Assert.Null(initiator.Connection.Session);
    }

    [Fact]
    public void A_stranger_is_refused_in_the_same_bytes_whether_the_target_has_moved_or_not()
    {
        static string Refusal(Node node, bool offers)
        {
            var initiator = new Initiator(node);
            if (!offers)
            {
                return initiator.Security(true, [.. Initiator.Names, "AuthMethod=None"]).Content;
            }

            initiator.Challenge();
            return initiator.Security(true, $"CHAP_N={ChapRig.User}", ChapRig.Answer("a wrong secret 12345")).Content;
        }

        static Node Here()
        {
            Node node = Moved(access: ChapRig.Asking());
            node.IscsiTarget.Redirection = null;
            return node;
        }

        Assert.Equal(Refusal(Here(), offers: false), Refusal(Moved(access: ChapRig.Asking()), offers: false));
        Assert.Equal(Refusal(Here(), offers: true), Refusal(Moved(access: ChapRig.Asking()), offers: true));
    }

    [Fact]
    public void Who_may_not_know_of_the_target_is_told_that_there_is_none()
    {
        Assert.True(InitiatorPattern.TryParse("iqn.2026-11.example:other", out InitiatorPattern? other));
        var initiator = new Initiator(Moved(access: new TargetAccess { Initiators = [other] }));
        initiator.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names));
        Pdu answer = initiator.ReceiveOne();
        Assert.Equal((ushort)LoginStatus.NotFound, answer.Login.Status);
        Assert.Empty(answer.Data);
    }

    [Fact]
    public void A_session_that_is_there_stays_and_may_have_connections_more()
    {
        var node = new Node();
        Initiator first = new Initiator(node).Login("MaxConnections=2");
        node.IscsiTarget.Redirection = To();
        Initiator second = first.Join(1);
        second.Read(5, 0, 1);
        Assert.Equal(512, second.ReceiveOne().Data.Length);
        Initiator instead = first.Join(1);
        Assert.Equal(2, first.Connection.Session!.Connections.Count);
        Assert.True(second.Connection.CloseNow);
        Assert.Empty(instead.CloseRequests);
    }

    [Fact]
    public void A_login_in_the_place_of_a_session_is_a_new_one_and_sent_on_and_the_session_stays()
    {
        var node = new Node();
        Initiator old = new Initiator(node).Login();
        node.IscsiTarget.Redirection = To();
        var young = new Initiator(node);
        young.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names));
        MustBeSentOn(young.ReceiveOne());
        old.Read(5, 0, 1);
        Assert.Equal(512, old.ReceiveOne().Data.Length);
    }

    [Fact]
    public void A_move_in_the_middle_of_a_login_is_told_at_the_next_step()
    {
        var node = new Node();
        var initiator = new Initiator(node);
        initiator.SendLogin(0, 1, transit: true, Initiator.Text([.. Initiator.Names, "AuthMethod=None"]));
        Assert.Equal(0, initiator.ReceiveOne().Login.Status);
        node.IscsiTarget.Redirection = To(permanent: true);
        initiator.SendLogin(1, 3, transit: true, []);
        MustBeSentOn(initiator.ReceiveOne(), Permanently);
    }

    [Fact]
    public void A_target_that_is_removed_in_the_middle_of_a_login_is_told_to_be()
    {
        var node = new Node();
        var initiator = new Initiator(node);
        initiator.SendLogin(0, 1, transit: true, Initiator.Text([.. Initiator.Names, "AuthMethod=None"]));
        Assert.Equal(0, initiator.ReceiveOne().Login.Status);
        node.Server.Remove(node.IscsiTarget);
        initiator.SendLogin(1, 3, transit: true, []);
        Assert.Equal((ushort)LoginStatus.TargetRemoved, initiator.ReceiveOne().Login.Status);
    }

    [Fact]
    public void A_target_that_is_back_takes_sessions_again()
    {
        Node node = Moved();
        node.IscsiTarget.Redirection = null;
        Assert.True(new Initiator(node).Login().Connection.Session!.IsAlive);
    }

    [Theory]
    [InlineData(false, "127.0.0.1:3260,1")]
    [InlineData(true, "192.0.2.77:3261,9")]
    public void Discovery_tells_of_our_portals_until_the_move_is_for_good(bool permanent, string told)
    {
        var node = new Node();
        node.IscsiTarget.Redirection = To($"{Elsewhere},9", permanent);
        var initiator = new Initiator(node);
        initiator.SendLogin(1, 3, transit: true, Initiator.Text("InitiatorName=iqn.x", "SessionType=Discovery"));
        Assert.Equal(0, initiator.ReceiveOne().Login.Status);
        initiator.SendText(Initiator.Text("SendTargets=All"));
        Assert.Equal([$"TargetName={Node.TargetName}", $"TargetAddress={told}"], initiator.ReceiveOne().Text);
    }

    [Theory]
    [InlineData("192.0.2.7", "192.0.2.7:3260", 1)]
    [InlineData("192.0.2.7:860,65535", "192.0.2.7:860", 65535)]
    [InlineData("disks-2.example,2", "disks-2.example:3260", 2)]
    [InlineData("[2001:DB8::1]:3261", "[2001:db8::1]:3261", 1)]
    [InlineData("[2001:db8::1],7", "[2001:db8::1]:3260", 7)]
    public void An_address_is_a_host_with_or_without_port_and_tag(string text, string address, int tag)
    {
        TargetRedirection? read = TargetRedirection.Parse(text);
        Assert.Equal((address, tag, false), (read!.Address, read.PortalGroupTag, read.IsPermanent));
    }

    [Theory]
    [InlineData("")]
    [InlineData(":3260")]
    [InlineData("192.0.2.7:")]
    [InlineData("192.0.2.7:0")]
    [InlineData("192.0.2.7:65536")]
    [InlineData("192.0.2.7,0")]
    [InlineData("192.0.2.7,65536")]
    [InlineData("192.0.2.7,")]
    [InlineData("2001:db8::1")]
    [InlineData("[2001:db8::1")]
    [InlineData("[fe80::1%2]:3260")]
    [InlineData("[192.0.2.7]:3260")]
    [InlineData("0.0.0.0:3260")]
    [InlineData("[::]:3260")]
    [InlineData("a b:3260")]
    [InlineData("a\0TargetName=b:3260")]
    public void What_is_no_address_is_none(string text) => Assert.Null(TargetRedirection.Parse(text));
}
