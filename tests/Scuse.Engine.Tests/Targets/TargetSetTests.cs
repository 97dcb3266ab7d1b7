using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Scuse.Engine.Management;
using Scuse.Engine.Targets;
using Scuse.Ring.Attach;

namespace Scuse.Engine.Tests.Targets;

/// <summary>Targets that come and go in a running engine. Handlers are the test's own, over the real socket.</summary>
[Collection(DescriptorCounting.Name)]
public class TargetSetTests : IAsyncDisposable
{
    const string First = "iqn.2026-11.example:first", Second = "iqn.2026-11.example:second";

    readonly string _folder = Directory.CreateTempSubdirectory("scuse-targets-").FullName;
    readonly TestLog _log = new();
    readonly ScuseEngine _engine;

    public TargetSetTests()
        : this(1)
    {
    }

    /// <param name="reactors">How many reactors there are.</param>
    protected TargetSetTests(int reactors)
    {
        _engine = new ScuseEngine(
            new EngineOptions
            {
                Targets = [Target(First, "mine")],
                Portals = [new(new(System.Net.IPAddress.Loopback, 0))],
                SocketPath = Path.Combine(_folder, "attach.sock"),
                DrainMs = 5000,
                Reactors = reactors,
                PinReactors = reactors > 1,
            },
            new OneLog(_log));
    }

    public async ValueTask DisposeAsync()
    {
        await _engine.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    static TargetOptions Target(string name, params string[] devices) => new()
    {
        Name = name,
        Luns = [.. devices.Select(static (device, number) => new LunOptions { Number = number, Spec = $"attach:{device}", DeviceName = device, DataAreaBytes = 1 << 20 })],
    };

    FakeHandler Attach(string device)
    {
        FakeHandler handler = new(_engine.SocketPath);
        handler.Hello(device);
        handler.ExpectDevice();
        handler.Ready();
        handler.ExpectRegion();
        return handler;
    }

    async Task<LunState> StateAsync(LunReference lun) => (await _engine.Management.GetLunAsync(lun)).State;

    /// <summary>Removes a target whose handler goes when it is told to.</summary>
    async Task RemoveAsync(string name, params FakeHandler[] handlers)
    {
        Task removing = _engine.Targets.RemoveAsync(name, force: false);
        foreach (FakeHandler handler in handlers)
        {
            handler.Expect<RemoveMessage>();
            handler.Dispose();
        }

        await removing;
    }

    [Fact]
    public async Task A_target_comes_is_served_and_goes_and_another_one_hears_nothing_of_it()
    {
        await _engine.StartAsync(CancellationToken.None);
        using FakeHandler first = Attach("mine");

        await _engine.Targets.AddAsync(Target(Second, "a", "b"));
        using FakeHandler a = Attach("a"), b = Attach("b");
        await SupervisionRig.UntilAsync(() => StateAsync(new(1, Second)).Result == LunState.Serving, "LUN 1 of the second");
        Assert.Equal([First, Second], (await _engine.Management.GetStatusAsync()).Targets.Select(static target => target.Name));
        await RemoveAsync(Second, a, b);

        first.ExpectNothing();
        Assert.Equal(LunState.Serving, await StateAsync(new(0)));
        Assert.Equal(ManagementProblem.NotFound, (await Assert.ThrowsAsync<ManagementException>(() => StateAsync(new(0, Second)))).Problem);
        using FakeHandler late = new(_engine.SocketPath);
        late.Hello("a");
        late.ExpectRefusal("there is no device 'a'");
    }

    [Fact]
    public async Task Nothing_is_left_of_targets_that_have_gone()
    {
        await _engine.StartAsync(CancellationToken.None);
        await ComeAndGoAsync(); // what is made once is made, but for a few descriptors of the runtime
        (int Tickers, int Devices) load = _engine.Load;
        int descriptors = Descriptors() + 10;
        List<WeakReference> gone = [];

        for (int i = 0; i < 200; i++)
        {
            gone.Add(await ComeAndGoAsync());
        }

        Assert.Equal(load, _engine.Load);
        Assert.True(SpinWait.SpinUntil(() => Descriptors() <= descriptors, SupervisionRig.WaitMs), $"{Descriptors()} descriptors, {descriptors} before");
        Assert.Equal(0, (await _engine.Management.GetStatusAsync()).DataAreaBytesHeld);
        await SupervisionRig.UntilAsync(() => MostAreCollected(gone), "the targets' memory");
    }

    static int Descriptors() => Directory.GetFiles("/proc/self/fd").Length;

    static bool MostAreCollected(List<WeakReference> gone)
    {
        GC.Collect();
        return gone.Count(static target => target.IsAlive) < 5; // the last ones may be held by what runs just now
    }

    async Task<WeakReference> ComeAndGoAsync()
    {
        ServedTarget target = await _engine.Targets.AddAsync(Target(Second, "a"));
        await RemoveAsync(Second, Attach("a"));
        return new WeakReference(target);
    }

    [Fact]
    public async Task A_target_whose_handler_does_not_come_up_changes_nothing()
    {
        await _engine.StartAsync(CancellationToken.None);
        (int Tickers, int Devices) load = _engine.Load;
        TargetOptions wrong = Target(Second, "a", "b");
        wrong = wrong with { Luns = [wrong.Luns[0], wrong.Luns[1] with { Launch = new HandlerLaunch("/nonexistent/handler", []) }] };

        EngineException failure = await Assert.ThrowsAsync<EngineException>(() => _engine.Targets.AddAsync(wrong));

        Assert.Contains($"LUN {Second}/1 (attach:b): '/nonexistent/handler' cannot be started", failure.Message, StringComparison.Ordinal);
        Assert.Equal(load, _engine.Load);
        Assert.Equal([First], _engine.Targets.All.Select(static target => target.Name));
        await _engine.Targets.AddAsync(Target(Second, "a"));
    }

    [Theory]
    [InlineData(First, "a", "there is a target iqn.2026-11.example:first already")]
    [InlineData("IQN.2026-11.EXAMPLE:FIRST", "a", "already")]
    [InlineData(Second, "mine", "there is another device named 'mine'")]
    public async Task What_would_be_there_twice_is_refused(string name, string device, string why)
    {
        await _engine.StartAsync(CancellationToken.None);
        (int Tickers, int Devices) load = _engine.Load;

        EngineException failure = await Assert.ThrowsAsync<EngineException>(() => _engine.Targets.AddAsync(Target(name, device)));

        Assert.Contains(why, failure.Message, StringComparison.Ordinal);
        Assert.Equal(load, _engine.Load);
        using FakeHandler first = Attach("mine"); // still is who it was
    }

    [Fact]
    public async Task The_only_target_stays()
    {
        await _engine.StartAsync(CancellationToken.None);

        EngineException failure = await Assert.ThrowsAsync<EngineException>(() => _engine.Targets.RemoveAsync(First, force: true));

        Assert.Contains("is the only target", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_handler_that_does_not_go_has_its_connection_closed_when_the_time_is_up()
    {
        await using var engine = new ScuseEngine(
            new EngineOptions { Targets = [Target(First, "mine"), Target(Second, "a")], Portals = [new(new(System.Net.IPAddress.Loopback, 0))], SocketPath = Path.Combine(_folder, "other.sock"), DrainMs = 200 },
            NullLoggerFactory.Instance);
        await engine.StartAsync(CancellationToken.None);
        using FakeHandler deaf = new(engine.SocketPath);
        deaf.Hello("a");
        deaf.ExpectDevice();
        deaf.Ready();
        deaf.ExpectRegion();

        await engine.Targets.RemoveAsync("second", force: false);

        deaf.Expect<RemoveMessage>();
        deaf.ExpectEnd();
        Assert.Equal(0, (await engine.Management.GetStatusAsync()).DataAreaBytesHeld);
    }

    [Fact]
    public async Task A_logical_unit_is_found_by_its_target_s_name_or_the_end_of_it_where_that_is_unique()
    {
        await _engine.StartAsync(CancellationToken.None);
        await _engine.Targets.AddAsync(Target(Second, "a"));
        await _engine.Targets.AddAsync(Target("iqn.2026-12.example:second", "b"));

        async Task<string> DeviceAsync(string lun) => (await _engine.Management.GetLunAsync(LunReference.Parse(lun))).Device;

        Assert.Equal("mine", await DeviceAsync("0"));
        Assert.Equal("mine", await DeviceAsync("first/0"));
        Assert.Equal("a", await DeviceAsync($"{Second}/0"));
        Assert.Equal("b", await DeviceAsync("iqn.2026-12.example:second/0"));
        Assert.Contains("there is no target second", (await Assert.ThrowsAsync<ManagementException>(() => DeviceAsync("second/0"))).Message, StringComparison.Ordinal);
        Assert.Contains("there is no LUN first/1", (await Assert.ThrowsAsync<ManagementException>(() => DeviceAsync("first/1"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_engine_that_is_told_anew_changes_only_what_is_otherwise_and_tells_what_it_did()
    {
        const string Third = "iqn.2026-11.example:third";
        await _engine.StartAsync(CancellationToken.None);
        using FakeHandler first = Attach("mine");
        await _engine.Targets.AddAsync(Target(Second, "a"));
        EngineOptions now = _engine.Targets.Options;
        TargetOptions restricted = Target(First, "mine") with { Access = new AccessOptions { Initiators = ["iqn.2026-11.example:*"] } };

        Reconfiguration same = await _engine.Management.ReconfigureAsync(now);
        Reconfiguration other = await _engine.Management.ReconfigureAsync(now with { Targets = [Target(Third, "a"), restricted], DiscoveryAccess = new AccessOptions { Initiators = ["iqn.*"] } });
        Reconfiguration luns = await _engine.Management.ReconfigureAsync(now with { Targets = [Target(Third, "a", "b"), restricted], DiscoveryAccess = new AccessOptions { Initiators = ["iqn.*"] } });

        Assert.Empty(same.Added.Concat(same.Removed).Concat(same.Changed).Concat(same.NeedsRestart));
        Assert.Equal([Third], other.Added);
        Assert.Equal([Second], other.Removed);
        Assert.Equal([First], other.Changed);
        Assert.True(other.IsDiscoveryChanged);
        Assert.Equal([Third, First], _engine.Targets.All.Select(static target => target.Name)); // a number alone means the first one now
        Assert.True(_engine.Targets.Find(First)!.Node.Access.Initiators is [_]);
        Assert.Equal([$"the LUNs of {Third}: remove it and add it again"], luns.NeedsRestart);
        first.ExpectNothing();
    }

    [Fact]
    public async Task What_would_open_a_target_to_everybody_is_refused_before_anything_is_done()
    {
        await using var engine = new ScuseEngine(
            new EngineOptions
            {
                Targets = [Target(First, "mine") with { Access = new AccessOptions { Initiators = ["127.0.0.1"] } }],
                Portals = [new(new(System.Net.IPAddress.Any, 0))],
                SocketPath = Path.Combine(_folder, "other.sock"),
            },
            NullLoggerFactory.Instance);
        await engine.StartAsync(CancellationToken.None);

        EngineException added = await Assert.ThrowsAsync<EngineException>(() => engine.Targets.AddAsync(Target(Second, "a")));
        ManagementException reloaded = await Assert.ThrowsAsync<ManagementException>(() => engine.Management.ReconfigureAsync(engine.Targets.Options with { Targets = [Target(First, "mine")] }));

        Assert.Contains($"the disks of {Second}", added.Message, StringComparison.Ordinal);
        Assert.Contains("anybody there could read and write the disks", reloaded.Message, StringComparison.Ordinal);
        Assert.NotNull(Assert.Single(engine.Targets.All).Node.Access.Initiators);
    }

    [Theory]
    [InlineData("")]
    [InlineData("x")]
    [InlineData("/0")]
    [InlineData("x/")]
    [InlineData("-1")]
    [InlineData("x/-1")]
    [InlineData(" 1")]
    public void What_names_no_logical_unit_is_refused(string text) => Assert.Throws<FormatException>(() => LunReference.Parse(text));

    [Fact]
    public async Task Lines_name_the_target_where_there_are_several()
    {
        await _engine.StartAsync(CancellationToken.None);
        using FakeHandler first = Attach("mine");
        await SupervisionRig.UntilAsync(() => _log.Has("LUN 0: handler handler attached"), "the line of the only target");

        await _engine.Targets.AddAsync(Target(Second, "a"));
        FakeHandler second = Attach("a");
        await SupervisionRig.UntilAsync(() => _log.Has($"LUN {Second}/0: handler handler attached"), "the line of the second");
        await _engine.Management.BlockAsync(new(0));
        Assert.True(_log.Has($"LUN {First}/0: blocked"));
        await RemoveAsync(Second, second);
        await _engine.Management.UnblockAsync(new(0));

        Assert.True(_log.Has("LUN 0: unblocked"));
    }

    [Fact]
    public async Task An_engine_that_stops_calls_off_what_is_coming_up()
    {
        await _engine.StartAsync(CancellationToken.None);
        TargetOptions slow = Target(Second, "a");
        Task<ServedTarget> adding = _engine.Targets.AddAsync(slow with { Luns = [slow.Luns[0] with { Launch = new HandlerLaunch("sleep", ["1000"]) }] });
        await SupervisionRig.UntilAsync(() => SupervisionRig.RunningProcesses(_engine.SocketPath).Length == 1, "the process");

        await _engine.StopAsync();

        Assert.Contains("the engine stops", (await Assert.ThrowsAsync<EngineException>(() => adding)).Message, StringComparison.Ordinal);
        Assert.Empty(SupervisionRig.RunningProcesses(_engine.SocketPath));
        Assert.Contains("the engine stops", (await Assert.ThrowsAsync<EngineException>(() => _engine.Targets.AddAsync(Target(Second, "a")))).Message, StringComparison.Ordinal);
    }

    sealed class OneLog(TestLog log) : ILoggerFactory
    {
        public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

        public ILogger CreateLogger(string categoryName) => log;

        public void Dispose()
        {
        }
    }
}
