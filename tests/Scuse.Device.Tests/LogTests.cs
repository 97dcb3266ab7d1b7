using Scuse.Scsi;

namespace Scuse.Device.Tests;

public sealed class LogTests
{
    const string Statistics = "4D 00 59 00 00 00 00 10 00 00";

    readonly Unit _unit = new();

    async Task<byte[]> Data(string cdb) => (await _unit.Do(cdb)).AssertGood().Data;

    static string Counters(int reads, int writes, int written, int read) =>
        $"99 00 005C 0001 23 40 {reads:X16} {writes:X16} {written:X16} {read:X16}" + new string('0', 64) + Times;

    // No time is measured: an interval of zero.
    const string Times = "0002 23 08 0000000000000000" + "0003 23 08 0000000000000000";

    [Fact]
    public async Task Supported_pages_are_listed_in_ascending_order_SPC_4_7_3_16() => Assert.Equal(Unit.Hex("00 00 0003 00 19 2F"), await Data("4D 00 40 00 00 00 00 00 FF 00"));

    [Fact]
    public async Task Supported_pages_and_subpages_are_listed_in_pairs_SPC_4_7_3_17() =>
        Assert.Equal(Unit.Hex("40 FF 0008 0000 00FF 1900 2F00"), await Data("4D 00 40 FF 00 00 00 00 FF 00"));

    [Fact]
    public async Task Reads_and_writes_are_counted_with_their_blocks_SPC_4_7_3_9()
    {
        await _unit.Do("28 00 00 00 00 00 00 00 03 00");
        await _unit.Do("88 00 00 00 00 00 00 00 00 00 00 00 00 02 00 00");
        await _unit.Do("2A 00 00 00 00 00 00 00 04 00", new byte[2048]);
        await _unit.Do("28 00 00 00 FF FF 00 00 03 00"); // refused

        Assert.Equal(Unit.Hex(Counters(2, 1, 4, 5)), await Data(Statistics));
    }

    [Theory]
    [InlineData("4C 02 40 00 00 00 00 00 00 00")] // PCR, all pages
    [InlineData("4C 02 59 00 00 00 00 00 00 00")] // PCR
    [InlineData("4C 00 D9 00 00 00 00 00 00 00")] // to the default cumulative values
    public async Task LOG_SELECT_begins_the_counters_anew_and_others_are_told_SPC_4_6_7(string cdb)
    {
        List<ushort> told = [];
        _unit.Server.AttentionRaised = (code, _) => told.Add(code);
        await _unit.Do("28 00 00 00 00 00 00 00 03 00");

        (await _unit.Do(cdb)).AssertGood();

        Assert.Equal(Unit.Hex(Counters(0, 0, 0, 0)), await Data(Statistics));
        Assert.Equal([AdditionalSense.LogParametersChanged], told);
    }

    [Theory]
    [InlineData("4C 00 40 00 00 00 00 00 00 00")]
    [InlineData("4C 02 6F 00 00 00 00 00 00 00")]
    public async Task LOG_SELECT_leaves_what_it_does_not_name(string cdb)
    {
        await _unit.Do("28 00 00 00 00 00 00 00 03 00");

        (await _unit.Do(cdb)).AssertGood();

        Assert.Equal(Unit.Hex(Counters(1, 0, 0, 3)), await Data(Statistics));
    }

    [Fact]
    public async Task No_informational_exception_is_pending_and_there_is_no_thermometer_SPC_4_7_3_10() =>
        Assert.Equal(Unit.Hex("AF 00 0008 0000 23 04 00 00 FF FF"), await Data("4D 00 6F 00 00 00 00 00 FF 00"));

    [Fact]
    public async Task The_page_is_cut_to_the_allocation_length_and_says_its_whole_length() =>
        Assert.Equal(Unit.Hex("99 00 005C 0001 23 40"), await Data("4D 00 59 00 00 00 01 00 08 00"));

    [Theory]
    [InlineData("4D 00 59 00 00 00 02 00 FF 00", "99 00 0018 0002 23 08 0000000000000000 0003 23 08 0000000000000000")]
    [InlineData("4D 00 59 00 00 00 03 00 FF 00", "99 00 000C 0003 23 08 0000000000000000")]
    public async Task The_parameter_pointer_leaves_out_what_comes_before_SPC_4_6_8(string cdb, string expected) => Assert.Equal(Unit.Hex(expected), await Data(cdb));

    [Theory]
    [InlineData("4D 01 40 00 00 00 00 00 FF 00", "05/24/00@1")] // SP
    [InlineData("4D 02 40 00 00 00 00 00 FF 00", "05/24/00@1")] // PPC
    [InlineData("4D 00 4D 00 00 00 00 00 FF 00", "05/24/00@2")] // no thermometer
    [InlineData("4D 00 59 FF 00 00 00 00 FF 00", "05/24/00@3")]
    [InlineData("4D 00 40 01 00 00 00 00 FF 00", "05/24/00@3")]
    [InlineData("4D 00 59 00 00 00 04 00 FF 00", "05/24/00@5")] // beyond the last parameter
    [InlineData("4D 00 6F 00 00 00 01 00 FF 00", "05/24/00@5")]
    [InlineData("4C 01 40 00 00 00 00 00 00 00", "05/24/00@1")] // SP
    [InlineData("4C 00 4D 00 00 00 00 00 00 00", "05/24/00@2")]
    [InlineData("4C 00 40 01 00 00 00 00 00 00", "05/24/00@3")]
    [InlineData("4C 02 40 00 00 00 00 00 04 00", "05/24/00@7")] // PCR with a list
    [InlineData("4C 00 40 00 00 00 00 00 04 00", "05/26/00@0")] // values of one's own
    [InlineData("4C 00 40 00 00 00 00 00 03 00", "05/1A/00")]
    public async Task What_there_is_not_is_refused(string cdb, string sense) => Assert.Equal(sense, (await _unit.Do(cdb, new byte[4])).SenseAt);
}
