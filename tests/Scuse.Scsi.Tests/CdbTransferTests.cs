using Scuse.Scsi;

namespace Scuse.Scsi.Tests;

public sealed class CdbTransferTests
{
    [Theory]
    [InlineData("08 00 00 00 00 00", 256 * 512)]
    [InlineData("28 00 00 00 00 00 00 00 02 00", 1024)]
    [InlineData("88 00 00 00 00 00 00 00 00 00 FF FF FF FF 00 00", 0xFFFFFFFFL * 512)]
    [InlineData("12 00 00 01 04 00", 0x104)]
    [InlineData("03 00 00 00 FC 00", 0xFC)]
    [InlineData("1A 00 3F 00 C0 00", 0xC0)]
    [InlineData("5A 00 3F 00 00 00 00 10 00 00", 0x1000)]
    [InlineData("25 00 00 00 00 00 00 00 00 00", 8)]
    [InlineData("9E 10 00 00 00 00 00 00 00 00 00 00 00 20 00 00", 32)]
    [InlineData("9E 11 00 00 00 00 00 00 00 00 00 00 02 08 00 00", 0x208)]
    [InlineData("A0 00 00 00 00 00 00 00 10 00 00 00", 0x1000)]
    [InlineData("A3 0C 00 00 00 00 00 00 10 00 00 00", 0x1000)]
    [InlineData("5E 00 00 00 00 00 00 00 08 00", 8)]
    [InlineData("3C 02 00 00 00 00 01 00 00 00", 0x10000)]
    [InlineData("A2 00 00 00 80 00 00 00 00 02 00 00", 1024)]
    [InlineData("84 00 00 00 00 00 00 00 00 00 00 00 00 10 00 00", 16)]
    public void Data_In_is_blocks_or_the_allocation_length(string hex, long lengthBytes) =>
        Assert.Equal(new CdbTransfer(TransferDirection.In, lengthBytes), CdbTransfer.Describe(Bytes.Of(hex), 512));

    [Theory]
    [InlineData("2A 00 00 00 00 00 00 00 02 00", 8192)]
    [InlineData("2E 00 00 00 00 00 00 00 02 00", 8192)]
    [InlineData("2F 02 00 00 00 00 00 00 02 00", 8192)]
    [InlineData("2F 06 00 00 00 00 00 00 02 00", 4096)]
    [InlineData("41 00 00 00 00 00 00 00 02 00", 4096)]
    [InlineData("93 08 00 00 00 00 00 00 00 00 00 00 00 02 00 00", 4096)]
    [InlineData("89 00 00 00 00 00 00 00 00 00 00 00 00 03 00 00", 2 * 3 * 4096)]
    [InlineData("42 00 00 00 00 00 00 00 18 00", 24)]
    [InlineData("15 10 00 00 0C 00", 12)]
    [InlineData("55 10 00 00 00 00 00 00 14 00", 20)]
    [InlineData("5F 00 00 00 00 00 00 00 18 00", 24)]
    [InlineData("83 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00", 256)]
    [InlineData("9C 00 00 00 00 00 00 00 00 00 00 00 00 02 00 00", 8192)]
    public void Data_Out_is_blocks_or_the_parameter_list_length(string hex, long lengthBytes) =>
        Assert.Equal(new CdbTransfer(TransferDirection.Out, lengthBytes), CdbTransfer.Describe(Bytes.Of(hex), 4096));

    [Theory]
    [InlineData("00 00 00 00 00 00")]
    [InlineData("1B 00 00 00 01 00")]
    [InlineData("28 00 00 00 00 00 00 00 00 00")]
    [InlineData("2F 00 00 00 00 00 00 00 02 00")]
    [InlineData("35 00 00 00 00 00 00 00 02 00")]
    [InlineData("93 01 00 00 00 00 00 00 00 00 00 00 00 02 00 00")]
    public void Some_commands_move_nothing(string hex) => Assert.Equal(CdbTransfer.None, CdbTransfer.Describe(Bytes.Of(hex), 512));

    [Theory]
    [InlineData("")]
    [InlineData("C0 00 00 00 00 00")]
    [InlineData("04 10 00 00 00 00")]
    [InlineData("2F 04 00 00 00 00 00 00 02 00")]
    [InlineData("28 00 00 00 00 00 00 00 02")]
    [InlineData("9E 1F 00 00 00 00 00 00 00 00 00 00 00 20 00 00")]
    [InlineData("7F 00 00 00 00 00 00 18 00 09")]
    public void What_the_CDB_does_not_tell_is_unknown(string hex) => Assert.Equal(CdbTransfer.Unknown, CdbTransfer.Describe(Bytes.Of(hex), 512));

    [Fact]
    public void A_READ_32_is_known()
    {
        byte[] cdb = new byte[32];
        (cdb[0], cdb[7], cdb[9], cdb[31]) = (OperationCode.VariableLength, 24, (byte)ServiceAction.Read32, 4);

        Assert.Equal(new CdbTransfer(TransferDirection.In, 2048), CdbTransfer.Describe(cdb, 512));
    }

    [Fact]
    public void Random_bytes_are_always_described()
    {
        const int seed = 1;
        var random = new Random(seed);
        byte[] bytes = new byte[40];
        for (int i = 0; i < 200_000; i++)
        {
            random.NextBytes(bytes);
            CdbTransfer transfer = CdbTransfer.Describe(bytes.AsSpan(0, random.Next(bytes.Length + 1)), 512);
            Assert.True(transfer.LengthBytes >= 0, $"seed {seed}, CDB {Convert.ToHexString(bytes)}");
        }
    }
}
