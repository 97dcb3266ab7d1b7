using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Scuse.Cli.Configuration;
using Scuse.Engine.Management;

namespace Scuse.Cli.Control;

/// <summary>
/// The control interface of a running engine: HTTP over a Unix socket. The web server behind it is not even loaded before somebody connects
/// for the first time, so an engine that nobody asks pays a descriptor for it.
/// </summary>
sealed partial class ControlServer : IAsyncDisposable
{
    static readonly TimeSpan StopDeadline = TimeSpan.FromSeconds(2);

    readonly EngineManagement _management;
    readonly LiveConfiguration _configuration;
    readonly ILogger _logger;
    readonly string _path;
    readonly Socket _listener;
    readonly CancellationTokenSource _stopping = new();
    readonly Task _running;

    /// <exception cref="Engine.EngineException">The socket cannot be had.</exception>
    public ControlServer(EngineManagement management, LiveConfiguration configuration, string path, ILogger logger)
    {
        _management = management;
        _configuration = configuration;
        _logger = logger;
        _path = path;
        _listener = ControlSocket.Listen(path);
        _running = RunAsync();
    }

    async Task RunAsync()
    {
        Socket first;
        try
        {
            first = await _listener.AcceptAsync(_stopping.Token);
        }
        catch (Exception exception) when (exception is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            return;
        }

        try
        {
            await ServeAsync(first);
        }
        catch (OperationCanceledException)
        {
            // The engine stops.
        }
#pragma warning disable CA1031 // without its control interface an engine still serves
        catch (Exception exception)
#pragma warning restore CA1031
        {
            LogBroken(_logger, exception);
        }
    }

    async Task ServeAsync(Socket first)
    {
        // Empty on purpose: nothing in the environment or in a file may open another door to the engine.
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = 64 << 10;
            kestrel.ListenUnixSocket(_path);
        });
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton<IConnectionListenerFactory>(new ListenerFactory(_listener, first));
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.Services.Configure<HostOptions>(static host => host.ShutdownTimeout = StopDeadline);
        await using WebApplication application = builder.Build();
        ControlApi.Map(application, _management, _configuration, _path);
        await application.StartAsync(_stopping.Token);
        await Task.Delay(Timeout.Infinite, _stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        using var deadline = new CancellationTokenSource(StopDeadline);
        await application.StopAsync(deadline.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _running;
        _listener.Dispose();
        File.Delete(_path);
        _stopping.Dispose();
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "the control interface failed; the engine serves on without it")]
    static partial void LogBroken(ILogger logger, Exception exception);

    /// <summary>Signals are the engine's business.</summary>
    sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    /// <summary>Hands the server the socket that is listening already, and the connection that woke it.</summary>
    sealed class ListenerFactory(Socket listener, Socket first) : IConnectionListenerFactory
    {
        public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) => new(new Listener(listener, first, endpoint));
    }

    sealed class Listener(Socket listener, Socket first, EndPoint endpoint) : IConnectionListener
    {
        readonly SocketConnectionContextFactory _connections = new(new SocketConnectionFactoryOptions(), Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        readonly CancellationTokenSource _unbound = new();
        Socket? _first = first;

        public EndPoint EndPoint => endpoint;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            try
            {
                Socket socket = Interlocked.Exchange(ref _first, null) ?? await AcceptNextAsync(cancellationToken);
                return _connections.Create(socket);
            }
            catch (OperationCanceledException)
            {
                return null;
            }
            catch (ObjectDisposedException)
            {
                return null;
            }
        }

        async Task<Socket> AcceptNextAsync(CancellationToken cancellationToken)
        {
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _unbound.Token);
            while (true)
            {
                try
                {
                    return await listener.AcceptAsync(either.Token);
                }
                catch (SocketException)
                {
                    await Task.Delay(100, either.Token); // no descriptor is left: at once would be a busy loop
                }
            }
        }

        public async ValueTask UnbindAsync(CancellationToken cancellationToken = default) => await _unbound.CancelAsync();

        public ValueTask DisposeAsync()
        {
            _first?.Dispose();
            _connections.Dispose();
            _unbound.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
