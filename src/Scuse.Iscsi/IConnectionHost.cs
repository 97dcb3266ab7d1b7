namespace Scuse.Iscsi;

/// <summary>The side of a connection that owns its socket.</summary>
/// <remarks>Calls never come from inside <see cref="IscsiConnection.GetReceiveBuffers"/> or <see cref="IscsiConnection.GetSendBuffers"/>.</remarks>
public interface IConnectionHost
{
    /// <summary>Output appeared while the host was not inside <see cref="IscsiConnection.Received"/>, as when a task completed.</summary>
    void OutputReady(IscsiConnection connection);

    /// <summary>
    /// The connection is to be closed: after its pending output is sent, or at once when <see cref="IscsiConnection.CloseNow"/> is set.
    /// It may come a second time when waiting for the output took too long.
    /// </summary>
    void CloseRequested(IscsiConnection connection, string reason);
}
