namespace Scuse.Iscsi.Login;

/// <summary>A connection's states at a target. RFC 7143 section 8.1.2.</summary>
internal enum ConnectionState
{
    /// <summary>S1.</summary>
    Free,

    /// <summary>S3: a transport connection is there, no login request yet.</summary>
    XptUp,

    /// <summary>S4.</summary>
    InLogin,

    /// <summary>S5: full feature phase.</summary>
    LoggedIn,

    /// <summary>S6.</summary>
    InLogout,

    /// <summary>S7: we asked for a logout.</summary>
    LogoutRequested,

    /// <summary>S8: the transport is lost; at ErrorRecoveryLevel 0 clean-up is immediate.</summary>
    CleanupWait,
}

/// <summary>What moves a connection from state to state. RFC 7143 section 8.1.3.</summary>
internal enum ConnectionEvent
{
    /// <summary>T3: a transport connection was accepted.</summary>
    TransportAccepted,

    /// <summary>T4: the first login request came.</summary>
    LoginRequested,

    /// <summary>T5: the final login response, with status 0000, is ready.</summary>
    LoginSucceeded,

    /// <summary>T6, T7: login failed or timed out.</summary>
    LoginFailed,

    /// <summary>T9, T10: a logout request came.</summary>
    LogoutReceived,

    /// <summary>T11, T12: we asked for a logout with an asynchronous message.</summary>
    LogoutAsked,

    /// <summary>T13: the logout was answered with success.</summary>
    LogoutSucceeded,

    /// <summary>T17: the logout failed; the connection needs clean-up.</summary>
    LogoutFailed,

    /// <summary>T15 (and T7 during login): the transport is gone.</summary>
    TransportLost,

    /// <summary>M1 and M2: clean-up is done.</summary>
    CleanedUp,
}

/// <summary>The connection state machine of a target. RFC 7143 section 8.1.</summary>
internal static class ConnectionStates
{
    /// <summary>The state after an event; the same state when the event means nothing in it.</summary>
    public static ConnectionState Next(ConnectionState state, ConnectionEvent what) => (state, what) switch
    {
        (ConnectionState.Free, ConnectionEvent.TransportAccepted) => ConnectionState.XptUp,
        (ConnectionState.XptUp, ConnectionEvent.LoginRequested) => ConnectionState.InLogin,
        (ConnectionState.XptUp, ConnectionEvent.LoginFailed or ConnectionEvent.TransportLost) => ConnectionState.Free,
        (ConnectionState.InLogin, ConnectionEvent.LoginSucceeded) => ConnectionState.LoggedIn,
        (ConnectionState.InLogin, ConnectionEvent.LoginFailed or ConnectionEvent.TransportLost) => ConnectionState.Free,
        (ConnectionState.LoggedIn or ConnectionState.LogoutRequested, ConnectionEvent.LogoutReceived) => ConnectionState.InLogout,
        (ConnectionState.LoggedIn or ConnectionState.LogoutRequested, ConnectionEvent.LogoutAsked) => ConnectionState.LogoutRequested,
        (ConnectionState.LoggedIn or ConnectionState.LogoutRequested, ConnectionEvent.TransportLost) => ConnectionState.CleanupWait,
        (ConnectionState.InLogout, ConnectionEvent.LogoutSucceeded) => ConnectionState.Free,
        (ConnectionState.InLogout, ConnectionEvent.LogoutFailed or ConnectionEvent.TransportLost) => ConnectionState.CleanupWait,
        (ConnectionState.CleanupWait, ConnectionEvent.CleanedUp) => ConnectionState.Free,
        _ => state,
    };
}
