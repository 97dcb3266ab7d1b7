using System.Net;
using System.Reflection;
using Scuse.Engine.Backstores;
using Scuse.Engine.Discovery;
using Scuse.Engine.Portals;
using Scuse.Engine.Reactors;
using Scuse.Iscsi;
using Scuse.Iscsi.Access;
using Scuse.Iscsi.Moving;

namespace Scuse.Engine.Management;

/// <summary>
/// What an operator can ask of a running engine. Each call has the reactor take a look between two turns, and returns immutable records. None takes
/// longer than <see cref="Deadline"/>, unless it says so. It costs nothing while nobody calls.
/// </summary>
/// <remarks>From any thread but the reactor's.</remarks>
public sealed class EngineManagement
{
    /// <summary>How long a call may take at most.</summary>
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(5);

    static readonly string ProgramVersion = typeof(EngineManagement).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "";

    readonly ScuseEngine _engine;
    EngineOptions _options; // replaced on the reactor, as a whole
    readonly Reactor _reactor;
    readonly IscsiServer _server;
    readonly PortalSet _portals;
    readonly IsnsClient? _isns;
    readonly DataMemory _memory;
    readonly SortedDictionary<int, UserBackstore> _backstores;
    readonly DateTimeOffset _since = DateTimeOffset.UtcNow;

    internal EngineManagement(ScuseEngine engine, EngineOptions options, Reactor reactor, IscsiServer server, PortalSet portals, IsnsClient? isns, DataMemory memory, IEnumerable<UserBackstore> backstores)
    {
        _engine = engine;
        _options = options;
        _reactor = reactor;
        _server = server;
        _portals = portals;
        _isns = isns;
        _memory = memory;
        _backstores = new(backstores.ToDictionary(static backstore => backstore.Options.Number));
    }

    /// <summary>The engine as a whole.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public async Task<EngineStatus> GetStatusAsync(CancellationToken cancellation = default) =>
        await AskAsync(Status, cancellation) with { MemoryBytes = Environment.WorkingSet };

    /// <summary>Every logical unit, LUN 0 first.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public async Task<IReadOnlyList<LunStatus>> GetLunsAsync(CancellationToken cancellation = default)
    {
        LunStatus[] luns = await AskAsync<LunStatus[]>(() => [.. _backstores.Values.Select(LunReport.Of)], cancellation);
        Dictionary<int, HandlerState> handlers = (await HandlersAsync()).ToDictionary(static state => state.Lun);
        return [.. luns.Select(lun => LunReport.With(lun, handlers[lun.Number]))];
    }

    /// <summary>One logical unit.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public async Task<LunStatus> GetLunAsync(int lun, CancellationToken cancellation = default)
    {
        LunStatus status = await AskAsync(lun, LunReport.Of, cancellation);
        return LunReport.With(status, (await HandlersAsync()).First(state => state.Lun == lun));
    }

    /// <summary>Every session that initiators have, the oldest first.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public Task<IReadOnlyList<SessionStatus>> GetSessionsAsync(CancellationToken cancellation = default) =>
        AskAsync<IReadOnlyList<SessionStatus>>(
            () =>
            {
                DateTimeOffset now = DateTimeOffset.UtcNow;
                return [.. _server.Sessions.Select(session => SessionOf(session, now)).OrderBy(static session => session.Since)];
            },
            cancellation);

    /// <summary>The last events of a logical unit, or of all of them, oldest first.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public async Task<IReadOnlyList<LunEventStatus>> GetEventsAsync(int? lun = null, CancellationToken cancellation = default)
    {
        IEnumerable<UserBackstore> which = lun is { } number ? [Find(number)] : _backstores.Values;
        (int Lun, LunEvent[] Events)[] all = await AskAsync<(int, LunEvent[])[]>(() => [.. which.Select(static backstore => (backstore.Options.Number, backstore.Events.ToArray()))], cancellation);
        return [.. all.SelectMany(static of => of.Events.Select(happened => new LunEventStatus(of.Lun, happened.At, happened.Kind, happened.Text))).OrderBy(static happened => happened.At)];
    }

    /// <summary>A logical unit's ring, decoded, with what the engine knows of every command.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public async Task<RingStatus> GetRingAsync(int lun, CancellationToken cancellation = default)
    {
        Func<RingStatus> report = await AskAsync(lun, backstore => LunReport.SnapshotRing(backstore, _reactor.NowMs), cancellation);
        return report();
    }

    /// <summary>The memory that a logical unit shares with its handler, to be copied.</summary>
    /// <exception cref="ManagementException">It came to nothing: there is no handler, for one.</exception>
    public Task<SavedRegion> OpenRegionAsync(int lun, CancellationToken cancellation = default) =>
        AskAsync(
            lun,
            static backstore => LunReport.OpenRegion(backstore)
                ?? throw new ManagementException(ManagementProblem.Refused, $"LUN {backstore.Options.Number} has no handler, and so no ring"),
            cancellation);

    // ---- access ----

    /// <summary>
    /// Reads the file with the CHAP users again. Sessions of users that are no longer in it are dropped; a secret that has changed counts from the next login on.
    /// </summary>
    /// <exception cref="ManagementException">It came to nothing, and all is as it was: something is wrong with the file, for one.</exception>
    public Task<AccessStatus> ReloadAccessAsync(CancellationToken cancellation = default) => RefusableAsync(async () =>
    {
        EngineOptions next = ReadAccess(_options);
        TargetAccess access = next.Access.ToRules(), discovery = next.DiscoveryAccess.ToRules();
        return await AskAsync(
            () =>
            {
                _server.Find(_options.TargetName)!.Access = access;
                _server.DiscoveryAccess = discovery;
                _options = _options with { Access = next.Access, DiscoveryAccess = next.DiscoveryAccess };
                return new AccessStatus(access.Chap?.Users.Count ?? 0, discovery.Chap?.Users.Count ?? 0);
            },
            cancellation);
    });

    static EngineOptions ReadAccess(EngineOptions options)
    {
        try
        {
            ChapFile file = ChapFile.Load(options.ChapFile ?? throw new EngineException("the engine was started without --chap-file: there is nothing to read again"));
            EngineOptions next = options with
            {
                Access = options.Access with { Chap = file.ForTarget },
                DiscoveryAccess = options.DiscoveryAccess with { Chap = file.ForDiscovery },
            };
            next.Access.ToRules();
            next.DiscoveryAccess.ToRules();
            return options.Access.IsRestricted && !next.Access.IsRestricted && !options.AllowAnyone
                ? throw new EngineException($"{options.ChapFile} names no users any more, which would let everybody log in")
                : next;
        }
        catch (FormatException exception)
        {
            throw new EngineException(exception.Message, exception);
        }
    }

    // ---- moving targets ----

    /// <summary>Sends new sessions of a target, or of all, to another address; null: they are taken here again. Sessions that are there stay.</summary>
    /// <param name="to">The new address.</param>
    /// <param name="target">The target's name; null: all there are.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <returns>How the targets are afterwards.</returns>
    /// <exception cref="ManagementException">It came to nothing: the address is a portal of this engine, for one.</exception>
    public Task<IReadOnlyList<MovingStatus>> RedirectAsync(TargetRedirection? to, string? target = null, CancellationToken cancellation = default) => MoveAsync(
        target,
        which =>
        {
            if (to is not null && _server.Portals.Any(portal => portal.Address.ToString() == to.Address || portal.Advertised == to.Address))
            {
                throw new ManagementException(ManagementProblem.Refused, $"{to.Address} is a portal of this engine: initiators would go round in circles");
            }

            which.Redirection = to;
        },
        cancellation);

    /// <summary>
    /// Moves initiators away from a target, or from all: no new session is taken, those there are asked to log out within <paramref name="seconds"/> and dropped then. Until
    /// <see cref="EndDrainAsync"/>.
    /// </summary>
    /// <param name="seconds">How long they may take, 0 to 65535.</param>
    /// <param name="target">The target's name; null: all there are.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <returns>How the targets are afterwards.</returns>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public Task<IReadOnlyList<MovingStatus>> DrainAsync(int seconds, string? target = null, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(seconds);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(seconds, ushort.MaxValue);
        return MoveAsync(target, which => which.BeginDrain(seconds, _reactor.NowMs), cancellation);
    }

    /// <summary>Takes new sessions again. Who was asked to leave and is still there may stay.</summary>
    /// <returns>How the targets are afterwards.</returns>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public Task<IReadOnlyList<MovingStatus>> EndDrainAsync(string? target = null, CancellationToken cancellation = default) => MoveAsync(target, static which => which.EndDrain(), cancellation);

    Task<IReadOnlyList<MovingStatus>> MoveAsync(string? target, Action<IscsiTarget> how, CancellationToken cancellation) => AskAsync<IReadOnlyList<MovingStatus>>(
        () =>
        {
            IscsiTarget[] which = target is null ? [.. _server.Targets]
                : _server.Find(target) is { } found ? [found]
                : throw new ManagementException(ManagementProblem.NotFound, $"there is no target {target}; there are {string.Join(", ", _server.Targets.Select(static each => each.Name))}");
            foreach (IscsiTarget each in which)
            {
                how(each);
            }

            return [.. which.Select(MovingOf)];
        },
        cancellation);

    MovingStatus MovingOf(IscsiTarget target) => new()
    {
        Target = target.Name,
        Redirection = target.Redirection is { } to ? new RedirectionStatus(to.Address, to.PortalGroupTag, to.IsPermanent) : null,
        IsDraining = target.IsDraining,
        DrainSecondsLeft = target.DrainSecondsLeft(_reactor.NowMs),
        Sessions = target.Sessions.Count,
    };

    // ---- portals ----

    /// <summary>Where initiators can connect.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public Task<IReadOnlyList<PortalStatus>> GetPortalsAsync(CancellationToken cancellation = default) =>
        AskAsync<IReadOnlyList<PortalStatus>>(() => [.. _portals.All.Select(PortalOf)], cancellation);

    /// <summary>Has initiators connect at one more address, from now on until the engine ends; discovery tells of it.</summary>
    /// <exception cref="ManagementException">It came to nothing: the address cannot be listened on, for one.</exception>
    public Task<PortalStatus> AddPortalAsync(PortalOptions options, CancellationToken cancellation = default) => RefusableAsync(async () =>
    {
        if (Exposure.ProblemOf(_options, options) is { } problem)
        {
            throw new EngineException(problem);
        }

        Portal portal = _portals.Open(options);
        return await AskAsync(
            () =>
            {
                _portals.Add(portal);
                return PortalOf(portal);
            },
            cancellation);
    });

    /// <summary>Has initiators connect there no more. Connections that came by it go on, or with <paramref name="close"/> are closed.</summary>
    /// <returns>The portal as it was.</returns>
    /// <exception cref="ManagementException">It came to nothing: it is the only portal, for one.</exception>
    public Task<PortalStatus> RemovePortalAsync(IPEndPoint address, bool close, CancellationToken cancellation = default) => RefusableAsync(() => AskAsync(
        () =>
        {
            PortalStatus? before = _portals.All.Where(portal => portal.Address.Equals(address)).Select(PortalOf).FirstOrDefault();
            _portals.Remove(address, close);
            return before!;
        },
        cancellation));

    // ---- operations ----

    /// <summary>Holds back what would be posted to the handler; what it has goes on. The kernel's block_dev.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public Task<OperationOutcome> BlockAsync(int lun, CancellationToken cancellation = default) => OperateAsync(
        lun,
        static backstore =>
        {
            backstore.Block();
            return 0;
        },
        cancellation);

    /// <summary>Lets commands through again.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public Task<OperationOutcome> UnblockAsync(int lun, CancellationToken cancellation = default) => OperateAsync(
        lun,
        static backstore =>
        {
            backstore.Unblock();
            return 0;
        },
        cancellation);

    /// <summary>Ends every command that the handler was given, and gives the handler up with its region. The kernel's reset_ring.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public Task<OperationOutcome> ResetRingAsync(int lun, RingReset how, CancellationToken cancellation = default) =>
        OperateAsync(lun, backstore => backstore.ResetRing(how), cancellation);

    /// <summary>
    /// Replaces the process that serves a logical unit, and all those of its pool; commands wait meanwhile, none fails. It takes as long as the old handler
    /// needs to finish and the new one to open its device, within limits.
    /// </summary>
    /// <param name="lun">The logical unit.</param>
    /// <param name="launch">What to start, now and from now on; null: the same as before.</param>
    /// <param name="force">Even if what was written is lost with the old process.</param>
    /// <exception cref="ManagementException">It was not replaced; the message says why, and who serves now.</exception>
    public async Task<ReplacementResult> ReplaceHandlerAsync(int lun, HandlerLaunch? launch = null, bool force = false)
    {
        _ = Find(lun);
        return await RefusableAsync(() => _engine.ReplaceAsync(lun, launch, force));
    }

    static async Task<T> RefusableAsync<T>(Func<Task<T>> operation)
    {
        try
        {
            return await operation();
        }
        catch (EngineException exception)
        {
            throw new ManagementException(ManagementProblem.Refused, exception.Message);
        }
    }

    async Task<OperationOutcome> OperateAsync(int lun, Func<UserBackstore, int> operate, CancellationToken cancellation)
    {
        int ended = await AskAsync(lun, operate, cancellation);
        return new OperationOutcome(await GetLunAsync(lun, cancellation), ended);
    }

    // ---- how it is done ----

    EngineStatus Status() => new()
    {
        Version = ProgramVersion,
        Pid = Environment.ProcessId,
        Since = _since,
        Target = _options.TargetName,
        Portal = _portals.All[0].Address.ToString(),
        Portals = [.. _portals.All.Select(PortalOf)],
        Isns = _isns?.Status,
        AttachSocket = _options.SocketPath,
        MemoryBytes = 0, // asked for elsewhere: it takes reading a file
        Sessions = _server.Sessions.Count,
        Moving = [.. _server.Targets.Where(static target => target.IsDraining || target.Redirection is not null).Select(MovingOf)],
        Luns = _backstores.Values.CountBy(LunReport.StateOf).ToDictionary(),
        Outstanding = _backstores.Values.Sum(static backstore => backstore.Link?.Outstanding ?? 0),
        Waiting = _backstores.Values.Sum(LunReport.WaitingIn),
        DataAreaBytesInUse = _backstores.Values.Sum(static backstore => backstore.Link is { } link ? (long)link.DataArea.BlocksInUse * link.Ring.Layout.BlockBytes : 0),
        DataAreaBytesHeld = _memory.HeldBytes,
        DataAreaBytesLimit = _memory.LimitBytes,
    };

    static PortalStatus PortalOf(Portal portal) => new()
    {
        Address = portal.Address.ToString(),
        Advertised = portal.Place.Advertised,
        Tls = portal.IsEncrypted,
        Connections = portal.Connections,
    };

    SessionStatus SessionOf(IscsiSession session, DateTimeOffset now) => new()
    {
        Initiator = session.InitiatorName,
        Address = session.Connections is [var first, ..] ? first.RemoteAddress : "",
        Portal = session.Connections is [var leading, ..] ? leading.LocalAddress : "",
        Isid = $"0x{session.Isid:x12}",
        Tsih = session.Tsih,
        IsDiscovery = session.IsDiscovery,
        AuthMethod = session.ChapAlgorithm is { } algorithm ? $"CHAP {ChapOptions.NameOf(algorithm)}{(session.IsMutual ? " mutual" : "")}" : "None",
        User = session.ChapUser,
        Since = At(session.CreatedMs, now),
        Connections = [.. session.Connections.Select(connection => ConnectionOf(connection, now))],
        Outstanding = session.OutstandingTasks,
        Commands = session.Commands,
        ReadBytes = session.DataInBytes,
        WrittenBytes = session.DataOutBytes,
        TaskManagementRequests = session.TaskManagementRequests,
    };

    ConnectionStatus ConnectionOf(IscsiConnection connection, DateTimeOffset now) => new()
    {
        Cid = connection.ConnectionId,
        Address = connection.RemoteAddress,
        Portal = connection.LocalAddress,
        Since = At(connection.AcceptedMs, now),
        HeaderDigest = connection.HasHeaderDigest,
        DataDigest = connection.HasDataDigest,
    };

    DateTimeOffset At(long ms, DateTimeOffset now) => now.AddMilliseconds(ms - _reactor.NowMs);

    Task<T> AskAsync<T>(int lun, Func<UserBackstore, T> question, CancellationToken cancellation)
    {
        UserBackstore backstore = Find(lun);
        return AskAsync(() => question(backstore), cancellation);
    }

    UserBackstore Find(int lun) =>
        _backstores.TryGetValue(lun, out UserBackstore? backstore)
            ? backstore
            : throw new ManagementException(ManagementProblem.NotFound, $"there is no LUN {lun}; there are {_backstores.Count}, from {_backstores.Keys.First()} to {_backstores.Keys.Last()}");

    async Task<IReadOnlyList<HandlerState>> HandlersAsync()
    {
        try
        {
            return await _engine.GetHandlersAsync();
        }
        catch (EngineException exception)
        {
            throw new ManagementException(ManagementProblem.TooLate, exception.Message);
        }
    }

    async Task<T> AskAsync<T>(Func<T> question, CancellationToken cancellation)
    {
        if (!_reactor.IsRunning)
        {
            throw new ManagementException(ManagementProblem.NotRunning, "the engine is not running");
        }

        T answer = default!;
        try
        {
            await _reactor.InvokeAsync(() => answer = question()).WaitAsync(Deadline, cancellation);
        }
        catch (TimeoutException)
        {
            throw new ManagementException(ManagementProblem.TooLate, $"the engine did not answer within {Deadline.TotalSeconds:0} s");
        }

        return answer;
    }
}
