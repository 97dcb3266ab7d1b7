using Scuse.Iscsi.Pdus;
using Scuse.Iscsi.Tests.Rig;

namespace Scuse.Iscsi.Tests.FullFeature;

/// <summary>What a target asks for and tells of by itself. RFC 7143 section 11.9.</summary>
public class AsyncMessages
{
    [Fact]
    public void A_request_for_logout_goes_to_every_connection_and_is_honoured()
    {
        Initiator first = new Initiator(new Node()).Login("MaxConnections=2");
        Initiator second = first.Join(1);
        first.Connection.Session!.RequestLogout(seconds: 30);
        var asked = new AsyncMessagePdu(first.ReceiveOne().Header);
        Assert.Equal(((byte)AsyncEvent.LogoutRequested, 30), (asked.Event, asked.Parameter3));
        Assert.Equal(Opcode.AsyncMessage, second.ReceiveOne().Opcode);
        first.SendLogout(LogoutRequestPdu.CloseSession);
        Assert.Equal(Opcode.LogoutResponse, first.ReceiveOne().Opcode);
        Assert.Equal("logged out", Assert.Single(first.CloseRequests));
    }

    [Fact]
    public void Work_goes_on_after_a_request_for_logout_until_its_time_is_up()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.Connection.Session!.RequestLogout(seconds: 3);
        initiator.Receive();
        initiator.Connection.Tick(1000);
        initiator.Read(5, 0, 1);
        Assert.Equal(512, initiator.ReceiveOne().Data.Length);
        initiator.Connection.Tick(3999);
        Assert.Empty(initiator.Receive());
        initiator.Connection.Tick(4000);
        var dropped = new AsyncMessagePdu(initiator.ReceiveOne().Header);
        Assert.Equal(((byte)AsyncEvent.ConnectionDropped, 0, 2), (dropped.Event, dropped.Parameter1, dropped.Parameter2));
        Assert.Contains("3 s", Assert.Single(initiator.CloseRequests), StringComparison.Ordinal);
    }

    [Fact]
    public void A_session_that_is_dropped_is_told_so()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.Connection.Session!.Drop("for a test");
        Assert.Equal((byte)AsyncEvent.SessionDropped, new AsyncMessagePdu(initiator.ReceiveOne().Header).Event);
        Assert.Equal("for a test", Assert.Single(initiator.CloseRequests));
    }

    [Fact]
    public void A_request_for_negotiation_is_met_by_any_text_request()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.Connection.Session!.RequestNegotiation(seconds: 3);
        Assert.Equal((byte)AsyncEvent.NegotiationRequested, new AsyncMessagePdu(initiator.ReceiveOne().Header).Event);
        initiator.Connection.Tick(1000);
        initiator.SendText(Initiator.Text("MaxRecvDataSegmentLength=512"));
        initiator.Receive();
        initiator.Connection.Tick(9000);
        Assert.Empty(initiator.CloseRequests);
        initiator.Read(5, 0, 2);
        Assert.Equal(2, initiator.Receive().Count);
    }

    [Fact]
    public void A_request_for_negotiation_that_nobody_answers_costs_the_connection()
    {
        Initiator initiator = new Initiator(new Node()).Login();
        initiator.Connection.Session!.RequestNegotiation(seconds: 3);
        initiator.Connection.Tick(1000);
        initiator.Connection.Tick(4000);
        Assert.Single(initiator.CloseRequests);
    }
}
