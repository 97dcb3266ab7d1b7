using System.Globalization;
using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using Scuse.Engine;
using Scuse.Engine.Portals;
using Scuse.Engine.Reactors;
using Scuse.Iscsi;
using Scuse.Target;

namespace Scuse.Bench.Peers;

/// <summary>An engine of reactor, portal and target whose backstore is in the same process, as a process of its own: what the <see cref="InProcessTarget"/> starts.</summary>
static class InProcessServer
{
    /// <summary>The word on the command line that makes it run.</summary>
    public const string Command = "serve-in-process";

    const string TargetName = "iqn.2026-11.scuse.bench:in-process";

    /// <summary>Prints the URL, and serves until the one who started it is gone.</summary>
    public static async Task<int> RunAsync(string size)
    {
        var options = new EngineOptions { Targets = [], SocketPath = "" };
        var shards = new ShardSet(options, NullLogger.Instance);
        Reactor reactor = shards.Door.Reactor;
        var target = new ScsiTarget(TargetName, [new LogicalUnit(0, new InProcessBackstore(long.Parse(size, CultureInfo.InvariantCulture)))], options.Iscsi.TargetPortalGroupTag);
        shards.Door.Server.Add(new IscsiTarget(target, new AccessOptions().ToRules()));
        reactor.AddTicker(target.Tick);
        target.Tick(reactor.NowMs);
        var portals = new PortalSet([new PortalOptions(new IPEndPoint(IPAddress.Loopback, 0))], shards, options.LoopbackSendBufferBytes, NullLogger.Instance);
        shards.Start();
        await reactor.InvokeAsync(portals.Start);
        Console.WriteLine($"iscsi://127.0.0.1:{portals.All[0].Address.Port}/{TargetName}/0");
        await Console.In.ReadToEndAsync();
        shards.Stop();
        return 0;
    }
}
