using Scuse.Iscsi.Access;
using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;
using Scuse.Target;

namespace Scuse.Iscsi.Tests.Login;

/// <summary>A target whose sessions are at two servers, each of which a reactor owns.</summary>
public sealed class SpreadTargets
{
    readonly IscsiEntity _entity = new();
    readonly FakeBackstore _disk = new(4096);
    readonly IscsiServer[] _servers;
    readonly IscsiTarget _target;
    readonly Node _node; // for what initiators ask of one

    public SpreadTargets()
    {
        _servers = [new IscsiServer(new IscsiOptions(), _entity), new IscsiServer(new IscsiOptions(), _entity)];
        var scsi = new ScsiTarget("iqn.2026-11.example:spread", [new LogicalUnit(0, _disk)]);
        _target = new IscsiTarget(scsi) { Places = Spread.Over(scsi, _servers) };
        _servers[0].Add(_target);
        _node = new Node(entity: new IscsiEntity());
    }

    static string[] Names(string host) => [$"InitiatorName=iqn.2026-11.example:{host}", "TargetName=iqn.2026-11.example:spread"];

    Initiator Login(string host, ulong isid = Initiator.Isid, Initiator? leading = null, ushort tsih = 0, ushort cid = 0, params string[] more)
    {
        var initiator = new Initiator(_node, door: _servers[0], leading: leading);
        initiator.SendLogin(1, 3, transit: true, Initiator.Text([.. Names(host), .. more]), isid: isid, tsih: tsih, cid: cid);
        Assert.Equal(0, initiator.ReceiveOne().Login.Status);
        return initiator;
    }

    int[] Counts => [.. _servers.Select(static server => server.Sessions.Count)];

    [Fact]
    public void Sessions_go_to_the_server_that_has_the_fewest_and_each_reads()
    {
        Initiator[] initiators = [.. Enumerable.Range(0, 6).Select(i => Login($"host{i}"))];

        foreach (Initiator initiator in initiators)
        {
            initiator.Read(1, 0, 8); // is told that the nexus is new
            initiator.Read(2, 0, 8);
        }

        Assert.Equal([3, 3], Counts);
        Assert.Equal(6, _target.Sessions.Count);
        Assert.Equal(3, initiators.Count(initiator => initiator.Connection.Session!.Server == _servers[1]));
        Assert.All(initiators, static initiator => Assert.True(initiator.Receive()[^1].DataIn.HasStatus));
    }

    [Fact]
    public void A_session_is_reinstated_wherever_the_same_port_logs_in_again()
    {
        Initiator first = Login("host0");
        IscsiServer before = first.Connection.Session!.Server;

        Initiator again = Login("host0");

        Assert.True(first.Connection.CloseNow);
        Assert.NotSame(before, again.Connection.Session!.Server);
        Assert.Same(again.Connection.Session, Assert.Single(_target.Sessions));
        Assert.Equal(1, Counts.Sum());
    }

    [Fact]
    public void A_second_connection_goes_to_the_server_that_has_its_session()
    {
        Initiator[] leading = [.. Enumerable.Range(0, 2).Select(i => Login($"host{i}", more: "MaxConnections=2"))];

        foreach ((Initiator first, int i) in leading.Select(static (first, i) => (first, i)))
        {
            Login($"host{i}", leading: first, tsih: first.Connection.Session!.Tsih, cid: 1);
            Assert.Equal(2, first.Connection.Session.Connections.Count);
        }

        Assert.Equal([1, 1], Counts);
    }

    [Fact]
    public void Who_may_no_longer_log_in_is_dropped_at_both()
    {
        Login("host0");
        Login("host1");
        Initiator kept = Login("host2");
        Assert.True(InitiatorPattern.TryParse("iqn.2026-11.example:host2", out InitiatorPattern? pattern));

        _target.Access = new TargetAccess { Initiators = [pattern] };

        Assert.Same(kept.Connection.Session, Assert.Single(_target.Sessions, static session => session.IsAlive && session.Connections.Any(static connection => !connection.ShouldClose)));
    }

    [Fact]
    public void With_the_target_the_sessions_at_both_go()
    {
        Initiator[] initiators = [.. Enumerable.Range(0, 4).Select(i => Login($"host{i}"))];

        Assert.True(_servers[0].Remove(_target));

        Assert.All(initiators, static initiator => Assert.True(initiator.Connection.ShouldClose));
        Assert.Empty(_target.Sessions);
    }

    [Fact]
    public void A_cold_reset_by_one_ends_the_sessions_at_both()
    {
        Initiator[] initiators = [.. Enumerable.Range(0, 4).Select(i => Login($"host{i}"))];

        initiators[0].SendTaskManagement(TaskManagementFunction.TargetColdReset);
        initiators[0].Receive();

        Assert.All(initiators, static initiator => Assert.True(initiator.Connection.ShouldClose));
    }

    [Fact]
    public void What_one_reserves_the_others_at_both_may_not_write()
    {
        Initiator[] initiators = [.. Enumerable.Range(0, 4).Select(i => Login($"host{i}"))];
        Array.ForEach(initiators, static initiator => initiator.SendCommand(0, 1, 0, Initiator.Cdb(0x00))); // is told that the nexus is new

        initiators[0].SendCommand(0, 2, 0, Initiator.Cdb(0x16)); // RESERVE(6)
        byte[] statuses = [.. initiators.Select(static initiator =>
        {
            initiator.Receive();
            initiator.Read(3, 0, 1);
            return initiator.Receive()[^1] is { Opcode: Opcode.ScsiResponse } response ? response.Response.Status : (byte)0;
        })];

        Assert.Equal([0, 0x18, 0x18, 0x18], statuses);
    }
}
