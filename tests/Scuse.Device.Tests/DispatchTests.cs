using Scuse.Scsi;

namespace Scuse.Device.Tests;

public sealed class DispatchTests
{
    [Theory]
    [InlineData("C1 00 00 00 00 00 00 00 00 00", "05/20/00")]
    [InlineData("0B 00 00 00 00 00", "05/20/00")]
    [InlineData("1C 00 00 00 00 00", "05/20/00")]
    [InlineData("", "05/20/00")]
    public async Task A_command_that_is_not_in_the_table_has_an_invalid_operation_code(string cdb, string sense) =>
        Assert.Equal(sense, (await new Unit().Do(cdb)).SenseAt);

    [Theory]
    [InlineData("9E 1F 00 00 00 00 00 00 00 00 00 00 00 20 00 00")]
    [InlineData("A3 00 00 00 00 00 00 00 00 20 00 00")]
    public async Task An_unknown_service_action_is_an_invalid_field_in_byte_1_of_the_CDB(string cdb) =>
        Assert.Equal("05/24/00@1", (await new Unit().Do(cdb)).SenseAt);

    [Fact]
    public async Task A_CDB_shorter_than_its_operation_code_says_is_refused() =>
        Assert.Equal("05/24/00@0", (await new Unit().Do("28 00 00 00 00 00 00 00 01")).SenseAt);

    [Fact]
    public async Task NACA_is_the_task_sets_business_SAM_5_5_2() => (await new Unit().Do("00 00 00 00 00 04")).AssertGood();

    [Fact]
    public async Task Without_the_unmap_feature_UNMAP_does_not_exist() =>
        Assert.Equal("05/20/00", (await new Unit(BlockDeviceFeatures.Flush).Do("42 00 00 00 00 00 00 00 18 00", new byte[24])).SenseAt);

    [Fact]
    public void The_table_is_in_order_and_its_usage_data_fits_each_CDB()
    {
        int[] keys = [.. CommandTable.Entries.Select(entry => (entry.Command.Opcode << 8) | (entry.Command.ServiceAction ?? 0))];

        Assert.Equal(keys.Order().Distinct(), keys);
        Assert.All(CommandTable.Entries, entry => Assert.Equal(Cdb.Length(entry.Command.Opcode), entry.Command.Usage.Length));
        Assert.All(CommandTable.Entries, entry => Assert.True(entry.Command.ServiceAction is not { } action || (entry.Command.Usage[1] & 0x1F) == action));
    }

    [Fact]
    public void The_direction_in_the_table_is_the_one_the_CDB_tells()
    {
        Assert.All(CommandTable.Entries, entry =>
        {
            // A CDB with every length field set; BYTCHK 01b, so that VERIFY has data too.
            byte[] cdb = entry.Command.Usage.ToArray();
            cdb[1] = (byte)(cdb[0] is OperationCode.Verify10 or OperationCode.Verify12 or OperationCode.Verify16 ? 0x02 : entry.Command.ServiceAction ?? 0);
            Assert.Equal(entry.Direction, CdbTransfer.Describe(cdb, 512).Direction);
        });
    }
}
