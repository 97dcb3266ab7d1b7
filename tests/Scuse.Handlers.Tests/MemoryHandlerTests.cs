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
}
