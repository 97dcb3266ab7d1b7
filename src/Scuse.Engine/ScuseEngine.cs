using System.Net;
using Microsoft.Extensions.Logging;
using Scuse.Engine.Backstores;
using Scuse.Engine.Management;
using Scuse.Engine.Portals;
using Scuse.Engine.Reactors;
using Scuse.Engine.Supervision;
using Scuse.Iscsi;
using Scuse.Target;

namespace Scuse.Engine;

/// <summary>
/// An engine: a target with its logical units, the portal where initiators log in, and the socket where handlers attach. Start it once, stop it once.
/// </summary>
public sealed partial class ScuseEngine : IAsyncDisposable
{
    const int DrainPollMs = 10;

    readonly EngineOptions _options;
    readonly ILogger _logger;
    readonly Reactor _reactor;
    readonly AttachServer _attach;
    readonly Portal _portal;
    readonly ScsiTarget _target;
    readonly List<DeviceSlot> _slots = [];
    readonly List<HandlerSupervisor> _supervisors = [];
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
        foreach (LunOptions lun in options.Luns)
        {
            var backstore = new UserBackstore(lun, _reactor, _logger, (link, reason) => _attach!.Drop(link, reason), memory);
            backstores.Add(backstore);
            units.Add(new LogicalUnit(lun.Number, backstore) { CommandTimeoutMs = lun.CommandTimeoutMs });
            _slots.Add(new DeviceSlot(lun, options.TargetName, backstore, _reactor));
        }

        _target = new ScsiTarget(options.TargetName, units);
        var server = new IscsiServer(options.Iscsi);
        server.Add(_target);
        _portal = new Portal(options.Portal, _reactor, server, options.LoopbackSendBufferBytes, _logger);
        Management = new EngineManagement(options, _reactor, server, _portal, backstores);
        try
        {
            _attach = new AttachServer(options.SocketPath, _slots, _logger);
        }
        catch
        {
            _portal.StopListening();
            throw;
        }

        foreach (DeviceSlot slot in _slots.Where(static slot => slot.Options.Launch is not null))
        {
            slot.Supervisor = new HandlerSupervisor(slot.Options, _attach.SocketPath, _logger);
            _supervisors.Add(slot.Supervisor);
        }
    }

    /// <summary>Where initiators connect, with the port that was picked.</summary>
    public IPEndPoint Portal => _portal.Address;

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
        await _reactor.InvokeAsync(_portal.Start);
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
        if (_reactor.IsRunning)
        {
            await _reactor.InvokeAsync(_portal.Drain);
            long deadline = Environment.TickCount64 + _options.DrainMs;
            bool busy = true;
            while (busy && Environment.TickCount64 < deadline)
            {
                await _reactor.InvokeAsync(() => busy = _portal.HasOutput || _slots.Any(static slot => slot.IsBusy));
                if (busy)
                {
                    await Task.Delay(DrainPollMs);
                }
            }

            await _reactor.InvokeAsync(() => _portal.CloseConnections("the engine stops"));
        }
        else
        {
            _portal.StopListening();
        }

        _attach.RemoveAll();
        await Task.WhenAll(_supervisors.Select(supervisor => supervisor.StopAsync(_options.DrainMs)));
        _attach.Dispose();
        _reactor.Stop();
        _reactor.Dispose();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        foreach (HandlerSupervisor supervisor in _supervisors)
        {
            supervisor.Dispose();
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "LUN {Lun}: waiting for a handler to attach as '{Device}' at {Socket}")]
    static partial void LogWaiting(ILogger logger, int lun, string device, string socket);
}
