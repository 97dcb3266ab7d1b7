using Scuse.Handlers.Memory;
using Scuse.Ring;
using Scuse.Ring.Attach;
using Scuse.Scsi;

namespace Scuse.Handlers.Tests;

/// <summary>Reads that are answered with a place in the handler's own memory.</summary>
public sealed class OwnMemoryTests
{
    const int SizeBytes = 8 << 20;
    const int LargeBlocks = 1 << 11; // 1 MiB
    const int SmallBlocks = 7;

    static readonly DeviceMessage s_device = new() { Device = "disk", SizeBytes = SizeBytes, Identity = "first" };

    static FakeTarget Serve(bool usesOwnMemory = true, string level = "", Func<DeviceInfo, BlockHandler>? open = null, int keepSeconds = 0) =>
        new FakeTarget { UsesOwnMemory = usesOwnMemory }.Serve(open ?? (static device => MemoryHandler.Open("", device)), s_device with { Level = level, KeepSeconds = keepSeconds });

    static byte[] Pattern(int length, int seed = 1) => [.. Enumerable.Range(0, length).Select(i => (byte)((i * 7) + (i >> 9) + seed))];

    static void Fill(FakeTarget target, byte[] data)
    {
        for (int at = 0; at < data.Length; at += 1 << 20)
        {
            Assert.Equal(ScsiStatus.Good, target.Write(at / 512, data[at..Math.Min(data.Length, at + (1 << 20))]).Status);
        }
    }

    [Fact]
    public void A_large_read_is_answered_with_a_place_and_a_small_one_with_a_copy()
    {
        using FakeTarget target = Serve();
        byte[] data = Pattern(2 << 20);
        Fill(target, data);

        Answer large = target.Read(8, LargeBlocks), small = target.Read(8, SmallBlocks);

        Assert.Contains(ReadyMessage.RingOwnMemory, target.Ready!.Ring);
        Assert.Equal(SizeBytes, target.Ready.MemoryBytes);
        Assert.Equal((ScsiStatus.Good, ResponseFlags.OwnMemory), (large.Status, large.Flags));
        Assert.Equal(data[4096..(4096 + (1 << 20))], large.Data);
        Assert.Equal((ScsiStatus.Good, ResponseFlags.None), (small.Status, small.Flags));
        Assert.Equal(data[4096..(4096 + (SmallBlocks * 512))], small.Data);
    }

    [Fact]
    public void What_is_written_and_given_back_later_is_what_later_reads_return()
    {
        using FakeTarget target = Serve();
        byte[] data = Pattern(1 << 20);
        Fill(target, data);
        Assert.Equal(data, target.Read(0, LargeBlocks).Data);

        byte[] newer = Pattern(65536, seed: 9);
        target.Write(100, newer);
        newer.CopyTo(data, 51200);
        Answer read = target.Read(0, LargeBlocks);
        Assert.Equal((ResponseFlags.OwnMemory, true), (read.Flags, data.AsSpan().SequenceEqual(read.Data)));

        byte[] cdb = new byte[16];
        int length = Cdb.WriteWriteSame16(cdb, 256, 512, unmap: true, ndob: true);
        Assert.Equal(ScsiStatus.Good, target.Execute(cdb.AsSpan(0, length)).Status);
        data.AsSpan(256 * 512, 512 * 512).Clear();
        read = target.Read(0, LargeBlocks);
        Assert.Equal((ResponseFlags.None, true), (read.Flags, data.AsSpan().SequenceEqual(read.Data))); // looking at what was given back would take up room
    }

    [Fact]
    public void What_was_never_written_is_read_as_zeros_and_not_from_the_memory()
    {
        using FakeTarget target = Serve();

        Answer read = target.Read(0, LargeBlocks);

        Assert.Equal(ResponseFlags.None, read.Flags);
        Assert.False(read.Data.AsSpan().ContainsAnyExcept((byte)0));
    }

    [Fact]
    public void A_target_that_does_not_use_the_memory_gets_copies()
    {
        using FakeTarget target = Serve(usesOwnMemory: false);
        byte[] data = Pattern(1 << 20);
        Fill(target, data);

        Answer read = target.Read(0, LargeBlocks);

        Assert.Equal((ResponseFlags.None, true), (read.Flags, data.AsSpan().SequenceEqual(read.Data)));
    }

    [Fact]
    public void At_level_all_no_memory_is_offered()
    {
        using FakeTarget target = Serve(level: "all");

        Assert.DoesNotContain(ReadyMessage.RingOwnMemory, target.Ready!.Ring);
        Assert.Null(target.OwnMemory);
    }

    [Fact]
    public void A_target_that_comes_back_gets_the_same_memory_again()
    {
        using FakeTarget target = Serve(keepSeconds: 30);
        byte[] data = Pattern(1 << 20);
        Fill(target, data);
        target.Die();

        using FakeTarget next = new FakeTarget(path: target.SocketPath) { UsesOwnMemory = true }.InheritFrom(target);
        next.Handshake(s_device, waitFlags: true);
        Answer read = next.Read(0, LargeBlocks);

        Assert.Equal((ResponseFlags.OwnMemory, true), (read.Flags, data.AsSpan().SequenceEqual(read.Data)));
    }

    [Fact]
    public void The_memory_is_the_disk_and_takes_up_room_only_where_that_does()
    {
        using FakeTarget target = Serve();
        Fill(target, Pattern(1 << 20));

        target.Read(4096, LargeBlocks);
        byte[] cdb = new byte[16];
        target.Execute(cdb.AsSpan(0, Cdb.WriteWriteSame16(cdb, 0, 1024, unmap: true, ndob: true)));

        Assert.Equal(512 << 10, target.OwnMemoryAllocatedBytes);
    }

    [Theory]
    [InlineData(SizeBytes - (1 << 20) + 1)]
    [InlineData(long.MaxValue)]
    public void A_place_beyond_the_memory_fails_the_read_and_harms_nothing_else(long place)
    {
        using FakeTarget target = Serve(open: device => new Misplacing(device, place));

        Answer read = target.Read(0, LargeBlocks);

        Assert.Equal((ScsiStatus.CheckCondition, "04/44/00"), (read.Status, read.SenseText));
        Assert.Contains("Locate named place", target.HandlerErrors.ToString(), StringComparison.Ordinal);
        Assert.Equal(ScsiStatus.Good, target.Read(0, SmallBlocks).Status);
    }

    /// <summary>A disk that does not know where its bytes are.</summary>
    sealed class Misplacing(DeviceInfo device, long place) : BlockHandler
    {
        public override SharedMemory OwnMemory { get; } = SharedMemory.Create("test", device.SizeBytes);

        public override long Locate(long offset, int length) => place;

        public override ValueTask ReadAsync(long offset, DataBuffer into, CancellationToken aborted)
        {
            into.Clear();
            return ValueTask.CompletedTask;
        }

        public override ValueTask WriteAsync(long offset, DataBuffer from, WriteFlags flags, CancellationToken aborted) => ValueTask.CompletedTask;

        public override ValueTask CloseAsync()
        {
            OwnMemory.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
