using Scuse.Iscsi.Access;
using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Access;
using Scuse.Iscsi.Tests.Rig;
using Scuse.Target;

namespace Scuse.Iscsi.Tests.Login;

/// <summary>An entity whose targets are on several servers, each of which a reactor owns: a connection goes, in its login, to the one that has the target.</summary>
public sealed class SeveralServers
{
    const string OtherName = "iqn.2026-11.example:other";

    readonly IscsiEntity _entity = new();
    readonly Node _door;
    readonly Node _node;

    public SeveralServers()
    {
        _door = new Node(entity: _entity, name: OtherName);
        _node = new Node(entity: _entity);
    }

    Initiator AtTheDoor(Cut cut = Cut.Whole, int seed = 1) => new(_node, cut, seed, door: _door.Server);

    [Theory]
    [InlineData(Cut.Whole)]
    [InlineData(Cut.OneByte)]
    [InlineData(Cut.Random)]
    public void A_login_goes_on_where_the_target_is_however_its_bytes_are_cut(Cut cut)
    {
        Initiator initiator = AtTheDoor(cut);

        initiator.Login();
        initiator.Read(1, 0, 8);

        Assert.Same(_node.Server, initiator.Connection.Session!.Server);
        Assert.Same(_node.IscsiTarget, initiator.Connection.Session.Node);
        Assert.Empty(_door.Server.Sessions);
        Assert.True(initiator.Receive()[^1].DataIn.HasStatus);
        Assert.Equal(1, _entity.Connections);
    }

    [Fact]
    public void A_login_to_a_target_of_the_server_that_has_accepted_it_stays()
    {
        var initiator = new Initiator(_door);

        initiator.SendLogin(1, 3, transit: true, Initiator.Text("InitiatorName=iqn.2026-11.example:host", $"TargetName={OtherName}"));

        Assert.Equal(0, initiator.ReceiveOne().Login.Status);
        Assert.Same(_door.Server, initiator.Connection.Session!.Server);
    }

    [Fact]
    public void A_discovery_stays_and_is_told_of_all_targets()
    {
        Initiator initiator = AtTheDoor();

        initiator.SendLogin(1, 3, transit: true, Initiator.Text("InitiatorName=iqn.2026-11.example:host", $"TargetName={Node.TargetName}", "SessionType=Discovery"));
        Assert.Equal(0, initiator.ReceiveOne().Login.Status);
        initiator.SendText(Initiator.Text("SendTargets=All"));

        Assert.Same(_door.Server, initiator.Connection.Session!.Server);
        Assert.Equal([$"TargetName={OtherName}", $"TargetName={Node.TargetName}"], initiator.ReceiveOne().Text.Where(static pair => pair.StartsWith("TargetName", StringComparison.Ordinal)));
    }

    [Fact]
    public void The_numbers_go_on_when_the_first_request_came_in_several_parts_that_the_first_server_has_answered()
    {
        Initiator initiator = AtTheDoor();
        byte[] text = Initiator.Text(Initiator.Names);

        initiator.SendLogin(1, 3, transit: false, text[..20], @continue: true);
        Pdu first = initiator.ReceiveOne();
        initiator.SendLogin(1, 3, transit: false, text[20..31], @continue: true);
        Pdu second = initiator.ReceiveOne();
        initiator.SendLogin(1, 3, transit: true, text[31..]);
        Pdu last = initiator.ReceiveOne();

        Assert.Equal([first.StatSN, first.StatSN + 1, first.StatSN + 2], [first.StatSN, second.StatSN, last.StatSN]);
        Assert.Equal((0, 0, 0), (first.Login.Status, second.Login.Status, last.Login.Status));
        Assert.Equal(first.ExpCmdSN, last.ExpCmdSN);
        Assert.NotNull(initiator.Connection.Session);
        Assert.NotEqual(0, initiator.Connection.Session!.Tsih);
    }

    [Fact]
    public void What_comes_behind_the_request_is_not_lost_on_the_way()
    {
        Initiator initiator = AtTheDoor();
        byte[] header = new byte[48], text = Initiator.Text(Initiator.Names), command = new byte[48];
        LoginRequestPdu.WriteTo(header, LoginRequestPdu.StageFlags(true, false, 1, 3), Initiator.Isid, 0, 0, 0, 1, 1, text.Length, 0);
        ScsiCommandPdu.WriteTo(command, BasicHeader.FinalBit | 1, 0, 7, 0, 1, 1, Initiator.Cdb(0x00), 0, 0);

        initiator.Feed([.. initiator.Sealed(header, text), .. command]);

        Assert.Equal([Opcode.LoginResponse, Opcode.ScsiResponse], initiator.Receive().Select(static pdu => pdu.Opcode));
    }

    [Fact]
    public void A_second_connection_finds_the_session_where_it_is()
    {
        Initiator first = AtTheDoor().Login("MaxConnections=2");

        var second = new Initiator(_node, leading: first, door: _door.Server);
        second.SendLogin(1, 3, transit: true, Initiator.Text([.. Initiator.Names]), tsih: first.Connection.Session!.Tsih, cid: 1);

        Assert.Equal(0, second.ReceiveOne().Login.Status);
        Assert.Equal(2, first.Connection.Session.Connections.Count);
    }

    [Fact]
    public void The_same_initiator_port_reinstates_its_session_there()
    {
        Initiator first = AtTheDoor().Login();

        Initiator again = AtTheDoor().Login();

        Assert.True(first.Connection.CloseNow);
        Assert.Same(again.Connection.Session, Assert.Single(_node.Server.Sessions));
    }

    [Fact]
    public void Who_may_not_know_of_the_target_does_not_get_there_and_is_told_the_same()
    {
        Assert.True(InitiatorPattern.TryParse("iqn.2026-11.example:another", out InitiatorPattern? another));
        _node.IscsiTarget.Access = new TargetAccess { Initiators = [another] };
        Initiator initiator = AtTheDoor();

        initiator.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names));

        Assert.Equal(0x0203, initiator.ReceiveOne().Login.Status);
        Assert.Contains("the initiator may not log in to", initiator.Connection.CloseReason);
    }

    [Fact]
    public void A_target_that_is_removed_while_the_connection_is_on_its_way_is_not_found()
    {
        IscsiConnection leaving = Leaving();
        IscsiHandOver handOver = leaving.HandOver();
        _node.Server.Remove(_node.IscsiTarget);
        _door.Server.Add(new IscsiTarget(new ScsiTarget(Node.TargetName, [])));
        IscsiConnection arrived = _node.Server.TakeOver(handOver, new Initiator(_door));

        arrived.GoOn(handOver, 1000);

        Assert.True(arrived.ShouldClose);
        Assert.Contains("0203", arrived.CloseReason);
    }

    [Fact]
    public void A_connection_that_is_lost_on_its_way_is_counted_no_more()
    {
        IscsiHandOver handOver = Leaving().HandOver();
        Assert.Equal(1, _entity.Connections);

        handOver.Lost();

        Assert.Equal(0, _entity.Connections);
    }

    [Fact]
    public void A_connection_that_is_closed_before_it_leaves_is_counted_no_more()
    {
        Leaving().Closed();

        Assert.Equal(0, _entity.Connections);
    }

    [Fact]
    public void A_connection_that_stays_cannot_be_handed_over() => Assert.Throws<InvalidOperationException>(() => new Initiator(_door).Connection.HandOver());

    [Fact]
    public void Sessions_of_all_servers_have_identifiers_of_their_own_and_are_counted_together()
    {
        IscsiEntity entity = new();
        var options = new IscsiOptions { MaxSessions = 2 };
        Node door = new(options, entity: entity, name: OtherName), node = new(options, entity: entity);
        string[] other = ["InitiatorName=iqn.2026-11.example:host", $"TargetName={OtherName}"];
        var here = new Initiator(door);
        here.SendLogin(1, 3, transit: true, Initiator.Text(other));
        var there = new Initiator(node, door: door.Server);
        there.Login();

        var third = new Initiator(door);
        third.SendLogin(1, 3, transit: true, Initiator.Text(other), isid: Initiator.Isid + 1);
        there.Connection.Closed();
        var fourth = new Initiator(door);
        fourth.SendLogin(1, 3, transit: true, Initiator.Text(other), isid: Initiator.Isid + 2);

        Assert.NotEqual(here.Connection.Session!.Tsih, there.Connection.Session!.Tsih);
        Assert.Equal(0x0302, third.ReceiveOne().Login.Status);
        Assert.Equal(0, fourth.ReceiveOne().Login.Status);
    }

    [Fact]
    public void Sessions_that_only_ask_at_one_server_keep_nobody_out_of_another_and_make_room()
    {
        IscsiEntity entity = new();
        var options = new IscsiOptions { MaxSessions = 2 };
        Node door = new(options, entity: entity, name: OtherName), node = new(options, entity: entity);
        Initiator[] asking = [Ask(), Ask(), Ask()];
        Assert.True(asking[0].Connection.CloseNow); // the third has taken its place
        asking[0].Connection.Closed();

        new Initiator(node, door: door.Server).Login();
        Assert.Equal(2, door.Server.Sessions.Count);
        door.Server.Tick(2000);

        Assert.Single(asking[1..], static initiator => initiator.Connection.CloseNow);
        Assert.Single(door.Server.Sessions);
        Assert.Single(node.Server.Sessions);

        Initiator Ask()
        {
            var initiator = new Initiator(door);
            initiator.SendLogin(1, 3, transit: true, Initiator.Text("InitiatorName=iqn.2026-11.example:host", "SessionType=Discovery"));
            Assert.Equal(0, initiator.ReceiveOne().Login.Status);
            return initiator;
        }
    }

    [Fact]
    public void Connections_of_all_servers_are_counted_together()
    {
        _entity.MaxConnections = 2;
        AtTheDoor().Login();
        _ = new Initiator(_door);

        Assert.True(AtTheDoor().Connection.CloseNow);
    }

    [Fact]
    public void A_wrong_answer_to_a_challenge_is_told_to_the_other_servers()
    {
        _node.IscsiTarget.Access = ChapRig.Asking();
        _node.Server.LoginFailed = _door.Server.NoteLoginFailure;
        Initiator guessing = AtTheDoor();

        guessing.Challenge();
        ChapRig.MustFail(guessing.Security(true, $"CHAP_N={ChapRig.User}", "CHAP_R=0x00"));

        Assert.True(_node.Server.LoginFailures.MustWait(guessing.Connection.RemoteIP, guessing.NowMs));
        Assert.True(_door.Server.LoginFailures.MustWait(guessing.Connection.RemoteIP, guessing.NowMs));
    }

    /// <summary>A connection whose first request is for the other server's target.</summary>
    IscsiConnection Leaving()
    {
        var host = new Initiator(_door);
        byte[] header = new byte[48], text = Initiator.Text(Initiator.Names);
        LoginRequestPdu.WriteTo(header, LoginRequestPdu.StageFlags(true, false, 1, 3), Initiator.Isid, 0, 0, 0, 1, 1, text.Length, 0);
        byte[] pdu = host.Sealed(header, text);
        var buffers = new Memory<byte>[4];
        host.Connection.GetReceiveBuffers(buffers);
        pdu.CopyTo(buffers[0]);
        host.Connection.Received(pdu.Length, 1000);
        Assert.Same(_node.Server, host.Connection.MovesTo);
        return host.Connection;
    }
}
