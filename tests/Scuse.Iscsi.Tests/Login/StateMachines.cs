using Scuse.Iscsi.Login;

namespace Scuse.Iscsi.Tests.Login;

public class StateMachines
{
    /// <summary>Every state with every event; what is not listed leaves the state as it is.</summary>
    [Fact]
    public void A_connection_moves_only_as_section_8_says()
    {
        Dictionary<(ConnectionState, ConnectionEvent), ConnectionState> moves = new()
        {
            [(ConnectionState.Free, ConnectionEvent.TransportAccepted)] = ConnectionState.XptUp,
            [(ConnectionState.XptUp, ConnectionEvent.LoginRequested)] = ConnectionState.InLogin,
            [(ConnectionState.XptUp, ConnectionEvent.LoginFailed)] = ConnectionState.Free,
            [(ConnectionState.XptUp, ConnectionEvent.TransportLost)] = ConnectionState.Free,
            [(ConnectionState.InLogin, ConnectionEvent.LoginSucceeded)] = ConnectionState.LoggedIn,
            [(ConnectionState.InLogin, ConnectionEvent.LoginFailed)] = ConnectionState.Free,
            [(ConnectionState.InLogin, ConnectionEvent.TransportLost)] = ConnectionState.Free,
            [(ConnectionState.LoggedIn, ConnectionEvent.LogoutReceived)] = ConnectionState.InLogout,
            [(ConnectionState.LoggedIn, ConnectionEvent.LogoutAsked)] = ConnectionState.LogoutRequested,
            [(ConnectionState.LoggedIn, ConnectionEvent.TransportLost)] = ConnectionState.CleanupWait,
            [(ConnectionState.LogoutRequested, ConnectionEvent.LogoutReceived)] = ConnectionState.InLogout,
            [(ConnectionState.LogoutRequested, ConnectionEvent.TransportLost)] = ConnectionState.CleanupWait,
            [(ConnectionState.InLogout, ConnectionEvent.LogoutSucceeded)] = ConnectionState.Free,
            [(ConnectionState.InLogout, ConnectionEvent.LogoutFailed)] = ConnectionState.CleanupWait,
            [(ConnectionState.InLogout, ConnectionEvent.TransportLost)] = ConnectionState.CleanupWait,
            [(ConnectionState.CleanupWait, ConnectionEvent.CleanedUp)] = ConnectionState.Free,
        };
        foreach (ConnectionState state in Enum.GetValues<ConnectionState>())
        {
            foreach (ConnectionEvent what in Enum.GetValues<ConnectionEvent>())
            {
                Assert.Equal((state, what, moves.GetValueOrDefault((state, what), state)), (state, what, ConnectionStates.Next(state, what)));
            }
        }
    }

    /// <summary>Every combination of stage, T, C, CSG and NSG; what is allowed is listed.</summary>
    [Fact]
    public void A_login_goes_only_forward_through_its_stages()
    {
        HashSet<(int, int)> steps = [(0, 1), (0, 3), (1, 3)];
        foreach (LoginStage? current in new LoginStage?[] { null, LoginStage.SecurityNegotiation, LoginStage.OperationalNegotiation })
        {
            for (int bits = 0; bits < 64; bits++)
            {
                bool transit = (bits & 1) != 0, more = (bits & 2) != 0;
                int csg = (bits >> 2) & 3, nsg = bits >> 4;
                bool isCurrent = csg < 2 && (current is null || (int)current == csg);
                bool expected = isCurrent && (!transit || (!more && steps.Contains((csg, nsg))));
                Assert.Equal((current, bits, expected), (current, bits, LoginStages.IsAllowed(current, transit, more, csg, nsg)));
            }
        }
    }
}
