using Scuse.Iscsi.Access;
using Scuse.Iscsi.Login;
using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;
using Scuse.Target;

namespace Scuse.Iscsi.Tests.Access;

/// <summary>Who may log in where, and what others get to know of it.</summary>
public class InitiatorLists
{
    const string Us = "iqn.2026-11.example:host";

    static TargetAccess Only(params string[] patterns) => new()
    {
        Initiators = [.. patterns.Select(static text => InitiatorPattern.TryParse(text, out InitiatorPattern? pattern) ? pattern : throw new FormatException(text))],
    };

    static Pdu Login(Node node, string remote = "10.0.0.9:40000")
    {
        var initiator = new Initiator(node, remote: remote);
        initiator.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names));
        return initiator.ReceiveOne();
    }

    static string[] Discover(Node node, string request = "SendTargets=All")
    {
        var initiator = new Initiator(node);
        initiator.SendLogin(1, 3, transit: true, Initiator.Text($"InitiatorName={Us}", "SessionType=Discovery"));
        Assert.Equal(0, initiator.ReceiveOne().Login.Status);
        initiator.SendText(Initiator.Text(request));
        return [.. initiator.ReceiveOne().Text.Where(static pair => pair.StartsWith("TargetName=", StringComparison.Ordinal))];
    }

    [Theory]
    [InlineData("iqn.2026-11.example:*", "10.0.0.9:40000", true)]
    [InlineData("iqn.2026-11.example:other", "10.0.0.9:40000", false)]
    [InlineData("10.0.0.0/8", "10.0.0.9:40000", true)]
    [InlineData("10.0.0.0/8", "192.0.2.1:40000", false)]
    [InlineData("2001:db8::/64", "[2001:db8::5]:40000", true)]
    public void An_initiator_logs_in_where_a_pattern_of_the_target_matches_it(string pattern, string remote, bool isAdmitted)
    {
        var node = new Node();
        node.IscsiTarget.Access = Only(pattern);
        Assert.Equal(isAdmitted ? (ushort)0 : (ushort)LoginStatus.NotFound, Login(node, remote).Login.Status);
    }

    [Fact]
    public void A_target_that_is_not_for_the_initiator_answers_as_one_that_does_not_exist()
    {
        var hidden = new Node();
        hidden.IscsiTarget.Access = Only("iqn.2026-11.example:other");
        var missing = new Node();
        missing.Server.Remove(missing.IscsiTarget);
        Assert.Equal(Login(missing).Content, Login(hidden).Content);
    }

    [Fact]
    public void Discovery_tells_an_initiator_of_its_own_targets_alone()
    {
        var node = new Node();
        node.IscsiTarget.Access = Only("iqn.2026-11.example:other");
        node.Server.Add(new IscsiTarget(new ScsiTarget("iqn.2026-11.example:mine", []), Only(Us)));
        Assert.Equal(["TargetName=iqn.2026-11.example:mine"], Discover(node));
        Assert.Empty(Discover(node, $"SendTargets={Node.TargetName}"));
    }

    [Fact]
    public void Who_may_not_ask_which_targets_there_are_is_told_so()
    {
        var node = new Node();
        node.Server.Entity.DiscoveryAccess = Only("192.0.2.0/24");
        var initiator = new Initiator(node);
        initiator.SendLogin(1, 3, transit: true, Initiator.Text($"InitiatorName={Us}", "SessionType=Discovery"));
        Assert.Equal((ushort)LoginStatus.AuthorizationFailure, initiator.ReceiveOne().Login.Status);
    }

    [Fact]
    public void When_the_list_changes_those_that_it_has_no_longer_are_dropped_and_the_others_stay()
    {
        var node = new Node();
        Initiator ours = new Initiator(node).Login();
        node.IscsiTarget.Access = Only(Us);
        Assert.True(ours.Connection.Session!.IsAlive);
        node.IscsiTarget.Access = Only("iqn.2026-11.example:other");
        Assert.Equal((byte)AsyncEvent.SessionDropped, new AsyncMessagePdu(ours.ReceiveOne().Header).Event);
        Assert.Contains("may no longer log in", Assert.Single(ours.CloseRequests), StringComparison.Ordinal);
        Assert.Equal((ushort)LoginStatus.NotFound, Login(node).Login.Status);
    }

    [Fact]
    public void A_target_belongs_to_one_server()
    {
        var node = new Node();
        Assert.Throws<ArgumentException>(() => new IscsiServer(new IscsiOptions()).Add(node.IscsiTarget));
        Assert.Same(node.IscsiTarget, node.Server.Find(Node.TargetName.ToUpperInvariant()));
        Assert.True(node.Server.Remove(node.IscsiTarget));
        Assert.False(node.Server.Remove(node.IscsiTarget));
        Assert.Null(node.Server.Find(Node.TargetName));
    }
}
