using Scuse.Scsi;

namespace Scuse.Scsi.Tests;

public sealed class BlockTransferCdbTests
{
    [Theory]
    [InlineData("08 FF FF FF 07 00", 0x1FFFFF, 7, 4)]
    [InlineData("0A 00 00 05 00 00", 5, 256, 4)]
    [InlineData("28 00 01 02 03 04 00 05 06 00", 0x01020304, 0x0506, 7)]
    [InlineData("28 00 01 02 03 04 00 00 00 00", 0x01020304, 0, 7)]
    [InlineData("AA 00 01 02 03 04 05 06 07 08 00 00", 0x01020304, 0x05060708, 6)]
    [InlineData("8F 00 01 02 03 04 05 06 07 08 09 0A 0B 0C 00 00", 0x0102030405060708, 0x090A0B0C, 10)]
    [InlineData("35 00 00 00 00 09 00 00 02 00", 9, 2, 7)]
    [InlineData("93 00 00 00 00 00 00 00 00 09 00 00 00 02 00 00", 9, 2, 10)]
    public void The_range_is_read_from_every_length_of_CDB(string hex, ulong lba, uint blockCount, int blockCountOffset)
    {
        BlockTransferCdb cdb = BlockTransferCdb.Parse(Bytes.Of(hex));

        Assert.Equal((lba, blockCount, blockCountOffset), (cdb.Lba, cdb.BlockCount, cdb.BlockCountOffset));
    }

    [Fact]
    public void READ_has_RDPROTECT_DPO_and_FUA()
    {
        BlockTransferCdb cdb = BlockTransferCdb.Parse(Bytes.Of("28 B8 00 00 00 00 00 00 01 00"));

        Assert.Equal((BlockCommandKind.Read, 5, true, true), (cdb.Kind, cdb.Protect, cdb.Dpo, cdb.Fua));
    }

    [Fact]
    public void The_flags_of_other_commands_are_not_taken_for_those_of_READ()
    {
        BlockTransferCdb cdb = BlockTransferCdb.Parse(Bytes.Of("41 18 00 00 00 00 00 00 01 00"));

        Assert.Equal((false, false, true, true), (cdb.Dpo, cdb.Fua, cdb.Anchor, cdb.Unmap));
    }

    [Theory]
    [InlineData("2F 06", 3)]
    [InlineData("2F 02", 1)]
    [InlineData("2E 04", 2)]
    [InlineData("2A 06", 0)]
    public void VERIFY_and_WRITE_AND_VERIFY_have_BYTCHK(string start, int byteCheck) =>
        Assert.Equal(byteCheck, BlockTransferCdb.Parse(Bytes.Of(start + " 00 00 00 00 00 00 01 00")).ByteCheck);

    [Fact]
    public void NDOB_is_a_bit_of_WRITE_SAME_16_only()
    {
        Assert.True(BlockTransferCdb.Parse(Bytes.Of("93 01 00 00 00 00 00 00 00 00 00 00 00 01 00 00")).Ndob);
        Assert.False(BlockTransferCdb.Parse(Bytes.Of("41 01 00 00 00 00 00 00 01 00")).Ndob);
    }

    [Fact]
    public void SYNCHRONIZE_CACHE_has_IMMED() => Assert.True(BlockTransferCdb.Parse(Bytes.Of("35 02 00 00 00 00 00 00 01 00")).Immed);

    [Theory]
    [InlineData("")]
    [InlineData("00 00 00 00 00 00")]
    [InlineData("08 00 00 00 01")]
    [InlineData("28 00 00 00 00 00 00 00 01")]
    [InlineData("A8 00 00 00 00 00 00 00 00 01 00")]
    [InlineData("88 00 00 00 00 00 00 00 00 00 00 00 00 01 00")]
    public void Another_command_or_one_that_is_too_short_is_not_read(string hex)
    {
        Assert.False(BlockTransferCdb.TryParse(Bytes.Of(hex), out _));
        Assert.Throws<ArgumentException>(() => BlockTransferCdb.Parse(Bytes.Of(hex)).Kind);
    }

    [Fact]
    public void What_the_writers_write_is_read_back()
    {
        byte[] bytes = new byte[16];
        Cdb.WriteWrite16(bytes, 0xFEDCBA9876543210, 0x87654321, fua: true);

        BlockTransferCdb cdb = BlockTransferCdb.Parse(bytes);

        Assert.Equal((0xFEDCBA9876543210, 0x87654321, true), (cdb.Lba, cdb.BlockCount, cdb.Fua));
    }
}
