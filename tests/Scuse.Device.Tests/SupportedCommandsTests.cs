using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Device.Tests;

public sealed class SupportedCommandsTests
{
    /// <summary>A unit that has every command there is.</summary>
    static Unit EveryCommand()
    {
        var unit = new Unit();
        unit.Device.Info = unit.Device.Info with { AtomicWriteBytes = 4096 };
        unit.Server.Store = new MemoryStore();
        unit.Server.TimeSource = TimeProvider.System;
        return unit;
    }

    [Fact]
    public async Task Commands_that_need_a_store_or_a_clock_are_listed_only_where_there_is_one()
    {
        Unit bare = EveryCommand();
        bare.Server.Store = null;
        bare.Server.TimeSource = null;
        byte[] with = (await EveryCommand().Do("A3 0C 00 00 00 00 00 00 10 00 00 00")).AssertGood().Data;
        byte[] without = (await bare.Do("A3 0C 00 00 00 00 00 00 10 00 00 00")).AssertGood().Data;

        Assert.Equal(4 * 8, with.Length - without.Length);
    }

    [Fact]
    public async Task Every_command_of_the_table_and_REPORT_LUNS_is_listed_SPC_4_6_35_2()
    {
        byte[] data = (await EveryCommand().Do("A3 0C 00 00 00 00 00 00 10 00 00 00")).AssertGood().Data;

        Assert.Equal((uint)data.Length - 4, BinaryPrimitives.ReadUInt32BigEndian(data));
        Assert.Equal((CommandTable.Entries.Length + 1) * 8, data.Length - 4);
        Assert.Equal(Unit.Hex("00 00 0000 00 00 0006"), data[4..12]);
        Assert.Equal(Unit.Hex("A0 00 0000 00 00 000C"), data[^8..]);
        Assert.Contains("9E0000100001" + "0010", Convert.ToHexString(data), StringComparison.Ordinal);
        Assert.Contains("A300000C0001" + "000C", Convert.ToHexString(data), StringComparison.Ordinal);
    }

    [Fact]
    public async Task RCTD_adds_a_timeouts_descriptor_to_each_SPC_4_6_35_4()
    {
        byte[] data = (await EveryCommand().Do("A3 0C 80 00 00 00 00 00 10 00 00 00")).AssertGood().Data;

        Assert.Equal((CommandTable.Entries.Length + 1) * 20, data.Length - 4);
        Assert.Equal(Unit.Hex("00 00 0000 00 02 0006  000A 00 00 00000000 00000000"), data[4..24]);
    }

    [Fact]
    public async Task UNMAP_and_BLOCK_ERASE_are_listed_only_where_they_exist()
    {
        byte[] with = (await new Unit(BlockDeviceFeatures.Unmap | BlockDeviceFeatures.Extents).Do("A3 0C 00 00 00 00 00 00 10 00 00 00")).AssertGood().Data;
        byte[] without = (await new Unit(BlockDeviceFeatures.None).Do("A3 0C 00 00 00 00 00 00 10 00 00 00")).AssertGood().Data;

        Assert.Equal(2 * 8, with.Length - without.Length);
        Assert.Equal(Unit.Hex("00 01 0000"), (await new Unit(BlockDeviceFeatures.None).Do("A3 0C 01 42 00 00 00 00 10 00 00 00")).AssertGood().Data);
    }

    [Theory]
    [InlineData("A3 0C 01 28 00 00", "00 03 000A 28 F8 FF FF FF FF 00 FF FF 04")]
    [InlineData("A3 0C 81 00 00 00", "00 83 0006 00 00 00 00 00 04  000A 00 00 00000000 00000000")]
    [InlineData("A3 0C 02 9E 00 10", "00 03 0010 9E 10 FF FF FF FF FF FF FF FF FF FF FF FF 01 04")]
    [InlineData("A3 0C 02 9E 00 11", "00 01 0000")]
    [InlineData("A3 0C 03 A3 00 0C", "00 03 000C A3 0C 87 FF FF FF FF FF FF FF 00 04")]
    [InlineData("A3 0C 03 A3 00 0D", "00 01 0000")]
    [InlineData("A3 0C 03 12 00 00", "00 03 0006 12 01 FF FF FF 04")]
    [InlineData("A3 0C 03 12 00 01", "00 01 0000")]
    [InlineData("A3 0C 01 C1 00 00", "00 01 0000")]
    [InlineData("A3 0C 81 C1 00 00", "00 01 0000")]
    [InlineData("A3 0C 01 A0 00 00", "00 03 000C A0 00 FF 00 00 00 FF FF FF FF 00 04")]
    public async Task One_command_is_described_SPC_4_6_35_3(string start, string expected) =>
        Assert.Equal(Unit.Hex(expected), (await new Unit().Do(start + " 00 00 10 00 00 00")).AssertGood().Data);

    [Theory]
    [InlineData("A3 0C 81 28 00 00", 45)] // READ(10): 15 seconds longer than it can take
    [InlineData("A3 0C 82 48 00 01", 0)] // SANITIZE: as long as it takes
    [InlineData("A3 0C 81 2F 00 00", 0)] // VERIFY(10): of how many blocks?
    public async Task The_recommended_time_out_is_longer_than_a_command_can_take_SPC_4_6_35_4(string start, int seconds)
    {
        var unit = new Unit();
        unit.Server.CommandLimitSeconds = 30;

        byte[] data = (await unit.Do(start + " 00 00 10 00 00 00")).AssertGood().Data;

        Assert.Equal([0x00, 0x0A, 0, 0, 0, 0, 0, 0, 0, 0, 0, (byte)seconds], data[^12..]);
    }

    [Theory]
    [InlineData("A3 0C 01 9E 00 00")]
    [InlineData("A3 0C 02 28 00 00")]
    [InlineData("A3 0C 04 28 00 00")]
    [InlineData("A3 0C 07 28 00 00")]
    public async Task An_option_that_does_not_fit_the_operation_code_is_refused(string start) =>
        Assert.Equal("05/24/00@2", (await new Unit().Do(start + " 00 00 10 00 00 00")).SenseAt);

    [Fact]
    public async Task Commands_of_the_target_are_listed_as_it_says()
    {
        var unit = new Unit();
        unit.Server.TargetCommands = [new SupportedCommand(Unit.Hex("A3 0A 00 00 00 00 FF FF FF FF 00 04"), ServiceAction.ReportTargetPortGroups)];

        Assert.Equal(
            Unit.Hex("00 03 000C A3 0A 00 00 00 00 FF FF FF FF 00 04"),
            (await unit.Do("A3 0C 02 A3 00 0A 00 00 10 00 00 00")).AssertGood().Data);
        Assert.Equal(Unit.Hex("00 01 0000"), (await unit.Do("A3 0C 01 A0 00 00 00 00 10 00 00 00")).AssertGood().Data);
    }

    [Fact]
    public async Task The_most_commands_of_a_target_still_fit()
    {
        Unit unit = EveryCommand();
        var command = new SupportedCommand(Unit.Hex("A0 00 FF 00 00 00 FF FF FF FF 00 04"));
        unit.Server.TargetCommands = [.. Enumerable.Repeat(command, DeviceServer.MaxTargetCommands)];

        Assert.Equal((CommandTable.Entries.Length + 64) * 20, (await unit.Do("A3 0C 80 00 00 00 00 00 10 00 00 00")).AssertGood().Data.Length - 4);
        Assert.Throws<ArgumentOutOfRangeException>(() => unit.Server.TargetCommands = [.. Enumerable.Repeat(command, DeviceServer.MaxTargetCommands + 1)]);
    }

    [Fact]
    public void Usage_data_must_be_as_long_as_its_CDB() => Assert.Throws<ArgumentException>(() => new SupportedCommand([0x28, 0x00]));
}
