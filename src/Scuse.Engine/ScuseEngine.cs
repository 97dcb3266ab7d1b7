using Microsoft.Extensions.Logging;
using Scuse.Engine.Backstores;
using Scuse.Engine.Discovery;
using Scuse.Engine.Management;
using Scuse.Engine.Portals;
using Scuse.Engine.Reactors;
using Scuse.Engine.Supervision;
using Scuse.Engine.Targets;
using Scuse.Iscsi;
using Scuse.Linux;

namespace Scuse.Engine;

/// <summary>
/// An engine: targets with their logical units, the portals where initiators log in, and the socket where handlers attach. Start it once, stop it once.
/// </summary>
public sealed partial class ScuseEngine : IAsyncDisposable
{
    const int DrainPollMs = 10;

    readonly EngineOptions _options;
    readonly ILogger _logger;
    readonly ShardSet _shards;
    readonly AttachServer _attach;
    readonly PortalSet _portals;
    readonly IsnsClient? _isns;
    readonly TargetSet _targets;
    bool _isUp;
    bool _isStopped;

    /// <summary>An engine that has its sockets and waits to be started.</summary>
    /// <exception cref="EngineException">A socket cannot be had, or a target cannot be; the message is for the operator.</exception>
    public ScuseEngine(EngineOptions options, ILoggerFactory loggers)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(loggers);
        _options = options;
        _logger = loggers.CreateLogger("scuse");
        _shards = new ShardSet(options, _logger);
        IscsiEntity entity = _shards.Entity;
        int descriptors = DescriptorLimit.Raise();
        entity.DiscoveryAccess = ServedTarget.RulesOf(options.DiscoveryAccess);
        entity.MaxConnections = DescriptorBudget.ConnectionsOf(options, descriptors);
        if (entity.MaxConnections < options.Iscsi.MaxConnections)
        {
            LogFewDescriptors(_logger, descriptors, entity.MaxConnections, options.Iscsi.MaxConnections);
        }

        _portals = new PortalSet(options.Portals, _shards, options.LoopbackSendBufferBytes, _logger);
        if (options.Isns is { } isns)
        {
            string identity = options.Identity ?? (options.Targets is [var first, ..] ? first.Name : options.SocketPath);
            _isns = new IsnsClient(isns, IsnsClient.EntityOf(identity, options.Iscsi.TargetPortalGroupTag), Look, _logger);
            entity.DiscoveryChanged = _isns.Changed;
        }

        try
        {
            _attach = new AttachServer(options.SocketPath, [], _logger);
            foreach (Shard shard in _shards.All)
            {
                _attach.Loop.AddTicker(_ => shard.Reactor.SignalGuard.Look());
            }

            _targets = new TargetSet(options, new EngineParts(_shards, _attach, new TargetCount(), _logger), _portals, descriptors);
        }
        catch
        {
            _portals.StopListening();
            _attach?.Dispose();
            throw;
        }

        Management = new EngineManagement(_targets, _attach, _shards, _portals, _isns);
    }

    /// <summary>What a name server is to know. A target that has moved for good is elsewhere.</summary>
    Offer Look() => new(
        [.. _shards.Entity.Targets.Where(static target => target.Redirection is not { IsPermanent: true }).Select(static target => target.Name)],
        _shards.Entity.Portals, _options.Iscsi.TargetPortalGroupTag);

    /// <summary>Where initiators connect, with the ports that were picked.</summary>
    public IReadOnlyList<IscsiPortal> Portals => [.. _portals.All.Select(static portal => portal.Place)];

    /// <summary>What an operator can ask of it while it runs.</summary>
    public EngineManagement Management { get; }

    /// <summary>Its targets, for tests.</summary>
    internal TargetSet Targets => _targets;

    /// <summary>How much its threads have to do now, for tests: what is called some times a second, and the devices that handlers can attach to.</summary>
    internal (int Tickers, int Devices) Load => (_shards.All.Sum(static shard => shard.Reactor.Tickers), _attach.DeviceCount);

    /// <summary>Where handlers attach.</summary>
    public string SocketPath => _attach.SocketPath;

    /// <summary>
    /// Starts the handlers and waits until each has attached; then initiators are let in. A logical unit whose handler somebody else starts is not
    /// waited for.
    /// </summary>
    /// <exception cref="EngineException">A handler did not come up; the message is for the operator.</exception>
    public async Task StartAsync(CancellationToken cancellation)
    {
        _shards.Start();
        _attach.Start();
        await _targets.StartAsync(cancellation);
        await _shards.Door.Reactor.InvokeAsync(_portals.Start);
        _isns?.Start();
        _isUp = true;
        foreach (ServedTarget target in _targets.All)
        {
            target.TellWaiting();
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
        await _targets.StopAsync();
        if (_shards.AreRunning)
        {
            await _shards.Door.Reactor.InvokeAsync(_portals.Drain);
            await _shards.InvokeAsync(static shard => shard.Connections.Drain());
            long deadline = Environment.TickCount64 + _options.DrainMs;
            bool busy = true;
            while (busy && Environment.TickCount64 < deadline)
            {
                bool[] each = await _shards.AskAsync(shard => shard.Connections.HasOutput || _targets.All.Any(target => target.Shard == shard && target.IsBusy));
                busy = each.Contains(true);
                if (busy)
                {
                    await Task.Delay(DrainPollMs);
                }
            }

            await _shards.InvokeAsync(static shard => shard.Connections.Close("the engine stops"));
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
        _shards.Stop();
    }

    /// <summary>The handlers end, or stay for the next engine.</summary>
    async Task DismissHandlersAsync()
    {
        HandlerSupervisor[] supervisors = [.. _targets.All.SelectMany(static target => target.Supervisors)];
        foreach (HandlerSupervisor supervisor in supervisors)
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

        await Task.WhenAll(supervisors.Select(supervisor => supervisor.StopAsync(_options.DrainMs)));
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await StopAsync();

    [LoggerMessage(Level = LogLevel.Warning, Message = "with {Descriptors} descriptors there is room for {Connections} connections, not for {Wanted}: raise the limit of open files (ulimit -n, LimitNOFILE=)")]
    static partial void LogFewDescriptors(ILogger logger, int descriptors, int connections, int wanted);

    [LoggerMessage(Level = LogLevel.Information, Message = "handlers stay for {Seconds} s, for the next engine to take over{Note}")]
    static partial void LogReleased(ILogger logger, int seconds, string note);
}
