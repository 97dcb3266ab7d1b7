using Scuse.Iscsi.Login;
using Scuse.Iscsi.Moving;
using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Access;
using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.Login;

/// <summary>Targets whose initiators are asked to go. RFC 7143 section 11.9.1, events 1 and 3.</summary>
public class DrainedTargets
{
    const long Begin = 1000;

    static Pdu Login(Node node, ulong isid = 7)
    {
        var initiator = new Initiator(node);
        initiator.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), isid: isid);
        return initiator.ReceiveOne();
    }

    static AsyncMessagePdu Async(Pdu pdu) => new(pdu.Header);

    [Fact]
    public void Every_connection_is_asked_for_its_logout_and_who_goes_is_gone()
    {
        var node = new Node();
        Initiator first = new Initiator(node).Login("MaxConnections=2");
        Initiator second = first.Join(1);
        node.IscsiTarget.BeginDrain(30, Begin);
        AsyncMessagePdu asked = Async(first.ReceiveOne());
        Assert.Equal(((byte)AsyncEvent.LogoutRequested, 0, 0, 30), (asked.Event, asked.Parameter1, asked.Parameter2, asked.Parameter3));
        Assert.Equal(30, Async(second.ReceiveOne()).Parameter3);
        first.SendLogout(LogoutRequestPdu.CloseSession);
        Assert.Equal(Opcode.LogoutResponse, first.ReceiveOne().Opcode);
        Assert.Empty(node.IscsiTarget.Sessions);
        Assert.True(node.IscsiTarget.IsDraining);
    }

    [Fact]
    public void A_new_session_is_refused_or_sent_to_where_the_target_is_now()
    {
        var node = new Node();
        node.IscsiTarget.BeginDrain(30, Begin);
        Pdu refused = Login(node);
        Assert.Equal((ushort)LoginStatus.ServiceUnavailable, refused.Login.Status);
        Assert.Empty(refused.Data);
        node.IscsiTarget.Redirection = TargetRedirection.Parse("192.0.2.77");
        Assert.Equal(["TargetAddress=192.0.2.77:3260"], Login(node).Text);
    }

    [Fact]
    public void Who_has_to_prove_itself_is_refused_after_the_security_stage()
    {
        Node node = ChapRig.Node();
        node.Server.Entity.DiscoveryAccess = ChapRig.Asking();
        node.IscsiTarget.BeginDrain(30, Begin);
        Assert.Equal((ushort)LoginStatus.ServiceUnavailable, new Initiator(node).LoginAs().Login.Status);
        Assert.Equal((ushort)LoginStatus.AuthenticationFailure, new Initiator(node).LoginAs(secret: "a wrong secret 12345").Login.Status);
    }

    [Fact]
    public void A_login_under_way_does_not_get_in()
    {
        var node = new Node();
        var initiator = new Initiator(node);
        initiator.SendLogin(0, 1, transit: true, Initiator.Text([.. Initiator.Names, "AuthMethod=None"]));
        Assert.Equal(0, initiator.ReceiveOne().Login.Status);
        node.IscsiTarget.BeginDrain(30, Begin);
        initiator.SendLogin(1, 3, transit: true, []);
        Assert.Equal((ushort)LoginStatus.ServiceUnavailable, initiator.ReceiveOne().Login.Status);
        Assert.Empty(node.Server.Sessions);
    }

    [Fact]
    public void Work_goes_on_until_the_time_is_over_and_then_the_session_is_dropped_with_its_tasks()
    {
        var node = new Node();
        Initiator initiator = new Initiator(node).Login();
        node.IscsiTarget.BeginDrain(3, Begin);
        initiator.Receive();
        node.Server.Tick(Begin + 2999);
        initiator.Read(5, 0, 1);
        Assert.Equal(512, initiator.ReceiveOne().Data.Length);
        node.Device.HoldsSubmit = true;
        initiator.Read(6, 0, 1);

        node.Server.Tick(Begin + 3000);

        AsyncMessagePdu dropped = Async(initiator.ReceiveOne());
        Assert.Equal(((byte)AsyncEvent.SessionDropped, 0, 2, 0), (dropped.Event, dropped.Parameter1, dropped.Parameter2, dropped.Parameter3));
        Assert.Contains("has not left", Assert.Single(initiator.CloseRequests), StringComparison.Ordinal);
        Assert.Empty(node.Server.Sessions);
        initiator.Connection.Closed();
        Assert.Equal(0, node.Device.InUse);
        Assert.Equal((ushort)LoginStatus.ServiceUnavailable, Login(node).Login.Status); // until somebody ends it
    }

    [Fact]
    public void No_time_at_all_is_until_the_next_tick()
    {
        var node = new Node();
        Initiator initiator = new Initiator(node).Login();
        node.IscsiTarget.BeginDrain(0, Begin);
        Assert.Equal(0, Async(initiator.ReceiveOne()).Parameter3);
        node.Server.Tick(Begin);
        Assert.Equal((byte)AsyncEvent.SessionDropped, Async(initiator.ReceiveOne()).Event);
    }

    [Fact]
    public void A_connection_that_comes_for_a_session_is_let_in_and_told_how_much_time_is_left()
    {
        var node = new Node();
        Initiator first = new Initiator(node).Login("MaxConnections=2");
        node.IscsiTarget.BeginDrain(30, Begin);
        var second = new Initiator(node) { NowMs = Begin + 12_500 };
        second.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), tsih: first.Connection.Session!.Tsih, cid: 1);
        List<Pdu> told = second.Receive();
        Assert.Equal((2, 0), (told.Count, told[0].Login.Status));
        Assert.Equal(((byte)AsyncEvent.LogoutRequested, 18), (Async(told[1]).Event, Async(told[1]).Parameter3));
        node.Server.Tick(Begin + 30_000);
        Assert.Equal((byte)AsyncEvent.SessionDropped, Async(second.ReceiveOne()).Event);
        Assert.Single(second.CloseRequests);
    }

    /// <summary>At ErrorRecoveryLevel 2 a lost connection would leave the session alive for whoever comes back to it.</summary>
    [Fact]
    public void A_dropped_session_cannot_be_continued()
    {
        var node = new Node(new IscsiOptions { ErrorRecoveryLevel = 2 });
        Initiator initiator = new Initiator(node).Login("ErrorRecoveryLevel=2", "DefaultTime2Retain=20");
        ushort tsih = initiator.Connection.Session!.Tsih;
        node.Device.HoldsSubmit = true;
        initiator.Read(5, 0, 1);
        node.IscsiTarget.BeginDrain(3, Begin);
        node.Server.Tick(Begin + 3000);
        initiator.Receive();
        initiator.Connection.Closed();
        Assert.Equal(0, node.Device.InUse);
        var back = new Initiator(node);
        back.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), tsih: tsih, cid: 0);
        Assert.Equal((ushort)LoginStatus.SessionDoesNotExist, back.ReceiveOne().Login.Status);
    }

    [Fact]
    public void A_session_that_has_lost_its_connections_ends_with_the_drain()
    {
        var node = new Node(new IscsiOptions { ErrorRecoveryLevel = 2 });
        Initiator initiator = new Initiator(node).Login("ErrorRecoveryLevel=2", "DefaultTime2Retain=20");
        node.Device.HoldsSubmit = true;
        initiator.Read(5, 0, 1);
        initiator.Connection.Closed();
        Assert.Single(node.Server.Sessions);
        node.IscsiTarget.BeginDrain(3, Begin);
        node.Server.Tick(Begin + 3000);
        Assert.Empty(node.Server.Sessions);
        Assert.Equal(0, node.Device.InUse);
    }

    [Fact]
    public void A_login_in_the_place_of_a_session_is_turned_away_and_the_session_has_its_time()
    {
        var node = new Node();
        Initiator old = new Initiator(node).Login();
        node.IscsiTarget.BeginDrain(30, Begin);
        old.Receive();
        Assert.Equal((ushort)LoginStatus.ServiceUnavailable, Login(node, Initiator.Isid).Login.Status);
        old.Read(5, 0, 1);
        Assert.Equal(512, old.ReceiveOne().Data.Length);
    }

    [Fact]
    public void When_it_is_ended_who_is_there_may_stay_and_others_may_come()
    {
        var node = new Node();
        Initiator initiator = new Initiator(node).Login();
        node.IscsiTarget.BeginDrain(3, Begin);
        initiator.Receive();
        node.IscsiTarget.EndDrain();
        node.Server.Tick(Begin + 60_000);
        initiator.Connection.Tick(Begin + 10_000);
        initiator.Read(5, 0, 1);
        Assert.Equal(512, initiator.ReceiveOne().Data.Length);
        Assert.Equal(0, Login(node).Login.Status);
    }

    [Fact]
    public void Begun_again_it_gives_another_time()
    {
        var node = new Node();
        Initiator initiator = new Initiator(node).Login();
        node.IscsiTarget.BeginDrain(3, Begin);
        initiator.Receive();
        node.IscsiTarget.BeginDrain(60, Begin);
        Assert.Equal(60, Async(initiator.ReceiveOne()).Parameter3);
        node.Server.Tick(Begin + 59_999);
        Assert.Equal(1, node.IscsiTarget.DrainSecondsLeft(Begin + 59_999));
        Assert.Empty(initiator.CloseRequests);
        node.Server.Tick(Begin + 60_000);
        Assert.Single(initiator.CloseRequests);
    }

    [Fact]
    public void Discovery_goes_on_and_tells_of_the_target()
    {
        var node = new Node();
        node.IscsiTarget.BeginDrain(0, Begin);
        var initiator = new Initiator(node);
        initiator.SendLogin(1, 3, transit: true, Initiator.Text("InitiatorName=iqn.x", "SessionType=Discovery"));
        Assert.Equal(0, initiator.ReceiveOne().Login.Status);
        node.Server.Tick(Begin + 1000);
        initiator.SendText(Initiator.Text("SendTargets=All"));
        Assert.Equal($"TargetName={Node.TargetName}", initiator.ReceiveOne().Text[0]);
    }

    [Fact]
    public void Other_targets_are_not_drained_with_it()
    {
        var node = new Node();
        Initiator initiator = new Initiator(node).Login();
        var other = new IscsiTarget(new Scuse.Target.ScsiTarget("iqn.2026-11.example:other", []));
        node.Server.Add(other);
        other.BeginDrain(0, Begin);
        node.Server.Tick(Begin + 1000);
        Assert.Empty(initiator.Receive());
        Assert.True(initiator.Connection.Session!.IsAlive);
    }

    [Fact]
    public void A_time_that_cannot_be_said_is_an_error()
    {
        var node = new Node();
        Assert.Throws<ArgumentOutOfRangeException>(() => node.IscsiTarget.BeginDrain(-1, Begin));
        Assert.Throws<ArgumentOutOfRangeException>(() => node.IscsiTarget.BeginDrain(65536, Begin));
        Assert.False(node.IscsiTarget.IsDraining);
    }
}
