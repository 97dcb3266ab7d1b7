using System.Diagnostics;
using Scuse.Engine.Supervision;
using Scuse.Ring;
using Scuse.Ring.Attach;

namespace Scuse.Engine.Tests;

/// <summary>Logical units that share a process.</summary>
public sealed class PoolTests
{
    const string Replace = ",\"replace\":true";

    [Fact]
    public async Task One_process_serves_them_all_and_the_start_is_over_when_it_does()
    {
        await using SupervisionRig rig = new(devices: 3, launches: true, pool: "a");
        Task started = rig.Supervisor!.StartAsync();
        Assert.Equal(["first lun0,lun1,lun2 0"], await rig.MarksAsync(1));
        using FakeHandler one = await rig.AttachAsync(0), two = await rig.AttachAsync(1);
        Assert.False(started.IsCompleted);

        using FakeHandler three = await rig.AttachAsync(2);

        await started.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        Assert.Single(rig.Marks);
    }

    [Fact]
    public async Task A_handler_that_breaks_the_rules_for_one_costs_the_pool_its_process_once()
    {
        await using SupervisionRig rig = new(devices: 3, launches: true, pool: "a");
        FakeHandler[] handlers = await StartAsync(rig);
        rig.Read(1);
        await handlers[0].TakeAsync(1);

        handlers[0].Lie();

        await rig.MarksAsync(2);
        Assert.All(handlers, static handler => handler.ExpectEnd());
        FakeHandler[] next = [await rig.AttachAsync(0), await rig.AttachAsync(1), await rig.AttachAsync(2)];
        next[0].Answer(await next[0].TakeAsync(1));
        await rig.WaitForOutcomesAsync(1);
        Assert.Equal(2, rig.Marks.Length);
        Dispose(handlers, next);
    }

    [Fact]
    public async Task One_that_cannot_be_opened_keeps_the_engine_from_starting_and_later_costs_nobody_else()
    {
        await using SupervisionRig rig = new(devices: 2, launches: true, pool: "a");
        FakeHandler[] handlers = await StartAsync(rig);
        handlers[0].Dispose(); // the process is ended and started again
        await rig.MarksAsync(2);
        handlers[1].ExpectEnd();
        using FakeHandler good = await rig.AttachAsync(0);
        using (FakeHandler bad = rig.Connect())
        {
            bad.Hello("lun1");
            bad.ExpectDevice();
            bad.Send("""{"type":"failed","message":"gone"}""");
        }

        await SupervisionRig.UntilAsync(() => rig.State(1).Handler is null, "the failure");
        good.ExpectNothing(300);
        Assert.Equal(2, rig.Marks.Length);
        Dispose(handlers);
    }

    [Fact]
    public async Task A_pool_is_replaced_as_a_whole()
    {
        await using SupervisionRig rig = new(devices: 3, launches: true, pool: "a");
        FakeHandler[] old = await StartAsync(rig);
        Task<ReplacementResult> replacing = rig.Supervisor!.ReplaceAsync(null, force: false, CancellationToken.None);
        Assert.Equal("first lun0,lun1,lun2 1", (await rig.MarksAsync(2))[1]);
        FakeHandler[] next = [rig.Connect(), rig.Connect(), rig.Connect()];
        next[0].Hello("lun0", Replace);
        next[1].Hello("lun1", Replace);
        next[0].ExpectNothing();
        old[0].ExpectNothing(); // not before all are there
        next[2].Hello("lun2", Replace);
        foreach ((FakeHandler before, FakeHandler after) in old.Zip(next))
        {
            before.Expect<RemoveMessage>();
            before.Dispose();
            after.ExpectDevice();
            after.Ready();
            after.ExpectRegion();
        }

        ReplacementResult result = await replacing;

        Assert.Equal([0, 1, 2], result.Luns);
        Dispose(old, next);
    }

    [Fact]
    public async Task When_one_of_a_pool_does_not_finish_in_time_none_is_replaced()
    {
        await using SupervisionRig rig = new(devices: 2, launches: true, pool: "a", limits: SupervisionRig.Patient with { DrainMs = 300 });
        FakeHandler[] old = await StartAsync(rig);
        rig.Read(1);
        List<HandlerCommand> hung = await old[0].TakeAsync(1);
        Task<ReplacementResult> replacing = rig.Supervisor!.ReplaceAsync(null, force: false, CancellationToken.None);
        await rig.MarksAsync(2);
        FakeHandler[] next = [rig.Connect(), rig.Connect()];
        next[0].Hello("lun0", Replace);
        next[1].Hello("lun1", Replace);

        Assert.All(next, static handler => handler.ExpectRefusal("did not finish its commands"));

        await Assert.ThrowsAsync<EngineException>(() => replacing);
        Assert.All(old, static handler => handler.ExpectNothing());
        old[0].Answer(hung);
        await rig.WaitForOutcomesAsync(1);
        Dispose(old, next);
    }

    [Fact]
    public async Task A_thousand_logical_units_attach_in_a_moment_and_go_in_a_moment()
    {
        const int Devices = 1000;
        await using SupervisionRig rig = new(Devices, launches: true, pool: "many");
        Task started = rig.Supervisor!.StartAsync();
        await rig.MarksAsync(1);
        Stopwatch clock = Stopwatch.StartNew();
        FakeHandler[] handlers = [.. Enumerable.Range(0, Devices).Select(_ => rig.Connect())];
        for (int i = 0; i < Devices; i++)
        {
            handlers[i].Hello(SupervisionRig.Name(i));
        }

        foreach (FakeHandler handler in handlers)
        {
            handler.ExpectDevice();
            handler.Ready();
        }

        Assert.All(handlers, static handler => handler.Expect<RegionMessage>());
        await started.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        TestContext.Current.TestOutputHelper?.WriteLine($"{Devices} attached in {clock.ElapsedMilliseconds} ms");
        Assert.InRange(clock.ElapsedMilliseconds, 0, 10_000);

        clock.Restart();
        rig.Server.RemoveAll();
        Assert.All(handlers, static handler => handler.Expect<RemoveMessage>());
        Dispose(handlers);
        await SupervisionRig.UntilAsync(() => rig.OnSupervision(() => rig.Server.Sessions.Count) == 0, "the end of all");
        Assert.InRange(clock.ElapsedMilliseconds, 0, 5_000);
    }

    [Fact]
    public void So_many_devices_that_Linux_cannot_tell_a_process_of_them_are_refused()
    {
        string path = Path.Combine(Path.GetTempPath(), $"scuse-test-{Guid.NewGuid():N}.sock");
        EngineOptions options = new()
        {
            Portals = [new(new(System.Net.IPAddress.Loopback, 0))],
            SocketPath = path,
            Targets = [new TargetOptions { Luns = [.. Enumerable.Range(0, 2000).Select(i => new LunOptions { Number = i, Spec = "t", DeviceName = $"{new string('x', 80)}{i}", Pool = "a", Launch = new("true", []) })] }],
        };

        EngineException failure = Assert.Throws<EngineException>(() => new ScuseEngine(options, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance));

        Assert.Equal("pool a: 2000 logical units are too many for one process", failure.Message);
        Assert.False(File.Exists(path));
    }

    [Fact]
    public void A_pool_of_different_programs_is_refused()
    {
        EngineOptions options = new()
        {
            Portals = [new(new(System.Net.IPAddress.Loopback, 0))],
            SocketPath = Path.Combine(Path.GetTempPath(), $"scuse-test-{Guid.NewGuid():N}.sock"),
            Targets =
            [
                new TargetOptions
                {
                    Luns =
                    [
                        new LunOptions { Number = 0, Spec = "memory:1M", DeviceName = "a", Pool = "p", Launch = new("one", []) },
                        new LunOptions { Number = 1, Spec = "file:/x", DeviceName = "b", Pool = "p", Launch = new("two", []) },
                    ],
                },
            ],
        };

        EngineException failure = Assert.Throws<EngineException>(() => new ScuseEngine(options, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance));

        Assert.Equal("pool p: LUN 0 (memory:1M) and LUN 1 (file:/x) are not served by the same program", failure.Message);
    }

    static async Task<FakeHandler[]> StartAsync(SupervisionRig rig)
    {
        Task started = rig.Supervisor!.StartAsync();
        await rig.MarksAsync(1);
        List<FakeHandler> handlers = [];
        for (int i = 0; i < rig.Slots.Count; i++)
        {
            handlers.Add(await rig.AttachAsync(i));
        }

        await started;
        return [.. handlers];
    }

    static void Dispose(params FakeHandler[][] handlers) => Array.ForEach(handlers, static some => Array.ForEach(some, static handler => handler.Dispose()));
}
