using Scuse.Iscsi.Access;
using Scuse.Iscsi.Login;
using Scuse.Iscsi.Login.Chap;
using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;
using static Scuse.Iscsi.Tests.Access.ChapRig;

namespace Scuse.Iscsi.Tests.Access;

/// <summary>CHAP as RFC 7143 section 12.1.3 has it. The answers were computed with Python's hashlib.</summary>
public class ChapLogins
{
    const string Challenge16 = "101112131415161718191a1b1c1d1e1f", Challenge20 = Challenge16 + "20212223", Challenge32 = Challenge20 + "2425262728292a2b2c2d2e2f";
    const string Sha256Answer = "0x51673d9c6a83ce5a7bbe402d2dded1ca9af571b588d7f13f94973294cd62c2a9";

    [Theory]
    [InlineData("5", Challenge16, "0x3ceffa4c3b5a8df80d8f5e3379690f7b")]
    [InlineData("5", Challenge16, "0bPO/6TDtajfgNj14zeWkPew==")]
    [InlineData("6", Challenge20, "0x77bcbe0f337d7a82a92315d9ed24651e19d709ee")]
    [InlineData("7", Challenge32, Sha256Answer)]
    [InlineData("7", Challenge32, "0X51673D9C6A83CE5A7BBE402D2DDED1CA9AF571B588D7F13F94973294CD62C2A9")]
    [InlineData("8", Challenge32, "0xc7b2086253d2acffd9ea6a0274e248442017e8572243aae7a2db0ffc88fcf9ef")]
    public void The_right_answer_to_the_challenge_lets_an_initiator_in(string algorithm, string challenge, string answer)
    {
        var initiator = new Initiator(Node());
        Assert.Equal([$"CHAP_A={algorithm}", "CHAP_I=16", $"CHAP_C=0x{challenge}"], initiator.Challenge(algorithm).Text);
        Pdu last = initiator.Security(true, $"CHAP_N={User}", $"CHAP_R={answer}");
        Assert.Equal((0, true, 0, 1), (last.Login.Status, last.Login.Transit, last.Login.CurrentStage, last.Login.NextStage));
        Assert.Empty(last.Text);
        initiator.SendLogin(1, 3, transit: true, []);
        Assert.Equal(0, initiator.ReceiveOne().Login.Status);
        Assert.Equal((User, false), (initiator.Connection.Session!.ChapUser, initiator.Connection.Session.IsMutual));
        Assert.Equal(algorithm, ((int)initiator.Connection.Session.ChapAlgorithm!).ToString(System.Globalization.CultureInfo.InvariantCulture));
    }

    [Theory]
    [InlineData("8,7,6,5", "CHAP_A=8")]
    [InlineData("5,6,7,8", "CHAP_A=5")]
    [InlineData("6,7", "CHAP_A=6")]
    [InlineData("99,7,5", "CHAP_A=7")]
    public void Of_what_an_initiator_offers_the_first_that_is_allowed_is_taken(string offered, string chosen) =>
        Assert.Equal(chosen, new Initiator(Node()).Challenge(offered).Text[0]);

    [Fact]
    public void An_algorithm_that_is_turned_off_is_not_taken()
    {
        TargetAccess strict = Asking(true, ChapAlgorithm.Sha3, ChapAlgorithm.Sha256);
        Assert.Equal("CHAP_A=7", new Initiator(Node(strict)).Challenge("5,6,7,8").Text[0]);
        MustFail(new Initiator(Node(strict)).Challenge("5,6"));
    }

    [Fact]
    public void The_target_proves_itself_to_an_initiator_that_asks()
    {
        var initiator = new Initiator(Node());
        initiator.Challenge();
        Pdu last = initiator.Security(true, $"CHAP_N={User}", $"CHAP_R={Sha256Answer}", "CHAP_I=77", "CHAP_C=0xc8c9cacbcccdcecfd0d1d2d3d4d5d6d7");
        Assert.Equal([$"CHAP_N={OwnName}", "CHAP_R=0x223c7765d451e76a8e4417e95f2cd6c851059f0db60c67aefdcca54730f67e3e"], last.Text);
        Assert.True(last.Login.Transit);
        initiator.SendLogin(1, 3, transit: true, []);
        initiator.ReceiveOne();
        Assert.True(initiator.Connection.Session!.IsMutual);
    }

    [Fact]
    public void An_initiator_that_leaves_when_the_target_has_proved_itself_is_told_of_as_a_refusal()
    {
        var initiator = new Initiator(Node());
        initiator.Challenge();
        initiator.Security(true, $"CHAP_N={User}", $"CHAP_R={Sha256Answer}", "CHAP_I=77", "CHAP_C=0xc8c9cacbcccdcecfd0d1d2d3d4d5d6d7");
        Assert.Contains("another name or secret of the target", initiator.Connection.InitiatorLeft(), StringComparison.Ordinal);
        Assert.True(initiator.Connection.IsRefused);
    }

    [Fact]
    public void One_that_leaves_later_or_did_not_ask_for_a_proof_has_just_left()
    {
        var satisfied = new Initiator(Node());
        satisfied.Challenge();
        satisfied.Security(true, $"CHAP_N={User}", $"CHAP_R={Sha256Answer}", "CHAP_I=77", "CHAP_C=0xc8c9cacbcccdcecfd0d1d2d3d4d5d6d7");
        satisfied.SendLogin(1, 1, transit: false, Initiator.Text("InitialR2T=No"));
        var incurious = new Initiator(Node());
        incurious.Challenge();
        incurious.Security(true, $"CHAP_N={User}", $"CHAP_R={Sha256Answer}");
        Assert.Equal("the initiator closed the connection", satisfied.Connection.InitiatorLeft());
        Assert.Equal("the initiator closed the connection", incurious.Connection.InitiatorLeft());
        Assert.False(satisfied.Connection.IsRefused || incurious.Connection.IsRefused);
    }

    [Fact]
    public void The_target_does_not_prove_itself_to_who_has_not_proved_itself()
    {
        var initiator = new Initiator(Node());
        initiator.Challenge();
        MustFail(initiator.Security(true, $"CHAP_N={User}", Answer("wrong secret"), "CHAP_I=77", "CHAP_C=0xc8c9cacbcccdcecfd0d1d2d3d4d5d6d7"));
    }

    [Fact]
    public void An_initiator_that_asks_a_target_which_has_no_secret_of_its_own_is_refused()
    {
        var initiator = new Initiator(Node(Asking(mutual: false)));
        initiator.Challenge();
        MustFail(initiator.Security(true, $"CHAP_N={User}", $"CHAP_R={Sha256Answer}", "CHAP_I=77", "CHAP_C=0xc8c9cacbcccdcecfd0d1d2d3d4d5d6d7"));
        Assert.Contains("mutual CHAP", initiator.Connection.CloseReason, StringComparison.Ordinal);
    }

    [Fact]
    public void Discovery_has_users_of_its_own()
    {
        var node = new Node(random: Count);
        node.Server.Entity.DiscoveryAccess = Asking();
        string[] names = ["InitiatorName=iqn.2026-11.example:host", "SessionType=Discovery"];
        MustFail(new Initiator(node).Security(true, [.. names, "AuthMethod=None"]));
        var initiator = new Initiator(node);
        Assert.Equal(0, initiator.LoginAs(names: names).Login.Status);
        initiator.SendText(Initiator.Text("SendTargets=All"));
        Assert.Contains($"TargetName={Rig.Node.TargetName}", initiator.ReceiveOne().Text);
        Assert.Equal(0, new Initiator(node).Login().Connection.Session!.Rejects); // the target asks nobody
    }

    [Fact]
    public void Every_connection_of_a_session_has_to_prove_itself_as_the_same_user()
    {
        Node node = Node();
        var first = new Initiator(node);
        first.LoginAs();
        Assert.Equal((ushort)LoginStatus.AuthorizationFailure, new Initiator(node).LoginAs("bob", "another secret of bob").Login.Status);
        Assert.True(first.Connection.Session!.IsAlive); // which another user would have ended
        Assert.Equal(0, new Initiator(node).LoginAs().Login.Status);
        Assert.False(first.Connection.Session.IsAlive);
    }

    [Fact]
    public void A_connection_more_for_a_session_has_to_prove_itself_as_well()
    {
        Node node = Node();
        var first = new Initiator(node);
        first.LoginAs(more: "MaxConnections=4");
        ushort tsih = first.Connection.Session!.Tsih;
        var none = new Initiator(node);
        none.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), tsih: tsih, cid: 1);
        MustFail(none.ReceiveOne());
        MustFail(new Initiator(node).LoginAs("bob", "another secret of bob", tsih: tsih, cid: 1), LoginStatus.AuthorizationFailure);
        Assert.Equal(0, new Initiator(node).LoginAs(tsih: tsih, cid: 1).Login.Status);
        Assert.Equal(2, first.Connection.Session.Connections.Count);
    }

    [Fact]
    public void A_user_that_is_tied_to_initiators_cannot_log_in_as_another()
    {
        Assert.True(InitiatorPattern.TryParse("iqn.2026-11.example:her", out InitiatorPattern? hers));
        var access = new TargetAccess { Chap = new ChapAuthentication([new ChapUser(User, SecretOf(Secret)) { Initiators = [hers] }]) };
        MustFail(new Initiator(Node(access)).LoginAs(), LoginStatus.AuthorizationFailure);
        string[] names = ["InitiatorName=iqn.2026-11.example:her", $"TargetName={Rig.Node.TargetName}"];
        Assert.Equal(0, new Initiator(Node(access)).LoginAs(names: names).Login.Status);
    }

    [Fact]
    public void When_a_user_is_taken_away_its_sessions_are_dropped()
    {
        Node node = Node();
        var ours = new Initiator(node);
        ours.LoginAs();
        node.IscsiTarget.Access = Asking(mutual: false);
        Assert.Empty(ours.CloseRequests);
        node.IscsiTarget.Access = new TargetAccess { Chap = new ChapAuthentication([new ChapUser("carol", SecretOf(Secret))]) };
        Assert.Single(ours.CloseRequests);
    }

    [Fact]
    public void A_login_during_which_access_changes_begins_again()
    {
        Node node = Node();
        var initiator = new Initiator(node);
        initiator.Challenge();
        node.IscsiTarget.Access = Asking();
        initiator.SendLogin(0, 3, true, Initiator.Text($"CHAP_N={User}", $"CHAP_R={Sha256Answer}"));
        Assert.Equal((ushort)LoginStatus.ServiceUnavailable, initiator.ReceiveOne().Login.Status);
    }

    [Theory]
    [InlineData(Cut.OneByte)]
    [InlineData(Cut.Random)]
    public void A_login_in_pieces_is_the_same_login(Cut cut) => Assert.Equal(0, new Initiator(Node(), cut).LoginAs().Login.Status);

    [Fact]
    public void Every_host_has_the_algorithms_that_initiators_know() =>
        Assert.All([ChapAlgorithm.Sha1, ChapAlgorithm.Sha256], static algorithm => Assert.True(ChapHash.IsSupported(algorithm)));

    [Fact]
    public void A_connection_joins_the_session_of_its_own_user_only()
    {
        var alice = new Initiator(ChapRig.Node());
        Assert.Equal(0, alice.LoginAs().Login.Status);
        IscsiSession session = alice.Connection.Session!;
        Pdu answer = new Initiator(alice.Node).LoginAs("bob", "another secret of bob", tsih: session.Tsih);
        ChapRig.MustFail(answer, LoginStatus.AuthorizationFailure);
        Assert.Equal([alice.Connection], session.Connections);
        Assert.Equal(0, new Initiator(alice.Node).LoginAs(tsih: session.Tsih).Login.Status);
        Assert.True(alice.Connection.CloseNow); // the same connection identifier: reinstated
    }
}
