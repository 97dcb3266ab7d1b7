
namespace Scuse.Device.Tests;

public sealed class InquiryTests
{
    static readonly Unit Disk = new(new BlockDeviceInfo
    {
        SizeBytes = 1 << 20,
        Features = Unit.AllFeatures,
        Serial = "SN-0001",
        Vendor = "ACME",
        Product = "Anvil\u00e9",
        Revision = "12345",
    });

    [Fact]
    public async Task Standard_data_has_these_bytes_SPC_4_6_6_2()
    {
        Answer answer = await Disk.Do("12 00 00 01 00 00");

        byte[] expected = Unit.Hex(
            "00 00 06 32 5B 00 00 02" +
            "41434D4520202020" + // ACME
            "416E76696C3F20202020202020202020" + // Anvil?
            "31323334" +
            string.Concat(Enumerable.Repeat("00", 22)) +
            "00A0 0460 04C0 0960" +
            string.Concat(Enumerable.Repeat("00", 30)));
        Assert.Equal(expected, answer.AssertGood().Data);
    }

    [Fact]
    public async Task Data_is_cut_to_the_allocation_length_SPC_4_4_2_5_6()
    {
        Answer answer = await Disk.Do("12 00 00 00 24 00");

        Assert.Equal(36, answer.AssertGood().Result.DataInLength);
        Assert.Equal(new byte[4096 - 36], answer.Room[36..]);
        Assert.Equal(0x5B, answer.Data[4]);
    }

    [Fact]
    public async Task Data_is_cut_to_the_room_there_is_and_its_length_is_reported()
    {
        Answer answer = await Disk.Do("12 00 00 00 24 00", room: 8);

        Assert.Equal(36, answer.AssertGood().Result.DataInLength);
        Assert.Equal(Unit.Hex("00 00 06 32 5B 00 00 02"), answer.Room);
    }

    [Fact]
    public async Task An_allocation_length_of_zero_is_no_error() =>
        Assert.Equal(0, (await Disk.Do("12 00 00 00 00 00")).AssertGood().Result.DataInLength);

    [Theory]
    [InlineData("12 00 80 00 FF 00", "05/24/00@2")]
    [InlineData("12 01 81 00 FF 00", "05/24/00@2")]
    [InlineData("12 02 00 00 FF 00", "05/24/00@1")]
    public async Task A_page_that_does_not_exist_is_an_invalid_field(string cdb, string sense) => Assert.Equal(sense, (await Disk.Do(cdb)).SenseAt);

    [Fact]
    public async Task Supported_pages_are_listed_in_ascending_order_SPC_4_7_8_15()
    {
        Assert.Equal(Unit.Hex("00 00 00 07 00 80 83 86 B0 B1 B2"), (await Disk.Do("12 01 00 00 FF 00")).AssertGood().Data);
    }

    [Theory]
    [InlineData("00")]
    [InlineData("80")]
    [InlineData("83")]
    [InlineData("B0")]
    [InlineData("B1")]
    [InlineData("B2")]
    public async Task Every_listed_page_can_be_read_and_its_length_counts_the_rest(string page)
    {
        byte[] data = (await Disk.Do($"12 01 {page} 04 00 00")).AssertGood().Data;

        Assert.Equal(Convert.FromHexString(page)[0], data[1]);
        Assert.Equal(data.Length - 4, (data[2] << 8) | data[3]);
    }

    [Fact]
    public async Task Page_80h_is_the_serial_number() =>
        Assert.Equal([0x00, 0x80, 0x00, 0x07, .. "SN-0001"u8], (await Disk.Do("12 01 80 00 FF 00")).AssertGood().Data);

    [Fact]
    public async Task Page_83h_names_the_unit_by_NAA_and_by_vendor_and_serial_SPC_4_7_8_6()
    {
        byte[] data = (await Disk.Do("12 01 83 00 FF 00")).AssertGood().Data;

        Assert.Equal(Unit.Hex("00 83 00 1F  01 03 00 08"), data[..8]);
        Assert.Equal(3, data[8] >> 4);
        Assert.Equal([0x02, 0x01, 0x00, 0x0F, .. "ACME    SN-0001"u8], data[16..]);
    }

    // Initiators know disks by this name: if this test fails, the change breaks every existing disk.
    [Theory]
    [InlineData("SN-0001", 0x3BE427FA8E169FDB)]
    [InlineData("SN-0002", 0x3F50D309AB0C6C98)]
    [InlineData("", 0x3FD01F60BA992926)]
    public void The_NAA_name_of_a_serial_number_never_changes(string serial, ulong name) =>
        Assert.Equal(name, LogicalUnitIdentifier.FromSerial(serial));

    [Fact]
    public void A_hundred_thousand_serial_numbers_have_different_NAA_names()
    {
        var names = new HashSet<ulong>(Enumerable.Range(0, 100_000).Select(i => LogicalUnitIdentifier.FromSerial($"SN-{i}")));

        Assert.Equal(100_000, names.Count);
        Assert.All(names, name => Assert.Equal(3UL, name >> 60));
    }

    [Fact]
    public async Task Page_83h_ends_with_what_the_target_port_adds()
    {
        var unit = new Unit();
        unit.Server.TargetPortDesignators = Unit.Hex("51 94 00 04 00 00 00 01");

        byte[] data = (await unit.Do("12 01 83 00 FF 00")).AssertGood().Data;

        Assert.Equal(Unit.Hex("51 94 00 04 00 00 00 01"), data[^8..]);
        Assert.Equal(data.Length - 4, data[3]);
    }

    [Fact]
    public async Task The_longest_serial_and_designators_still_fit_page_83h()
    {
        var unit = new Unit(serial: new string('x', 5000));
        unit.Server.TargetPortDesignators = new byte[DeviceServer.MaxTargetPortDesignatorBytes];

        Assert.Equal(4 + 12 + 4 + 255 + 1024, (await unit.Do("12 01 83 10 00 00")).AssertGood().Data.Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => unit.Server.TargetPortDesignators = new byte[DeviceServer.MaxTargetPortDesignatorBytes + 1]);
    }

    [Fact]
    public async Task Page_86h_says_SIMPLE_tasks_and_a_volatile_cache_SPC_4_7_8_7() =>
        Assert.Equal(Unit.Hex("00 86 00 3C 00 07 01" + string.Concat(Enumerable.Repeat("00", 57))), (await Disk.Do("12 01 86 00 FF 00")).AssertGood().Data);

    [Fact]
    public async Task Page_B0h_has_these_bytes_SBC_3_6_6_4()
    {
        string expected =
            "00 B0 00 3C  01 80 0008  00010000  00000800  00000000" + // WSNZ, granularity 8, 32 MiB at most, 1 MiB best
            "00100000  00000100  00000008  00000000" + // unmap 1 Mi blocks in 256 ranges, granularity 8
            "0000000000010000" + // WRITE SAME as much as a WRITE: 32 MiB
            string.Concat(Enumerable.Repeat("00", 20));
        Assert.Equal(Unit.Hex(expected), (await Disk.Do("12 01 B0 00 FF 00")).AssertGood().Data);
    }

    [Fact]
    public async Task Page_B0h_has_no_unmap_granularity_where_it_would_be_one_block()
    {
        byte[] data = (await new Unit(blockSize: 4096).Do("12 01 B0 00 FF 00")).AssertGood().Data;

        Assert.Equal(new byte[4], data[28..32]);
    }

    [Fact]
    public async Task Page_B0h_has_no_unmap_limits_without_the_unmap_feature()
    {
        byte[] data = (await new Unit(BlockDeviceFeatures.None).Do("12 01 B0 00 FF 00")).AssertGood().Data;

        Assert.Equal(new byte[16], data[20..36]);
    }

    [Fact]
    public async Task Page_B1h_says_that_nothing_rotates_SBC_3_6_6_2()
    {
        byte[] data = (await Disk.Do("12 01 B1 00 FF 00")).AssertGood().Data;

        Assert.Equal(64, data.Length);
        Assert.Equal(Unit.Hex("00 B1 00 3C 00 01"), data[..6]);
    }

    [Theory]
    [InlineData(BlockDeviceFeatures.Unmap, "00 B2 00 04 00 E4 02 00")]
    [InlineData(BlockDeviceFeatures.WriteZeroes, "00 B2 00 04 00 00 00 00")]
    public async Task Page_B2h_tells_of_thin_provisioning_SBC_3_6_6_6(BlockDeviceFeatures features, string expected) =>
        Assert.Equal(Unit.Hex(expected), (await new Unit(features).Do("12 01 B2 00 FF 00")).AssertGood().Data);

    [Fact]
    public async Task A_unit_that_its_target_copies_says_so_SPC_4_7_8_17()
    {
        var unit = new Unit();
        var server = new DeviceServer(unit.Device) { HasCopyManager = true };

        Assert.Equal(0x00, (await unit.Do("12 00 00 00 FF 00")).Data[5]);
        Assert.Equal("05/24/00@2", (await unit.Do("12 01 8F 00 FF 00")).SenseAt);
        Assert.Equal(0x08, (await InquireAsync(server, "12 00 00 00 FF 00"))[5]); // 3PC
        Assert.Contains((byte)0x8F, (await InquireAsync(server, "12 01 00 00 FF 00"))[4..12]);
        Assert.Equal(
            Unit.Hex("""
                00 8F 01F4
                0000 0020 000000000000 0020 00000E10 0000012C 0000000000080000 0000000000020000
                0001 0010 0E 83 04 00 01 10 11 84 06 00 01 03 04 05 07 00
                0004 001C 00000000 0020 0100 00002400 00000000 00000000 00000000 00000000
                0008 0004 03 02 0A E4
                000C 0004 0000 0000
                0106 005C 00 000000 00000000 00000000 00000001 00015180 00000E10 0000000000000000 00000000 00000000 0000 0030
                     00 00 002C 0000 0000 0000000010000000 0000000004000000 0000000000000000 0000000000000000 00000000 00000000
                0108 0104 0000 0100
                     00800000 03 000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000
                     00800001 03 000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000
                     0080FFFF 01 000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000
                     FFFF0001 02 000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000
                8001 0020 00000010 00000010 10000000 09 00 00 00 00000000 00000000 00000000 00000000
                """.ReplaceLineEndings("")),
            (await InquireAsync(server, "12 01 8F 04 00 00"))[..504]);
    }

    static async Task<byte[]> InquireAsync(DeviceServer server, string cdb)
    {
        byte[] data = new byte[1024];
        Assert.True((await server.ExecuteAsync(new DeviceCommand(Unit.Hex(cdb), default, new DataBuffer(data), CancellationToken.None))).IsGood);
        return data;
    }
}
