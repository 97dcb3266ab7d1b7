using Scuse.Device;
using Scuse.Handlers.Memory;
using Scuse.Linux;

namespace Scuse.Handlers.Tests;

public sealed class MemoryHandlerTests
{
    static readonly DeviceInfo s_device = new() { Name = "disk" };

    [Theory]
    [InlineData("256M", 256L << 20, 512)]
    [InlineData("1M?block=4096", 1L << 20, 4096)]
    [InlineData("", 1L << 30, 512)]
    public void The_spec_says_size_and_block_size(string spec, long size, int block)
    {
        MemoryHandler disk = MemoryHandler.Open(spec, s_device);

        Assert.Equal((size, block), (disk.SizeBytes, disk.BlockSize));
    }

    [Theory]
    [InlineData("12X", "size '12X' is not a number with K, M, G or T")]
    [InlineData("0", "size '0' is not a positive multiple of the block size of 512")]
    [InlineData("1000", "size '1000' is not a positive multiple of the block size of 512")]
    [InlineData("1M?size=2M", "option 'size' in '1M?size=2M' is unknown; known are block, thick, readonly")]
    public void A_wrong_spec_is_one_line(string spec, string message)
    {
        Assert.Equal(message, Assert.Throws<FormatException>(() => MemoryHandler.Open(spec, s_device)).Message);
        Assert.Equal(message, Assert.Throws<FormatException>(() => MemoryProgram.Check(spec)).Message);
    }

    [Fact]
    public async Task It_tells_how_much_has_been_written_and_not_given_back()
    {
        using var cancellation = new CancellationTokenSource();
        var disk = new MemoryHandler(1 << 20, 512);
        await disk.WriteAsync(0, new DataBuffer(new byte[65536]), WriteFlags.None, cancellation.Token);
        await disk.UnmapAsync(0, 4096, cancellation.Token);

        BlockResources resources = await disk.GetResourcesAsync(cancellation.Token);
        await disk.CloseAsync();

        Assert.Equal(65536 - 4096, resources.UsedBytes);
        Assert.True(resources is { AvailableBytes: > 0, IsShared: true });
    }

    [Fact]
    public async Task Never_written_and_unmapped_blocks_read_as_zeros()
    {
        MemoryHandler disk = MemoryHandler.Open("1M", s_device);
        byte[] data = new byte[8192];
        Array.Fill(data, (byte)0x5A);
        await disk.WriteAsync(4096, new DataBuffer(data), WriteFlags.None, default);

        await disk.UnmapAsync(4096 + 512, 4096, default);
        byte[] all = new byte[1 << 20];
        await disk.ReadAsync(0, new DataBuffer(all), default);

        Assert.Equal(8192 - 4096, all.Count(b => b == 0x5A));
        Assert.Equal(0x5A, all[4096 + 511]);
        Assert.Equal(0, all[4096 + 512]);
        Assert.Equal(0x5A, all[4096 + 512 + 4096]);
    }

    [Fact]
    public async Task What_was_written_is_known_from_what_was_not_or_was_given_back()
    {
        MemoryHandler disk = MemoryHandler.Open("1M", s_device);
        await disk.WriteAsync(8192 + 512, new DataBuffer(new byte[256 << 10]), WriteFlags.None, default);
        await disk.UnmapAsync(65536 - 512, 4096 + 1024, default);

        Assert.Equal(new BlockExtent(false, 8192), await disk.GetExtentAsync(0, 1 << 20, default));
        Assert.Equal(new BlockExtent(true, 65536 - 8192 - 512), await disk.GetExtentAsync(8192 + 512, 1 << 20, default));
        Assert.Equal(new BlockExtent(true, 512), await disk.GetExtentAsync(8192, 512, default));
        Assert.Equal(new BlockExtent(false, 4096), await disk.GetExtentAsync(65536, 1 << 19, default));
        Assert.Equal(new BlockExtent(true, (256 << 10) + 8192 + 4096 - 65536 - 4096), await disk.GetExtentAsync(65536 + 4096, (1 << 20) - 65536 - 4096, default));
        Assert.Equal(new BlockExtent(false, 512), await disk.GetExtentAsync((1 << 20) - 512, 512, default));
    }

    [Fact]
    public async Task Zeros_that_were_written_are_data_unless_they_may_be_unmapped()
    {
        MemoryHandler disk = MemoryHandler.Open("1M", s_device);

        await disk.WriteZeroesAsync(0, 4096, mayUnmap: false, default);
        Assert.Equal(new BlockExtent(true, 4096), await disk.GetExtentAsync(0, 1 << 20, default));
        await disk.WriteZeroesAsync(0, 1 << 20, mayUnmap: true, default);

        Assert.Equal(new BlockExtent(false, 1 << 20), await disk.GetExtentAsync(0, 1 << 20, default));
    }

    [Fact]
    public async Task A_disk_larger_than_the_machine_works_where_it_is_touched()
    {
        MemoryHandler disk = MemoryHandler.Open("16T", s_device);
        byte[] data = [.. Enumerable.Repeat((byte)1, 512)];
        byte[] back = new byte[512];

        await disk.WriteAsync((16L << 40) - 512, new DataBuffer(data), WriteFlags.None, default);
        await disk.ReadAsync((16L << 40) - 512, new DataBuffer(back), default);
        await disk.UnmapAsync(0, 16L << 40, default);

        Assert.Equal(data, back);
    }

    [Fact]
    public void What_was_written_goes_with_the_process() => Assert.True(MemoryHandler.Open("1M", s_device).IsVolatile);

    [Fact]
    public void It_offers_unmap_and_zero_writes_and_needs_no_flush() =>
        Assert.Equal(BlockDeviceFeatures.Unmap | BlockDeviceFeatures.WriteZeroes | BlockDeviceFeatures.Extents | BlockDeviceFeatures.Resources, MemoryHandler.Open("1M", s_device).Features);

    [Fact]
    public void A_thick_disk_offers_no_unmap_and_a_read_only_one_says_so()
    {
        Assert.Equal(BlockDeviceFeatures.WriteZeroes, MemoryHandler.Open("1M?thick=1", s_device).Features);
        Assert.True(MemoryHandler.Open("1M?readonly=1", s_device).IsReadOnly);
        Assert.False(MemoryHandler.Open("1M", s_device).IsReadOnly);
    }

    // ---- several threads at once ----

    const int RaceMs = 300;

    [Theory]
    [InlineData(512)]
    [InlineData(64 << 10)]
    [InlineData(600 << 10)]
    public void No_block_is_left_half_of_one_write_and_half_of_another_nor_read_so(int length)
    {
        var disk = new MemoryHandler(1 << 20, 512);
        const int at = 252 << 10; // the longer ones lie in several stretches
        Write(disk, at, length, 1);
        int[] broken = Race(
            () => Write(disk, at, length, 2),
            () => Write(disk, at, length, 3),
            () => HasMixedBlock(Read(disk, at, length)));

        Assert.Equal([0, 0, 0], broken);
        Assert.False(HasMixedBlock(Read(disk, at, length)));
    }

    [Fact]
    public void What_is_given_back_and_written_at_once_is_one_of_both_and_stays_so()
    {
        var disk = new MemoryHandler(1 << 20, 512);
        for (int round = 0; round < 2000; round++)
        {
            Parallel.Invoke(
                () => Write(disk, 4096, 4096, 7),
                () => disk.UnmapAsync(4096, 4096, default).AsTask().Wait());
            byte[] settled = Read(disk, 4096, 4096);
            Write(disk, 4096, 512, 9); // whatever else stands in the piece is not to come up again

            Assert.True(settled.AsSpan().IndexOfAnyExcept(settled[0]) < 0);
            Assert.Equal(settled[512..], Read(disk, 4096, 4096)[512..]);
        }
    }

    [Fact]
    public async Task The_account_of_what_was_written_is_right_after_threads_wrote_and_gave_back_side_by_side()
    {
        var disk = new MemoryHandler(64 << 20, 512);
        Parallel.For(0, 4, thread =>
        {
            for (int piece = thread; piece < (64 << 20) / 4096; piece += 4) // neighbours in a stretch are other threads'
            {
                Write(disk, piece * 4096L, 4096, 1);
                if (piece % 3 == 0)
                {
                    disk.UnmapAsync(piece * 4096L, 4096, default).AsTask().Wait();
                }
            }
        });

        for (int piece = 0; piece < (64 << 20) / 4096; piece++)
        {
            Assert.Equal(piece % 3 != 0, (await disk.GetExtentAsync(piece * 4096L, 4096, default)).IsMapped);
        }
    }

    /// <summary>Does all of them over and over at the same time; returns in how many rounds each said that something was wrong.</summary>
    static int[] Race(params Func<bool>[] works)
    {
        int[] wrong = new int[works.Length];
        long end = Environment.TickCount64 + RaceMs;
        Thread[] threads = [.. works.Select((work, i) => new Thread(() =>
        {
            while (Environment.TickCount64 < end)
            {
                wrong[i] += work() ? 1 : 0;
            }
        }))];
        Array.ForEach(threads, static thread => thread.Start());
        Array.ForEach(threads, static thread => thread.Join());
        return wrong;
    }

    static bool Write(MemoryHandler disk, long offset, int length, byte value)
    {
        byte[] data = new byte[length];
        Array.Fill(data, value);
        disk.WriteAsync(offset, new DataBuffer(data), WriteFlags.None, default).AsTask().Wait();
        return false;
    }

    static byte[] Read(MemoryHandler disk, long offset, int length)
    {
        byte[] data = new byte[length];
        disk.ReadAsync(offset, new DataBuffer(data), default).AsTask().Wait();
        return data;
    }

    static bool HasMixedBlock(byte[] data) => data.Chunk(512).Any(static block => block.AsSpan().IndexOfAnyExcept(block[0]) >= 0);
}
