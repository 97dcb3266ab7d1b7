using Scuse.Scsi;

namespace Scuse.Device.Tests;

public sealed class WriteSameTests
{
    const string Blocks3To6 = " 00 00 00 03 00 00 04 00";
    const string Blocks3To6Of16 = " 00 00 00 00 00 00 00 03 00 00 00 04 00 00";

    static readonly byte[] Block = [.. Enumerable.Range(0, 512).Select(i => (byte)(i + 1))];
    static readonly byte[] Zeros = new byte[512];

    [Theory]
    [InlineData("41 00" + Blocks3To6)]
    [InlineData("93 00" + Blocks3To6Of16)]
    [InlineData("93 08" + Blocks3To6Of16)]
    public async Task The_block_is_written_to_every_block_of_the_range_SBC_3_5_43(string cdb)
    {
        var unit = new Unit();
        byte[] expected = unit.Fill();
        for (int block = 3; block < 7; block++)
        {
            Block.CopyTo(expected, block * 512);
        }

        (await unit.Do(cdb, Block)).AssertGood();

        Assert.Equal(expected, unit.Device.Bytes);
    }

    [Theory]
    [InlineData("41 00" + Blocks3To6, Unit.AllFeatures, Call.WriteZeroes)]
    [InlineData("41 08" + Blocks3To6, Unit.AllFeatures, Call.Unmap)]
    [InlineData("93 08" + Blocks3To6Of16, BlockDeviceFeatures.Unmap, Call.Unmap)]
    [InlineData("93 00" + Blocks3To6Of16, BlockDeviceFeatures.Unmap, Call.Write)]
    [InlineData("93 00" + Blocks3To6Of16, BlockDeviceFeatures.None, Call.Write)]
    internal async Task Zeros_are_written_the_fastest_way_that_the_CDB_allows(string cdb, BlockDeviceFeatures features, Call call)
    {
        var unit = new Unit(features);
        byte[] expected = unit.Fill();
        expected.AsSpan(3 * 512, 4 * 512).Clear();

        (await unit.Do(cdb, Zeros)).AssertGood();

        Assert.Equal([(call, 3L * 512, 4L * 512)], unit.Device.Calls!);
        Assert.Equal(expected, unit.Device.Bytes);
    }

    [Theory]
    [InlineData("93 01" + Blocks3To6Of16, Unit.AllFeatures, Call.WriteZeroes)]
    [InlineData("93 09" + Blocks3To6Of16, Unit.AllFeatures, Call.Unmap)]
    [InlineData("93 01" + Blocks3To6Of16, BlockDeviceFeatures.None, Call.Write)]
    internal async Task NDOB_writes_zeros_without_data_SBC_3_5_44(string cdb, BlockDeviceFeatures features, Call call)
    {
        var unit = new Unit(features);
        unit.Fill();

        (await unit.Do(cdb)).AssertGood();

        Assert.Equal([(call, 3L * 512, 4L * 512)], unit.Device.Calls!);
        Assert.Equal(new byte[2048], unit.Device.Bytes[(3 * 512)..(7 * 512)]);
    }

    [Fact]
    public async Task A_long_range_is_written_in_pieces_that_the_device_takes()
    {
        var unit = new Unit(BlockDeviceFeatures.None, blocks: 8192) { Device = { IsLate = true } };

        (await unit.Do("41 00 00 00 00 00 00 14 00 00", Block)).AssertGood();

        Assert.Equal([1L << 20, 1L << 20, 1L << 19], unit.Device.Calls!.Select(call => call.Length));
        Assert.All(Enumerable.Range(0, 5120), block => Assert.Equal(Block, unit.Device.Bytes[(block * 512)..((block + 1) * 512)]));
        Assert.Equal(0, unit.Device.RentedBuffers);
    }

    [Theory]
    [InlineData("41 10" + Blocks3To6, "05/24/00@1")] // ANCHOR
    [InlineData("41 20" + Blocks3To6, "05/24/00@1")] // WRPROTECT
    [InlineData("41 02" + Blocks3To6, "05/24/00@1")] // LBDATA
    [InlineData("41 04" + Blocks3To6, "05/24/00@1")] // PBDATA
    [InlineData("41 00 00 00 00 7F 00 00 02 00", "05/21/00")]
    [InlineData("41 00 00 00 00 81 00 00 00 00", "05/21/00")]
    [InlineData("41 00 00 00 00 00 00 00 00 00", "05/24/00@7")] // WSNZ
    [InlineData("93 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00", "05/24/00@10")] // WSNZ
    public async Task What_is_not_supported_is_refused(string cdb, string sense)
    {
        var unit = new Unit();

        Assert.Equal(sense, (await unit.Do(cdb, Block)).SenseAt);
        Assert.Empty(unit.Calls);
    }

    [Fact]
    public async Task UNMAP_is_refused_without_the_unmap_feature() =>
        Assert.Equal("05/24/00@1", (await new Unit(BlockDeviceFeatures.WriteZeroes).Do("41 08" + Blocks3To6, Zeros)).SenseAt);

    [Fact]
    public async Task More_than_MAXIMUM_WRITE_SAME_LENGTH_is_refused()
    {
        var unit = new Unit();
        unit.Device.Info = unit.Device.Info with { SizeBytes = 1L << 40 };

        Assert.Equal("05/24/00@10", (await unit.Do("93 01 00 00 00 00 00 00 00 00 00 08 00 01 00 00")).SenseAt);
        Assert.Empty(unit.Calls);
    }

    [Fact]
    public async Task Less_than_a_block_of_data_is_refused() =>
        Assert.Equal("05/24/00@7", (await new Unit().Do("41 00" + Blocks3To6, new byte[511])).SenseAt);

    [Fact]
    public async Task A_failed_piece_ends_the_command()
    {
        var unit = new Unit(BlockDeviceFeatures.None, maxTransferBytes: 4 * 512);
        unit.Device.FailNext(Call.Write, ScsiResult.Check(SenseKey.DataProtect, AdditionalSense.SpaceAllocationFailed));

        Assert.Equal("07/27/07", (await unit.Do("41 00" + Blocks3To6, Block)).Sense);
        Assert.Equal([Call.Write], unit.Calls);
    }
}
