using Microsoft.Extensions.Logging;
using Scuse.Engine.Backstores;
using Scuse.Engine.Reactors;
using Scuse.Engine.Reservations;
using Scuse.Engine.States;
using Scuse.Engine.Supervision;
using Scuse.Iscsi;
using Scuse.Iscsi.Access;
using Scuse.Target;

namespace Scuse.Engine.Targets;

/// <summary>
/// A target's life in an engine: built with its logical units, started with their handlers, then shown to initiators by the <see cref="TargetSet"/>; taken away from them, and
/// ended with all that it held.
/// </summary>
/// <remarks>Built on any thread, started and ended once. What it is made of never changes; who may log in does, on its reactor.</remarks>
sealed partial class ServedTarget
{
    readonly EngineParts _parts;
    readonly List<UserBackstore> _backstores = [];
    readonly List<DeviceSlot> _slots = [];
    readonly List<HandlerSupervisor> _supervisors = [];
    readonly ScsiTarget _scsi;
    readonly (Shard Shard, Action<long> Tick)[] _ticks;

    /// <param name="options">What it is to be.</param>
    /// <param name="engine">What the engine says for all of them.</param>
    /// <param name="parts">What it shares with others.</param>
    /// <param name="shard">Whose it is, whole.</param>
    /// <exception cref="EngineException">It cannot be; the message is for the operator.</exception>
    public ServedTarget(TargetOptions options, EngineOptions engine, EngineParts parts, Shard shard)
    {
        _parts = parts;
        Shard = shard;
        Options = options;
        StateFolder? state = engine.StateFolder is { } path ? new StateFolder(path, options.Name, shard.Reactor.Post, parts.Logger, parts.Count) : null;
        List<LogicalUnit> units = [];
        foreach (LunOptions lun in options.Luns.OrderBy(static lun => lun.Number))
        {
            var name = new LunName(lun.Number, options.Name, parts.Count);
            var backstore = new UserBackstore(lun, shard.Reactor, parts.Logger, parts.Attach.Drop, shard.Memory, name);
            foreach (Shard other in OthersThan(shard))
            {
                _ = new UserBackstore(lun, other.Reactor, parts.Logger, parts.Attach.Drop, other.Memory, name, backstore);
            }

            _backstores.Add(backstore);
            units.Add(UnitOf(lun, backstore, state));
            _slots.Add(new DeviceSlot(lun, options.Name, backstore, shard.Reactor, engine.KeepHandlersSeconds, backstore.All.Count));
        }

        _scsi = new ScsiTarget(options.Name, units, engine.Iscsi.TargetPortalGroupTag) { Exclusion = parts.Shards.Rendezvous };
        TargetPlace[] places = parts.Shards.Rendezvous is null ? [] : [.. PlacesOf(shard)];
        _ticks = [(shard, _scsi.Tick), .. places.Select(place => (parts.Shards.Of(place.Server), (Action<long>)place.Lane.Tick))];
        Node = new IscsiTarget(_scsi, RulesOf(options.Access)) { Places = places };
        _supervisors.AddRange(ProcessesOf(_slots).Select(slots => new HandlerSupervisor(slots, parts.Attach)));
    }

    /// <summary>The reactor that it is on, with all that it has.</summary>
    public Shard Shard { get; }

    /// <summary>Its iSCSI name.</summary>
    public string Name => Options.Name;

    /// <summary>What it is. Replaced as a whole by whoever changes the targets.</summary>
    public TargetOptions Options { get; set; }

    /// <summary>What initiators log in to.</summary>
    public IscsiTarget Node { get; }

    /// <summary>Its logical units' backstores, by their numbers.</summary>
    public IReadOnlyList<UserBackstore> Backstores => _backstores;

    /// <summary>Its logical units' devices, by their numbers.</summary>
    public IReadOnlyList<DeviceSlot> Slots => _slots;

    /// <summary>Those who start its handlers.</summary>
    public IReadOnlyList<HandlerSupervisor> Supervisors => _supervisors;

    /// <summary>Whether commands are under way that a handler will answer. For its reactor's thread.</summary>
    public bool IsBusy => _slots.Any(static slot => slot.IsBusy);

    /// <summary>One of its logical units; null when there is none of that number.</summary>
    public UserBackstore? Find(int lun) => _backstores.Find(backstore => backstore.Options.Number == lun);

    /// <summary>Rules as the protocol wants them.</summary>
    /// <exception cref="EngineException">Something is wrong with them; the message is for the operator.</exception>
    public static TargetAccess RulesOf(AccessOptions access)
    {
        try
        {
            return access.ToRules();
        }
        catch (FormatException exception)
        {
            throw new EngineException(exception.Message, exception);
        }
    }

    // ---- start ----

    /// <summary>
    /// Starts the handlers that are the engine's to start, and completes when each of them serves. They can attach already; initiators know nothing of it yet.
    /// </summary>
    /// <exception cref="EngineException">A handler did not come up; the message is for the operator. It has to be ended all the same.</exception>
    public async Task StartAsync(CancellationToken cancellation)
    {
        await Task.WhenAll(_ticks.Select(static each => each.Shard.Reactor.InvokeAsync(() =>
        {
            each.Tick(each.Shard.Reactor.NowMs); // what comes before the next tick has the time right
            each.Shard.Reactor.AddTicker(each.Tick);
        })));
        await Task.WhenAll(_supervisors.Select(static supervisor => supervisor.StartAsync())).WaitAsync(cancellation);
    }

    /// <summary>Tells the operator whom it waits for: handlers that somebody else starts.</summary>
    public void TellWaiting()
    {
        for (int i = 0; i < _slots.Count; i++)
        {
            if (_slots[i].Options.Launch is null)
            {
                LogWaiting(_parts.Logger, _backstores[i].Name, _slots[i].Options.DeviceName, _parts.Attach.SocketPath);
            }
        }
    }

    // ---- end ----

    /// <summary>Its handlers are told to go, and its commands end. Afterwards nothing of it is left; what it has kept in files stays.</summary>
    /// <param name="deadlineMs">How long handlers may take to finish what they have.</param>
    public async Task EndAsync(int deadlineMs)
    {
        foreach (HandlerSupervisor supervisor in _supervisors)
        {
            supervisor.PrepareToStop();
        }

        await Task.WhenAll([_parts.Attach.RemoveAsync(_slots, deadlineMs), .. _supervisors.Select(supervisor => supervisor.StopAsync(deadlineMs))]);
        await _parts.Attach.EndAllAsync(_slots);
        await Shard.Reactor.InvokeAsync(() => _backstores.ForEach(static backstore => backstore.Close()));
        await Task.WhenAll(_ticks.Select(static each => each.Shard.Reactor.InvokeAsync(() => each.Shard.Reactor.RemoveTicker(each.Tick))));
    }

    // ---- building ----

    /// <summary>The other shards that the target is spread over.</summary>
    IEnumerable<Shard> OthersThan(Shard shard) => _parts.Shards.Rendezvous is null ? [] : _parts.Shards.All.Where(other => other != shard);

    /// <summary>What each of them has of the target; the first has the target itself.</summary>
    IEnumerable<TargetPlace> PlacesOf(Shard first)
    {
        int index = 0;
        foreach (Shard shard in OthersThan(first).Prepend(first))
        {
            UserBackstore[] backstores = [.. _backstores.Select(backstore => backstore.All[index])];
            var lane = new TargetLane(_scsi, backstores.ToDictionary(static backstore => backstore.Options.Number, IBackstore (backstore) => backstore), shard.Reactor.RunLater);
            if (index++ > 0)
            {
                Array.ForEach(backstores, backstore => backstore.Lane = lane);
            }

            yield return new TargetPlace(shard.Server, lane);
        }
    }

    /// <exception cref="EngineException">What it has kept cannot be read.</exception>
    static LogicalUnit UnitOf(LunOptions lun, UserBackstore backstore, StateFolder? state)
    {
        var unit = new LogicalUnit(lun.Number, backstore) { CommandTimeoutMs = lun.CommandTimeoutMs };
        if (state is null)
        {
            return unit;
        }

        var file = new DeviceStateFile(state, lun.Number);
        backstore.KeepDeviceState(file, file.Load());
        var reservations = new ReservationFiles(state);
        unit.Reservations.Store = reservations;
        if (reservations.Load(lun.Number) is { } kept)
        {
            unit.Reservations.Restore(kept);
        }

        return unit;
    }

    /// <summary>The devices that the engine starts handlers for, by the process that is to serve them: one for each, or one for all of a pool.</summary>
    static IEnumerable<IReadOnlyList<DeviceSlot>> ProcessesOf(IEnumerable<DeviceSlot> slots)
    {
        Dictionary<string, List<DeviceSlot>> pools = [];
        foreach (DeviceSlot slot in slots.Where(static slot => slot.Options.Launch is not null))
        {
            if (slot.Options.Pool is not { } name)
            {
                yield return [slot];
                continue;
            }

            if (!pools.TryGetValue(name, out List<DeviceSlot>? pool))
            {
                pools.Add(name, pool = []);
            }

            if (pool is [var first, ..] && !first.Options.Launch!.IsSameAs(slot.Options.Launch!))
            {
                throw new EngineException($"{slot.Name.OfPool(name)}: {first.Name} ({first.Options.Spec}) and {slot.Name} ({slot.Options.Spec}) are not served by the same program");
            }

            pool.Add(slot);
        }

        foreach (List<DeviceSlot> pool in pools.Values)
        {
            yield return pool;
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Lun}: waiting for a handler to attach as '{Device}' at {Socket}")]
    static partial void LogWaiting(ILogger logger, LunName lun, string device, string socket);
}
