using Scuse.Iscsi.Access;
using Scuse.Iscsi.Login;
using Scuse.Iscsi.Login.Chap;
using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;
using static Scuse.Iscsi.Tests.Access.ChapRig;

namespace Scuse.Iscsi.Tests.Access;

/// <summary>What does not get past CHAP, and how it is told.</summary>
public class ChapRefusals
{
    const string HashOfNothing = "CHAP_R=0x0000000000000000000000000000000000000000000000000000000000000000";

    [Fact]
    public void Without_authentication_no_way_leads_past_the_security_stage()
    {
        MustFail(new Initiator(Node()).Security(true, [.. Initiator.Names, "AuthMethod=None"]));
        MustFail(new Initiator(Node()).Security(true, [.. Initiator.Names, "AuthMethod=SRP,KRB5"]));
        MustFail(new Initiator(Node()).Security(true, Initiator.Names));
        var direct = new Initiator(Node());
        direct.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names));
        MustFail(direct.ReceiveOne());
    }

    [Fact]
    public void A_wish_to_go_on_before_CHAP_is_over_is_not_granted()
    {
        var initiator = new Initiator(Node());
        Pdu first = initiator.Security(true, [.. Initiator.Names, "AuthMethod=CHAP"]);
        Assert.Equal((0, false), (first.Login.Status, first.Login.Transit));
        Pdu second = initiator.Security(true, "CHAP_A=7");
        Assert.Equal((0, false), (second.Login.Status, second.Login.Transit));
        initiator.SendLogin(1, 3, transit: true, []);
        Assert.Equal((ushort)LoginStatus.InitiatorError, initiator.ReceiveOne().Login.Status);
    }

    [Fact]
    public void An_unknown_name_and_a_wrong_answer_are_refused_with_the_same_bytes_and_the_same_reason()
    {
        Pdu Login(string name, string secret, out string reason)
        {
            var initiator = new Initiator(Node());
            Pdu answer = initiator.LoginAs(name, secret);
            reason = initiator.Connection.CloseReason.Replace(name, "NAME", StringComparison.Ordinal);
            return answer;
        }

        Pdu wrong = Login(User, "some other secret", out string whyWrong);
        Pdu unknown = Login("mallory", Secret, out string whyUnknown);
        MustFail(wrong);
        Assert.Equal(wrong.Content, unknown.Content);
        Assert.Equal(whyWrong, whyUnknown);
    }

    [Fact]
    public void A_refusal_is_for_the_log_with_who_it_was_and_never_a_secret()
    {
        var initiator = new Initiator(Node());
        initiator.LoginAs("ali\nce", "some other secret");
        Assert.True(initiator.Connection.IsRefused);
        Assert.Equal(
            "login of iqn.2026-11.example:host failed with status 0201 (AuthenticationFailure): CHAP user 'ali?ce': the name is unknown or the answer to the challenge is wrong",
            initiator.Connection.CloseReason);
    }

    [Theory]
    [InlineData("CHAP_N=alice")]
    [InlineData(HashOfNothing)]
    [InlineData("CHAP_N=", HashOfNothing)]
    [InlineData("CHAP_N=alice", "CHAP_R=")]
    [InlineData("CHAP_N=alice", "CHAP_R=0x")]
    [InlineData("CHAP_N=alice", "CHAP_R=0xabc")]
    [InlineData("CHAP_N=alice", "CHAP_R=0xzz")]
    [InlineData("CHAP_N=alice", "CHAP_R=0b!!!!")]
    [InlineData("CHAP_N=alice", "CHAP_R=0bPO/6TDta jfgNj14zeWkPew==")]
    [InlineData("CHAP_N=alice", "CHAP_R=12345")]
    [InlineData("CHAP_N=alice", HashOfNothing + "00")]
    [InlineData("CHAP_N=alice", HashOfNothing, "CHAP_R=0x00")]
    [InlineData("CHAP_N=alice", HashOfNothing, "CHAP_A=7")]
    [InlineData("CHAP_N=alice", HashOfNothing, "CHAP_I=1")]
    [InlineData("CHAP_N=alice", HashOfNothing, "CHAP_C=0x00112233")]
    [InlineData("CHAP_N=alice", HashOfNothing, "CHAP_I=256", "CHAP_C=0x00112233")]
    [InlineData("CHAP_N=alice", HashOfNothing, "CHAP_I=x", "CHAP_C=0x00112233")]
    [InlineData("CHAP_N=alice", HashOfNothing, "CHAP_I=1", "CHAP_C=")]
    [InlineData("CHAP_N=alice", HashOfNothing, "AuthMethod=CHAP")]
    [InlineData("CHAP_A=7")]
    public void Keys_that_are_empty_malformed_missing_or_out_of_order_end_the_login(params string[] keys)
    {
        var initiator = new Initiator(Node());
        initiator.Challenge();
        MustFail(initiator.Security(true, keys));
        Assert.True(initiator.Connection.ShouldClose);
    }

    [Fact]
    public void Values_that_are_too_long_end_the_login()
    {
        MustFail(Answering($"CHAP_N={new string('a', ChapUser.MaxNameLength + 1)}", HashOfNothing));
        MustFail(Answering($"CHAP_N={User}", $"CHAP_R=0x{new string('0', 4000)}"));
        MustFail(Answering($"CHAP_N={User}", Answer(), "CHAP_I=1", $"CHAP_C=0x{new string('0', 2 * (ChapHash.MaxChallengeLength + 1))}"));
        Pdu longest = Answering($"CHAP_N={User}", Answer(), "CHAP_I=1", $"CHAP_C=0x{new string('0', 2 * ChapHash.MaxChallengeLength)}");
        Assert.Equal(0, longest.Login.Status);
    }

    static Pdu Answering(params string[] keys)
    {
        var initiator = new Initiator(Node());
        initiator.Challenge();
        return initiator.Security(true, keys);
    }

    [Theory]
    [InlineData("AuthMethod=CHAP", "CHAP_A=7")]
    [InlineData("CHAP_A=7")]
    [InlineData("CHAP_N=alice", HashOfNothing)]
    [InlineData("AuthMethod=CHAP", "AuthMethod=None")]
    public void Keys_that_come_before_their_turn_end_the_login(params string[] keys) =>
        MustFail(new Initiator(Node()).Security(false, [.. Initiator.Names, .. keys]));

    [Fact]
    public void Keys_of_CHAP_where_it_was_not_agreed_on_end_the_login()
    {
        MustFail(new Initiator(new Node()).Security(false, [.. Initiator.Names, "AuthMethod=None", "CHAP_A=7"]));
        var late = new Initiator(new Node());
        late.SendLogin(1, 3, transit: true, Initiator.Text([.. Initiator.Names, "CHAP_A=7"]));
        MustFail(late.ReceiveOne(), LoginStatus.InitiatorError);
    }

    [Fact]
    public void Our_own_challenge_sent_back_is_refused()
    {
        var initiator = new Initiator(Node());
        string challenge = initiator.Challenge().Text[2];
        MustFail(initiator.Security(true, $"CHAP_N={User}", Answer(), "CHAP_I=16", challenge));
        Assert.Contains("reflection", initiator.Connection.CloseReason, StringComparison.Ordinal);
    }

    [Fact]
    public void The_names_that_access_was_decided_by_cannot_be_changed_later()
    {
        var initiator = new Initiator(Node());
        initiator.Challenge();
        MustFail(initiator.Security(true, $"CHAP_N={User}", Answer(), "InitiatorName=iqn.2026-11.example:other"), LoginStatus.InitiatorError);
        var discovery = new Initiator(new Node());
        discovery.SendLogin(1, 0, transit: false, Initiator.Text(Initiator.Names));
        discovery.ReceiveOne();
        discovery.SendLogin(1, 3, transit: true, Initiator.Text("SessionType=Discovery"));
        MustFail(discovery.ReceiveOne(), LoginStatus.InitiatorError);
    }

    [Fact]
    public void Secrets_that_are_too_short_too_long_or_the_same_both_ways_are_refused_at_once()
    {
        Assert.Throws<ArgumentException>(() => SecretOf("11 bytes: !"));
        Assert.Throws<ArgumentException>(() => new ChapSecret(new byte[256]));
        ArgumentException same = Assert.Throws<ArgumentException>(
            () => new ChapAuthentication([new ChapUser(User, SecretOf(Secret))], new ChapUser(OwnName, SecretOf(Secret))));
        Assert.DoesNotContain(Secret, same.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(Secret, $"{new ChapUser(User, SecretOf(Secret))}", StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new ChapAuthentication([]));
        Assert.Throws<ArgumentException>(() => new ChapAuthentication([new ChapUser(User, SecretOf(Secret)), new ChapUser(User, SecretOf(OwnSecret))]));
    }
}
