using System.Diagnostics;
using Scuse.Ring.Attach;
using Scuse.Scsi;

namespace Scuse.Handlers.Tests;

[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class AloneInTheProcess
{
    public const string Name = "alone in the process";
}

[Collection(AloneInTheProcess.Name)] // threads and processor time are counted
public sealed class ManyDevicesTests
{
    [Fact]
    public async Task Each_device_of_a_process_has_a_connection_a_configuration_and_an_end_of_its_own()
    {
        Dictionary<string, string> configs = [];
        using FakeTarget first = new();
        first.Start(
            device =>
            {
                lock (configs)
                {
                    configs[device.Name] = device.Config;
                }

                return new ArrayDisk(device);
            },
            "--device", "a,b", "--device", "c");
        using FakeTargets targets = new(first, 3);
        targets.AcceptAll(name => new DeviceMessage { Device = name, SizeBytes = 1 << 20, Config = $"for {name}" });

        Assert.Equal(["a", "b", "c"], targets.Names.Order());
        Assert.All(configs, config => Assert.Equal($"for {config.Key}", config.Value));
        foreach (string name in targets.Names)
        {
            targets[name].Write(0, [.. Enumerable.Repeat((byte)name[0], 512)]);
        }

        Assert.All(targets.Names, name => Assert.Equal((byte)name[0], targets[name].Read(0, 1).Data[511]));
        targets["b"].RemoveDevice();
        Assert.Null(targets["b"].Receive());
        Assert.Equal(ScsiStatus.Good, targets["a"].Read(0, 1).Status);
        targets["a"].Socket.Dispose();
        Assert.Equal(ScsiStatus.Good, targets["c"].Read(0, 1).Status);
        Assert.False(first.Run.IsCompleted);
        targets["c"].RemoveDevice();

        Assert.Equal(0, await first.ExitCode());
    }

    [Fact]
    public async Task A_device_that_cannot_be_opened_or_whose_ring_breaks_costs_only_itself()
    {
        using FakeTarget first = new();
        first.Start(
            BlockHandler (device) => device.Name == "bad" ? throw new IOException("no such medium") : new ArrayDisk(device),
            "--device", "good,bad,broken");
        using FakeTargets targets = new(first, 3);
        targets.AcceptAll(name => new DeviceMessage { Device = name, SizeBytes = 1 << 20 }, fails: "bad");
        targets["broken"].BreakRing();
        Assert.Null(targets["broken"].Receive());

        Assert.Equal(ScsiStatus.Good, targets["good"].Read(0, 1).Status);
        targets["good"].RemoveDevice();

        Assert.Equal(1, await first.ExitCode());
        Assert.Contains("device 'bad': cannot open 'bad': no such medium\n", first.HandlerErrors.ToString(), StringComparison.Ordinal);
        Assert.Contains("device 'broken': the target broke the ring: ", first.HandlerErrors.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_target_many_devices_say_so_once()
    {
        StringWriter errors = new();
        HandlerOptions options = HandlerOptions.Parse(["--socket", "/nonexistent/attach", "--device", "a,b,c,d"], _ => null);
        using HandlerHost host = new(options, (_, _, _) => throw new InvalidOperationException(), errors);

        Assert.Equal(1, await host.RunAsync());
        Assert.Equal("cannot attach to /nonexistent/attach: No such file or directory; is `scuse serve` running?\n", errors.ToString());
    }

    [Fact]
    public async Task Hundreds_of_devices_are_served_by_a_few_threads_that_sleep_while_nothing_happens()
    {
        const int count = 300;
        string[] names = [.. Enumerable.Range(0, count).Select(i => $"lun{i}")];
        int threadsBefore = Process.GetCurrentProcess().Threads.Count;
        using FakeTarget first = new();
        first.Start(device => new SmallDisk(device), "--device", string.Join(',', names));
        using FakeTargets targets = new(first, count);
        targets.AcceptAll(name => new DeviceMessage { Device = name, SizeBytes = 8192 });
        Assert.Equal(count, targets.Names.Count());

        // Every one has its own data, in turns and out of turn.
        Random random = new(1);
        for (int round = 0; round < 3; round++)
        {
            string[] order = [.. names];
            random.Shuffle(order);
            foreach (string name in order)
            {
                byte[] data = BitConverter.GetBytes(name.GetHashCode(StringComparison.Ordinal) + round);
                Array.Resize(ref data, 512);
                Assert.Equal(ScsiStatus.Good, targets[name].Write(0, data).Status);
                Assert.Equal(data, targets[name].Read(0, 1).Data);
            }
        }

        // One that is busy and the others asleep: those are heard all the same.
        using (CancellationTokenSource enough = new())
        {
            using ManualResetEventSlim isBusy = new();
            var busy = Task.Run(() => ReadUntil(targets[names[0]], isBusy, enough.Token));
            isBusy.Wait();
            foreach (string name in names[1..50])
            {
                Assert.Equal(ScsiStatus.Good, targets[name].Read(0, 1).Status);
            }

            await enough.CancelAsync();
            await busy;
        }

        // What the devices do shows in every second; what the runtime still does for the tests before shows in the first.
        TimeSpan cpu = TimeSpan.MaxValue;
        for (int second = 0; second < 5 && cpu >= TimeSpan.FromMilliseconds(300); second++)
        {
            TimeSpan cpuBefore = Environment.CpuUsage.TotalTime;
            await Task.Delay(1000);
            cpu = Environment.CpuUsage.TotalTime - cpuBefore;
        }

        Assert.InRange(Process.GetCurrentProcess().Threads.Count - threadsBefore, 0, 30);
        Assert.True(cpu < TimeSpan.FromMilliseconds(300), $"{cpu.TotalMilliseconds} ms of processor time in an idle second");

        first.Host.RequestStop();
        Assert.Equal(0, await first.ExitCode());
        Assert.Equal("", first.HandlerErrors.ToString());
    }

    [Fact]
    public async Task All_devices_of_a_process_attach_again_when_the_target_comes_back()
    {
        const int count = 40;
        string[] names = [.. Enumerable.Range(0, count).Select(i => $"lun{i}")];
        DeviceMessage Describe(string name) => new() { Device = name, SizeBytes = 8192, Identity = $"id of {name}", KeepSeconds = 30 };
        using TempFolder folder = new();
        using FakeTarget first = new(path: folder["attach"]);
        first.Start(device => new SmallDisk(device), "--device", string.Join(',', names));
        using (FakeTargets targets = new(first, count))
        {
            targets.AcceptAll(Describe);
            foreach (string name in names)
            {
                targets[name].Write(0, [.. Enumerable.Repeat((byte)name.Length, 512)]);
            }

            first.Listener.Dispose();
        }

        await Task.Delay(100);
        using FakeTarget second = new FakeTarget(path: folder["attach"]).InheritFrom(first);
        using FakeTargets again = new(second, count);
        again.AcceptAll(Describe);
        foreach (string name in names)
        {
            Assert.Equal($"id of {name}", again[name].Hello!.Identity);
            Assert.Equal(name.Length, again[name].Read(0, 1).Data[0]);
            again[name].RemoveDevice();
        }

        Assert.Equal(0, await first.ExitCode());
    }

    static void ReadUntil(FakeTarget target, ManualResetEventSlim hasBegun, CancellationToken enough)
    {
        while (!enough.IsCancellationRequested)
        {
            Assert.True(target.ReadMany(100) > 0);
            hasBegun.Set();
        }
    }

    sealed class SmallDisk(DeviceInfo device) : BlockHandler
    {
        readonly byte[] _bytes = new byte[device.SizeBytes];

        public override ValueTask ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
        {
            into.CopyFrom(_bytes.AsSpan((int)offset, into.Length));
            return ValueTask.CompletedTask;
        }

        public override ValueTask WriteAsync(long offset, DataBuffer from, WriteFlags flags, CancellationToken aborted)
        {
            from.CopyTo(_bytes.AsSpan((int)offset, from.Length));
            return ValueTask.CompletedTask;
        }
    }
}

/// <summary>The target's ends of several devices that attach at one listener.</summary>
sealed class FakeTargets : IDisposable
{
    readonly FakeTarget _door;
    readonly int _count;
    readonly Dictionary<string, FakeTarget> _byName = [];

    /// <param name="door">The one that listens; it serves no device itself.</param>
    /// <param name="count">How many devices attach.</param>
    public FakeTargets(FakeTarget door, int count) => (_door, _count) = (door, count);

    public IEnumerable<string> Names => _byName.Keys;

    public FakeTarget this[string name] => _byName[name];

    public void AcceptAll(Func<string, DeviceMessage> describe, string? fails = null)
    {
        for (int i = 0; i < _count; i++)
        {
            _door.AcceptHello();
            string name = _door.Hello!.Device;
            FakeTarget target = new(listener: _door.Listener);
            target.Adopt(_door);
            _byName.Add(name, target);
            if (name == fails)
            {
                target.Send(describe(name));
                Xunit.Assert.IsType<FailedMessage>(target.Receive());
                continue;
            }

            target.Introduce(describe(name));
        }
    }

    public void Dispose()
    {
        foreach (FakeTarget target in _byName.Values)
        {
            target.Dispose();
        }
    }
}
