using System.Net;
using System.Security.Cryptography;
using Scuse.Iscsi.Access;
using Scuse.Iscsi.FullFeature;
using Scuse.Iscsi.Input;
using Scuse.Iscsi.Login;
using Scuse.Iscsi.Negotiation;
using Scuse.Iscsi.Output;
using Scuse.Target;

namespace Scuse.Iscsi;

/// <summary>An iSCSI network entity: its target nodes, and what their connections share. RFC 7143 section 4.1.</summary>
/// <remarks>Touched only by the owning reactor, as are its connections and sessions.</remarks>
public sealed class IscsiServer
{
    readonly Dictionary<string, IscsiTarget> _targets = new(StringComparer.OrdinalIgnoreCase);
    readonly Dictionary<ushort, IscsiSession> _sessions = [];
    readonly List<IscsiPortal> _portals = [];
    ushort _lastTsih;
    readonly LinkedList<IscsiConnection> _silent = new(); // in login, and have sent no request yet; oldest first
    readonly LinkedList<IscsiConnection> _inLogin = new(); // the others in login, oldest first
    int _connections;

    /// <summary>An entity without targets.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An option is outside its range.</exception>
    public IscsiServer(IscsiOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        Options = options;
        MaxConnections = options.MaxConnections;
    }

    /// <summary>What it offers, and its limits.</summary>
    public IscsiOptions Options { get; }

    /// <summary>The most connections at a time, by <see cref="IscsiOptions.MaxConnections"/> at first; those there are stay when it becomes less.</summary>
    public int MaxConnections { get; set; }

    /// <summary>The sessions that exist now.</summary>
    public IReadOnlyCollection<IscsiSession> Sessions => _sessions.Values;

    /// <summary>The targets that can be logged in to.</summary>
    public IReadOnlyCollection<IscsiTarget> Targets => _targets.Values;

    /// <summary>Who may ask which targets there are. Each is told only of the targets that it may log in to. Can be replaced at any time; sessions stay.</summary>
    public TargetAccess DiscoveryAccess { get; set; } = TargetAccess.Open;

    /// <summary>What discovery tells of where the targets can be reached; with none, it tells the address that the initiator has used.</summary>
    public IReadOnlyList<IscsiPortal> Portals => _portals;

    /// <summary>Called when what discovery tells of has changed: which targets there are, or where.</summary>
    public Action? DiscoveryChanged { get; set; }

    /// <summary>Where the challenges of CHAP come from.</summary>
    public RandomFill Random { get; init; } = RandomNumberGenerator.Fill;

    internal LoginFailures LoginFailures { get; } = new();

    internal LoginPace LoginPace => field ??= new LoginPace(Options.LoginsPerSecond);

    /// <summary>What every connection receives into, one at a time.</summary>
    internal byte[] ReceiveBuffer => field ??= GC.AllocateUninitializedArray<byte>(Options.ReceiveBufferBytes, pinned: true);

    internal PinnedBufferPool Buffers { get; } = new();

    internal PieceWriterPool Writers { get; } = new();

    TaskRecords TaskRecords => field ??= new TaskRecords(Options.MaxOutstandingR2T);

    /// <summary>Makes a target known under its name.</summary>
    /// <exception cref="ArgumentException">There is one of that name, or it is another server's.</exception>
    public void Add(IscsiTarget target)
    {
        ArgumentNullException.ThrowIfNull(target);
        if (target.Server is not null)
        {
            throw new ArgumentException($"target {target.Name} is a server's already", nameof(target));
        }

        _targets.Add(target.Name, target);
        target.Server = this;
        DiscoveryChanged?.Invoke();
    }

    /// <summary>Takes a target away: no new login finds it, and its sessions are dropped, with a word to the initiators.</summary>
    public bool Remove(IscsiTarget target)
    {
        ArgumentNullException.ThrowIfNull(target);
        if (target.Server != this || !_targets.Remove(target.Name))
        {
            return false;
        }

        target.Server = null;
        foreach (IscsiSession session in _sessions.Values.Where(session => session.Node == target).ToList())
        {
            session.Drop($"target {target.Name} was removed");
        }

        DiscoveryChanged?.Invoke();
        return true;
    }

    /// <summary>Has discovery tell of a portal.</summary>
    public void Add(IscsiPortal portal)
    {
        _portals.Add(portal);
        DiscoveryChanged?.Invoke();
    }

    /// <summary>Has discovery tell of a portal no more; connections that came by it go on.</summary>
    public bool Remove(IscsiPortal portal)
    {
        bool wasThere = _portals.Remove(portal);
        DiscoveryChanged?.Invoke();
        return wasThere;
    }

    /// <summary>
    /// A transport connection was accepted. When <see cref="IscsiOptions.MaxConnectionsInLogin"/> are in login already, the one is closed that has said nothing for longest, or where all
    /// have said something, that has been for longest: who means to log in says so at once and is done in a few milliseconds, and whoever opens connections to leave them so keeps nobody
    /// out. Beyond <see cref="MaxConnections"/> the result
    /// says <see cref="IscsiConnection.CloseNow"/>.
    /// </summary>
    /// <param name="remoteAddress">The initiator's <c>ip:port</c>, for messages and for access by address.</param>
    /// <param name="localAddress">The <c>ip:port</c> that the initiator reached us at.</param>
    /// <param name="host">Who owns the socket.</param>
    /// <param name="nowMs">The owner's clock in milliseconds.</param>
    public IscsiConnection Accept(string remoteAddress, string localAddress, IConnectionHost host, long nowMs)
    {
        ArgumentNullException.ThrowIfNull(host);
        bool isTooMany = _connections >= MaxConnections;
        _connections++;
        var connection = new IscsiConnection(this, remoteAddress, localAddress, host, nowMs);
        if (_silent.Count + _inLogin.Count >= Options.MaxConnectionsInLogin)
        {
            IscsiConnection oldest = (_silent.First ?? _inLogin.First)!.Value;
            LeftLogin(oldest);
            oldest.FailNow($"newer connections want to log in, and {Options.MaxConnectionsInLogin} at a time may");
        }

        connection.PlaceInLogin = _silent.AddLast(connection);
        if (isTooMany)
        {
            connection.Refuse($"there are {MaxConnections} connections already");
        }

        return connection;
    }

    /// <summary>Time goes on for sessions: for tasks of lost connections, and for what waits for an acknowledgment. To be called about once a second.</summary>
    public void Tick(long nowMs)
    {
        foreach (IscsiSession session in _sessions.Values)
        {
            session.Tick(nowMs); // may remove it, which a dictionary's enumerator allows
        }

        foreach (IscsiTarget target in _targets.Values)
        {
            target.Tick(nowMs);
        }
    }

    /// <summary>The target of that name; names are compared without regard to case. Null when there is none.</summary>
    public IscsiTarget? Find(string name) => _targets.GetValueOrDefault(name);

    /// <summary>The target of that name if an initiator may know of it.</summary>
    internal IscsiTarget? Find(string name, string initiatorName, IPAddress? address) =>
        Find(name) is { } target && target.Access.Admits(initiatorName, address) ? target : null;

    internal IscsiSession? FindSession(ushort tsih) => _sessions.GetValueOrDefault(tsih);

    /// <summary>The session that a target has with an initiator port; null when there is none.</summary>
    internal IscsiSession? FindSession(string initiatorName, ulong isid, IscsiTarget? target) =>
        target is null ? null : _sessions.Values.FirstOrDefault(session => session.Node == target && session.IsSameInitiatorPort(initiatorName, isid));

    internal void ConnectionClosed() => _connections--;

    /// <summary>The connection has logged in, or is to be closed.</summary>
    internal static void LeftLogin(IscsiConnection connection)
    {
        if (connection.PlaceInLogin is { } place)
        {
            connection.PlaceInLogin = null;
            place.List!.Remove(place);
        }
    }

    /// <summary>The connection has sent a login request: it makes room for others after those that have said nothing.</summary>
    internal void Spoke(IscsiConnection connection)
    {
        if (connection.PlaceInLogin is { } place && place.List == _silent)
        {
            _silent.Remove(place);
            _inLogin.AddLast(place);
        }
    }

    /// <summary>
    /// A leading login has come to its end: a new session, or null when there are too many. A session of the same initiator port with the same
    /// target is ended first. RFC 7143 section 6.3.5.
    /// </summary>
    internal IscsiSession? Begin(SessionParameters parameters, ulong isid, IscsiTarget? target, CommandWindow window, IscsiConnection leading)
    {
        FindSession(parameters.InitiatorName, isid, target)?.EndNow($"the session was reinstated by {parameters.InitiatorName}");

        if (_sessions.Count >= Options.MaxSessions)
        {
            // One that has lost its last connection makes room, or the oldest that only asks which targets there are.
            if (_sessions.Values.FirstOrDefault(static session => session.Connections.Count == 0) is { } lost)
            {
                lost.End();
            }
            else if (_sessions.Values.Where(static session => session.IsDiscovery).MinBy(static session => session.CreatedMs) is { } discovery)
            {
                discovery.EndNow("others want to log in");
            }

            if (_sessions.Count >= Options.MaxSessions)
            {
                return null;
            }
        }

        do
        {
            _lastTsih++;
        }
        while (_lastTsih == 0 || _sessions.ContainsKey(_lastTsih));

        var tasks = new SessionTasks(window, Options, Buffers, TaskRecords);
        var session = new IscsiSession(this, parameters, isid, _lastTsih, target, tasks, leading);
        _sessions.Add(session.Tsih, session);
        return session;
    }

    internal void Remove(IscsiSession session) => _sessions.Remove(session.Tsih);

    /// <summary>
    /// Beyond <see cref="IscsiOptions.MaxBufferedBytes"/> the session that ties up the most is ended, until it is enough: what an initiator can have by its command window is small against the
    /// limit, so it takes many that mean harm to get there, and they are the ones that go.
    /// </summary>
    internal void LimitBuffers()
    {
        long over = Buffers.RentedBytes - Options.MaxBufferedBytes;
        while (over > 0 && _sessions.Values.MaxBy(static session => session.BufferedBytes) is { BufferedBytes: > 0 and var held } greedy)
        {
            over -= held; // what it has not taken of its output goes with the connection, soon
            greedy.EndNow($"all initiators together tie up more than {Options.MaxBufferedBytes >> 20} MiB of buffers, and {greedy.InitiatorName} the most: {held >> 10} KiB");
        }
    }

    internal void CloseSessionsOf(ScsiTarget target, string reason)
    {
        foreach (IscsiSession session in _sessions.Values.Where(session => session.Target == target).ToList())
        {
            session.Fail(reason);
        }
    }

    /// <summary>Drops the sessions of initiators that may no longer have one, and shows the others what they see now. A secret that has changed is asked for at the next login.</summary>
    internal void AccessChanged(IscsiTarget target)
    {
        foreach (IscsiSession session in _sessions.Values.Where(session => session.Node == target).ToList())
        {
            bool isKnown = target.Access.Chap is null || (session.ChapUser is { } user && target.Access.Chap.Find(user) is not null);
            if (!isKnown || !session.Connections.All(connection => target.Access.Admits(session.InitiatorName, connection.RemoteIP)))
            {
                session.Drop($"{session.InitiatorName} may no longer log in to {target.Name}");
            }
            else if (session.Nexus is { } nexus)
            {
                target.Scsi.SetMap(nexus, target.Access.MapFor(session.InitiatorName, session.Address));
            }
        }
    }
}
