using Scuse.Iscsi.Access;
using Scuse.Iscsi.Tests.Rig;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Iscsi.Tests.Access;

/// <summary>What each initiator sees of a target.</summary>
public class InitiatorMaps
{
    static InitiatorLuns Luns(string pattern, params LunMapping[] mappings) =>
        new([InitiatorPattern.TryParse(pattern, out InitiatorPattern? parsed) ? parsed : throw new FormatException(pattern)], new LunMap(mappings));

    static Node Node(params InitiatorLuns[] maps)
    {
        var node = new Node();
        node.IscsiTarget.Access = new TargetAccess { LunMaps = maps };
        return node;
    }

    static string TestUnitReady(Initiator initiator, int lun)
    {
        initiator.SendCommand(0, 0x100, 0, Initiator.Cdb(0x00), lun: LunAddress.Format(lun));
        Pdu answer = initiator.ReceiveOne();
        return answer.Response.Status == 0 ? "Good" : SenseData.Parse(answer.Data.AsSpan(2)).ToString();
    }

    static Initiator LogIn(Node node, string remote = "10.0.0.9:40000")
    {
        var initiator = new Initiator(node, remote: remote);
        initiator.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names));
        Assert.Equal(0, initiator.ReceiveOne().Login.Status);
        return initiator;
    }

    [Fact]
    public void The_first_map_that_matches_counts_by_name_or_by_address()
    {
        Node node = Node(Luns("192.0.2.0/24", new LunMapping(3, 0)), Luns("iqn.2026-11.example:host", new LunMapping(5, 0)));
        Initiator byAddress = LogIn(node, "192.0.2.7:1234");
        Assert.Equal(("06/29/00", "05/25/00"), (TestUnitReady(byAddress, 3), TestUnitReady(byAddress, 5)));
        Initiator byName = LogIn(node);
        Assert.Equal(("05/25/00", "06/29/00"), (TestUnitReady(byName, 3), TestUnitReady(byName, 5)));
    }

    [Fact]
    public void Who_matches_no_map_sees_nothing() =>
        Assert.Equal("05/25/00", TestUnitReady(LogIn(Node(Luns("iqn.2026-11.example:other", new LunMapping(0, 0)))), 0));

    [Fact]
    public void Without_maps_everybody_sees_everything() => Assert.Equal("06/29/00", TestUnitReady(LogIn(new Node()), 0));

    [Fact]
    public void A_map_that_is_changed_under_a_session_is_told_to_it()
    {
        Node node = Node(Luns("*", new LunMapping(0, 0)));
        Initiator initiator = LogIn(node);
        Assert.Equal("06/29/00", TestUnitReady(initiator, 0));
        node.IscsiTarget.Access = new TargetAccess { LunMaps = [Luns("*", new LunMapping(0, 0))] };
        Assert.Equal("Good", TestUnitReady(initiator, 0)); // another list, the same map
        node.IscsiTarget.Access = new TargetAccess { LunMaps = [Luns("*", new LunMapping(0, 0, IsReadOnly: true))] };
        Assert.Equal("06/3F/0E", TestUnitReady(initiator, 0));
        initiator.Write(0x200, 0, 1, new byte[512]);
        Assert.Equal("07/27/00", SenseData.Parse(initiator.ReceiveOne().Data.AsSpan(2)).ToString());
    }

    [Fact]
    public void A_second_connection_from_elsewhere_changes_nothing_of_what_the_session_sees()
    {
        Node node = Node(Luns("10.0.0.9", new LunMapping(3, 0)));
        var first = new Initiator(node);
        first.SendLogin(1, 3, transit: true, Initiator.Text([.. Initiator.Names, "MaxConnections=2"]));
        first.ReceiveOne();
        var second = new Initiator(node, leading: first, remote: "10.0.0.10:40000");
        second.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), tsih: first.Connection.Session!.Tsih, cid: 1);
        Assert.Equal(0, second.ReceiveOne().Login.Status);
        Assert.Equal("06/29/00", TestUnitReady(second, 3));
    }
}
