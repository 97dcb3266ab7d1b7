using System.Collections.Concurrent;
using Scuse.Iscsi.Access;

namespace Scuse.Iscsi;

/// <summary>
/// What the servers of one network entity share, each of which is on a reactor of its own: which targets there are and which server has them, where they can be reached, and how many
/// connections and sessions there are. RFC 7143 section 4.1.
/// </summary>
/// <remarks>
/// From any thread. What is read is a snapshot that never changes, or a number; nobody waits for anybody. All of it is touched at logins, in discovery and by operators, never for a command.
/// </remarks>
public sealed class IscsiEntity
{
    volatile Dictionary<string, IscsiTarget> _targets = NoTargets; // another one with each change
    volatile IscsiPortal[] _portals = [];
    volatile TargetAccess _discoveryAccess = TargetAccess.Open;
    volatile Action? _discoveryChanged;
    volatile int _maxConnections;
    readonly int[] _tsihs = new int[(ushort.MaxValue + 1) / 32]; // one bit for each
    readonly ConcurrentDictionary<ushort, IscsiServer> _servers = []; // by TSIH
    int _lastTsih;
    int _connections;
    int _sessions; // with a target
    int _discoveries; // sessions that only ask which targets there are

    static Dictionary<string, IscsiTarget> NoTargets => new(StringComparer.OrdinalIgnoreCase);

    /// <summary>The targets that can be logged in to, whichever server has them.</summary>
    public IReadOnlyCollection<IscsiTarget> Targets => _targets.Values;

    /// <summary>What discovery tells of where the targets can be reached; with none, it tells the address that the initiator has used.</summary>
    public IReadOnlyList<IscsiPortal> Portals => _portals;

    /// <summary>Who may ask which targets there are. Each is told only of the targets that it may log in to. Can be replaced at any time; sessions stay.</summary>
    public TargetAccess DiscoveryAccess
    {
        get => _discoveryAccess;
        set
        {
            ArgumentNullException.ThrowIfNull(value);
            _discoveryAccess = value;
        }
    }

    /// <summary>Called when what discovery tells of has changed: which targets there are, or where. On the thread that has changed it.</summary>
    public Action? DiscoveryChanged
    {
        get => _discoveryChanged;
        set => _discoveryChanged = value;
    }

    /// <summary>The most connections at a time; those there are stay when it becomes less. 0: what the servers' options say.</summary>
    public int MaxConnections
    {
        get => _maxConnections;
        set => _maxConnections = value;
    }

    /// <summary>How many connections there are, those on their way from one server to another included.</summary>
    public int Connections => Volatile.Read(ref _connections);

    /// <summary>The target of that name; names are compared without regard to case. Null when there is none.</summary>
    public IscsiTarget? Find(string name) => _targets.GetValueOrDefault(name);

    /// <summary>Has discovery tell of a portal.</summary>
    public void Add(IscsiPortal portal)
    {
        IscsiPortal[] before;
        do
        {
            before = _portals;
        }
        while (Interlocked.CompareExchange(ref _portals, [.. before, portal], before) != before);

        DiscoveryChanged?.Invoke();
    }

    /// <summary>Has discovery tell of a portal no more; connections that came by it go on.</summary>
    public bool Remove(IscsiPortal portal)
    {
        IscsiPortal[] before, after;
        do
        {
            before = _portals;
            int place = Array.IndexOf(before, portal);
            after = place < 0 ? before : [.. before[..place], .. before[(place + 1)..]];
        }
        while (Interlocked.CompareExchange(ref _portals, after, before) != before);

        DiscoveryChanged?.Invoke();
        return after.Length < before.Length;
    }

    /// <exception cref="ArgumentException">There is one of that name.</exception>
    internal void Add(IscsiTarget target)
    {
        Dictionary<string, IscsiTarget> before, after;
        do
        {
            before = _targets;
            after = new Dictionary<string, IscsiTarget>(before, before.Comparer) { { target.Name, target } };
        }
        while (Interlocked.CompareExchange(ref _targets, after, before) != before);
    }

    internal void Remove(IscsiTarget target)
    {
        Dictionary<string, IscsiTarget> before, after;
        do
        {
            before = _targets;
            after = new Dictionary<string, IscsiTarget>(before, before.Comparer);
            after.Remove(target.Name);
        }
        while (Interlocked.CompareExchange(ref _targets, after, before) != before);
    }

    /// <summary>There is a connection more; it is counted even when it is one too many. Returns how many there were.</summary>
    internal int AddConnection() => Interlocked.Increment(ref _connections) - 1;

    internal void RemoveConnection() => Interlocked.Decrement(ref _connections);

    /// <summary>How many sessions there are, of all servers.</summary>
    internal int Sessions => Volatile.Read(ref _sessions) + Volatile.Read(ref _discoveries);

    /// <summary>
    /// Counts a session more and finds it an identifier that no other has (TSIH), which is not zero: RFC 7143 section 11.12.6. Zero when there are too many; those that only ask which targets
    /// there are do not keep others out, since the server that has them may be another, which ends some of them soon.
    /// </summary>
    internal ushort TakeSession(bool isDiscovery, int maxSessions)
    {
        ref int count = ref isDiscovery ? ref _discoveries : ref _sessions;
        if (Interlocked.Increment(ref count) + (isDiscovery ? Volatile.Read(ref _sessions) : 0) > maxSessions)
        {
            Interlocked.Decrement(ref count);
            return 0;
        }

        while (true)
        {
            ushort tsih = (ushort)Interlocked.Increment(ref _lastTsih);
            if (tsih != 0 && (Interlocked.Or(ref _tsihs[tsih / 32], 1 << (tsih % 32)) & (1 << (tsih % 32))) == 0)
            {
                return tsih;
            }
        }
    }

    /// <summary>The server that has a session; null when there is none of that identifier.</summary>
    internal IscsiServer? ServerOf(ushort tsih) => _servers.GetValueOrDefault(tsih);

    /// <summary>A session begins at a server.</summary>
    internal void Place(ushort tsih, IscsiServer server) => _servers[tsih] = server;

    internal void ReturnSession(bool isDiscovery, ushort tsih)
    {
        _servers.TryRemove(tsih, out _);
        Interlocked.And(ref _tsihs[tsih / 32], ~(1 << (tsih % 32)));
        Interlocked.Decrement(ref isDiscovery ? ref _discoveries : ref _sessions);
    }
}
