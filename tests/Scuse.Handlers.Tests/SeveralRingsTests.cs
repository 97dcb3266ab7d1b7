using Scuse.Handlers.Memory;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Ring.Attach;
using Scuse.Scsi;

namespace Scuse.Handlers.Tests;

/// <summary>A target that serves one device with several of its threads passes a region from each: the handler serves all, and the device lives and ends as one.</summary>
public sealed class SeveralRingsTests : IDisposable
{
    const MailboxFlags Keeping = MailboxFlags.OutOfOrder | MailboxFlags.ReadLength | MailboxFlags.TaskManagement | MailboxFlags.KeepBuffer;
    const int WaitMs = 10_000;

    static readonly DeviceMessage s_kept = new() { Device = "disk", SizeBytes = 1 << 20, Identity = "first", KeepSeconds = 30 };
    static readonly byte[] s_read = [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], s_write = [0x0A, 0, 0, 0, 1, 0];

    readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Commands_of_all_regions_are_answered_and_a_handler_that_needs_it_has_them_on_one_thread()
    {
        ThreadNotingDisk disk = null!;
        using FakeTarget target = FakeTarget.WithRegions(3).Serve(device => disk = new ThreadNotingDisk(device, isThreadSafe: false));
        FakeTarget[] all = [target, .. target.Others];

        AssertThatAllServeTheSameDisk(all);

        Assert.Equal(RegionMessage.MaxRegions, target.Ready!.Rings);
        Assert.Single(disk.Threads);
        target.RemoveDevice();
        Assert.Equal(0, await target.ExitCode());
        Assert.True(disk.Closed.Task.IsCompleted);
    }

    [Fact]
    public async Task A_handler_that_is_thread_safe_has_them_spread_over_threads()
    {
        ThreadNotingDisk disk = null!;
        using FakeTarget target = FakeTarget.WithRegions(2).Serve(device => disk = new ThreadNotingDisk(device, isThreadSafe: true));

        AssertThatAllServeTheSameDisk([target, target.Others[0]]);

        Assert.Equal(Math.Min(2, Processor.Count), disk.Threads.Count);
        target.RemoveDevice();
        Assert.Equal(0, await target.ExitCode());
        Assert.True(disk.Closed.Task.IsCompleted);
    }

    static void AssertThatAllServeTheSameDisk(FakeTarget[] all)
    {
        for (int i = 0; i < all.Length; i++)
        {
            Assert.Equal(ScsiStatus.Good, all[i].Write(i * 8, [.. Enumerable.Repeat((byte)(i + 1), 4096)]).Status);
        }

        Assert.All(all, one => Assert.Equal([.. Enumerable.Range(1, all.Length).Select(static i => (byte)i)], one.Read(0, 8 * all.Length).Data.Where(static (_, at) => at % 4096 == 0)));
    }

    [Fact]
    public async Task As_many_regions_as_can_be_are_served()
    {
        using FakeTarget target = FakeTarget.WithRegions(RegionMessage.MaxRegions).Serve(static device => new MemoryHandler(device.SizeBytes, 512));

        AssertThatAllServeTheSameDisk([target, .. target.Others]);

        target.RemoveDevice();
        Assert.Equal(0, await target.ExitCode());
    }

    [Fact]
    public void Reads_of_all_regions_are_answered_from_the_one_memory_that_was_passed()
    {
        using FakeTarget target = new() { UsesOwnMemory = true, Others = [new FakeTarget { UsesOwnMemory = true }] };
        target.Serve(static device => MemoryHandler.Open("", device));
        byte[] data = [.. Enumerable.Range(0, 8192).Select(static i => (byte)(i * 7))];
        target.Write(0, data);

        Answer first = target.Read(0, 16), second = target.Others[0].Read(0, 16);

        Assert.Equal((ResponseFlags.OwnMemory, ResponseFlags.OwnMemory), (first.Flags, second.Flags));
        Assert.Equal(data, first.Data);
        Assert.Equal(data, second.Data);
    }

    [Theory]
    [InlineData(0, "the target passed 0 regions; 1 to 16 are possible")]
    [InlineData(17, "the target passed 17 regions; 1 to 16 are possible")]
    [InlineData(-1, "the target passed -1 regions; 1 to 16 are possible")]
    [InlineData(3, "the target passed 6 descriptors with 3 regions; 9 are needed")]
    [InlineData(1, "the target passed 6 descriptors with the region; 3 are needed")]
    public async Task Regions_and_descriptors_that_do_not_agree_end_the_handler_with_a_line(int regions, string line)
    {
        using FakeTarget target = FakeTarget.WithRegions(2);
        GoUpToReady(target);

        target.GiveRegion(waitFlags: true, regions: regions);

        Assert.Equal(1, await target.ExitCode());
        Assert.Equal($"{line}\n", target.HandlerErrors.ToString());
    }

    [Fact]
    public async Task One_unusable_region_among_several_ends_the_handler_with_a_line()
    {
        using FakeTarget target = FakeTarget.WithRegions(3);
        GoUpToReady(target);
        target.Others[1].EraseMailbox();

        target.GiveRegion(waitFlags: true);

        Assert.Equal(1, await target.ExitCode());
        Assert.StartsWith("the region that the target passed is unusable: ", target.HandlerErrors.ToString(), StringComparison.Ordinal);
    }

    static void GoUpToReady(FakeTarget target)
    {
        target.Start(static device => new ArrayDisk(device));
        target.AcceptHello();
        target.Send(new DeviceMessage { Device = "disk", SizeBytes = 4096 });
        Assert.IsType<ReadyMessage>(target.Receive());
    }

    // ---- kept buffers ----

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_was_kept_is_given_back_to_the_region_that_it_came_by(bool isThreadSafe)
    {
        List<KeptBuffers> holds = [];
        using FakeTarget target = FakeTarget.WithRegions(2, Keeping).Serve(_ => new KeepingDevice(isThreadSafe, holds));
        FakeTarget other = target.Others[0];
        PostedCommand first = target.Post(s_write, new byte[512]);
        Assert.Equal(ResponseFlags.KeepBuffer, target.Take(first).Flags);
        PostedCommand second = other.Post(s_write, new byte[512]);
        Assert.Equal(ResponseFlags.KeepBuffer, other.Take(second).Flags);
        Assert.Equal(first.Id, second.Id);

        await Task.Run(holds[1].Dispose);

        Assert.Equal([second.Id], target.FreeKept(out int region));
        Assert.Equal((1, 1, 0), (region, target.Kept, other.Kept));
        holds[0].Dispose();
        Assert.Equal([first.Id], target.FreeKept(out region));
        Assert.Equal((0, 0), (region, target.Kept));
    }

    // ---- the end ----

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task A_device_is_removed_when_everything_posted_to_any_region_is_answered(bool isReleased, bool isThreadSafe)
    {
        WaitingDisk disk = null!;
        using FakeTarget target = FakeTarget.WithRegions(2).Serve(device => disk = new WaitingDisk(device) { IsSafe = isThreadSafe }, s_kept);
        FakeTarget other = target.Others[0];
        PostedCommand read = other.Post(s_read, dataInLength: 512);
        SpinWait.SpinUntil(() => disk.LastAborted.CanBeCanceled, WaitMs);
        if (isReleased)
        {
            target.Listener.Dispose();
            target.ReleaseDevice();
        }
        else
        {
            target.RemoveDevice();
        }

        // Whichever has seen it, what is posted is answered as long as there is an answer to wait for.
        Assert.Equal(ScsiStatus.Good, other.Take(other.Post([0x2A, 0, 0, 0, 0, 1, 0, 0, 1, 0], new byte[512])).Status);
        Assert.Equal(ScsiStatus.Good, target.Take(target.Post([0x2A, 0, 0, 0, 0, 2, 0, 0, 1, 0], new byte[512])).Status);
        Assert.False(target.CanReceive());
        Assert.False(disk.Closed.Task.IsCompleted);
        disk.Gate(0).SetResult();

        Assert.Equal(ScsiStatus.Good, other.Take(read).Status);
        Assert.Null(target.Receive());
        if (isReleased)
        {
            target.Host.RequestStop(); // it waits for another target
        }

        Assert.Equal(0, await target.ExitCode());
        Assert.True(disk.Closed.Task.IsCompleted);
    }

    [Fact]
    public async Task While_one_region_has_commands_left_after_a_removal_the_death_of_the_target_is_noticed()
    {
        WaitingDisk disk = null!;
        using FakeTarget target = FakeTarget.WithRegions(2).Serve(device => disk = new WaitingDisk(device) { IsSafe = true });
        target.Others[0].Post(s_read, dataInLength: 512);
        SpinWait.SpinUntil(() => disk.LastAborted.CanBeCanceled, WaitMs);
        target.RemoveDevice();
        Assert.Equal(ScsiStatus.Good, target.Take(target.Post([0x2A, 0, 0, 0, 0, 2, 0, 0, 1, 0], new byte[512])).Status);

        target.Socket.Dispose();

        Assert.Equal(0, await target.ExitCode());
        Assert.True(disk.LastAborted.IsCancellationRequested);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task When_the_target_dies_the_commands_of_all_regions_are_given_up_and_the_next_one_has_as_many_regions_as_it_likes(bool isThreadSafe)
    {
        WaitingDisk disk = null!;
        string path = _folder["attach"];
        using FakeTarget first = FakeTarget.WithRegions(3, path: path).Serve(device => disk = new WaitingDisk(device) { IsSafe = isThreadSafe }, s_kept);
        first.Post(s_read, dataInLength: 512);
        first.Others[0].Post(s_read, dataInLength: 512);
        first.Others[1].Post(s_read, dataInLength: 512);
        Assert.True(SpinWait.SpinUntil(() => disk.Started == 3, WaitMs));

        first.Die();
        using FakeTarget second = FakeTarget.WithRegions(2, path: path).InheritFrom(first);
        second.AcceptHello();
        Assert.Equal(3, disk.Aborted);
        second.Introduce(s_kept);
        disk.Gate(512).SetResult();
        Assert.Equal(ScsiStatus.Good, second.Others[0].Read(1, 1).Status);
        second.Die();
        using FakeTarget third = new FakeTarget(path: path).InheritFrom(first);
        third.Handshake(s_kept, waitFlags: false);

        Assert.Equal(ScsiStatus.Good, third.Read(1, 1).Status);
        third.RemoveDevice();
        Assert.Equal(0, await third.ExitCode());
        Assert.True(disk.Closed.Task.IsCompleted);
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(1, false)]
    [InlineData(0, true)]
    [InlineData(1, true)]
    public async Task One_broken_ring_ends_all(int broken, bool isThreadSafe)
    {
        WaitingDisk disk = null!;
        using FakeTarget target = FakeTarget.WithRegions(2).Serve(device => disk = new WaitingDisk(device) { IsSafe = isThreadSafe }, s_kept);
        FakeTarget[] all = [target, target.Others[0]];
        all[1 - broken].Post(s_read, dataInLength: 512);
        Assert.True(SpinWait.SpinUntil(() => disk.Started == 1, WaitMs));

        all[broken].BreakRing();

        Assert.Equal(1, await target.ExitCode());
        Assert.Equal(1, disk.Aborted);
        Assert.True(disk.Closed.Task.IsCompleted);
        string said = target.HandlerErrors.ToString();
        Assert.StartsWith("the target broke the ring: ", said, StringComparison.Ordinal);
        Assert.Equal(1, said.Count(static c => c == '\n'));
    }

    [Fact]
    public async Task Commands_of_any_region_that_never_end_end_the_process_without_closing_the_device()
    {
        TaskCompletionSource never = new();
        ScriptedDisk disk = null!;
        int started = 0;
        using FakeTarget target = FakeTarget.WithRegions(2);
        target.Serve(
            device => disk = new ScriptedDisk(device, () =>
            {
                Interlocked.Increment(ref started);
                return new ValueTask(never.Task);
            }),
            s_kept);
        target.Post(s_read, dataInLength: 512);
        target.Others[0].Post(s_read, dataInLength: 512);
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref started) == 2, WaitMs));

        target.Die();

        Assert.Equal(1, await target.ExitCode());
        Assert.False(disk.Closed.Task.IsCompleted);
        Assert.Equal("2 commands did not end after the target was gone\n", target.HandlerErrors.ToString());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_handler_that_is_asked_to_end_answers_what_it_has_taken_from_all_regions(bool isThreadSafe)
    {
        WaitingDisk disk = null!;
        using FakeTarget target = FakeTarget.WithRegions(2).Serve(device => disk = new WaitingDisk(device) { IsSafe = isThreadSafe }, s_kept);
        PostedCommand first = target.Post(s_read, dataInLength: 512), second = target.Others[0].Post(s_read, dataInLength: 512);
        Assert.True(SpinWait.SpinUntil(() => disk.Started == 2, WaitMs));

        target.Host.RequestStop();
        Assert.False(target.CanReceive());
        disk.Gate(0).SetResult();

        Assert.Equal(ScsiStatus.Good, target.Take(first).Status);
        Assert.Equal(ScsiStatus.Good, target.Others[0].Take(second).Status);
        Assert.Equal(0, await target.ExitCode());
        Assert.True(disk.Closed.Task.IsCompleted);
    }

    [Fact]
    public void Two_targets_threads_that_post_at_once_have_everything_answered_without_allocations()
    {
        AllocationNotingDisk disk = null!;
        using FakeTarget target = FakeTarget.WithRegions(2).Serve(device => disk = new AllocationNotingDisk(device));
        FakeTarget other = target.Others[0];
        ReadMany(target, other, 50_000); // slots, tiers of the compiler
        target.Write(0, new byte[512]);
        other.Write(0, new byte[512]);
        long before = disk.AllocatedByThreads;

        Assert.Equal(600_000, ReadMany(target, other, 300_000));

        target.Write(0, new byte[512]);
        other.Write(0, new byte[512]);
        Assert.InRange(disk.AllocatedByThreads - before, 0, 10_000); // an allocation per command would be 14 MB
    }

    static int ReadMany(FakeTarget one, FakeTarget other, int each)
    {
        int good = 0;
        Thread thread = new(() => good = other.ReadMany(each));
        thread.Start();
        int mine = one.ReadMany(each);
        thread.Join();
        return mine + good;
    }

    sealed class ThreadNotingDisk(DeviceInfo device, bool isThreadSafe) : ArrayDisk(device)
    {
        public HashSet<int> Threads { get; } = [];

        public override bool IsThreadSafe => isThreadSafe;

        public override ValueTask ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
        {
            Note();
            return base.ReadAsync(offset, into, aborted);
        }

        public override ValueTask WriteAsync(long offset, DataBuffer from, WriteFlags flags, CancellationToken aborted)
        {
            Note();
            return base.WriteAsync(offset, from, flags, aborted);
        }

        void Note()
        {
            lock (Threads)
            {
                Threads.Add(Environment.CurrentManagedThreadId);
            }
        }
    }

    /// <summary>Every write tells how much its thread has allocated by then.</summary>
    sealed class AllocationNotingDisk(DeviceInfo device) : ArrayDisk(device)
    {
        readonly Dictionary<int, long> _allocated = [];

        public override bool IsThreadSafe => true;

        public long AllocatedByThreads
        {
            get
            {
                lock (_allocated)
                {
                    return _allocated.Values.Sum();
                }
            }
        }

        public override ValueTask WriteAsync(long offset, DataBuffer from, WriteFlags flags, CancellationToken aborted)
        {
            lock (_allocated)
            {
                _allocated[Environment.CurrentManagedThreadId] = GC.GetAllocatedBytesForCurrentThread();
            }

            return ValueTask.CompletedTask;
        }
    }

    sealed class KeepingDevice(bool isThreadSafe, List<KeptBuffers> holds) : CommandHandler
    {
        public override bool IsThreadSafe => isThreadSafe;

        public override ValueTask<CommandResult> ExecuteAsync(ScsiCommand command)
        {
            KeptBuffers hold = new();
            lock (holds)
            {
                holds.Add(hold);
            }

            return new(new CommandResult { KeepBuffers = hold });
        }
    }
}
