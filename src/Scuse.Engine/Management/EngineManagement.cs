using System.Net;
using System.Reflection;
using Scuse.Engine.Backstores;
using Scuse.Engine.Discovery;
using Scuse.Engine.Portals;
using Scuse.Engine.Reactors;
using Scuse.Engine.Supervision;
using Scuse.Engine.Targets;
using Scuse.Iscsi;
using Scuse.Iscsi.Moving;

namespace Scuse.Engine.Management;

/// <summary>
/// What an operator can ask of a running engine. Each call has the reactors that are concerned take a look between two turns, and returns immutable records. None takes
/// longer than <see cref="Deadline"/>, unless it says so. It costs nothing while nobody calls.
/// </summary>
/// <remarks>From any thread but a reactor's.</remarks>
public sealed class EngineManagement
{
    /// <summary>How long a call may take at most.</summary>
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(5);

    static readonly string ProgramVersion = typeof(EngineManagement).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "";

    readonly TargetSet _targets;
    readonly AttachServer _attach;
    readonly ShardSet _shards;
    readonly PortalSet _portals;
    readonly IsnsClient? _isns;
    readonly DateTimeOffset _since = DateTimeOffset.UtcNow;

    internal EngineManagement(TargetSet targets, AttachServer attach, ShardSet shards, PortalSet portals, IsnsClient? isns)
    {
        _targets = targets;
        _attach = attach;
        _shards = shards;
        _portals = portals;
        _isns = isns;
    }

    /// <summary>The engine as a whole.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public async Task<EngineStatus> GetStatusAsync(CancellationToken cancellation = default)
    {
        IReadOnlyList<ServedTarget> targets = _targets.All;
        TargetStatus[] each = await AskAsync(targets, TargetOf, cancellation);
        MovingStatus[] moving = await AskAsync(targets, MovingOf, cancellation);
        (LunState State, int Outstanding, int Waiting, long BytesInUse)[][] luns = await AskAsync(targets, static target => target.Backstores.Select(LoadOf).ToArray(), cancellation);
        (int Sessions, long Bytes, long Limit)[] shards = await AskAsync(static shard => (shard.Server.Sessions.Count, shard.Memory.HeldBytes, shard.Memory.LimitBytes), cancellation);
        return new EngineStatus
        {
            Version = ProgramVersion,
            Pid = Environment.ProcessId,
            Since = _since,
            Target = targets is [var first, ..] ? first.Name : "",
            Targets = each,
            Portal = _portals.All[0].Address.ToString(),
            Portals = [.. _portals.All.Select(PortalOf)],
            Isns = _isns?.Status,
            AttachSocket = _attach.SocketPath,
            MemoryBytes = Environment.WorkingSet,
            Sessions = shards.Sum(static shard => shard.Sessions),
            Moving = [.. moving.Where(static target => target.IsDraining || target.Redirection is not null)],
            Luns = luns.SelectMany(static units => units).CountBy(static unit => unit.State).ToDictionary(),
            Outstanding = luns.Sum(static units => units.Sum(static unit => unit.Outstanding)),
            Waiting = luns.Sum(static units => units.Sum(static unit => unit.Waiting)),
            DataAreaBytesInUse = luns.Sum(static units => units.Sum(static unit => unit.BytesInUse)),
            DataAreaBytesHeld = shards.Sum(static shard => shard.Bytes),
            DataAreaBytesLimit = shards.Sum(static shard => shard.Limit),
        };
    }

    /// <summary>Every logical unit, target by target, LUN 0 first.</summary>
    /// <param name="target">Those of one target, by its name; null: of all.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public async Task<IReadOnlyList<LunStatus>> GetLunsAsync(string? target = null, CancellationToken cancellation = default)
    {
        IReadOnlyList<ServedTarget> which = Which(target);
        LunStatus[][] luns = await AskAsync<LunStatus[]>(which, static target => [.. target.Backstores.Select(backstore => LunReport.Of(target.Name, backstore))], cancellation);
        HandlerState[] handlers = await HandlersAsync(which.SelectMany(static target => target.Slots));
        return [.. luns.SelectMany(static each => each).Zip(handlers, LunReport.With)];
    }

    /// <summary>One logical unit.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public async Task<LunStatus> GetLunAsync(LunReference lun, CancellationToken cancellation = default)
    {
        (ServedTarget target, UserBackstore backstore) = Find(lun);
        LunStatus status = await AskAsync(target.Shard, () => LunReport.Of(target.Name, backstore), cancellation);
        return LunReport.With(status, (await HandlersAsync([SlotOf(target, backstore)]))[0]);
    }

    /// <summary>Every session that initiators have, the oldest first.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public async Task<IReadOnlyList<SessionStatus>> GetSessionsAsync(CancellationToken cancellation = default)
    {
        SessionStatus[][] all = await AskAsync<SessionStatus[]>(
            static shard =>
            {
                DateTimeOffset began = DateTimeOffset.UtcNow.AddMilliseconds(-shard.Reactor.NowMs);
                return [.. shard.Server.Sessions.Select(session => SessionOf(session, began, shard.Index))];
            },
            cancellation);
        return [.. all.SelectMany(static sessions => sessions).OrderBy(static session => session.Since)];
    }

    /// <summary>The last events of a logical unit, or of all of them, oldest first.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public async Task<IReadOnlyList<LunEventStatus>> GetEventsAsync(LunReference? lun = null, CancellationToken cancellation = default)
    {
        (ServedTarget Target, UserBackstore Backstore)[] which = lun is { } one ? [Find(one)] : AllBackstores();
        LunEvent[][] all = await AskAsync(which, static backstore => backstore.Events.ToArray(), cancellation);
        return
        [
            .. which.Zip(all, static (of, events) => events.Select(happened => new LunEventStatus(of.Target.Name, of.Backstore.Options.Number, happened.At, happened.Kind, happened.Text)))
                .SelectMany(static events => events).OrderBy(static happened => happened.At),
        ];
    }

    /// <summary>Where the commands' time has gone: each stage of the logical units that had any command, or of one.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public async Task<IReadOnlyList<StageLatency>> GetLatencyAsync(LunReference? lun = null, CancellationToken cancellation = default)
    {
        (ServedTarget Target, UserBackstore Backstore)[] which = lun is { } one ? [Find(one)] : AllBackstores();
        StageTimes[] all = await AskAsync(which, static backstore => StageTimes.SumOf(backstore.All.Select(static each => each.Times)), cancellation);
        return [.. which.Zip(all, static (of, times) => LunReport.Latency(of.Target.Name, of.Backstore.Options.Number, times)).SelectMany(static stages => stages)];
    }

    (ServedTarget Target, UserBackstore Backstore)[] AllBackstores() => [.. _targets.All.SelectMany(static target => target.Backstores.Select(backstore => (target, backstore)))];

    /// <summary>A ring of a logical unit, decoded, with what the engine knows of every command that came by it.</summary>
    /// <param name="lun">Which one.</param>
    /// <param name="ring">Which of its rings, from 0: there are several where its target is spread over several reactors.</param>
    /// <param name="cancellation">Calls it off.</param>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public async Task<RingStatus> GetRingAsync(LunReference lun, int ring = 0, CancellationToken cancellation = default)
    {
        (ServedTarget target, UserBackstore backstore) = Find(lun);
        UserBackstore way = RingOf(backstore, ring);
        Func<RingStatus> report = await AskAsync(target.Shard, () => LunReport.SnapshotRing(target.Name, backstore, way, target.Shard.Reactor.NowMs), cancellation);
        return report();
    }

    /// <summary>The memory that a logical unit shares with its handler, to be copied.</summary>
    /// <param name="lun">Which one.</param>
    /// <param name="ring">Which of its rings, from 0.</param>
    /// <param name="cancellation">Calls it off.</param>
    /// <exception cref="ManagementException">It came to nothing: there is no handler, for one.</exception>
    public Task<SavedRegion> OpenRegionAsync(LunReference lun, int ring = 0, CancellationToken cancellation = default)
    {
        (ServedTarget target, UserBackstore backstore) = Find(lun);
        UserBackstore way = RingOf(backstore, ring);
        return AskAsync(
            target.Shard,
            () => LunReport.OpenRegion(way) ?? throw new ManagementException(ManagementProblem.Refused, $"{backstore.Name} has no handler, and so no ring"),
            cancellation);
    }

    /// <exception cref="ManagementException">There is no such ring.</exception>
    static UserBackstore RingOf(UserBackstore backstore, int ring) => (uint)ring < (uint)backstore.All.Count
        ? backstore.All[ring]
        : throw new ManagementException(ManagementProblem.NotFound, backstore.All.Count == 1 ? $"{backstore.Name} has one ring, number 0" : $"{backstore.Name} has {backstore.All.Count} rings, from 0 to {backstore.All.Count - 1}");

    // ---- access ----

    /// <summary>
    /// Reads the files with the CHAP users again. Sessions of users that are no longer in them are dropped; a secret that has changed counts from the next login on.
    /// </summary>
    /// <exception cref="ManagementException">It came to nothing, and all is as it was: something is wrong with a file, for one.</exception>
    public Task<AccessStatus> ReloadAccessAsync(CancellationToken cancellation = default) => RefusableAsync(() => _targets.ChangeAsync(async () =>
    {
        EngineOptions next = AccessFiles.ReadAgain(_targets.Options);
        await _targets.SetAccessAsync(next);
        return new AccessStatus(
            next.Targets.Sum(static target => target.Access.Chap?.Users.Count ?? 0),
            next.DiscoveryAccess.Chap?.Users.Count ?? 0,
            [.. next.Targets.Select(static target => new TargetUsers(target.Name, target.Access.Chap?.Users.Count ?? 0))]);
    }).WaitAsync(cancellation));

    // ---- targets ----

    /// <summary>The targets. A LUN's number without a target means the first one.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public async Task<IReadOnlyList<TargetStatus>> GetTargetsAsync(CancellationToken cancellation = default) => await AskAsync(_targets.All, TargetOf, cancellation);

    /// <summary>A target, by its name or what stands behind its last colon where no other has the same.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public async Task<TargetStatus> GetTargetAsync(string target, CancellationToken cancellation = default) => (await AskAsync(Which(target), TargetOf, cancellation))[0];

    /// <summary>Brings a target up until the engine ends. Initiators find it when all its handlers serve that the engine starts; it takes as long as they need.</summary>
    /// <exception cref="ManagementException">It came to nothing, and all is as it was: a handler does not come up, for one.</exception>
    public async Task<TargetStatus> AddTargetAsync(TargetOptions options)
    {
        ServedTarget added = await RefusableAsync(() => _targets.AddAsync(options));
        return (await AskAsync([added], TargetOf, CancellationToken.None))[0];
    }

    /// <summary>
    /// Takes a target away. Its sessions are dropped, with what they have under way; its handlers are told to go, and may take as long to finish as at the engine's end. What it has kept in
    /// files stays.
    /// </summary>
    /// <param name="target">Its name, or what stands behind its last colon where no other has the same.</param>
    /// <param name="force">Even if initiators are logged in.</param>
    /// <exception cref="ManagementException">It came to nothing, and all is as it was: initiators are logged in, for one.</exception>
    public async Task<RemovedTarget> RemoveTargetAsync(string target, bool force = false)
    {
        _ = Which(target);
        (ServedTarget removed, int sessions) = await RefusableAsync(() => _targets.RemoveAsync(target, force));
        return new RemovedTarget(removed.Name, sessions);
    }

    /// <summary>Makes the targets, and who may log in, what they are to be; the rest of the options is not looked at. First targets go, then rules change, then others come.</summary>
    /// <param name="next">What is to be.</param>
    /// <param name="force">Even if initiators are logged in to a target that is to go.</param>
    /// <exception cref="ManagementException">It came to nothing, and all is as it was.</exception>
    public Task<Reconfiguration> ReconfigureAsync(EngineOptions next, bool force = false) => RefusableAsync(() => _targets.ReconfigureAsync(next, force));

    // ---- moving targets ----

    /// <summary>Sends new sessions of a target, or of all, to another address; null: they are taken here again. Sessions that are there stay.</summary>
    /// <param name="to">The new address.</param>
    /// <param name="target">The target's name; null: all there are.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <returns>How the targets are afterwards.</returns>
    /// <exception cref="ManagementException">It came to nothing: the address is a portal of this engine, for one.</exception>
    public Task<IReadOnlyList<MovingStatus>> RedirectAsync(TargetRedirection? to, string? target = null, CancellationToken cancellation = default) => MoveAsync(
        target,
        target =>
        {
            if (to is not null && _shards.Entity.Portals.Any(portal => portal.Address.ToString() == to.Address || portal.Advertised == to.Address))
            {
                throw new ManagementException(ManagementProblem.Refused, $"{to.Address} is a portal of this engine: initiators would go round in circles");
            }

            target.Node.Redirection = to;
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
        return MoveAsync(target, which => which.Node.BeginDrain(seconds, which.Shard.Reactor.NowMs), cancellation);
    }

    /// <summary>Takes new sessions again. Who was asked to leave and is still there may stay.</summary>
    /// <returns>How the targets are afterwards.</returns>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public Task<IReadOnlyList<MovingStatus>> EndDrainAsync(string? target = null, CancellationToken cancellation = default) => MoveAsync(target, static which => which.Node.EndDrain(), cancellation);

    async Task<IReadOnlyList<MovingStatus>> MoveAsync(string? target, Action<ServedTarget> how, CancellationToken cancellation) => await AskAsync(
        Which(target),
        each =>
        {
            how(each);
            return MovingOf(each);
        },
        cancellation);

    static MovingStatus MovingOf(ServedTarget target) => new()
    {
        Target = target.Name,
        Redirection = RedirectionOf(target.Node),
        IsDraining = target.Node.IsDraining,
        DrainSecondsLeft = target.Node.DrainSecondsLeft(target.Shard.Reactor.NowMs),
        Sessions = target.Node.Sessions.Count,
    };

    // ---- portals ----

    /// <summary>Where initiators can connect.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public Task<IReadOnlyList<PortalStatus>> GetPortalsAsync(CancellationToken cancellation = default) =>
        AskAsync<IReadOnlyList<PortalStatus>>(_shards.Door, () => [.. _portals.All.Select(PortalOf)], cancellation);

    /// <summary>Has initiators connect at one more address, from now on until the engine ends; discovery tells of it.</summary>
    /// <exception cref="ManagementException">It came to nothing: the address cannot be listened on, for one.</exception>
    public Task<PortalStatus> AddPortalAsync(PortalOptions options, CancellationToken cancellation = default) => RefusableAsync(() => _targets.ChangeAsync(async () =>
    {
        if (Exposure.ProblemOf(_targets.Options, options) is { } problem)
        {
            throw new EngineException(problem);
        }

        Portal portal = _portals.Open(options);
        return await AskAsync(
            _shards.Door,
            () =>
            {
                _portals.Add(portal);
                return PortalOf(portal);
            },
            cancellation);
    }));

    /// <summary>Has initiators connect there no more. Connections that came by it go on, or with <paramref name="close"/> are closed.</summary>
    /// <returns>The portal as it was.</returns>
    /// <exception cref="ManagementException">It came to nothing: it is the only portal, for one.</exception>
    public Task<PortalStatus> RemovePortalAsync(IPEndPoint address, bool close, CancellationToken cancellation = default) => RefusableAsync(() => AskAsync(
        _shards.Door,
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
    public Task<OperationOutcome> BlockAsync(LunReference lun, CancellationToken cancellation = default) => OperateAsync(
        lun,
        static backstore =>
        {
            backstore.Block();
            return 0;
        },
        cancellation);

    /// <summary>Lets commands through again.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public Task<OperationOutcome> UnblockAsync(LunReference lun, CancellationToken cancellation = default) => OperateAsync(
        lun,
        static backstore =>
        {
            backstore.Unblock();
            return 0;
        },
        cancellation);

    /// <summary>Ends every command that the handler was given, and gives the handler up with its region. The kernel's reset_ring.</summary>
    /// <exception cref="ManagementException">It came to nothing.</exception>
    public Task<OperationOutcome> ResetRingAsync(LunReference lun, RingReset how, CancellationToken cancellation = default) =>
        OperateAsync(lun, backstore => backstore.ResetRing(how), cancellation);

    /// <summary>
    /// Replaces the process that serves a logical unit, and all those of its pool; commands wait meanwhile, none fails. It takes as long as the old handler
    /// needs to finish and the new one to open its device, within limits.
    /// </summary>
    /// <param name="lun">The logical unit.</param>
    /// <param name="launch">What to start, now and from now on; null: the same as before.</param>
    /// <param name="force">Even if what was written is lost with the old process.</param>
    /// <exception cref="ManagementException">It was not replaced; the message says why, and who serves now.</exception>
    public async Task<ReplacementResult> ReplaceHandlerAsync(LunReference lun, HandlerLaunch? launch = null, bool force = false)
    {
        (ServedTarget target, UserBackstore backstore) = Find(lun);
        HandlerSupervisor supervisor = SlotOf(target, backstore).Supervisor ?? throw new ManagementException(
            ManagementProblem.Refused, $"{backstore.Name}: its handler was started by somebody else; start the new one with SCUSE_REPLACE=1, and it takes over by itself");
        return await RefusableAsync(() => InTimeAsync(supervisor.ReplaceAsync(launch, force, CancellationToken.None), _attach.Limits.ReplacementMs));
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

    async Task<OperationOutcome> OperateAsync(LunReference lun, Func<UserBackstore, int> operate, CancellationToken cancellation)
    {
        (ServedTarget target, UserBackstore backstore) = Find(lun);
        int ended = await AskAsync(target.Shard, () => operate(backstore), cancellation);
        return new OperationOutcome(await GetLunAsync(lun, cancellation), ended);
    }

    // ---- how it is done ----

    static (LunState State, int Outstanding, int Waiting, long BytesInUse) LoadOf(UserBackstore backstore) => (
        LunReport.StateOf(backstore), LunReport.OutstandingOf(backstore), LunReport.WaitingIn(backstore), LunReport.DataAreaOf(backstore)?.BytesInUse ?? 0);

    static TargetStatus TargetOf(ServedTarget target) => new()
    {
        Name = target.Name,
        Luns = [.. target.Backstores.Select(static backstore => backstore.Options.Number)],
        Reactor = target.Shard.Index,
        Sessions = target.Node.Sessions.Count,
        IsRestricted = target.Options.Access.IsRestricted,
        Redirection = RedirectionOf(target.Node),
        IsDraining = target.Node.IsDraining,
        DrainSecondsLeft = target.Node.DrainSecondsLeft(target.Shard.Reactor.NowMs),
    };

    static RedirectionStatus? RedirectionOf(IscsiTarget target) => target.Redirection is { } to ? new RedirectionStatus(to.Address, to.PortalGroupTag, to.IsPermanent) : null;

    static PortalStatus PortalOf(Portal portal) => new()
    {
        Address = portal.Address.ToString(),
        Advertised = portal.Place.Advertised,
        Tls = portal.IsEncrypted,
        Connections = portal.Connections,
    };

    static SessionStatus SessionOf(IscsiSession session, DateTimeOffset began, int reactor) => new()
    {
        Target = session.Node?.Name,
        Initiator = session.InitiatorName,
        Address = session.Connections is [var first, ..] ? first.RemoteAddress : "",
        Portal = session.Connections is [var leading, ..] ? leading.LocalAddress : "",
        Isid = $"0x{session.Isid:x12}",
        Tsih = session.Tsih,
        IsDiscovery = session.IsDiscovery,
        AuthMethod = session.ChapAlgorithm is { } algorithm ? $"CHAP {ChapOptions.NameOf(algorithm)}{(session.IsMutual ? " mutual" : "")}" : "None",
        User = session.ChapUser,
        Since = began.AddMilliseconds(session.CreatedMs),
        Connections = [.. session.Connections.Select(connection => ConnectionOf(connection, began))],
        Outstanding = session.OutstandingTasks,
        Commands = session.Commands,
        ReadBytes = session.DataInBytes,
        WrittenBytes = session.DataOutBytes,
        TaskManagementRequests = session.TaskManagementRequests,
        Reactor = reactor,
    };

    static ConnectionStatus ConnectionOf(IscsiConnection connection, DateTimeOffset began) => new()
    {
        Cid = connection.ConnectionId,
        Address = connection.RemoteAddress,
        Portal = connection.LocalAddress,
        Since = began.AddMilliseconds(connection.AcceptedMs),
        HeaderDigest = connection.HasHeaderDigest,
        DataDigest = connection.HasDataDigest,
    };

    (ServedTarget Target, UserBackstore Backstore) Find(LunReference lun)
    {
        ServedTarget target = lun.Target is { } name ? Which(name)[0]
            : _targets.All is [var first, ..] ? first
            : throw new ManagementException(ManagementProblem.NotFound, $"there is no LUN {lun.Number}; there is no target");
        return target.Find(lun.Number) is { } backstore ? (target, backstore) : throw new ManagementException(
            ManagementProblem.NotFound,
            target.Backstores is [] ? $"there is no LUN {lun}; {target.Name} has none"
                : $"there is no LUN {lun}; there are {target.Backstores.Count}, from {target.Backstores[0].Options.Number} to {target.Backstores[^1].Options.Number}");
    }

    /// <summary>The target that is meant; null: all.</summary>
    IReadOnlyList<ServedTarget> Which(string? target) =>
        target is null ? _targets.All
        : _targets.Find(target) is { } found ? [found]
        : throw new ManagementException(ManagementProblem.NotFound, _targets.NotThere(target).Message);

    static DeviceSlot SlotOf(ServedTarget target, UserBackstore backstore) => target.Slots.First(slot => slot.Options.Number == backstore.Options.Number);

    async Task<HandlerState[]> HandlersAsync(IEnumerable<DeviceSlot> slots)
    {
        try
        {
            return await InTimeAsync(_attach.Loop.InvokeAsync(() => Task.FromResult<HandlerState[]>([.. slots.Select(static slot => slot.ToState())])), (int)Deadline.TotalMilliseconds);
        }
        catch (EngineException exception)
        {
            throw new ManagementException(ManagementProblem.TooLate, exception.Message);
        }
    }

    /// <summary>Management never hangs, whatever becomes of what it asks for.</summary>
    static async Task<T> InTimeAsync<T>(Task<T> work, int deadlineMs)
    {
        try
        {
            return await work.WaitAsync(TimeSpan.FromMilliseconds(deadlineMs));
        }
        catch (TimeoutException)
        {
            throw new EngineException($"no answer within {deadlineMs / 1000} s");
        }
    }

    /// <summary>Asks the targets' reactors; the answers are in the targets' order, and those of one reactor are of one moment.</summary>
    async Task<T[]> AskAsync<T>(IReadOnlyList<ServedTarget> targets, Func<ServedTarget, T> question, CancellationToken cancellation)
    {
        var answers = new T[targets.Count];
        await AskAsync(
            shard =>
            {
                for (int i = 0; i < targets.Count; i++)
                {
                    answers[i] = targets[i].Shard == shard ? question(targets[i]) : answers[i];
                }

                return 0;
            },
            cancellation);
        return answers;
    }

    async Task<T[]> AskAsync<T>((ServedTarget Target, UserBackstore Backstore)[] which, Func<UserBackstore, T> question, CancellationToken cancellation)
    {
        ServedTarget[] targets = [.. which.Select(static of => of.Target).Distinct()];
        Dictionary<UserBackstore, T>[] answers = await AskAsync(
            targets, target => which.Where(of => of.Target == target).ToDictionary(static of => of.Backstore, of => question(of.Backstore)), cancellation);
        return [.. which.Select(of => answers[Array.IndexOf(targets, of.Target)][of.Backstore])];
    }

    /// <summary>Asks every reactor; the answers are in their order.</summary>
    Task<T[]> AskAsync<T>(Func<Shard, T> question, CancellationToken cancellation) => InTimeAsync(() => _shards.AskAsync(question), cancellation);

    async Task<T> AskAsync<T>(Shard shard, Func<T> question, CancellationToken cancellation)
    {
        T answer = default!;
        await InTimeAsync(
            async () =>
            {
                await shard.Reactor.InvokeAsync(() => answer = question());
                return 0;
            },
            cancellation);
        return answer;
    }

    async Task<T> InTimeAsync<T>(Func<Task<T>> ask, CancellationToken cancellation)
    {
        if (!_shards.AreRunning)
        {
            throw new ManagementException(ManagementProblem.NotRunning, "the engine is not running");
        }

        try
        {
            return await ask().WaitAsync(Deadline, cancellation);
        }
        catch (TimeoutException)
        {
            throw new ManagementException(ManagementProblem.TooLate, $"the engine did not answer within {Deadline.TotalSeconds:0} s");
        }
    }
}
