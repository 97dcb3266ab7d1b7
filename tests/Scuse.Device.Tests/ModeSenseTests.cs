namespace Scuse.Device.Tests;

public sealed class ModeSenseTests
{
    const string Recovery = "01 0A 00000000000000000000";
    const string CachingOn = "08 12 04 0000000000000000000000000000000000";
    const string CachingOff = "08 12 00 0000000000000000000000000000000000";
    const string Control = "0A 0A 00 10 00 00 00 00 FFFF 0000";
    const string Exceptions = "1C 0A 08 000000000000000000";
    const string Descriptor = "00000080 00 000200";

    [Fact]
    public async Task All_pages_come_in_ascending_order_behind_header_and_block_descriptor_SPC_4_6_13() =>
        Assert.Equal(
            Unit.Hex("43 00 10 08" + Descriptor + Recovery + CachingOn + Control + Exceptions),
            (await new Unit().Do("1A 00 3F 00 FF 00")).AssertGood().Data);

    [Fact]
    public async Task All_pages_of_MODE_SENSE_10_SPC_4_6_14() =>
        Assert.Equal(
            Unit.Hex("0046 00 10 00 00 0008" + Descriptor + Recovery + CachingOn + Control + Exceptions),
            (await new Unit().Do("5A 00 3F 00 00 00 00 00 FF 00")).AssertGood().Data);

    [Fact]
    public async Task LLBAA_gives_the_long_block_descriptor_SBC_3_6_5_2_3() =>
        Assert.Equal(
            Unit.Hex("0022 00 10 01 00 0010  0000000000000080 00000000 00000200" + Control),
            (await new Unit().Do("5A 10 0A 00 00 00 00 00 FF 00")).AssertGood().Data);

    [Theory]
    [InlineData("1A 08 01 00 FF 00", "0F 00 10 00" + Recovery)]
    [InlineData("1A 08 08 00 FF 00", "17 00 10 00" + CachingOn)]
    [InlineData("1A 08 0A 00 FF 00", "0F 00 10 00" + Control)]
    [InlineData("1A 08 1C 00 FF 00", "0F 00 10 00" + Exceptions)]
    [InlineData("5A 18 0A 00 00 00 00 00 FF 00", "0012 00 10 00 00 0000" + Control)]
    public async Task DBD_leaves_the_block_descriptor_out(string cdb, string expected) =>
        Assert.Equal(Unit.Hex(expected), (await new Unit().Do(cdb)).AssertGood().Data);

    [Fact]
    public async Task Subpage_FFh_gives_the_page_itself_where_there_are_no_others() =>
        Assert.Equal((await new Unit().Do("1A 08 3F 00 FF 00")).Data, (await new Unit().Do("1A 08 3F FF FF 00")).AssertGood().Data);

    [Fact]
    public async Task The_write_cache_is_on_exactly_when_the_device_must_be_flushed_SBC_3_6_5_5() =>
        Assert.Equal(Unit.Hex("17 00 10 00" + CachingOff), (await new Unit(BlockDeviceFeatures.Unmap).Do("1A 08 08 00 FF 00")).AssertGood().Data);

    [Fact]
    public async Task A_read_only_device_has_WP_in_both_headers_SBC_3_6_5_1()
    {
        var unit = new Unit(BlockDeviceFeatures.ReadOnly);

        Assert.Equal(0x90, (await unit.Do("1A 08 0A 00 FF 00")).AssertGood().Data[2]);
        Assert.Equal(0x90, (await unit.Do("5A 08 0A 00 00 00 00 00 FF 00")).AssertGood().Data[3]);
    }

    [Theory]
    [InlineData("01", "01 0A 00000000000000000000")]
    [InlineData("08", "08 12 04 0000000000000000000000000000000000")]
    [InlineData("0A", "0A 0A E4 06 08 40 0000 0000 0000")]
    [InlineData("1C", "1C 0A 000000000000000000 00")]
    public async Task The_mask_of_what_can_be_changed_has_a_one_for_each_bit_that_MODE_SELECT_takes_SPC_4_6_13_1_3(string page, string expected)
    {
        byte code = (byte)(Convert.FromHexString(page)[0] | 0x40);

        Assert.Equal(Unit.Hex(expected), (await new Unit().Do([0x1A, 0x08, code, 0x00, 0xFF, 0x00])).AssertGood().Data[4..]);
    }

    [Fact]
    public async Task A_device_that_need_not_be_flushed_has_no_cache_to_switch() =>
        Assert.Equal(Unit.Hex("17 00 10 00" + CachingOff), (await new Unit(BlockDeviceFeatures.Unmap).Do("1A 08 48 00 FF 00")).AssertGood().Data);

    [Fact]
    public async Task Default_values_are_the_current_ones() =>
        Assert.Equal((await new Unit().Do("1A 08 3F 00 FF 00")).Data, (await new Unit().Do("1A 08 BF 00 FF 00")).AssertGood().Data);

    [Theory]
    [InlineData("1A 08 FF 00 FF 00", "05/39/00")]
    [InlineData("1A 08 C8 00 FF 00", "05/39/00")]
    [InlineData("1A 08 02 00 FF 00", "05/24/00@2")]
    [InlineData("1A 08 0A 01 FF 00", "05/24/00@3")]
    [InlineData("5A 08 00 00 00 00 00 00 FF 00", "05/24/00@2")]
    public async Task Saved_values_and_pages_that_do_not_exist_are_refused(string cdb, string sense) => Assert.Equal(sense, (await new Unit().Do(cdb)).SenseAt);

    [Fact]
    public async Task The_header_tells_the_full_length_when_the_allocation_length_cuts_the_pages()
    {
        byte[] data = (await new Unit().Do("1A 00 3F 00 04 00")).AssertGood().Data;

        Assert.Equal(Unit.Hex("43 00 10 08"), data);
    }

    [Fact]
    public async Task The_short_block_descriptor_says_FFFFFFFFh_for_a_device_too_large_for_it()
    {
        var unit = new Unit();
        unit.Device.Info = unit.Device.Info with { SizeBytes = 1L << 42 };

        Assert.Equal(Unit.Hex("FFFFFFFF 00 000200"), (await unit.Do("1A 00 0A 00 FF 00")).AssertGood().Data[4..12]);
    }
}
