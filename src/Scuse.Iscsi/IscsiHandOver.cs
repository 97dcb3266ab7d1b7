using Scuse.Iscsi.Input;
using Scuse.Iscsi.Login;

namespace Scuse.Iscsi;

/// <summary>
/// A connection between two servers of an entity: it was accepted by one, and its first login request names a target that the other has. Whoever owns the socket brings both to
/// the other's reactor, where <see cref="IscsiServer.TakeOver"/> goes on; a connection that does not get there is <see cref="Lost"/>.
/// </summary>
/// <remarks>Touched by one reactor, and then by the other.</remarks>
public sealed class IscsiHandOver
{
    readonly IscsiEntity _entity;

    internal IscsiHandOver(IscsiEntity entity, IscsiServer to, IscsiConnection connection, LoginStart login, UnreadBytes unread)
    {
        _entity = entity;
        To = to;
        RemoteAddress = connection.RemoteAddress;
        LocalAddress = connection.LocalAddress;
        AcceptedMs = connection.AcceptedMs;
        Login = login;
        Unread = unread;
    }

    /// <summary>Who goes on.</summary>
    public IscsiServer To { get; }

    /// <summary>The initiator's <c>ip:port</c>.</summary>
    public string RemoteAddress { get; }

    /// <summary>The <c>ip:port</c> that the initiator reached us at.</summary>
    public string LocalAddress { get; }

    internal long AcceptedMs { get; }

    internal LoginStart Login { get; }

    internal UnreadBytes Unread { get; }

    /// <summary>The connection is closed on its way.</summary>
    public void Lost() => _entity.RemoveConnection();
}
