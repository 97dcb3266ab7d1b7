namespace Scuse.Linux.Tests;

public sealed class MemoryTests
{
    const long GiB = 1L << 30;

    [Fact]
    public void What_one_mapping_writes_another_reads()
    {
        using MemFd memory = MemFd.Create("test", 64 * 1024);
        using MappedRegion ours = MappedRegion.Map(memory.Handle, memory.LengthBytes);
        using MappedRegion theirs = MappedRegion.Map(memory.Handle, memory.LengthBytes);

        "over there"u8.CopyTo(ours.Slice(5000, 10).Span);

        Assert.Equal("over there"u8, theirs.Slice(5000, 10).Span);
        Assert.NotEqual(ours.Address, theirs.Address);
    }

    [Fact]
    public void The_size_is_sealed_against_shrinking_and_growing()
    {
        using MemFd memory = MemFd.Create("test", 8192);

        Assert.Equal(-Errno.EPERM, FileRange.SetLength(memory.Handle, 4096));
        Assert.Equal(-Errno.EPERM, FileRange.SetLength(memory.Handle, 16384));
        Assert.True(MemFd.IsSealedAgainstShrinking(memory.Handle));
        Assert.Equal(8192, FileRange.GetLength(memory.Handle));
    }

    [Fact]
    public void A_plain_file_is_not_sealed()
    {
        using TempFolder folder = new();
        using var file = File.OpenHandle(folder["plain"], FileMode.CreateNew, FileAccess.ReadWrite);

        Assert.False(MemFd.IsSealedAgainstShrinking(file));
    }

    [Fact]
    public void A_punched_hole_reads_as_zeros_and_takes_no_room()
    {
        using MemFd memory = MemFd.Create("test", 1 << 20);
        using MappedRegion region = MappedRegion.Map(memory.Handle, memory.LengthBytes);
        region.Slice(0, 1 << 20).Span.Fill(0x5A);
        long full = FileRange.GetAllocatedBytes(memory.Handle);

        memory.PunchHole(0, 512 * 1024);

        Assert.Equal(512 * 1024, full - FileRange.GetAllocatedBytes(memory.Handle));
        Assert.Equal(0, region.Slice(0, 1).Span[0]);
        Assert.Equal(0x5A, region.Slice(512 * 1024, 1).Span[0]);
    }

    [Fact]
    public void A_mapping_longer_than_the_memory_is_refused()
    {
        using MemFd memory = MemFd.Create("test", 4096);

        LinuxException refusal = Assert.Throws<LinuxException>(() => MappedRegion.Map(memory.Handle, 8192));

        Assert.Equal(Errno.EINVAL, refusal.Errno);
        Assert.Equal("mmap", refusal.Call);
    }

    [Fact]
    public void A_piece_beyond_two_GiB_and_one_across_a_GiB_boundary_lie_where_they_should()
    {
        using MemFd memory = MemFd.Create("test", 3 * GiB); // sparse: only the touched pages take up room
        using MappedRegion region = MappedRegion.Map(memory.Handle, memory.LengthBytes);

        region.Slice((2 * GiB) + 4096, 4).Span.Fill(0x22);
        region.Slice(GiB - 2, 4).Span.Fill(0x11);

        Assert.Equal(0x22, region.Slice((2 * GiB) + 4097, 1).Span[0]);
        Assert.Equal(0x11, region.Slice(GiB - 1, 1).Span[0]);
        Assert.Equal(0x11, region.Slice(GiB, 1).Span[0]);
        Assert.Equal(0, region.Slice(GiB + 2, 1).Span[0]);
    }

    [Fact]
    public void The_whole_of_a_large_region_comes_in_pieces()
    {
        using MemFd memory = MemFd.Create("test", (2 * GiB) + 4096);
        using MappedRegion region = MappedRegion.Map(memory.Handle, memory.LengthBytes);
        var pieces = new Memory<byte>[4];

        int count = region.Slice(0, region.LengthBytes, pieces);

        Assert.Equal(3, count);
        Assert.Equal(region.LengthBytes, pieces.Sum(piece => (long)piece.Length));
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(4096, 1)]
    [InlineData(4095, 2)]
    [InlineData(0, -1)]
    [InlineData(long.MaxValue, 1)]
    public void A_piece_outside_the_region_is_refused(long offset, int length)
    {
        using MemFd memory = MemFd.Create("test", 4096);
        using MappedRegion region = MappedRegion.Map(memory.Handle, memory.LengthBytes);

        Assert.Throws<ArgumentOutOfRangeException>(() => region.Slice(offset, length));
    }

    [Fact]
    public void A_mapping_for_reading_shows_what_others_write()
    {
        using MemFd memory = MemFd.Create("test", 4096);
        using MappedRegion writer = MappedRegion.Map(memory.Handle, 4096);
        using MappedRegion reader = MappedRegion.MapReadOnly(memory.Handle, 4096);

        writer.Slice(100, 1).Span[0] = 7;

        Assert.Equal(7, reader.Slice(100, 1).Span[0]);
    }

    [Fact]
    public void Memory_is_told_from_what_is_none()
    {
        using MemFd memory = MemFd.Create("test", 4096);
        using EventFd other = EventFd.Create();

        Assert.True(MemFd.IsOfOrdinaryPages(memory.Handle));
        Assert.False(MemFd.IsOfOrdinaryPages(other.Handle));
    }

    [Fact]
    public void Taking_pieces_allocates_nothing()
    {
        using MemFd memory = MemFd.Create("test", 1 << 20);
        using MappedRegion region = MappedRegion.Map(memory.Handle, memory.LengthBytes);
        region.Slice(0, 512).Span[0] = 1;

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10_000; i++)
        {
            region.Slice((i & 0xFF) * 512, 512).Span[0] = 1;
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void Memory_of_a_region_that_is_unmapped_says_so_instead_of_crashing()
    {
        using MemFd memory = MemFd.Create("test", 4096);
        MappedRegion region = MappedRegion.Map(memory.Handle, memory.LengthBytes);
        Memory<byte> piece = region.Slice(0, 16);

        region.Dispose();

        Assert.Throws<ObjectDisposedException>(() => piece.Span[0]);
    }
}
