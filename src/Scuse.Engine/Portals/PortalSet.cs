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

    readonly ShardSet _shards;
    readonly int _loopbackSendBufferBytes;
    readonly ILogger _logger;
    volatile Portal[] _portals = []; // another one with each change
    bool _isStarted;
    bool _isDraining;

    /// <exception cref="EngineException">An address cannot be listened on.</exception>
    public PortalSet(IReadOnlyList<PortalOptions> portals, ShardSet shards, int loopbackSendBufferBytes, ILogger logger)
    {
        _shards = shards;
        _loopbackSendBufferBytes = loopbackSendBufferBytes;
        _logger = logger;
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

    public void Start()
    {
        _isStarted = true;
        Array.ForEach(_portals, static portal => portal.Start());
        _shards.Door.Reactor.AddTicker(Tick);
    }

    /// <summary>Listens at an address; <see cref="Add"/> is what makes a portal of it. On any thread: it may take its time.</summary>
    /// <exception cref="EngineException">The address cannot be listened on.</exception>
    public Portal Open(PortalOptions options) => new(options, _shards.Door.Reactor, _shards.Door.Connections, _loopbackSendBufferBytes, _logger, _shards.Log);

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
        _shards.Entity.Remove(portal.Place);
        if (close)
        {
            string reason = $"portal {address} was removed";
            portal.ClosedFor = reason; // which those meet that are on their way from one reactor to another
            foreach (Shard shard in _shards.All)
            {
                shard.Reactor.Post(() => shard.Connections.Close(reason, portal));
            }
        }

        LogRemoved(_logger, address, connections, close ? "closed" : "going on");
        return connections;
    }

    /// <summary>Takes no more connections, for good.</summary>
    public void Drain()
    {
        _isDraining = true;
        StopListening();
    }

    public void StopListening() => Array.ForEach(_portals, static portal => portal.StopListening());

    void Enlist(Portal portal)
    {
        _portals = [.. _portals, portal];
        if (portal.IsTold)
        {
            _shards.Entity.Add(portal.Place);
        }
    }

    void Tick(long _)
    {
        foreach (Portal portal in _portals)
        {
            portal.Tick();
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "portal {Address} was added")]
    static partial void LogAdded(ILogger logger, IPEndPoint address);

    [LoggerMessage(Level = LogLevel.Information, Message = "portal {Address} was removed; its {Count} connections are {Fate}")]
    static partial void LogRemoved(ILogger logger, IPEndPoint address, int count, string fate);
}
