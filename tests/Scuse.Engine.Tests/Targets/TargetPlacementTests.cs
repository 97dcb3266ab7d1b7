using Microsoft.Extensions.Logging.Abstractions;
using Scuse.Engine.Management;

namespace Scuse.Engine.Tests.Targets;

/// <summary>The same with targets on three reactors.</summary>
[Collection(DescriptorCounting.Name)]
public sealed class TargetsOnSeveralReactorsTests() : TargetSetTests(3);

/// <summary>Which reactor a target is on.</summary>
public sealed class TargetPlacementTests : IAsyncDisposable
{
    readonly string _folder = Directory.CreateTempSubdirectory("scuse-placement-").FullName;
    readonly ScuseEngine _engine;

    public TargetPlacementTests() => _engine = new ScuseEngine(
        new EngineOptions
        {
            Targets = [Target("a", 1)],
            Portals = [new(new(System.Net.IPAddress.Loopback, 0))],
            SocketPath = Path.Combine(_folder, "attach.sock"),
            Reactors = 2,
        },
        NullLoggerFactory.Instance);

    public async ValueTask DisposeAsync()
    {
        await _engine.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    static TargetOptions Target(string name, int luns) => new()
    {
        Name = $"iqn.2026-11.example:{name}",
        Luns = [.. Enumerable.Range(0, luns).Select(number => new LunOptions { Number = number, Spec = $"attach:{name}{number}", DeviceName = $"{name}{number}" })],
    };

    async Task<string> ReactorsAsync() => string.Join(", ", (await _engine.Management.GetTargetsAsync()).Select(static target => target.Reactor));

    [Fact]
    public async Task A_target_goes_to_the_reactor_with_the_fewest_logical_units_and_stays_there()
    {
        await _engine.StartAsync(CancellationToken.None);
        Assert.Equal("1", await ReactorsAsync()); // the first reactor has the logins

        await _engine.Targets.AddAsync(Target("b", 3));
        await _engine.Targets.AddAsync(Target("c", 1));
        await _engine.Targets.AddAsync(Target("d", 1));
        Assert.Equal("1, 0, 1, 1", await ReactorsAsync());

        await _engine.Targets.RemoveAsync("b", force: false);
        await _engine.Targets.AddAsync(Target("e", 1));
        Assert.Equal("1, 1, 1, 0", await ReactorsAsync());
    }

    [Fact]
    public async Task Each_logical_unit_is_looked_at_and_operated_on_where_it_is()
    {
        await _engine.StartAsync(CancellationToken.None);
        await _engine.Targets.AddAsync(Target("b", 2));

        await _engine.Management.BlockAsync(new(1, "b"));

        IReadOnlyList<LunStatus> luns = await _engine.Management.GetLunsAsync();
        Assert.Equal([LunState.WaitingForHandler, LunState.WaitingForHandler, LunState.Blocked], luns.Select(static lun => lun.State));
        EngineStatus status = await _engine.Management.GetStatusAsync();
        Assert.Equal(2, status.Targets.Count);
        Assert.Equal((2, 1), (status.Luns[LunState.WaitingForHandler], status.Luns[LunState.Blocked]));
        Assert.Equal(new EngineOptions { Targets = [], SocketPath = "" }.GlobalDataAreaBytes, status.DataAreaBytesLimit);
    }
}
