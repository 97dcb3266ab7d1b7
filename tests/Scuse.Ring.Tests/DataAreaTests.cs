using CsCheck;

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
        Assert.Equal((130, 200, 130), (area.BlocksInUse, area.BlockCount, area.HighWaterBlocks));
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

        Assert.Equal((0, 1, 1), (list.Count, area.BlocksInUse, area.HighWaterBlocks));
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
        Assert.Equal((0, 0), (area.BlocksInUse, area.HighWaterBlocks));
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
    public void What_an_allocation_adds_to_what_was_touched_is_known_beforehand()
    {
        var area = new DataArea(Layout);
        var low = Allocate(area, 10 * 4096);
        Allocate(area, 4096);
        area.Free(low);

        Assert.Equal((0, 0, 3), (area.GrowthFor(0), area.GrowthFor(10), area.GrowthFor(13)));
        Allocate(area, 13 * 4096);
        Assert.Equal(14, area.HighWaterBlocks);
    }

    [Fact]
    public void Trimming_takes_the_free_tail_and_nothing_in_use()
    {
        var area = new DataArea(Layout);
        var blocks = Enumerable.Range(0, 100).Select(_ => Allocate(area, 4096)).ToArray();
        foreach (var extents in blocks[71..].Append(blocks[3]))
            area.Free(extents);

        Assert.Equal(71, area.CountPrefixInUse());
        Assert.Throws<ArgumentOutOfRangeException>(() => area.Trim(70));
        Assert.Equal(Blocks(90, 10), area.Trim(90));
        Assert.Equal(Blocks(71, 19), area.Trim(71));
        Assert.Equal(Blocks(71, 0), area.Trim(71));
        Assert.Equal((71, 70), (area.HighWaterBlocks, area.BlocksInUse));
        Assert.Equal([Blocks(3, 1), Blocks(71, 1)], Allocate(area, 8192));
        Assert.Equal(72, area.HighWaterBlocks);
    }

    [Fact]
    public void Trimming_more_than_was_touched_changes_nothing()
    {
        var area = new DataArea(Layout);
        area.Free(Allocate(area, 5 * 4096));

        Assert.Equal(0, area.Trim(6).Length);
        Assert.Equal(5, area.HighWaterBlocks);
    }

    [Fact]
    public void The_peak_is_what_was_in_use_at_once_since_it_was_last_reset()
    {
        var area = new DataArea(Layout);
        var large = Allocate(area, 150 * 4096);
        area.Free(large);
        Allocate(area, 2 * 4096);
        Assert.Equal(150, area.PeakBlocks);

        area.ResetPeak();
        Assert.Equal(2, area.PeakBlocks);
        area.Free(Allocate(area, 7 * 4096));
        Assert.Equal(9, area.PeakBlocks);
    }

    [Fact]
    public void An_area_that_is_hardly_used_costs_little_memory()
    {
        var layout = RingLayout.Create(4096 - RingAbi.MailboxBytes, 1L << 40);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var area = new DataArea(layout);
        area.TryAllocate(1, new ExtentList());

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 1, 2048);
    }

    /// <summary>The account as one would write it down on paper: a flag for each block.</summary>
    sealed class Model
    {
        readonly bool[] _used = new bool[Layout.BlockCount];

        public List<DataExtent[]> Live { get; } = [];

        public int HighWater { get; private set; }

        public int Peak { get; private set; }

        public int InUse => _used.Count(used => used);

        public int Prefix => Array.LastIndexOf(_used, true) + 1;

        public DataExtent[]? Allocate(int bytes)
        {
            var extents = Naive(_used, bytes);
            if (extents is { Length: > 0 })
            {
                Mark(extents, _used, true);
                Live.Add(extents);
                HighWater = Math.Max(HighWater, Prefix);
                Peak = Math.Max(Peak, (int)((extents[^1].Offset + extents[^1].Length - Layout.DataOffset + 4095) / 4096));
            }
            return extents;
        }

        public DataExtent[] Free(int pick)
        {
            var extents = Live[pick % Live.Count];
            Live.Remove(extents);
            Mark(extents, _used, false);
            return extents;
        }

        public int Trim(int keep)
        {
            var trimmed = Math.Max(0, HighWater - keep);
            HighWater -= trimmed;
            return trimmed;
        }

        public void ResetPeak() => Peak = Prefix;
    }

    [Fact]
    public void Whatever_is_done_to_it_the_account_agrees_with_one_kept_by_hand()
    {
        Gen.Select(Gen.Int[0, 9], Gen.Int[0, 1_000_000]).Array[0, 400].Sample(steps =>
        {
            var (area, model) = (new DataArea(Layout), new Model());
            foreach (var (kind, number) in steps)
            {
                switch (kind)
                {
                    case <= 4:
                        var bytes = kind == 0 ? number % (300 * 4096) : number % (12 * 4096);
                        var growth = area.GrowthFor(area.BlocksFor(bytes));
                        var (touched, list) = (area.HighWaterBlocks, new ExtentList());
                        var expected = model.Allocate(bytes);
                        Assert.Equal(expected is not null, area.TryAllocate(bytes, list));
                        Assert.Equal(expected ?? [], list.AsSpan());
                        Assert.Equal(expected is null ? touched : touched + growth, area.HighWaterBlocks);
                        break;
                    case <= 7 when model.Live.Count > 0:
                        area.Free(model.Free(number));
                        break;
                    case 8:
                        var keep = Math.Max(model.Prefix, number % Layout.BlockCount);
                        var trimmed = model.Trim(keep);
                        Assert.Equal(Blocks(model.HighWater, trimmed), area.Trim(keep));
                        break;
                    case 9:
                        area.ResetPeak();
                        model.ResetPeak();
                        break;
                }
                Assert.Equal(
                    (model.InUse, model.HighWater, model.Peak, model.Prefix),
                    (area.BlocksInUse, area.HighWaterBlocks, area.PeakBlocks, area.CountPrefixInUse()));
            }
        });
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
