using System.Net;
using Microsoft.Extensions.Logging;
using Scuse.Engine.Reactors;
using Scuse.Iscsi;

namespace Scuse.Engine.Portals;

/// <summary>All portals of an engine: they come and go while it runs.</summary>
/// <remarks>Made on any thread; from <see cref="Start"/> on touched only by the owning reactor, but for a look at <see cref="All"/>.</remarks>
sealed partial class PortalSet
{
    /// <summary>How many portals there may be; each is told in every discovery.</summary>
    public const int MaxPortals = 64;

    readonly Reactor _reactor;
    readonly IscsiServer _server;
    readonly int _loopbackSendBufferBytes;
    readonly ILogger _logger;
    readonly ConnectionLog _log;
    volatile Portal[] _portals = []; // another one with each change
    readonly List<Portal> _leaving = []; // closed, with connections that go on
    bool _isStarted;
    bool _isDraining;

    /// <exception cref="EngineException">An address cannot be listened on.</exception>
    public PortalSet(IReadOnlyList<PortalOptions> portals, Reactor reactor, IscsiServer server, int loopbackSendBufferBytes, ILogger logger)
    {
        _reactor = reactor;
        _server = server;
        _loopbackSendBufferBytes = loopbackSendBufferBytes;
        _logger = logger;
        _log = new ConnectionLog(logger);
        if (portals.Count == 0)
        {
            throw new EngineException("there is no portal");
        }

        try
        {
            foreach (PortalOptions options in portals)
            {
                Enlist(Open(options));
            }
        }
        catch
        {
            StopListening();
            throw;
        }
    }

    /// <summary>Those that take connections, in the order they were added.</summary>
    public IReadOnlyList<Portal> All => _portals;

    /// <summary>Whether something is still to be sent.</summary>
    public bool HasOutput => Every.Any(static portal => portal.HasOutput);

    IEnumerable<Portal> Every => _portals.Concat(_leaving);

    public void Start()
    {
        _isStarted = true;
        Array.ForEach(_portals, static portal => portal.Start());
        _reactor.AddTicker(Tick);
    }

    /// <summary>Listens at an address; <see cref="Add"/> is what makes a portal of it. On any thread: it may take its time.</summary>
    /// <exception cref="EngineException">The address cannot be listened on.</exception>
    public Portal Open(PortalOptions options) => new(options, _reactor, _server, _loopbackSendBufferBytes, _logger, _log);

    /// <summary>Initiators can connect to it from now on, and are told of it.</summary>
    /// <exception cref="EngineException">There are too many, or the engine stops.</exception>
    public void Add(Portal portal)
    {
        if (_isDraining || _portals.Length >= MaxPortals)
        {
            portal.StopListening();
            throw new EngineException(_isDraining ? "the engine stops" : $"there are {MaxPortals} portals already");
        }

        Enlist(portal);
        if (_isStarted)
        {
            portal.Start();
        }

        LogAdded(_logger, portal.Address);
    }

    /// <summary>Takes no more connections there; those that came by it go on, or are closed. Returns how many there are.</summary>
    /// <exception cref="EngineException">There is no such portal, or it is the last one.</exception>
    public int Remove(IPEndPoint address, bool close)
    {
        Portal portal = Array.Find(_portals, portal => portal.Address.Equals(address)) ?? throw new EngineException($"there is no portal {address}; there are {string.Join(", ", _portals.Select(static portal => portal.Address))}");
        if (_portals.Length == 1)
        {
            throw new EngineException($"{address} is the only portal: add another one first");
        }

        int connections = portal.Connections;
        portal.StopListening();
        _portals = [.. _portals.Where(other => other != portal)];
        _server.Remove(portal.Place);
        if (close)
        {
            portal.CloseConnections($"portal {address} was removed");
        }
        else if (connections > 0)
        {
            _leaving.Add(portal);
        }

        LogRemoved(_logger, address, connections, close ? "closed" : "going on");
        return connections;
    }

    /// <summary>Takes no more connections, and no more commands from those there are; what is under way goes on.</summary>
    public void Drain()
    {
        _isDraining = true;
        foreach (Portal portal in Every)
        {
            portal.Drain();
        }
    }

    public void StopListening() => Array.ForEach(_portals, static portal => portal.StopListening());

    public void CloseConnections(string reason)
    {
        foreach (Portal portal in Every)
        {
            portal.CloseConnections(reason);
        }
    }

    void Enlist(Portal portal)
    {
        _portals = [.. _portals, portal];
        if (portal.IsTold)
        {
            _server.Add(portal.Place);
        }
    }

    void Tick(long nowMs)
    {
        foreach (Portal portal in Every)
        {
            portal.Tick(nowMs);
        }

        _log.Tick(nowMs);
        _leaving.RemoveAll(static portal => portal.Connections == 0);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "portal {Address} was added")]
    static partial void LogAdded(ILogger logger, IPEndPoint address);

    [LoggerMessage(Level = LogLevel.Information, Message = "portal {Address} was removed; its {Count} connections are {Fate}")]
    static partial void LogRemoved(ILogger logger, IPEndPoint address, int count, string fate);
}
