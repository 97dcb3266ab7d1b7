using System.Net;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Scuse.Cli.Configuration;
using Scuse.Cli.Control;
using Scuse.Engine;
using Scuse.Iscsi;
using Scuse.Ring.Attach;

namespace Scuse.Cli.Serving;

/// <summary>The engine and its control interface as a hosted service; says the URLs once it is up.</summary>
sealed class EngineService(EngineConfiguration configuration, ILoggerFactory loggers, IHostApplicationLifetime lifetime) : IHostedService, IAsyncDisposable
{
    ScuseEngine? _engine;
    ControlServer? _control;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        EngineOptions options = configuration.Options;
        _engine = new ScuseEngine(options, loggers);
        try
        {
            _control = new ControlServer(_engine.Management, new LiveConfiguration(configuration, _engine.Management), configuration.ControlSocket, loggers.CreateLogger("scuse"));

            // A signal while handlers are still coming up is a wish to stop, too.
            using var stopping = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, lifetime.ApplicationStopping);
            await _engine.StartAsync(stopping.Token);
            _ = Task.Run(static () => AttachSocket.RemoveLeftovers(AttachSocketPath.Folder(Environment.GetEnvironmentVariable)), CancellationToken.None);
        }
        catch
        {
            await DisposeAsync();
            throw;
        }

        foreach (TargetOptions target in options.Targets)
        {
            foreach (LunOptions lun in target.Luns)
            {
                Console.WriteLine($"iscsi://{AdvertisedPortal(_engine.Portals[0])}/{target.Name}/{lun.Number}");
            }
        }
    }

    /// <summary>Operators can watch to the end.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (_engine is not null)
        {
            await _engine.StopAsync();
        }

        await StopControlAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await StopControlAsync();
        if (_engine is not null)
        {
            await _engine.DisposeAsync();
            _engine = null;
        }
    }

    async ValueTask StopControlAsync()
    {
        if (_control is { } control)
        {
            _control = null;
            await control.DisposeAsync();
        }
    }

    /// <summary>Where somebody on this machine finds the portal.</summary>
    static string AdvertisedPortal(IscsiPortal portal)
    {
        if (portal.Advertised is { } advertised)
        {
            return advertised;
        }

        IPAddress address = portal.Address.Address;
        return new IPEndPoint(address.Equals(IPAddress.Any) ? IPAddress.Loopback : address.Equals(IPAddress.IPv6Any) ? IPAddress.IPv6Loopback : address, portal.Address.Port).ToString();
    }
}
