using Scuse.Scsi;

namespace Scuse.Device.Tests;

public sealed class UnmapTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Every_range_is_unmapped_and_reads_as_zeros_SBC_3_5_28(bool isLate)
    {
        var unit = new Unit { Device = { IsLate = isLate } };
        byte[] expected = unit.Fill();
        expected.AsSpan(2 * 512, 3 * 512).Clear();
        expected.AsSpan(127 * 512, 512).Clear();

        (await Unmap(unit, new(2, 3), new(127, 1))).AssertGood();

        Assert.Equal(expected, unit.Device.Bytes);
        Assert.Equal([Call.Unmap, Call.Unmap], unit.Calls);
    }

    [Fact]
    public async Task No_list_no_range_and_a_range_of_no_blocks_are_no_errors()
    {
        var unit = new Unit();

        (await unit.Do("42 00 00 00 00 00 00 00 00 00")).AssertGood();
        (await Unmap(unit)).AssertGood();
        (await Unmap(unit, new UnmapBlockDescriptor(5, 0))).AssertGood();

        Assert.Empty(unit.Calls);
    }

    [Fact]
    public async Task One_range_beyond_the_end_leaves_all_others_mapped()
    {
        var unit = new Unit();

        Assert.Equal("05/21/00", (await Unmap(unit, new(0, 1), new(127, 2))).SenseAt);
        Assert.Empty(unit.Calls);
    }

    [Fact]
    public async Task A_last_range_may_end_where_the_medium_ends() => (await Unmap(new Unit(), new UnmapBlockDescriptor(0, 128))).AssertGood();

    [Fact]
    public async Task ANCHOR_is_refused() => Assert.Equal("05/24/00@1", (await new Unit().Do("42 01 00 00 00 00 00 00 18 00", new byte[24])).SenseAt);

    [Theory]
    [InlineData("42 00 00 00 00 00 00 00 07 00", 7)]
    [InlineData("42 00 00 00 00 00 00 00 18 00", 23)]
    [InlineData("42 00 00 00 00 00 00 00 17 00", 24)]
    [InlineData("42 00 00 00 00 00 00 00 18 00", 0)]
    public async Task A_list_shorter_than_it_says_has_a_length_error(string cdb, int length)
    {
        byte[] list = new byte[24];
        UnmapParameterList.Write(list, [new(0, 1)]);
        var unit = new Unit();

        Assert.Equal("05/1A/00", (await unit.Do(cdb, list[..length])).SenseAt);
        Assert.Empty(unit.Calls);
    }

    [Fact]
    public async Task As_many_ranges_as_VPD_page_B0h_allows_are_taken_and_not_one_more()
    {
        UnmapBlockDescriptor[] ranges = [.. Enumerable.Range(0, 257).Select(i => new UnmapBlockDescriptor((ulong)i % 128, 1))];
        var unit = new Unit();

        (await Unmap(unit, ranges[..256])).AssertGood();
        Assert.Equal("05/26/00@2", (await Unmap(unit, ranges)).SenseAt);
        Assert.Equal(256, unit.Calls.Count());
    }

    [Fact]
    public async Task More_blocks_than_VPD_page_B0h_allows_are_refused_at_the_count_that_is_too_much()
    {
        var unit = new Unit();
        unit.Device.Info = unit.Device.Info with { SizeBytes = 1L << 40 };

        Assert.Equal("05/26/00@32", (await Unmap(unit, new(0, 0x100000), new(0, 1))).SenseAt);
        Assert.Empty(unit.Calls);
    }

    [Fact]
    public async Task A_failure_ends_the_command()
    {
        var unit = new Unit();
        unit.Device.FailNext(Call.Unmap, ScsiResult.Check(SenseKey.MediumError, AdditionalSense.WriteError));

        Assert.Equal("03/0C/00", (await Unmap(unit, new(0, 1), new(5, 1))).Sense);
        Assert.Equal([Call.Unmap], unit.Calls);
    }

    static Task<Answer> Unmap(Unit unit, params UnmapBlockDescriptor[] ranges)
    {
        byte[] list = new byte[UnmapParameterList.LengthFor(ranges.Length)];
        byte[] cdb = new byte[10];
        Cdb.WriteUnmap10(cdb, (ushort)UnmapParameterList.Write(list, ranges));
        return unit.Do(cdb, list);
    }
}
