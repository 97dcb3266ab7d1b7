namespace Scuse.Ring.Tests;

public sealed class DataAreaTests
{
    static readonly RingLayout Layout = RingLayout.Create(4096 - RingAbi.MailboxBytes, 200 * 4096);

    static DataExtent Blocks(int first, int count, int lessBytes = 0) => new(Layout.DataOffset + first * 4096L, count * 4096L - lessBytes);

    static DataExtent[] Allocate(DataArea area, int bytes)
    {
        var list = new ExtentList();
        Assert.True(area.TryAllocate(bytes, list));
        return list.AsSpan().ToArray();
    }

    [Fact]
    public void Adjacent_blocks_are_one_extent_that_ends_with_the_last_byte_asked_for()
    {
        var area = new DataArea(Layout);

        Assert.Equal([Blocks(0, 130, lessBytes: 4095)], Allocate(area, 129 * 4096 + 1));
        Assert.Equal((130, 200, 129), (area.BlocksInUse, area.BlockCount, area.HighestBlockEverUsed));
    }

    [Fact]
    public void The_lowest_free_block_is_taken_first()
    {
        var area = new DataArea(Layout);
        var first = Allocate(area, 4096);
        Allocate(area, 4096);
        area.Free(first);

        Assert.Equal([Blocks(0, 1)], Allocate(area, 512 + 3584));
        Assert.Equal([Blocks(2, 1)], Allocate(area, 4096));
    }

    [Fact]
    public void Holes_give_an_extent_each()
    {
        var area = new DataArea(Layout);
        var blocks = Enumerable.Range(0, 6).Select(_ => Allocate(area, 4096)).ToArray();
        area.Free(blocks[1]);
        area.Free(blocks[3]);
        area.Free(blocks[4]);

        Assert.Equal([Blocks(1, 1), Blocks(3, 2), Blocks(6, 1, lessBytes: 4000)], Allocate(area, 3 * 4096 + 96));
    }

    [Fact]
    public void A_new_allocation_starts_a_new_block_and_a_new_extent_after_what_is_in_the_list()
    {
        var area = new DataArea(Layout);
        var list = new ExtentList();

        area.TryAllocate(100, list);
        area.TryAllocate(200, list);

        Assert.Equal([Blocks(0, 1, lessBytes: 3996), Blocks(1, 1, lessBytes: 3896)], list.AsSpan());
    }

    [Fact]
    public void An_allocation_that_does_not_fit_takes_nothing()
    {
        var area = new DataArea(Layout);
        var list = new ExtentList();
        Allocate(area, 4096);

        Assert.False(area.TryAllocate(199 * 4096 + 1, list));

        Assert.Equal((0, 1, 0), (list.Count, area.BlocksInUse, area.HighestBlockEverUsed));
    }

    [Fact]
    public void The_whole_area_can_be_taken_and_given_back()
    {
        var area = new DataArea(Layout);

        var all = Allocate(area, 200 * 4096);
        Assert.Equal([Blocks(0, 200)], all);
        Assert.False(area.TryAllocate(1, new ExtentList()));
        area.Free(all);

        Assert.Equal(0, area.BlocksInUse);
        Assert.Equal([Blocks(0, 200)], Allocate(area, 200 * 4096));
    }

    [Fact]
    public void Nothing_takes_no_blocks()
    {
        var area = new DataArea(Layout);

        Assert.Empty(Allocate(area, 0));
        Assert.Equal((0, -1), (area.BlocksInUse, area.HighestBlockEverUsed));
    }

    [Fact]
    public void Blocks_may_be_larger_than_a_page()
    {
        var layout = RingLayout.Create(4096 - RingAbi.MailboxBytes, 100_000, blockBytes: 65536);
        var area = new DataArea(layout);
        var list = new ExtentList();

        Assert.True(area.TryAllocate(65537, list));

        Assert.Equal(2, area.BlockCount);
        Assert.Equal([new(layout.DataOffset, 65537)], list.AsSpan());
    }

    [Fact]
    public void Freeing_what_is_free_is_an_error()
    {
        var area = new DataArea(Layout);
        var extents = Allocate(area, 8192);
        area.Free(extents);

        Assert.Throws<InvalidOperationException>(() => area.Free(extents));
        Assert.Equal(0, area.BlocksInUse);
    }

    [Theory]
    [InlineData(-4096, 4096)]
    [InlineData(1, 4096)]
    [InlineData(0, 0)]
    [InlineData(0, -1)]
    [InlineData(200 * 4096, 1)]
    [InlineData(199 * 4096, 4097)]
    [InlineData(0, long.MaxValue)]
    public void Freeing_what_is_no_extent_of_the_area_is_an_error(long offset, long length)
    {
        var area = new DataArea(Layout);

        Assert.Throws<ArgumentException>(() => area.Free([new(Layout.DataOffset + offset, length)]));
    }

    [Fact]
    public void A_random_walk_agrees_with_a_naive_model()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        var area = new DataArea(Layout);
        var used = new bool[Layout.BlockCount];
        var live = new List<DataExtent[]>();

        for (var step = 0; step < 50_000; step++)
        {
            if (live.Count > 0 && random.Next(100) < 48)
            {
                var index = random.Next(live.Count);
                area.Free(live[index]);
                Mark(live[index], used, false);
                live.RemoveAt(index);
            }
            else
            {
                var bytes = random.Next(10) == 0 ? random.Next(300 * 4096) : random.Next(1, 12 * 4096);
                var list = new ExtentList();
                var expected = Naive(used, bytes);
                Assert.True(expected is not null == area.TryAllocate(bytes, list), $"seed {seed}, step {step}");
                Assert.True(list.AsSpan().SequenceEqual(expected ?? []), $"seed {seed}, step {step}");
                if (list.Count > 0)
                    live.Add(list.AsSpan().ToArray());
                Mark(list.AsSpan(), used, true);
            }
            Assert.True(used.Count(u => u) == area.BlocksInUse, $"seed {seed}, step {step}");
        }
    }

    static void Mark(ReadOnlySpan<DataExtent> extents, bool[] used, bool value)
    {
        foreach (var extent in extents)
            used.AsSpan((int)((extent.Offset - Layout.DataOffset) / 4096), (int)((extent.Length + 4095) / 4096)).Fill(value);
    }

    static DataExtent[]? Naive(bool[] used, int bytes)
    {
        var blocks = Enumerable.Range(0, used.Length).Where(b => !used[b]).Take((bytes + 4095) / 4096).ToArray();
        if (blocks.Length * 4096L < bytes)
            return null;
        var extents = new List<DataExtent>();
        foreach (var block in blocks)
        {
            var length = Math.Min(4096, bytes);
            bytes -= length;
            if (extents.Count > 0 && extents[^1].Offset + extents[^1].Length == Blocks(block, 1).Offset)
                extents[^1] = extents[^1] with { Length = extents[^1].Length + length };
            else
                extents.Add(Blocks(block, 1) with { Length = length });
        }
        return [.. extents];
    }
}
