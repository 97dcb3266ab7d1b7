using System.Net;
using Scuse.Iscsi.Login;
using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.Login;

/// <summary>Whoever logs in over and over gets the time for that in small portions, and others do not wait for it.</summary>
public class LoginPaces
{
    const long T0 = 1000;
    const int PerSecond = 100;

    static ulong s_isid = Initiator.Isid; // each login is a session of its own

    static Initiator LoggingIn(Node node, string remote = "10.0.0.9:40000")
    {
        var initiator = new Initiator(node, remote: remote);
        initiator.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), isid: Interlocked.Increment(ref s_isid));
        return initiator;
    }

    static Node Busy(int perSecond = PerSecond)
    {
        var node = new Node(new IscsiOptions { LoginsPerSecond = perSecond });
        for (int i = 0; i < LoginPace.Burst; i++)
        {
            Assert.Equal(0, LoggingIn(node).ReceiveOne().Login.Status);
        }

        return node;
    }

    [Fact]
    public void Beyond_the_first_ones_a_login_waits_for_its_turn_and_is_answered_then()
    {
        Initiator next = LoggingIn(Busy());
        Assert.Empty(next.Receive());
        next.Connection.Tick(T0 + (1000 / PerSecond) - 1);
        Assert.Empty(next.Receive());
        next.Connection.Tick(T0 + (1000 / PerSecond));
        Assert.Equal(0, next.ReceiveOne().Login.Status);
        Assert.NotNull(next.Connection.Session);
    }

    [Fact]
    public void Another_address_does_not_wait()
    {
        Node node = Busy();
        Assert.Empty(LoggingIn(node).Receive());
        Assert.Equal(0, LoggingIn(node, "10.0.0.10:40000").ReceiveOne().Login.Status);
    }

    [Fact]
    public void Many_connections_log_in_no_faster_than_one()
    {
        Node node = Busy();
        List<Initiator> all = [.. Enumerable.Range(0, 300).Select(i => LoggingIn(node, $"10.0.0.9:{40000 + i}"))];
        int answered = all.Sum(static one => one.Receive().Count);
        Assert.Equal(0, answered);
        for (int i = 1; i <= 8; i++)
        {
            all.ForEach(one => one.Connection.Tick(T0 + (i * 250)));
            answered += all.Sum(static one => one.Receive().Count);
            Assert.Equal(i * PerSecond / 4, answered);
        }
    }

    [Fact]
    public void One_that_does_not_wait_for_its_turn_is_refused()
    {
        Initiator next = LoggingIn(Busy());
        next.SendLogin(1, 3, transit: true, Initiator.Text(Initiator.Names), isid: s_isid);
        Assert.Equal((ushort)LoginStatus.InitiatorError, next.ReceiveOne().Login.Status);
    }

    [Fact]
    public void A_turn_that_does_not_come_in_time_ends_the_login()
    {
        Initiator next = LoggingIn(Busy(perSecond: 1));
        for (long now = T0; now < T0 + 16_000; now += 250)
        {
            next.Node.Server.LoginPace.TryTake(IPAddress.Parse("10.0.0.9"), now); // others are faster each time
            next.Connection.Tick(now);
        }

        Assert.True(next.Connection.ShouldClose);
        Assert.Null(next.Connection.Session);
    }

    [Fact]
    public void It_can_be_turned_off()
    {
        Node node = Busy(perSecond: 0);
        Assert.All(Enumerable.Range(0, 200), _ => Assert.Equal(0, LoggingIn(node).ReceiveOne().Login.Status));
    }

    [Fact]
    public void What_is_remembered_of_addresses_has_an_end()
    {
        var pace = new LoginPace(PerSecond);
        for (int i = 0; i < LoginPace.MaxAddresses * 2; i++)
        {
            Assert.True(pace.TryTake(new IPAddress(i + 1), T0 + i));
        }

        Assert.Equal(LoginPace.MaxAddresses, pace.Count);
    }
}
