using System.Net;
using Microsoft.Extensions.Logging;
using Scuse.Engine.Backstores;
using Scuse.Engine.Discovery;
using Scuse.Engine.Management;
using Scuse.Engine.Portals;
using Scuse.Engine.Reactors;
using Scuse.Engine.Reservations;
using Scuse.Engine.States;
using Scuse.Engine.Supervision;
using Scuse.Iscsi;
using Scuse.Iscsi.Access;
using Scuse.Linux;
using Scuse.Target;

namespace Scuse.Engine;

/// <summary>
/// An engine: a target with its logical units, the portal where initiators log in, and the socket where handlers attach. Start it once, stop it once.
/// </summary>
public sealed partial class ScuseEngine : IAsyncDisposable
{
    const int DrainPollMs = 10;
    const int QueryMs = 5_000;

    readonly EngineOptions _options;
    readonly ILogger _logger;
    readonly Reactor _reactor;
    readonly AttachServer _attach;
    readonly PortalSet _portals;
    readonly IsnsClient? _isns;
    readonly ScsiTarget _target;
    readonly List<DeviceSlot> _slots = [];
    readonly List<HandlerSupervisor> _supervisors = [];
    bool _isUp;
    bool _isStopped;

    /// <summary>An engine that has its sockets and waits to be started.</summary>
    /// <exception cref="EngineException">A socket cannot be had; the message is for the operator.</exception>
    public ScuseEngine(EngineOptions options, ILoggerFactory loggers)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(loggers);
        _options = options;
        _logger = loggers.CreateLogger("scuse");
        _reactor = new Reactor("scuse reactor 0", options.SpinMicroseconds, _logger);
        var memory = new DataMemory(options.GlobalDataAreaBytes, _reactor.NowMs, _reactor.Post);
        _reactor.AddTicker(memory.Tick);
        List<LogicalUnit> units = [];
        List<UserBackstore> backstores = [];
        StateFolder? state = options.StateFolder is { } path ? new StateFolder(path, options.TargetName, _reactor.Post, _logger) : null;
        ReservationFiles? reservations = state is null ? null : new ReservationFiles(state);
        foreach (LunOptions lun in options.Luns)
        {
            var backstore = new UserBackstore(lun, _reactor, _logger, (link, reason) => _attach!.Drop(link, reason), memory);
            backstores.Add(backstore);
            if (state is not null)
            {
                var file = new DeviceStateFile(state, lun.Number);
                backstore.KeepDeviceState(file, file.Load());
            }

            var unit = new LogicalUnit(lun.Number, backstore) { CommandTimeoutMs = lun.CommandTimeoutMs };
            units.Add(unit);
            if (reservations is not null)
            {
                unit.Reservations.Store = reservations;
                if (reservations.Load(lun.Number) is { } kept)
                {
                    unit.Reservations.Restore(kept);
                }
            }

            _slots.Add(new DeviceSlot(lun, options.TargetName, backstore, _reactor, options.KeepHandlersSeconds));
        }

        _target = new ScsiTarget(options.TargetName, units, options.Iscsi.TargetPortalGroupTag);
        int descriptors = DescriptorLimit.Raise();
        IscsiOptions iscsi = DescriptorBudget.Fit(options, descriptors);
        if (iscsi.MaxConnections < options.Iscsi.MaxConnections)
        {
            LogFewDescriptors(_logger, descriptors, iscsi.MaxConnections, options.Iscsi.MaxConnections);
        }

        var server = new IscsiServer(iscsi) { DiscoveryAccess = RulesOf(options.DiscoveryAccess) };
        server.Add(new IscsiTarget(_target, RulesOf(options.Access)));
        _reactor.AddTicker(server.Tick);
        _portals = new PortalSet(options.Portals, _reactor, server, options.LoopbackSendBufferBytes, _logger);
        if (options.Isns is { } isns)
        {
            _isns = new IsnsClient(isns, IsnsClient.EntityOf(options.TargetName, options.Iscsi.TargetPortalGroupTag), () => LookAsync(server), _logger);
            server.DiscoveryChanged = _isns.Changed;
        }

        Management = new EngineManagement(this, options, _reactor, server, _portals, _isns, memory, backstores);
        try
        {
            _attach = new AttachServer(options.SocketPath, _slots, _logger);
        }
        catch
        {
            _portals.StopListening();
            throw;
        }

        try
        {
            _supervisors.AddRange(ProcessesOf(_slots).Select(slots => new HandlerSupervisor(slots, _attach)));
        }
        catch
        {
            _portals.StopListening();
            _attach.Dispose();
            throw;
        }
    }

    /// <summary>What a name server is to know. A target that has moved for good is elsewhere.</summary>
    async Task<Offer> LookAsync(IscsiServer server)
    {
        Offer offer = null!;
        await _reactor.InvokeAsync(() => offer = new Offer(
            [.. server.Targets.Where(static target => target.Redirection is not { IsPermanent: true }).Select(static target => target.Name)], [.. server.Portals], server.Options.TargetPortalGroupTag));
        return offer;
    }

    static TargetAccess RulesOf(AccessOptions access)
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

            if (pool is [var first, ..] && !IsSame(first.Options.Launch!, slot.Options.Launch!))
            {
                throw new EngineException($"pool {name}: LUN {first.Options.Number} ({first.Options.Spec}) and LUN {slot.Options.Number} ({slot.Options.Spec}) are not served by the same program");
            }

            pool.Add(slot);
        }

        foreach (List<DeviceSlot> pool in pools.Values)
        {
            yield return pool;
        }
    }

    static bool IsSame(HandlerLaunch one, HandlerLaunch other) => one.Program == other.Program && one.Arguments.SequenceEqual(other.Arguments);

    /// <summary>Where initiators connect, with the ports that were picked.</summary>
    public IReadOnlyList<IscsiPortal> Portals => [.. _portals.All.Select(static portal => portal.Place)];

    /// <summary>What an operator can ask of it while it runs.</summary>
    public EngineManagement Management { get; }

    /// <summary>Where handlers attach.</summary>
    public string SocketPath => _attach.SocketPath;

    /// <summary>
    /// Starts the handlers and waits until each has attached; then initiators are let in. A logical unit whose handler somebody else starts is not
    /// waited for.
    /// </summary>
    /// <exception cref="EngineException">A handler did not come up; the message is for the operator.</exception>
    public async Task StartAsync(CancellationToken cancellation)
    {
        _reactor.AddTicker(_target.Tick);
        _reactor.Start();
        _attach.Start();
        await Task.WhenAll(_supervisors.Select(static supervisor => supervisor.StartAsync())).WaitAsync(cancellation);
        await _reactor.InvokeAsync(_portals.Start);
        _isns?.Start();
        _isUp = true;
        foreach (DeviceSlot slot in _slots.Where(static slot => slot.Options.Launch is null))
        {
            LogWaiting(_logger, slot.Options.Number, slot.Options.DeviceName, SocketPath);
        }
    }

    /// <summary>
    /// Takes no more commands, lets those under way finish, closes the sessions, and has the handlers end; what takes longer than
    /// <see cref="EngineOptions.DrainMs"/> is cut short.
    /// </summary>
    public async Task StopAsync()
    {
        if (_isStopped)
        {
            return;
        }

        _isStopped = true;
        Task farewell = _isns?.DisposeAsync().AsTask() ?? Task.CompletedTask; // nobody is to be sent here any more
        if (_reactor.IsRunning)
        {
            await _reactor.InvokeAsync(_portals.Drain);
            long deadline = Environment.TickCount64 + _options.DrainMs;
            bool busy = true;
            while (busy && Environment.TickCount64 < deadline)
            {
                await _reactor.InvokeAsync(() => busy = _portals.HasOutput || _slots.Any(static slot => slot.IsBusy));
                if (busy)
                {
                    await Task.Delay(DrainPollMs);
                }
            }

            await _reactor.InvokeAsync(() => _portals.CloseConnections("the engine stops"));
        }
        else
        {
            _portals.StopListening();
        }

        if (_attach.Loop.IsRunning)
        {
            await DismissHandlersAsync();
        }

        await farewell;
        _attach.Dispose();
        _reactor.Stop();
        _reactor.Dispose();
    }

    /// <summary>The handlers end, or stay for the next engine.</summary>
    async Task DismissHandlersAsync()
    {
        foreach (HandlerSupervisor supervisor in _supervisors)
        {
            supervisor.PrepareToStop();
        }

        if (_options.KeepHandlersSeconds > 0)
        {
            // An engine that never came up leaves nobody behind, but those who were there before it.
            bool all = await _attach.ReleaseAllAsync(ownToo: _isUp, _options.DrainMs);
            if (_isUp)
            {
                LogReleased(_logger, _options.KeepHandlersSeconds, all ? "" : "; some did not let go in time and end");
            }
        }
        else
        {
            _attach.RemoveAll();
        }

        await Task.WhenAll(_supervisors.Select(supervisor => supervisor.StopAsync(_options.DrainMs)));
    }

    // ---- management ----

    /// <summary>
    /// Replaces the process that serves a logical unit, and all those of its pool: a new one is started beside it, commands wait until the old one has answered
    /// what it has, and go on to the new one. No command fails and none is repeated. It always returns, within some ten seconds of the usual.
    /// </summary>
    /// <param name="lun">The logical unit.</param>
    /// <param name="launch">What to start, now and from now on; null: the same as before.</param>
    /// <param name="force">Even if what was written is lost with the old process.</param>
    /// <param name="cancellation">Gives up, for as long as the old process serves.</param>
    /// <exception cref="EngineException">It was not replaced; the message says why, and who serves now.</exception>
    public Task<ReplacementResult> ReplaceAsync(int lun, HandlerLaunch? launch = null, bool force = false, CancellationToken cancellation = default)
    {
        DeviceSlot slot = _slots.FirstOrDefault(slot => slot.Options.Number == lun) ?? throw new EngineException($"there is no LUN {lun}");
        HandlerSupervisor supervisor = slot.Supervisor
            ?? throw new EngineException($"LUN {lun}: its handler was started by somebody else; start the new one with SCUSE_REPLACE=1, and it takes over by itself");
        return InTimeAsync(supervisor.ReplaceAsync(launch, force, cancellation), _attach.Limits.ReplacementMs);
    }

    /// <summary>Who serves each logical unit.</summary>
    public Task<IReadOnlyList<HandlerState>> GetHandlersAsync() =>
        InTimeAsync(_attach.Loop.InvokeAsync(() => Task.FromResult<IReadOnlyList<HandlerState>>([.. _slots.Select(static slot => slot.ToState())])), QueryMs);

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

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await StopAsync();

    [LoggerMessage(Level = LogLevel.Information, Message = "LUN {Lun}: waiting for a handler to attach as '{Device}' at {Socket}")]
    static partial void LogWaiting(ILogger logger, int lun, string device, string socket);

    [LoggerMessage(Level = LogLevel.Warning, Message = "with {Descriptors} descriptors there is room for {Connections} connections, not for {Wanted}: raise the limit of open files (ulimit -n, LimitNOFILE=)")]
    static partial void LogFewDescriptors(ILogger logger, int descriptors, int connections, int wanted);

    [LoggerMessage(Level = LogLevel.Information, Message = "handlers stay for {Seconds} s, for the next engine to take over{Note}")]
    static partial void LogReleased(ILogger logger, int seconds, string note);
}
