using System.Net;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Scuse.Engine;

namespace Scuse.Cli.Serving;

/// <summary>The engine as a hosted service; says the URLs once it is up.</summary>
sealed class EngineService(EngineOptions options, ILoggerFactory loggers, IHostApplicationLifetime lifetime) : IHostedService, IAsyncDisposable
{
    ScuseEngine? _engine;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        _engine = new ScuseEngine(options, loggers);
        try
        {
            // A signal while handlers are still coming up is a wish to stop, too.
            using var stopping = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, lifetime.ApplicationStopping);
            await _engine.StartAsync(stopping.Token);
        }
        catch
        {
            await _engine.DisposeAsync();
            _engine = null;
            throw;
        }

        foreach (LunOptions lun in options.Luns)
        {
            Console.WriteLine($"iscsi://{AdvertisedPortal(_engine.Portal)}/{options.TargetName}/{lun.Number}");
        }
    }

    public Task StopAsync(CancellationToken cancellationToken) => _engine?.StopAsync() ?? Task.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        if (_engine is not null)
        {
            await _engine.DisposeAsync();
        }
    }

    string AdvertisedPortal(IPEndPoint portal)
    {
        if (options.Iscsi.AdvertisedPortal is { } advertised)
        {
            return advertised;
        }

        IPAddress address = portal.Address.Equals(IPAddress.Any) ? IPAddress.Loopback : portal.Address.Equals(IPAddress.IPv6Any) ? IPAddress.IPv6Loopback : portal.Address;
        return new IPEndPoint(address, portal.Port).ToString();
    }
}
