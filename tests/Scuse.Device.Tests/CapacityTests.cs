namespace Scuse.Device.Tests;

public sealed class CapacityTests
{
    [Fact]
    public async Task READ_CAPACITY_10_returns_the_last_block_and_the_block_size_SBC_3_5_15() =>
        Assert.Equal(Unit.Hex("0000007F 00000200"), (await new Unit().Do("25 00 00 00 00 00 00 00 00 00")).AssertGood().Data);

    [Theory]
    [InlineData(0x1_0000_0000L, "FFFFFFFF 00000200")]
    [InlineData(0xFFFF_FFFFL, "FFFFFFFE 00000200")]
    [InlineData(0x1_0000_0001L, "FFFFFFFF 00000200")]
    public async Task READ_CAPACITY_10_says_FFFFFFFFh_for_a_device_too_large_for_it(long blocks, string expected)
    {
        var unit = new Unit();
        unit.Device.Info = unit.Device.Info with { SizeBytes = blocks * 512 };

        Assert.Equal(Unit.Hex(expected), (await unit.Do("25 00 00 00 00 00 00 00 00 00")).AssertGood().Data);
    }

    [Theory]
    [InlineData(Unit.AllFeatures, "C0")]
    [InlineData(BlockDeviceFeatures.None, "00")]
    public async Task READ_CAPACITY_16_has_these_bytes_SBC_3_5_16(BlockDeviceFeatures features, string provisioning) =>
        Assert.Equal(
            Unit.Hex($"000000000000007F 00000200 00 00 {provisioning} 00 00000000000000000000000000000000"),
            (await new Unit(features).Do("9E 10 00 00 00 00 00 00 00 00 00 00 00 FF 00 00")).AssertGood().Data);

    [Fact]
    public async Task READ_CAPACITY_16_is_cut_to_the_allocation_length() =>
        Assert.Equal(Unit.Hex("000000000000007F 00000200"), (await new Unit().Do("9E 10 00 00 00 00 00 00 00 00 00 00 00 0C 00 00")).AssertGood().Data);

    [Theory]
    [InlineData("25 00 00 00 00 01 00 00 00 00")]
    [InlineData("9E 10 00 00 00 00 00 00 00 01 00 00 00 20 00 00")]
    public async Task An_LBA_without_PMI_is_an_invalid_field_SBC_2_5_10(string cdb) => Assert.Equal("05/24/00@2", (await new Unit().Do(cdb)).SenseAt);

    [Theory]
    [InlineData("25 00 00 00 00 05 00 00 01 00")]
    [InlineData("9E 10 00 00 00 00 00 00 00 05 00 00 00 08 01 00")]
    public async Task With_PMI_the_last_block_comes_back_all_the_same(string cdb)
    {
        byte[] data = (await new Unit().Do(cdb)).AssertGood().Data;

        Assert.Contains((byte)0x7F, data);
    }

    [Fact]
    public async Task An_LBA_beyond_the_end_with_PMI_is_out_of_range() =>
        Assert.Equal("05/21/00", (await new Unit().Do("25 00 00 00 00 80 00 00 01 00")).SenseAt);

    [Fact]
    public async Task Get_lba_status_reports_all_blocks_as_mapped_where_the_device_does_not_tell_SBC3_5_6() =>
        Assert.Equal(
            Unit.Hex("00000014 00000000 0000000000000005 0000007B 00 000000"),
            (await new Unit().Do("9E 12 00 00 00 00 00 00 00 05 00 00 00 FF 00 00")).AssertGood().Data);

    [Fact]
    public async Task Get_lba_status_from_past_the_last_block_is_out_of_range() =>
        Assert.Equal("05/21/00", (await new Unit().Do("9E 12 00 00 00 00 00 00 00 80 00 00 00 FF 00 00")).SenseAt);

    [Theory]
    [InlineData(true, 3 * 512, "00 00 00 14 00 00 00 00  00 00 00 00 00 00 00 05 00 00 00 03 00 00 00 00")]
    [InlineData(false, 3 * 512, "00 00 00 14 00 00 00 00  00 00 00 00 00 00 00 05 00 00 00 03 01 00 00 00")]
    [InlineData(false, 1L << 40, "00 00 00 14 00 00 00 00  00 00 00 00 00 00 00 05 00 00 00 7B 01 00 00 00")] // more than there is
    public async Task GET_LBA_STATUS_says_what_the_device_tells_SBC_3_5_6(bool isMapped, long lengthBytes, string expected)
    {
        var unit = new Unit(Unit.AllFeatures | BlockDeviceFeatures.Extents);
        unit.Device.Extents = offset => new BlockExtent(isMapped, offset == 5 * 512 ? lengthBytes : 0);

        Assert.Equal(Unit.Hex(expected), (await unit.Do("9E 12 00 00 00 00 00 00 00 05 00 00 00 18 00 00")).AssertGood().Data);
    }

    [Fact]
    public async Task GET_LBA_STATUS_of_a_device_that_is_not_thin_is_mapped_all_over()
    {
        var unit = new Unit(BlockDeviceFeatures.Extents);
        unit.Device.Extents = static _ => new BlockExtent(false, 512);

        Assert.Equal(0x00, (await unit.Do("9E 12 00 00 00 00 00 00 00 05 00 00 00 18 00 00")).AssertGood().Data[20]);
    }
}
