using Scuse.Scsi;

namespace Scuse.Device.Tests;

public sealed class ReadWriteTests
{
    public static TheoryData<string> ReadsOfBlocks3To4 =>
    [
        "08 00 00 03 02 00",
        "28 00 00 00 00 03 00 00 02 00",
        "A8 00 00 00 00 03 00 00 00 02 00 00",
        "88 00 00 00 00 00 00 00 00 03 00 00 00 02 00 00",
    ];

    public static TheoryData<string> WritesOfBlocks3To4 =>
    [
        "0A 00 00 03 02 00",
        "2A 00 00 00 00 03 00 00 02 00",
        "AA 00 00 00 00 03 00 00 00 02 00 00",
        "8A 00 00 00 00 00 00 00 00 03 00 00 00 02 00 00",
    ];

    [Theory]
    [MemberData(nameof(ReadsOfBlocks3To4))]
    public async Task A_read_returns_the_blocks_it_names(string cdb)
    {
        var unit = new Unit();
        byte[] content = unit.Fill();

        Answer answer = await unit.Do(cdb);

        Assert.Equal(content[(3 * 512)..(5 * 512)], answer.AssertGood().Data);
    }

    [Theory]
    [MemberData(nameof(ReadsOfBlocks3To4))]
    public async Task A_read_returns_the_blocks_it_names_when_the_device_takes_its_time(string cdb)
    {
        var unit = new Unit { Device = { IsLate = true } };
        byte[] content = unit.Fill();

        Answer answer = await unit.Do(cdb);

        Assert.Equal(content[(3 * 512)..(5 * 512)], answer.AssertGood().Data);
    }

    [Theory]
    [MemberData(nameof(WritesOfBlocks3To4))]
    public async Task A_write_stores_the_blocks_it_names_and_no_others(string cdb)
    {
        var unit = new Unit();
        byte[] expected = unit.Fill();
        byte[] data = Enumerable.Repeat((byte)0xAB, 1024).ToArray();
        data.CopyTo(expected, 3 * 512);

        (await unit.Do(cdb, data)).AssertGood();

        Assert.Equal(expected, unit.Device.Bytes);
    }

    [Fact]
    public async Task Blocks_of_4096_bytes_are_counted_as_such()
    {
        var unit = new Unit(blockSize: 4096, blocks: 16);
        byte[] content = unit.Fill();

        Answer answer = await unit.Do("28 00 00 00 00 0F 00 00 01 00");

        Assert.Equal(content[(15 * 4096)..], answer.AssertGood().Data);
    }

    [Fact]
    public async Task A_READ_6_of_zero_blocks_reads_256_SBC_2_5_7()
    {
        var unit = new Unit(blocks: 256);

        Answer answer = await unit.Do("08 00 00 00 00 00", room: 256 * 512);

        Assert.Equal(256 * 512, answer.AssertGood().Result.DataInLength);
        Assert.Equal([(Call.Read, 0L, 256L * 512)], unit.Device.Calls!);
    }

    [Theory]
    [InlineData("28 00 00 00 00 00 00 00 00 00")]
    [InlineData("28 00 00 00 00 80 00 00 00 00")]
    [InlineData("2A 00 00 00 00 05 00 00 00 00")]
    [InlineData("8A 00 00 00 00 00 00 00 00 80 00 00 00 00 00 00")]
    public async Task A_transfer_of_no_blocks_is_no_error_and_does_not_reach_the_device(string cdb)
    {
        var unit = new Unit();

        Answer answer = await unit.Do(cdb);

        Assert.Equal(ScsiResult.Good, answer.Result);
        Assert.Empty(unit.Calls);
    }

    [Theory]
    [InlineData("28 00 00 00 00 80 00 00 01 00")]
    [InlineData("28 00 00 00 00 7F 00 00 02 00")]
    [InlineData("28 00 00 00 00 81 00 00 00 00")]
    [InlineData("28 00 FF FF FF FF 00 FF FF 00")]
    [InlineData("88 00 FF FF FF FF FF FF FF FF FF FF FF FF 00 00")]
    [InlineData("08 1F FF FF 01 00")]
    public async Task A_read_past_the_last_block_moves_no_data_and_reports_LBA_out_of_range(string cdb)
    {
        var unit = new Unit();

        Answer answer = await unit.Do(cdb);

        Assert.Equal("05/21/00", answer.SenseAt);
        Assert.Equal(0, answer.Result.DataInLength);
        Assert.Empty(unit.Calls);
    }

    [Fact]
    public async Task A_write_past_the_last_block_moves_no_data_and_reports_LBA_out_of_range()
    {
        var unit = new Unit();
        byte[] before = unit.Fill();

        Answer answer = await unit.Do("2A 00 00 00 00 7F 00 00 02 00", new byte[1024]);

        Assert.Equal("05/21/00", answer.SenseAt);
        Assert.Equal(before, unit.Device.Bytes);
    }

    [Theory]
    [InlineData("28 20 00 00 00 00 00 00 01 00")]
    [InlineData("2A E0 00 00 00 00 00 00 01 00")]
    [InlineData("88 40 00 00 00 00 00 00 00 00 00 00 00 01 00 00")]
    public async Task Protection_information_is_refused_where_there_is_none_SBC_3_4_22(string cdb)
    {
        Assert.Equal("05/24/00@1", (await new Unit().Do(cdb, new byte[512])).SenseAt);
    }

    [Theory]
    [InlineData("28 00 00 00 00 00 00 00 03 00", 7)]
    [InlineData("AA 00 00 00 00 00 00 00 00 03 00 00", 6)]
    [InlineData("88 00 00 00 00 00 00 00 00 00 00 00 00 03 00 00", 10)]
    [InlineData("08 00 00 00 03 00", 4)]
    public async Task A_transfer_beyond_MAXIMUM_TRANSFER_LENGTH_is_refused_at_its_length_field(string cdb, int field)
    {
        var unit = new Unit(maxTransferBytes: 1024);

        Assert.Equal($"05/24/00@{field}", (await unit.Do(cdb, new byte[1536])).SenseAt);
        Assert.Empty(unit.Calls);
    }

    [Fact]
    public async Task A_read_into_less_room_fills_whole_blocks_and_reports_its_full_length()
    {
        var unit = new Unit();
        byte[] content = unit.Fill();

        Answer answer = await unit.Do("28 00 00 00 00 00 00 00 04 00", room: 1200);

        Assert.Equal(2048, answer.AssertGood().Result.DataInLength);
        Assert.Equal(content[..1024], answer.Room[..1024]);
        Assert.Equal(new byte[176], answer.Room[1024..]);
    }

    [Fact]
    public async Task A_read_without_room_reports_its_full_length_and_does_not_reach_the_device()
    {
        var unit = new Unit();

        Assert.Equal(512, (await unit.Do("28 00 00 00 00 00 00 00 01 00", room: 511)).AssertGood().Result.DataInLength);
        Assert.Empty(unit.Calls);
    }

    [Fact]
    public async Task A_write_with_less_data_stores_the_whole_blocks_of_it()
    {
        var unit = new Unit();

        (await unit.Do("2A 00 00 00 00 00 00 00 04 00", new byte[1200])).AssertGood();

        Assert.Equal([(Call.Write, 0L, 1024L)], unit.Device.Calls!);
    }

    [Fact]
    public async Task FUA_of_a_write_reaches_the_device()
    {
        var unit = new Unit();

        (await unit.Do("2A 08 00 00 00 00 00 00 01 00", new byte[512])).AssertGood();

        Assert.Equal([Call.WriteWithFua], unit.Calls);
    }

    [Fact]
    public async Task FUA_of_a_read_makes_durable_what_it_shows_and_DPO_changes_nothing_SBC_3_5_11()
    {
        var unit = new Unit();

        (await unit.Do("28 18 00 00 00 00 00 00 01 00")).AssertGood();
        (await unit.Do("28 10 00 00 00 00 00 00 01 00")).AssertGood();

        Assert.Equal([Call.Read, Call.Flush, Call.Read], unit.Calls);
    }

    [Fact]
    public async Task What_cannot_be_made_durable_is_not_shown_with_FUA()
    {
        var unit = new Unit();
        unit.Device.FailNext(Call.Flush, ScsiResult.Check(SenseKey.MediumError, AdditionalSense.WriteError));

        Answer answer = await unit.Do("28 08 00 00 00 00 00 00 01 00");

        Assert.Equal("03/0C/00", answer.Sense);
        Assert.Equal(0, answer.Result.DataInLength);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_failure_of_the_device_is_the_answer_and_no_data_comes_with_it(bool isLate)
    {
        var unit = new Unit { Device = { IsLate = isLate } };
        unit.Device.FailNext(Call.Read, ScsiResult.Check(SenseKey.MediumError, AdditionalSense.UnrecoveredReadError));
        unit.Device.FailNext(Call.Write, ScsiResult.Check(SenseKey.DataProtect, AdditionalSense.SpaceAllocationFailed));

        Answer read = await unit.Do("28 00 00 00 00 00 00 00 01 00");
        Answer write = await unit.Do("2A 00 00 00 00 00 00 00 01 00", new byte[512]);

        Assert.Equal(("03/11/00", 0), (read.Sense, read.Result.DataInLength));
        Assert.Equal("07/27/07", write.Sense);
    }

    [Theory]
    [InlineData("0A 00 00 03 02 00")]
    [InlineData("2A 00 00 00 00 03 00 00 02 00")]
    [InlineData("2E 00 00 00 00 03 00 00 02 00")]
    [InlineData("41 00 00 00 00 03 00 00 02 00")]
    [InlineData("42 00 00 00 00 00 00 00 18 00")]
    [InlineData("93 01 00 00 00 00 00 00 00 03 00 00 00 02 00 00")]
    public async Task A_read_only_device_refuses_every_command_that_writes(string cdb)
    {
        var unit = new Unit(Unit.AllFeatures | BlockDeviceFeatures.ReadOnly);

        Assert.Equal("07/27/00", (await unit.Do(cdb, new byte[1024])).Sense);
        Assert.Empty(unit.Calls);
    }

    [Fact]
    public async Task A_change_of_size_counts_from_the_next_command_on()
    {
        var unit = new Unit();
        unit.Device.Info = unit.Device.Info with { SizeBytes = 512 };

        Assert.Equal("05/21/00", (await unit.Do("28 00 00 00 00 01 00 00 01 00")).Sense);
    }
}
