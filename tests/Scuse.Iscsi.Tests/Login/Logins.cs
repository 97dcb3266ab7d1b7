using Scuse.Iscsi.Login;
using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.Login;

public class Logins
{
    [Fact]
    public void An_initiator_may_start_in_the_operational_stage()
    {
        var initiator = new Initiator(new Node());
        initiator.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names));
        Pdu response = initiator.ReceiveOne();
        Assert.True(response.Login.Transit);
        Assert.Equal((0, 1, 3, Initiator.Isid), (response.Login.Status, response.Login.CurrentStage, response.Login.NextStage, response.Login.Isid));
        Assert.NotEqual(0, response.Login.Tsih);
        Assert.Equal(["TargetPortalGroupTag=1", "MaxRecvDataSegmentLength=262144"], response.Text);
        Assert.Equal("iqn.2026-11.example:host", initiator.Connection.Session!.InitiatorName);
        Assert.Equal("iqn.2026-11.example:host,i,0x800000000001", initiator.Connection.Session.Nexus!.InitiatorPort);
        Assert.Equal((1u, 128u), (response.ExpCmdSN, response.MaxCmdSN));
    }

    [Fact]
    public void Text_may_come_in_several_requests()
    {
        var initiator = new Initiator(new Node());
        byte[] text = Initiator.Text([.. Initiator.Names, "MaxBurstLength=4096"]);
        initiator.SendLogin(1, 0, transit: false, text[..40], @continue: true);
        Pdu empty = initiator.ReceiveOne();
        Assert.Equal((0, false, 0), (empty.Login.Status, empty.Login.Transit, empty.Data.Length));
        initiator.SendLogin(1, 3, transit: true, text[40..]);
        Assert.Contains("MaxBurstLength=4096", initiator.ReceiveOne().Text);
    }

    [Fact]
    public void A_reply_longer_than_the_initiators_segment_goes_out_in_several_responses()
    {
        var initiator = new Initiator(new Node());
        string[] keys = [.. Enumerable.Range(0, 40).Select(static i => $"X-org.example.number.{i}=1")];
        initiator.SendLogin(1, 3, transit: true, Initiator.Text([.. Initiator.Names, "MaxRecvDataSegmentLength=512", .. keys]));
        Pdu part = initiator.ReceiveOne();
        List<byte> text = [.. part.Data];
        int parts = 1;
        for (; part.Login.Continue; parts++)
        {
            Assert.Equal((false, 512), (part.Login.Transit, part.Data.Length));
            initiator.SendLogin(1, 3, transit: true, []);
            part = initiator.ReceiveOne();
            text.AddRange(part.Data);
        }

        Assert.True(part.Login.Transit);
        Assert.Equal(4, parts);
        Assert.Contains("X-org.example.number.39=NotUnderstood", new Pdu([], [.. text]).Text);
    }

    [Theory]
    [InlineData(0x0207, "TargetName=iqn.2026-11.example:disks")]
    [InlineData(0x0207, "InitiatorName=iqn.x")]
    [InlineData(0x0203, "InitiatorName=iqn.x", "TargetName=iqn.unknown")]
    [InlineData(0x0209, "InitiatorName=iqn.x", "SessionType=Sideways")]
    [InlineData(0x0200, "InitiatorName=iqn.x", "InitiatorName=iqn.y", "TargetName=iqn.2026-11.example:disks")]
    [InlineData(0x0200, "garbage")]
    public void What_is_wrong_with_the_names_is_said_by_the_status(int status, params string[] keys)
    {
        var initiator = new Initiator(new Node());
        initiator.SendLogin(1, 3, transit: true, Initiator.Text(keys));
        Assert.Equal(status, initiator.ReceiveOne().Login.Status);
        Assert.True(initiator.Connection.ShouldClose);
        Assert.Null(initiator.Connection.Session);
    }

    [Fact]
    public void An_initiator_that_insists_on_authentication_is_refused()
    {
        var initiator = new Initiator(new Node());
        initiator.SendLogin(0, 1, transit: true, Initiator.Text([.. Initiator.Names, "AuthMethod=CHAP,SRP"]));
        Assert.Equal((ushort)LoginStatus.AuthenticationFailure, initiator.ReceiveOne().Login.Status);
    }

    [Fact]
    public void A_version_that_does_not_exist_is_refused()
    {
        var initiator = new Initiator(new Node());
        initiator.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), versionMin: 1);
        Assert.Equal((ushort)LoginStatus.UnsupportedVersion, initiator.ReceiveOne().Login.Status);
    }

    [Fact]
    public void Any_other_PDU_before_login_is_refused()
    {
        var initiator = new Initiator(new Node());
        initiator.SendNop(1);
        Assert.Equal((ushort)LoginStatus.InvalidDuringLogin, initiator.ReceiveOne().Login.Status);
        Assert.True(initiator.Connection.ShouldClose);
    }

    [Fact]
    public void Going_back_a_stage_is_an_error()
    {
        var initiator = new Initiator(new Node());
        initiator.SendLogin(1, 0, transit: false, Initiator.Text(Initiator.Names));
        Assert.Equal(0, initiator.ReceiveOne().Login.Status);
        initiator.SendLogin(0, 1, transit: true, []);
        Assert.Equal((ushort)LoginStatus.InitiatorError, initiator.ReceiveOne().Login.Status);
    }

    [Fact]
    public void A_second_connection_to_a_session_of_one_is_one_too_many_and_to_no_session_is_an_error()
    {
        var node = new Node();
        Initiator first = new Initiator(node).Login();
        var second = new Initiator(node);
        second.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), tsih: first.Connection.Session!.Tsih, cid: 1);
        Assert.Equal((ushort)LoginStatus.TooManyConnections, second.ReceiveOne().Login.Status);
        var third = new Initiator(node);
        third.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), tsih: 999);
        Assert.Equal((ushort)LoginStatus.SessionDoesNotExist, third.ReceiveOne().Login.Status);
        Assert.True(first.Connection.Session.IsAlive);
    }

    [Fact]
    public void The_same_initiator_port_takes_its_session_over()
    {
        var node = new Node();
        Initiator old = new Initiator(node).Login();
        node.Device.HoldsSubmit = true;
        old.Read(5, 0, 1);
        var young = new Initiator(node);
        young.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names));
        Assert.Equal(0, young.ReceiveOne().Login.Status);
        Assert.False(old.Connection.Session!.IsAlive);
        Assert.True(old.Connection.CloseNow);
        Assert.Contains("reinstated", Assert.Single(old.CloseRequests), StringComparison.Ordinal);
        Assert.Same(young.Connection.Session, Assert.Single(node.Server.Sessions));
        old.Connection.Closed();
        Assert.Equal(0, node.Device.InUse);
        Assert.True(young.Connection.Session!.IsAlive);
    }

    [Fact]
    public void Another_ISID_is_another_session()
    {
        var node = new Node();
        Initiator first = new Initiator(node).Login();
        var second = new Initiator(node);
        second.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), isid: Initiator.Isid + 1);
        Assert.Equal(0, second.ReceiveOne().Login.Status);
        Assert.Equal(2, node.Server.Sessions.Count);
        Assert.True(first.Connection.Session!.IsAlive);
    }

    [Fact]
    public void Beyond_the_sessions_allowed_a_login_finds_no_resources()
    {
        var node = new Node(new IscsiOptions { MaxSessions = 1 });
        new Initiator(node).Login();
        var second = new Initiator(node);
        second.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), isid: 5);
        Assert.Equal((ushort)LoginStatus.OutOfResources, second.ReceiveOne().Login.Status);
    }

    [Fact]
    public void Beyond_the_connections_allowed_a_connection_is_closed_at_once()
    {
        var node = new Node(new IscsiOptions { MaxConnections = 1 });
        var first = new Initiator(node);
        Assert.True(new Initiator(node).Connection.CloseNow);
        Assert.False(first.Connection.ShouldClose);
    }

    [Fact]
    public void Beyond_the_connections_allowed_in_login_the_oldest_of_them_makes_room()
    {
        var node = new Node(new IscsiOptions { MaxConnectionsInLogin = 2 });
        Initiator loggedIn = new Initiator(node).Login();
        var oldest = new Initiator(node);
        var older = new Initiator(node);

        var newest = new Initiator(node);

        Assert.True(oldest.Connection.CloseNow);
        Assert.Contains("2 at a time", Assert.Single(oldest.CloseRequests), StringComparison.Ordinal);
        Assert.False(older.Connection.ShouldClose);
        Assert.False(loggedIn.Connection.ShouldClose);
        oldest.Connection.Closed();
        newest.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), isid: 5);
        Assert.Equal(0, newest.ReceiveOne().Login.Status);
    }

    [Fact]
    public void Of_those_in_login_one_that_has_said_nothing_makes_room_before_one_that_has()
    {
        var node = new Node(new IscsiOptions { MaxConnectionsInLogin = 3 });
        var slow = new Initiator(node);
        slow.SendLogin(0, 1, transit: true, Initiator.Text([.. Initiator.Names, "AuthMethod=None"]));
        Assert.Equal(0, slow.ReceiveOne().Login.Status);
        List<Initiator> flood = [.. Enumerable.Range(0, 100).Select(_ => new Initiator(node))];

        Assert.Equal(98, flood.Count(static one => one.Connection.CloseNow));
        slow.SendLogin(1, 3, transit: true, []);
        Assert.Equal(0, slow.ReceiveOne().Login.Status);
        Assert.NotNull(slow.Connection.Session);
    }

    [Fact]
    public void A_discovery_session_makes_room_for_a_login_when_there_are_too_many()
    {
        var node = new Node(new IscsiOptions { MaxSessions = 1 });
        var asking = new Initiator(node);
        asking.SendLogin(1, 3, transit: true, Initiator.Text("InitiatorName=iqn.x", "SessionType=Discovery"));
        Assert.Equal(0, asking.ReceiveOne().Login.Status);

        new Initiator(node).Login();

        Assert.True(asking.Connection.CloseNow);
        Assert.Single(node.Server.Sessions);
    }

    [Fact]
    public void A_login_that_takes_too_long_is_closed()
    {
        var initiator = new Initiator(new Node());
        initiator.Connection.Tick(initiator.NowMs + 14_999);
        Assert.Empty(initiator.CloseRequests);
        initiator.Connection.Tick(initiator.NowMs + 15_000);
        Assert.Contains("15000 ms", Assert.Single(initiator.CloseRequests), StringComparison.Ordinal);
        Assert.True(initiator.Connection.CloseNow);
    }

    [Fact]
    public void A_login_that_goes_in_circles_ends()
    {
        var initiator = new Initiator(new Node());
        initiator.SendLogin(1, 0, transit: false, Initiator.Text(Initiator.Names));
        for (int i = 0; i < 100 && !initiator.Connection.ShouldClose; i++)
        {
            initiator.SendLogin(1, 0, transit: false, []);
        }

        Assert.Equal((ushort)LoginStatus.InitiatorError, initiator.Receive()[^1].Login.Status);
    }
}
