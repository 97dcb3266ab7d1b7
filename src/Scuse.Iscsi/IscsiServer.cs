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

/// <summary>
/// Target nodes of an iSCSI network entity, and what their connections share. An entity has one server, or one for each reactor: then each has targets of its own, and a connection goes to
/// the one that has the target it logs in to. RFC 7143 section 4.1.
/// </summary>
/// <remarks>Touched only by the owning reactor, as are its connections and sessions; what it shares with others is the <see cref="IscsiEntity"/>'s.</remarks>
public sealed class IscsiServer
{
    const string OthersWantToLogIn = "others want to log in";

    readonly Dictionary<string, IscsiTarget> _targets = new(StringComparer.OrdinalIgnoreCase);
    readonly Dictionary<ushort, IscsiSession> _sessions = [];
    readonly LinkedList<IscsiConnection> _silent = new(); // in login, and have sent no request yet; oldest first
    readonly LinkedList<IscsiConnection> _inLogin = new(); // the others in login, oldest first

    /// <summary>A server without targets.</summary>
    /// <param name="options">What it offers, and its limits.</param>
    /// <param name="entity">What it shares with other servers; null: it is the only one.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is outside its range.</exception>
    public IscsiServer(IscsiOptions options, IscsiEntity? entity = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        Options = options;
        Entity = entity ?? new IscsiEntity();
    }

    /// <summary>What it shares with the entity's other servers.</summary>
    public IscsiEntity Entity { get; }

    /// <summary>What it offers, and its limits.</summary>
    public IscsiOptions Options { get; }

    /// <summary>The most connections at a time, of all servers: what the entity says, or else the options.</summary>
    public int MaxConnections => Entity.MaxConnections is > 0 and var most ? most : Options.MaxConnections;

    /// <summary>The sessions that exist now.</summary>
    public IReadOnlyCollection<IscsiSession> Sessions => _sessions.Values;

    /// <summary>Its own targets.</summary>
    public IReadOnlyCollection<IscsiTarget> Targets => _targets.Values;

    /// <summary>Called when an initiator has failed to prove who it is, with its address and the time; the entity's other servers are to be told with <see cref="NoteLoginFailure"/>.</summary>
    public Action<IPAddress?, long>? LoginFailed { get; set; }

    /// <summary>Where the challenges of CHAP come from.</summary>
    public RandomFill Random { get; init; } = RandomNumberGenerator.Fill;

    internal LoginFailures LoginFailures { get; } = new();

    internal LoginPace LoginPace => field ??= new LoginPace(Options.LoginsPerSecond);

    /// <summary>What every connection receives into, one at a time.</summary>
    internal byte[] ReceiveBuffer => field ??= GC.AllocateUninitializedArray<byte>(Options.ReceiveBufferBytes, pinned: true);

    internal PinnedBufferPool Buffers { get; } = new();

    internal PieceWriterPool Writers { get; } = new();

    TaskRecords TaskRecords => field ??= new TaskRecords(Options.MaxOutstandingR2T);

    /// <summary>Makes a target known under its name: logins to it, whichever server accepts them, come to this one.</summary>
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
        try
        {
            Entity.Add(target);
        }
        catch (ArgumentException)
        {
            _targets.Remove(target.Name);
            target.Server = null;
            throw;
        }

        Entity.DiscoveryChanged?.Invoke();
    }

    /// <summary>Takes a target away: no new login finds it, and its sessions are dropped, with a word to the initiators.</summary>
    public bool Remove(IscsiTarget target)
    {
        ArgumentNullException.ThrowIfNull(target);
        if (target.Server != this || !_targets.Remove(target.Name))
        {
            return false;
        }

        IReadOnlyList<IscsiSession> sessions = target.Sessions;
        Entity.Remove(target);
        target.Server = null;
        foreach (IscsiSession session in sessions)
        {
            session.Drop($"target {target.Name} was removed");
        }

        Entity.DiscoveryChanged?.Invoke();
        return true;
    }

    /// <summary>An initiator has failed to prove to another server of the entity who it is: it guesses here no faster for that.</summary>
    public void NoteLoginFailure(IPAddress? address, long nowMs) => LoginFailures.Add(address, nowMs);

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
        bool isTooMany = Entity.AddConnection() >= MaxConnections;
        var connection = new IscsiConnection(this, remoteAddress, localAddress, host, nowMs);
        MakeRoomInLogin();
        connection.PlaceInLogin = _silent.AddLast(connection);
        if (isTooMany)
        {
            connection.Refuse($"there are {MaxConnections} connections already");
        }

        return connection;
    }

    /// <summary>A connection comes from another server of the entity, in the middle of its login: <see cref="IscsiConnection.GoOn"/> is to be called next.</summary>
    /// <param name="handOver">What the other has left.</param>
    /// <param name="host">Who owns the socket now.</param>
    public IscsiConnection TakeOver(IscsiHandOver handOver, IConnectionHost host)
    {
        ArgumentNullException.ThrowIfNull(handOver);
        ArgumentNullException.ThrowIfNull(host);
        var connection = new IscsiConnection(this, handOver.RemoteAddress, handOver.LocalAddress, host, handOver.AcceptedMs);
        MakeRoomInLogin();
        connection.PlaceInLogin = _inLogin.AddLast(connection);
        return connection;
    }

    void MakeRoomInLogin()
    {
        if (_silent.Count + _inLogin.Count >= Options.MaxConnectionsInLogin)
        {
            IscsiConnection oldest = (_silent.First ?? _inLogin.First)!.Value;
            LeftLogin(oldest);
            oldest.FailNow($"newer connections want to log in, and {Options.MaxConnectionsInLogin} at a time may");
        }
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

        while (Entity.Sessions > Options.MaxSessions && OldestDiscovery() is { } discovery)
        {
            discovery.EndNow(OthersWantToLogIn); // at another server
        }
    }

    /// <summary>The target of that name, this server's or another's; names are compared without regard to case. Null when there is none.</summary>
    public IscsiTarget? Find(string name) => Entity.Find(name);

    /// <summary>The target of that name if an initiator may know of it.</summary>
    internal IscsiTarget? Find(string name, string initiatorName, IPAddress? address) =>
        Find(name) is { } target && target.Access.Admits(initiatorName, address) ? target : null;

    internal IscsiSession? FindSession(ushort tsih) => _sessions.GetValueOrDefault(tsih);

    /// <summary>The session that a target has with an initiator port; null when there is none.</summary>
    internal static IscsiSession? FindSession(string initiatorName, ulong isid, IscsiTarget? target)
    {
        if (target is null)
        {
            return null;
        }

        target.Scsi.Exclusion?.Enter();
        IscsiSession? found = target.Sessions.FirstOrDefault(session => session.IsSameInitiatorPort(initiatorName, isid));
        target.Scsi.Exclusion?.Exit();
        return found;
    }

    internal void ConnectionClosed() => Entity.RemoveConnection();

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
        target?.Scsi.Exclusion?.Enter(); // of two that log in as the same port, at two servers, one ends the other
        IscsiSession? session = BeginAlone(parameters, isid, target, window, leading);
        target?.Scsi.Exclusion?.Exit();
        return session;
    }

    IscsiSession? BeginAlone(SessionParameters parameters, ulong isid, IscsiTarget? target, CommandWindow window, IscsiConnection leading)
    {
        if (target is not null && !target.IsAt(this))
        {
            return null; // removed, by another server's reactor, since it was found
        }

        FindSession(parameters.InitiatorName, isid, target)?.EndNow($"the session was reinstated by {parameters.InitiatorName}");

        if (Entity.Sessions >= Options.MaxSessions)
        {
            // One that has lost its last connection makes room, or the oldest that only asks which targets there are.
            if (_sessions.Values.FirstOrDefault(static session => session.Connections.Count == 0) is { } lost)
            {
                lost.End();
            }
            else
            {
                OldestDiscovery()?.EndNow(OthersWantToLogIn);
            }
        }

        ushort tsih = Entity.TakeSession(target is null, Options.MaxSessions);
        if (tsih == 0)
        {
            return null;
        }

        var tasks = new SessionTasks(window, Options, Buffers, TaskRecords);
        var session = new IscsiSession(this, parameters, isid, tsih, target, tasks, leading);
        _sessions.Add(session.Tsih, session);
        Entity.Place(session.Tsih, this);
        return session;
    }

    IscsiSession? OldestDiscovery() => _sessions.Values.Where(static session => session.IsDiscovery).MinBy(static session => session.CreatedMs);

    internal void Remove(IscsiSession session)
    {
        if (_sessions.Remove(session.Tsih))
        {
            Entity.ReturnSession(session.IsDiscovery, session.Tsih);
        }
    }

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

    internal static void CloseSessionsOf(IscsiTarget target, string reason)
    {
        target.Scsi.Exclusion?.Enter();
        foreach (IscsiSession session in target.Sessions)
        {
            session.Fail(reason);
        }

        target.Scsi.Exclusion?.Exit();
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
