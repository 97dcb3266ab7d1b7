using System.Net.Sockets;
using Scuse.Engine.Reactors;
using Scuse.Iscsi;
using Scuse.Linux;

namespace Scuse.Engine.Portals;

/// <summary>The connections of one reactor, by whichever portal they came.</summary>
/// <remarks>Touched only by the owning reactor.</remarks>
sealed class ConnectionSet(Reactor reactor, IscsiServer server, ShardSet? shards, ConnectionLog log)
{
    readonly HashSet<ConnectionSocket> _all = [];
    readonly List<ConnectionSocket> _scratch = [];
    bool _isDraining;

    /// <summary>Where its refusals and endings are told.</summary>
    public ConnectionLog Log => log;

    /// <summary>Whether something is still to be sent.</summary>
    public bool HasOutput => _all.Any(static connection => connection.Protocol.HasOutput);

    /// <summary>A connection was accepted. The socket is the set's once this returns.</summary>
    /// <exception cref="LinuxException">It cannot be watched.</exception>
    public void Begin(Socket socket, Portal portal, string localAddress, string remoteAddress)
    {
        var connection = new ConnectionSocket(reactor, socket, portal, this, host => server.Accept(remoteAddress, localAddress, host, reactor.NowMs));
        Enlist(connection);
        connection.Flush(); // one too many is closed here
    }

    /// <summary>A connection leaves for the reactor that has its target.</summary>
    public void Leave(ConnectionSocket connection, Socket socket, Portal portal, IscsiHandOver handOver)
    {
        _all.Remove(connection);
        Shard to = shards!.Of(handOver.To);
        to.Reactor.Post(() => to.Connections.Arrive(socket, portal, handOver));
    }

    void Arrive(Socket socket, Portal portal, IscsiHandOver handOver)
    {
        if (_isDraining || portal.ClosedFor is not null)
        {
            Lose(socket, portal, handOver, portal.ClosedFor ?? "the engine stops");
            return;
        }

        ConnectionSocket connection;
        try
        {
            connection = new ConnectionSocket(reactor, socket, portal, this, host => server.TakeOver(handOver, host));
        }
        catch (LinuxException exception)
        {
            socket.Dispose(); // as if it was closed, which the protocol knows already
            portal.ConnectionGone();
            log.Ended(handOver.RemoteAddress, exception.Message, reactor.NowMs);
            return;
        }

        _all.Add(connection);
        connection.Protocol.GoOn(handOver, reactor.NowMs);
        connection.Flush();
    }

    void Lose(Socket socket, Portal portal, IscsiHandOver handOver, string reason)
    {
        handOver.Lost();
        socket.Dispose();
        portal.ConnectionGone();
        log.Ended(handOver.RemoteAddress, reason, reactor.NowMs);
    }

    void Enlist(ConnectionSocket connection)
    {
        connection.Portal.ConnectionCame();
        _all.Add(connection);
    }

    /// <summary>A connection is closed.</summary>
    public void Remove(ConnectionSocket connection)
    {
        if (_all.Remove(connection))
        {
            connection.Portal.ConnectionGone();
        }
    }

    public void Tick(long nowMs)
    {
        _scratch.Clear();
        _scratch.AddRange(_all);
        foreach (ConnectionSocket connection in _scratch)
        {
            connection.Tick(nowMs);
        }
    }

    /// <summary>Takes no more commands; what is under way goes on.</summary>
    public void Drain()
    {
        _isDraining = true;
        foreach (ConnectionSocket connection in _all.ToArray())
        {
            connection.StopReading();
        }
    }

    /// <summary>Closes them all, or those that came by one portal.</summary>
    public void Close(string reason, Portal? portal = null)
    {
        foreach (ConnectionSocket connection in _all.Where(connection => portal is null || connection.Portal == portal).ToArray())
        {
            connection.Close(reason);
        }
    }
}
