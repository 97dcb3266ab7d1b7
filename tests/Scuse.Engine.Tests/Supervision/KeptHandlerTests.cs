using Microsoft.Extensions.Logging.Abstractions;
using Scuse.Engine.Supervision;
using Scuse.Linux;
using Scuse.Ring.Attach;

namespace Scuse.Engine.Tests;

/// <summary>Handlers that outlive their engine, and the next engine.</summary>
public sealed class KeptHandlerTests
{
    [Fact]
    public async Task A_handler_that_comes_back_is_taken_over_and_none_is_started()
    {
        await using SupervisionRig rig = new(launches: true, keepSeconds: 20, limits: SupervisionRig.Patient with { KeptMs = 60_000 });
        Task started = rig.Supervisor!.StartAsync();

        using FakeHandler handler = await ComeBackAsync(rig);

        await started.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        Assert.Equal(20, handler.Device!.KeepSeconds);
        Assert.Empty(rig.Marks);
        Assert.Equal(HandlerOrigin.Kept, rig.State().Handler!.Origin);
        rig.Read(1);
        handler.Answer(await handler.TakeAsync(1));
        await rig.WaitForOutcomesAsync(1);
    }

    [Fact]
    public async Task When_nobody_comes_back_one_is_started_after_a_while()
    {
        await using SupervisionRig rig = new(launches: true, keepSeconds: 20, limits: SupervisionRig.Patient with { KeptMs = 300 });
        long before = Environment.TickCount64;
        _ = rig.Supervisor!.StartAsync();

        await rig.MarksAsync(1);

        Assert.InRange(Environment.TickCount64 - before, 290, SupervisionRig.WaitMs);
    }

    [Fact]
    public async Task When_the_one_that_came_back_ends_one_is_started()
    {
        await using SupervisionRig rig = new(launches: true, keepSeconds: 20, limits: SupervisionRig.Patient with { KeptMs = 60_000 });
        Task started = rig.Supervisor!.StartAsync();
        FakeHandler handler = await ComeBackAsync(rig);
        await started;

        handler.Dispose();

        await rig.MarksAsync(1);
        using FakeHandler own = await rig.AttachAsync();
        Assert.Equal(HandlerOrigin.Engine, rig.State().Handler!.Origin);
        Assert.Equal(1, rig.State().Restarts);
    }

    [Fact]
    public async Task One_that_comes_late_is_taken_over_still_while_the_one_that_was_started_has_not_come()
    {
        await using SupervisionRig rig = new(launches: true, keepSeconds: 20, limits: SupervisionRig.Patient with { KeptMs = 1 });
        Task started = rig.Supervisor!.StartAsync();
        await rig.MarksAsync(1);

        using FakeHandler handler = await ComeBackAsync(rig);

        await started.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        await Task.Delay(300, TestContext.Current.CancellationToken);
        Assert.Single(rig.Marks);
        Assert.Equal(HandlerOrigin.Kept, rig.State().Handler!.Origin);
    }

    [Fact]
    public async Task One_that_comes_too_late_is_refused()
    {
        await using SupervisionRig rig = new(launches: true, keepSeconds: 20, limits: SupervisionRig.Patient with { KeptMs = 1 });
        _ = rig.Supervisor!.StartAsync();
        await rig.MarksAsync(1);
        using FakeHandler own = await rig.AttachAsync();
        using FakeHandler late = rig.Connect();
        late.Hello("lun0", $",\"identity\":\"{rig.Slots[0].Identity}\"");

        late.ExpectRefusal("has a handler already");
    }

    [Fact]
    public async Task A_stranger_is_not_let_in_where_the_engine_starts_the_handler()
    {
        await using SupervisionRig rig = new(launches: true, keepSeconds: 20, limits: SupervisionRig.Patient with { KeptMs = 60_000 });
        _ = rig.Supervisor!.StartAsync();
        using FakeHandler stranger = rig.Connect();
        stranger.Hello("lun0");

        stranger.ExpectRefusal("is the engine's to start");
    }

    [Fact]
    public async Task One_that_knows_another_configuration_is_refused()
    {
        await using SupervisionRig rig = new(launches: true, keepSeconds: 20, limits: SupervisionRig.Patient with { KeptMs = 60_000 });
        _ = rig.Supervisor!.StartAsync();
        using FakeHandler other = rig.Connect();
        other.Hello("lun0", ",\"identity\":\"0123\"");

        other.ExpectRefusal("is configured otherwise now");
    }

    [Fact]
    public async Task Of_a_pool_all_have_to_come_back_or_all_are_started_anew()
    {
        await using SupervisionRig rig = new(devices: 2, launches: true, pool: "a", keepSeconds: 20, limits: SupervisionRig.Patient with { KeptMs = 100, AllKeptMs = 500, KillMs = 200 });
        _ = rig.Supervisor!.StartAsync();
        using FakeHandler only = await ComeBackAsync(rig);
        only.ExpectNothing(100);

        only.ExpectEnd();
        Assert.Equal(["first lun0,lun1 0"], await rig.MarksAsync(1));
    }

    [Fact]
    public void What_is_configured_otherwise_has_another_identity()
    {
        LunOptions lun = new() { Number = 1, Spec = "s", DeviceName = "lun1", Launch = new("p", ["a", "b"]), Config = "c" };
        string[] identities =
        [
            Identity(lun),
            Identity(lun, "iqn.2026-11.example:other"),
            Identity(lun with { Number = 2 }),
            Identity(lun with { DeviceName = "x" }),
            Identity(lun with { Launch = new("q", ["a", "b"]) }),
            Identity(lun with { Launch = new("p", ["a b"]) }),
            Identity(lun with { Launch = new("p", ["ab"]) }),
            Identity(lun with { Launch = null }),
            Identity(lun with { Config = "d" }),
            Identity(lun with { Pool = "c" }),
        ];

        Assert.Equal(identities.Length, identities.Distinct().Count());
        Assert.Equal(Identity(lun), Identity(lun with { CommandTimeoutMs = 1, Spec = "t" })); // what is the engine's alone
    }

    [Fact]
    public async Task A_planned_stop_releases_handlers_that_stay_and_ends_those_that_do_not_let_go()
    {
        ScuseEngine engine = Engine(out string path, new HandlerLaunch("sleep", ["1000"]));
        Task started = engine.StartAsync(CancellationToken.None);
        await SupervisionRig.UntilAsync(() => SupervisionRig.RunningProcesses(path).Length == 2, "two processes");
        using FakeHandler good = Attach(path, "lun0"), deaf = Attach(path, "lun1");
        await started;

        Task stopping = engine.StopAsync();

        good.Expect<ReleaseMessage>();
        Assert.Equal(Errno.ENOENT, Assert.Throws<LinuxException>(() => SeqPacketSocket.Connect(path)).Errno); // nobody can come back to the engine that goes
        deaf.Expect<ReleaseMessage>();
        good.Dispose();
        await stopping;
        int kept = Assert.Single(SupervisionRig.RunningProcesses(path)); // the one whose handler let go in order
        System.Diagnostics.Process.GetProcessById(kept).Kill();
        await engine.DisposeAsync();
    }

    [Fact]
    public async Task An_engine_that_does_not_come_up_leaves_none_of_its_handlers_behind()
    {
        ScuseEngine engine = Engine(out string path, new HandlerLaunch("/nonexistent/handler", []));
        Task started = engine.StartAsync(CancellationToken.None);
        await SupervisionRig.UntilAsync(() => SupervisionRig.RunningProcesses(path).Length == 1, "a process");
        using FakeHandler good = Attach(path, "lun0");
        await Assert.ThrowsAsync<EngineException>(() => started);

        Task disposing = engine.DisposeAsync().AsTask();

        good.Expect<RemoveMessage>();
        good.Dispose();
        await disposing;
        Assert.Empty(SupervisionRig.RunningProcesses(path));
    }

    /// <summary>An engine with two logical units, the first of which has a handler that sleeps.</summary>
    static ScuseEngine Engine(out string path, HandlerLaunch second)
    {
        path = Path.Combine(Path.GetTempPath(), $"scuse-test-{Guid.NewGuid():N}.sock");
        LunOptions first = new() { Number = 0, Spec = "t", DeviceName = "lun0", DataAreaBytes = 1 << 20, Launch = new("sleep", ["1000"]) };
        return new ScuseEngine(
            new EngineOptions
            {
                Portals = [new(new(System.Net.IPAddress.Loopback, 0))],
                SocketPath = path,
                Targets = [new TargetOptions { Luns = [first, first with { Number = 1, DeviceName = "lun1", Launch = second }] }],
                KeepHandlersSeconds = 20,
                DrainMs = 3000,
            },
            NullLoggerFactory.Instance);
    }

    static FakeHandler Attach(string path, string device)
    {
        FakeHandler handler = new(path);
        handler.Hello(device);
        handler.ExpectDevice();
        handler.Ready();
        handler.ExpectRegion();
        return handler;
    }

    static string Identity(LunOptions lun, string target = "iqn.2026-11.example:t")
    {
        using var reactor = new Reactors.Reactor("test", 0, NullLogger.Instance);
        Backstores.DataMemory memory = new(1 << 20, reactor.NowMs, reactor.Post);
        return new DeviceSlot(lun, target, new Backstores.UserBackstore(lun, reactor, NullLogger.Instance, static (_, _) => { }, memory), reactor).Identity;
    }

    static async Task<FakeHandler> ComeBackAsync(SupervisionRig rig, int device = 0) =>
        await rig.AttachAsync(device, $",\"identity\":\"{rig.Slots[device].Identity}\"");
}
