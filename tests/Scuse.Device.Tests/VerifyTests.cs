using Scuse.Scsi;

namespace Scuse.Device.Tests;

public sealed class VerifyTests
{
    public static TheoryData<string> VerifiesOfBlocks3To4 =>
    [
        "2F {0} 00 00 00 03 00 00 02 00",
        "AF {0} 00 00 00 03 00 00 00 02 00 00",
        "8F {0} 00 00 00 00 00 00 00 03 00 00 00 02 00 00",
    ];

    public static TheoryData<string> WritesAndVerifiesOfBlocks3To4 =>
    [
        "2E {0} 00 00 00 03 00 00 02 00",
        "AE {0} 00 00 00 03 00 00 00 02 00 00",
        "8E {0} 00 00 00 00 00 00 00 03 00 00 00 02 00 00",
    ];

    [Theory]
    [MemberData(nameof(VerifiesOfBlocks3To4))]
    public async Task BYTCHK_00_has_the_cache_written_and_reads_the_medium_SBC_3_5_29(string cdb)
    {
        var unit = new Unit();

        (await unit.Do(With(cdb, "00"))).AssertGood();

        Assert.Equal([(Call.Flush, 0L, 0L), (Call.Read, 3L * 512, 1024L)], unit.Device.Calls!);
    }

    [Theory]
    [InlineData(BlockDeviceFeatures.None)]
    [InlineData(BlockDeviceFeatures.Flush | BlockDeviceFeatures.ReadOnly)]
    public async Task Without_a_cache_there_is_nothing_to_be_written(BlockDeviceFeatures features)
    {
        var unit = new Unit(features);

        (await unit.Do("2F 00 00 00 00 03 00 00 02 00")).AssertGood();

        Assert.Equal([Call.Read], unit.Calls);
    }

    [Fact]
    public async Task A_cache_that_cannot_be_written_fails_the_verification()
    {
        var unit = new Unit();
        unit.Device.FailNext(Call.Flush, ScsiResult.Check(SenseKey.MediumError, AdditionalSense.WriteError));

        Assert.Equal("03/0C/00", (await unit.Do("2F 00 00 00 00 03 00 00 02 00")).Sense);
        Assert.Equal([Call.Flush], unit.Calls);
    }

    [Fact]
    public async Task BYTCHK_00_reports_a_block_that_cannot_be_read()
    {
        var unit = new Unit();
        unit.Device.FailNext(Call.Read, ScsiResult.Check(SenseKey.MediumError, AdditionalSense.UnrecoveredReadError));

        Assert.Equal("03/11/00", (await unit.Do("2F 00 00 00 00 03 00 00 02 00")).Sense);
        Assert.Equal(0, unit.Device.RentedBuffers);
    }

    [Theory]
    [MemberData(nameof(VerifiesOfBlocks3To4))]
    public async Task BYTCHK_01_finds_equal_data_equal(string cdb)
    {
        var unit = new Unit { Device = { IsLate = true } };
        byte[] content = unit.Fill();

        (await unit.Do(With(cdb, "02"), content[(3 * 512)..(5 * 512)])).AssertGood();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(511)]
    [InlineData(512)]
    [InlineData(776)]
    [InlineData(777)]
    [InlineData(1023)]
    public async Task BYTCHK_01_reports_where_data_first_differs(int position)
    {
        var unit = new Unit();
        byte[] data = unit.Fill()[(3 * 512)..(5 * 512)];
        data[position] ^= 0x80;
        data[1023] ^= 0x01;

        Answer answer = await unit.Do("2F 02 00 00 00 03 00 00 02 00", data);

        Assert.Equal("0E/1D/00", answer.Sense);
        Assert.Equal((ulong)position, answer.Result.Sense.Information);
    }

    [Fact]
    public async Task BYTCHK_01_compares_every_piece_of_a_long_range()
    {
        var unit = new Unit(blocks: 4096 + 1);
        byte[] data = unit.Fill();
        data[(2 << 20) + 5] ^= 1;

        Answer answer = await unit.Do("8F 02 00 00 00 00 00 00 00 00 00 00 10 01 00 00", data);

        Assert.Equal((2UL << 20) + 5, answer.Result.Sense.Information);
        Assert.Equal([0, 1L << 20, 1L << 20, 512L], unit.Device.Calls!.Select(call => call.Length)); // a flush first
        Assert.Equal(1 << 20, unit.Device.LongestRent);
    }

    [Fact]
    public async Task BYTCHK_01_with_less_data_compares_the_whole_blocks_of_it()
    {
        var unit = new Unit();
        byte[] content = unit.Fill();

        (await unit.Do("2F 02 00 00 00 00 00 00 04 00", content[..700])).AssertGood();

        Assert.Equal([(Call.Flush, 0L, 0L), (Call.Read, 0L, 512L)], unit.Device.Calls!);
    }

    [Fact]
    public async Task BYTCHK_11_compares_every_block_with_the_one_that_came()
    {
        var unit = new Unit();
        byte[] block = [.. Enumerable.Range(0, 512).Select(i => (byte)(i * 3))];
        block.CopyTo(unit.Device.Bytes, 3 * 512);
        block.CopyTo(unit.Device.Bytes, 4 * 512);

        (await unit.Do("2F 06 00 00 00 03 00 00 02 00", block)).AssertGood();
        unit.Device.Bytes[(4 * 512) + 9]++;
        Answer answer = await unit.Do("2F 06 00 00 00 03 00 00 02 00", block);

        Assert.Equal("0E/1D/00", answer.Sense);
        Assert.Equal(512 + 9UL, answer.Result.Sense.Information);
    }

    [Fact]
    public async Task BYTCHK_11_without_a_whole_block_is_refused() =>
        Assert.Equal("05/24/00@7", (await new Unit().Do("2F 06 00 00 00 03 00 00 02 00", new byte[511])).SenseAt);

    [Theory]
    [InlineData("2F 04 00 00 00 03 00 00 02 00", "05/24/00@1")]
    [InlineData("2F 20 00 00 00 03 00 00 02 00", "05/24/00@1")]
    [InlineData("2F 00 00 00 00 7F 00 00 02 00", "05/21/00")]
    [InlineData("2F 02 00 00 00 81 00 00 00 00", "05/21/00")]
    [InlineData("2E 04 00 00 00 03 00 00 02 00", "05/24/00@1")]
    [InlineData("2E 06 00 00 00 03 00 00 02 00", "05/24/00@1")]
    [InlineData("2E 20 00 00 00 03 00 00 02 00", "05/24/00@1")]
    [InlineData("2E 00 00 00 00 7F 00 00 02 00", "05/21/00")]
    public async Task Reserved_codes_protection_and_ranges_beyond_the_end_are_refused(string cdb, string sense)
    {
        var unit = new Unit();

        Assert.Equal(sense, (await unit.Do(cdb, new byte[1024])).SenseAt);
        Assert.Empty(unit.Calls);
    }

    [Theory]
    [InlineData("2F 00 00 00 00 80 00 00 00 00")]
    [InlineData("2F 06 00 00 00 00 00 00 00 00")]
    [InlineData("2E 02 00 00 00 00 00 00 00 00")]
    public async Task No_blocks_are_no_error_and_do_not_reach_the_device(string cdb)
    {
        var unit = new Unit();

        (await unit.Do(cdb)).AssertGood();

        Assert.Empty(unit.Calls);
    }

    [Theory]
    [MemberData(nameof(WritesAndVerifiesOfBlocks3To4))]
    public async Task WRITE_AND_VERIFY_makes_the_data_durable_and_reads_it_back_SBC_3_5_37(string cdb)
    {
        var unit = new Unit { Device = { IsLate = true } };
        byte[] data = Enumerable.Repeat((byte)0xAB, 1024).ToArray();

        (await unit.Do(With(cdb, "02"), data)).AssertGood();

        Assert.Equal(data, unit.Device.Bytes[(3 * 512)..(5 * 512)]);
        Assert.Equal([Call.WriteWithFua, Call.Read], unit.Calls);
    }

    [Fact]
    public async Task WRITE_AND_VERIFY_notices_a_medium_that_forgets()
    {
        var unit = new Unit { Device = { Spoil = read => read.CopyFrom([0], 700) } };
        byte[] data = Enumerable.Repeat((byte)0xAB, 1024).ToArray();

        Answer compared = await unit.Do("2E 02 00 00 00 03 00 00 02 00", data);
        Answer readOnly = await unit.Do("2E 00 00 00 00 03 00 00 02 00", data);

        Assert.Equal("0E/1D/00", compared.Sense);
        Assert.Equal(700UL, compared.Result.Sense.Information);
        readOnly.AssertGood();
    }

    [Fact]
    public async Task WRITE_AND_VERIFY_does_not_verify_what_could_not_be_written()
    {
        var unit = new Unit();
        unit.Device.FailNext(Call.WriteWithFua, ScsiResult.Check(SenseKey.MediumError, AdditionalSense.WriteError));

        Assert.Equal("03/0C/00", (await unit.Do("2E 02 00 00 00 03 00 00 02 00", new byte[1024])).Sense);
        Assert.Equal([Call.WriteWithFua], unit.Calls);
    }

    [Fact]
    public async Task An_abort_ends_a_verification_between_two_reads()
    {
        var unit = new Unit(blocks: 8192);
        using var abort = new CancellationTokenSource();
        unit.Device.Spoil = _ => abort.Cancel();
        var command = new DeviceCommand(Unit.Hex("2F 00 00 00 00 00 00 20 00 00"), DataBuffer.Empty, DataBuffer.Empty, abort.Token);

        ScsiResult result = await unit.Server.ExecuteAsync(command);

        Assert.Equal(SenseKey.AbortedCommand, result.Sense.Key);
        Assert.Equal([Call.Flush, Call.Read], unit.Calls);
        Assert.Equal(0, unit.Device.RentedBuffers);
    }

    static string With(string cdb, string byte1) => cdb.Replace("{0}", byte1, StringComparison.Ordinal);
}
