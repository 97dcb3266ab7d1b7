using Scuse.Scsi;

namespace Scuse.Device.Tests;

public sealed class TransferCheckTests
{
    [Fact]
    public void A_checked_write_tells_where_it_goes()
    {
        DeviceServer server = new Unit().Server;

        bool isAllowed = server.TryCheckTransfer(Unit.Hex("2A 08 00 00 00 03 00 00 02 00"),
            out long offset, out int length, out bool isWrite, out bool forceUnitAccess, out _);

        Assert.True(isAllowed);
        Assert.Equal((1536L, 1024, true, true), (offset, length, isWrite, forceUnitAccess));
    }

    [Fact]
    public void A_checked_read_of_no_blocks_has_no_length()
    {
        DeviceServer server = new Unit().Server;

        bool isAllowed = server.TryCheckTransfer(Unit.Hex("88 00 00 00 00 00 00 00 00 80 00 00 00 00 00 00"),
            out long offset, out int length, out bool isWrite, out _, out _);

        Assert.True(isAllowed);
        Assert.Equal((65536L, 0, false), (offset, length, isWrite));
    }

    [Theory]
    [InlineData("28 00 00 00 00 80 00 00 01 00")]
    [InlineData("28 20 00 00 00 00 00 00 01 00")]
    [InlineData("28 00 00 00 00 00 00 00 05 00")]
    [InlineData("28 00 00 00 00 00 00 00 01")]
    [InlineData("2A 00 00 00 00 00 00 00 01 00")]
    [InlineData("C1 00 00 00 00 00 00 00 01 00")]
    public async Task A_refused_transfer_gets_the_same_answer_as_from_executing_it(string cdb)
    {
        var unit = new Unit(BlockDeviceFeatures.ReadOnly, maxTransferBytes: 2048);

        bool isAllowed = unit.Server.TryCheckTransfer(Unit.Hex(cdb), out _, out _, out _, out _, out ScsiResult refusal);

        Assert.False(isAllowed);
        Assert.Equal((await unit.Do(cdb)).Result, refusal);
        Assert.False(refusal.IsGood);
    }

    [Fact]
    public void Another_command_is_not_a_transfer()
    {
        Assert.False(new Unit().Server.TryCheckTransfer(Unit.Hex("00 00 00 00 00 00"), out _, out _, out _, out _, out ScsiResult refusal));
        Assert.Equal(SenseData.InvalidOperationCode, refusal.Sense);
    }

    [Fact]
    public async Task A_stopped_unit_refuses_transfers()
    {
        var unit = new Unit();
        await unit.Do("1B 00 00 00 00 00");

        Assert.False(unit.Server.TryCheckTransfer(Unit.Hex("28 00 00 00 00 00 00 00 01 00"), out _, out _, out _, out _, out ScsiResult refusal));
        Assert.Equal("02/04/02", refusal.Sense.ToString());
    }
}
