using Scuse.Scsi;

namespace Scuse.Scsi.Tests;

public sealed class CdbTests
{
    [Theory]
    [InlineData(OperationCode.TestUnitReady, 6)]
    [InlineData(OperationCode.Read10, 10)]
    [InlineData(OperationCode.ModeSense10, 10)]
    [InlineData(OperationCode.Read16, 16)]
    [InlineData(OperationCode.Read12, 12)]
    [InlineData(OperationCode.VariableLength, 0)]
    [InlineData((byte)0xC0, 0)]
    public void The_group_code_gives_the_length_SPC_4_4_2_5_1(byte opcode, int length) => Assert.Equal(length, Cdb.Length(opcode));

    [Fact]
    public void A_variable_length_CDB_says_its_own_length()
    {
        byte[] cdb = new byte[32];
        cdb[0] = OperationCode.VariableLength;
        cdb[7] = 24;

        Assert.Equal(32, Cdb.Length(cdb.AsSpan()));
        Assert.Equal(0, Cdb.Length(cdb.AsSpan(0, 7)));
        Assert.Equal(0, Cdb.Length([]));
    }

    [Fact]
    public void A_READ_16_has_these_bytes() => Assert.Equal(
        "88000102030405060708000000210000",
        Written(cdb => Cdb.WriteRead16(cdb, 0x0102030405060708, 0x21)));

    [Fact]
    public void A_WRITE_16_with_FUA_has_these_bytes() => Assert.Equal(
        "8A080000000000000010DEADBEEF0000",
        Written(cdb => Cdb.WriteWrite16(cdb, 0x10, 0xDEADBEEF, fua: true)));

    [Fact]
    public void A_SYNCHRONIZE_CACHE_16_with_IMMED_has_these_bytes() => Assert.Equal(
        "91020000000000000003000000040000",
        Written(cdb => Cdb.WriteSynchronizeCache16(cdb, 3, 4, immed: true)));

    [Fact]
    public void A_WRITE_SAME_16_with_UNMAP_and_NDOB_has_these_bytes() => Assert.Equal(
        "93090000000000000003000000040000",
        Written(cdb => Cdb.WriteWriteSame16(cdb, 3, 4, unmap: true, ndob: true)));

    [Fact]
    public void An_UNMAP_with_ANCHOR_has_these_bytes() => Assert.Equal(
        "42010000000000001800",
        Written(cdb => Cdb.WriteUnmap10(cdb, 24, anchor: true)));

    [Fact]
    public void Writing_needs_room_for_the_whole_CDB()
    {
        Assert.ThrowsAny<ArgumentException>(() => Cdb.WriteRead16(new byte[15], 0, 1));
        Assert.ThrowsAny<ArgumentException>(() => Cdb.WriteUnmap10(new byte[9], 24));
    }

    delegate int Writer(Span<byte> cdb);

    // The memory is dirty before, so that reserved bytes show whether they were cleared.
    static string Written(Writer writer)
    {
        byte[] cdb = new byte[Cdb.MaxFixedLength];
        cdb.AsSpan().Fill(0xA5);
        int length = writer(cdb);
        return Convert.ToHexString(cdb.AsSpan(0, length));
    }
}
