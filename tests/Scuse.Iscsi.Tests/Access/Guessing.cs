using System.Net;
using Scuse.Iscsi.Login;
using Scuse.Iscsi.Tests.Rig;
using static Scuse.Iscsi.Tests.Access.ChapRig;

namespace Scuse.Iscsi.Tests.Access;

/// <summary>Whoever tries secrets is slowed down, and nobody else.</summary>
public class Guessing
{
    const long T0 = 1000;

    static Initiator Waiting(Node node, string secret, string remote = "10.0.0.9:40000")
    {
        var initiator = new Initiator(node, remote: remote);
        initiator.Challenge();
        initiator.SendLogin(0, 3, true, Initiator.Text($"CHAP_N={User}", Answer(secret)));
        return initiator;
    }

    [Fact]
    public void After_a_failure_the_next_answer_from_the_same_address_waits()
    {
        Node node = Node();
        MustFail(Waiting(node, "wrong secret 1").ReceiveOne());
        Initiator next = Waiting(node, Secret);
        Assert.Empty(next.Receive());
        next.Connection.Tick(T0 + LoginFailures.FirstWaitMs - 1);
        Assert.Empty(next.Receive());
        next.Connection.Tick(T0 + LoginFailures.FirstWaitMs);
        Assert.Equal(0, next.ReceiveOne().Login.Status);
        Assert.NotNull(next.Connection.Session);
    }

    [Fact]
    public void Another_address_does_not_wait()
    {
        Node node = Node();
        MustFail(Waiting(node, "wrong secret 1").ReceiveOne());
        Assert.Equal(0, Waiting(node, Secret, "10.0.0.10:40000").ReceiveOne().Login.Status);
    }

    [Fact]
    public void Many_connections_guess_no_faster_than_one()
    {
        Node node = Node();
        List<Initiator> all = [.. Enumerable.Range(0, 50).Select(i => Waiting(node, $"wrong secret {i}", $"10.0.0.9:{40000 + i}"))];
        int answered = all.Sum(static one => one.Receive().Count);
        Assert.Equal(1, answered);
        for (long now = T0; now < T0 + 14_000; now += 250)
        {
            all.ForEach(one => one.Connection.Tick(now));
            answered += all.Sum(static one => one.Receive().Count);
        }

        Assert.Equal(6, answered); // at 0, 0.5, 1.5, 3.5, 7.5 and 11.5 s
        all.ForEach(static one => one.Connection.Tick(T0 + 15_000));
        Assert.All(all, static one => Assert.True(one.Connection.CloseNow || one.Connection.ShouldClose));
    }

    [Fact]
    public void An_initiator_that_goes_on_talking_while_it_has_to_wait_is_refused()
    {
        Node node = Node();
        MustFail(Waiting(node, "wrong secret 1").ReceiveOne());
        Initiator next = Waiting(node, Secret);
        next.SendLogin(0, 3, true, []);
        MustFail(next.ReceiveOne(), LoginStatus.InitiatorError);
        next.Connection.Tick(T0 + 5000);
        Assert.Empty(next.Receive());
        Assert.Null(next.Connection.Session);
    }

    [Fact]
    public void An_address_is_forgotten_a_minute_after_its_last_failure_and_the_table_has_an_end()
    {
        var failures = new LoginFailures();
        IPAddress address = IPAddress.Parse("192.0.2.1");
        for (int i = 0; i < 20; i++)
        {
            failures.Add(address, 0);
        }

        Assert.True(failures.MustWait(address, LoginFailures.LongestWaitMs - 1));
        Assert.False(failures.MustWait(address, LoginFailures.LongestWaitMs));
        failures.Add(address, LoginFailures.ForgottenAfterMs);
        Assert.False(failures.MustWait(address, LoginFailures.ForgottenAfterMs + LoginFailures.FirstWaitMs));
        for (int i = 0; i < 2 * LoginFailures.MaxAddresses; i++)
        {
            failures.Add(new IPAddress([10, 1, (byte)(i >> 8), (byte)i]), 100_000 + i);
        }

        Assert.Equal(LoginFailures.MaxAddresses, failures.Count);
    }

    [Fact]
    public void An_IPv6_host_is_known_by_its_network()
    {
        var failures = new LoginFailures();
        failures.Add(IPAddress.Parse("2001:db8::1"), 0);
        Assert.True(failures.MustWait(IPAddress.Parse("2001:db8::ffff:2"), 1));
        Assert.False(failures.MustWait(IPAddress.Parse("2001:db8:0:1::1"), 1));
        failures.Add(IPAddress.Parse("::ffff:192.0.2.1"), 0);
        Assert.True(failures.MustWait(IPAddress.Parse("192.0.2.1"), 1));
        Assert.False(failures.MustWait(IPAddress.Parse("192.0.2.2"), 1));
    }
}
