using Scuse.Scsi;

namespace Scuse.Device.Tests;

public sealed class UnitCommandTests
{
    const string Stop = "1B 00 00 00 00 00";
    const string Start = "1B 00 00 00 01 00";

    [Fact]
    public async Task A_unit_is_ready_at_first() => (await new Unit().Do("00 00 00 00 00 00")).AssertGood();

    [Theory]
    [InlineData("03 00 00 00 FC 00", "70 00 00 00000000 0A 00000000 0000 00 000000")]
    [InlineData("03 01 00 00 FC 00", "72 00 0000 000000 00")]
    [InlineData("03 00 00 00 04 00", "70 00 00 00")]
    public async Task REQUEST_SENSE_has_nothing_to_tell_SPC_4_6_39(string cdb, string expected) =>
        Assert.Equal(Unit.Hex(expected), (await new Unit().Do(cdb)).AssertGood().Data);

    [Theory]
    [InlineData("00 00 00 00 00 00")]
    [InlineData("08 00 00 00 01 00")]
    [InlineData("28 00 00 00 00 00 00 00 01 00")]
    [InlineData("2A 00 00 00 00 00 00 00 01 00")]
    [InlineData("2E 00 00 00 00 00 00 00 01 00")]
    [InlineData("2F 00 00 00 00 00 00 00 01 00")]
    [InlineData("35 00 00 00 00 00 00 00 00 00")]
    [InlineData("41 00 00 00 00 00 00 00 01 00")]
    [InlineData("42 00 00 00 00 00 00 00 18 00")]
    public async Task A_stopped_unit_refuses_what_needs_the_medium_SBC_3_5_25(string cdb)
    {
        var unit = new Unit();
        (await unit.Do(Stop)).AssertGood();
        unit.Device.Calls!.Clear();

        Assert.Equal("02/04/02", (await unit.Do(cdb, new byte[512])).SenseAt);
        Assert.Empty(unit.Calls);
    }

    [Theory]
    [InlineData("12 00 00 00 FF 00")]
    [InlineData("03 00 00 00 FC 00")]
    [InlineData("1A 00 3F 00 FF 00")]
    [InlineData("25 00 00 00 00 00 00 00 00 00")]
    public async Task A_stopped_unit_answers_the_rest(string cdb)
    {
        var unit = new Unit();
        (await unit.Do(Stop)).AssertGood();

        (await unit.Do(cdb)).AssertGood();
    }

    [Fact]
    public async Task A_unit_that_was_started_again_is_ready()
    {
        var unit = new Unit();
        (await unit.Do(Stop)).AssertGood();
        (await unit.Do(Start)).AssertGood();

        (await unit.Do("28 00 00 00 00 00 00 00 01 00")).AssertGood();
        Assert.False(unit.Server.IsStopped);
    }

    [Theory]
    [InlineData(Stop, 1)]
    [InlineData("1B 01 00 00 00 00", 1)]
    [InlineData("1B 00 00 00 04 00", 0)]
    public async Task Stopping_flushes_unless_NO_FLUSH_is_set(string cdb, int flushes)
    {
        var unit = new Unit();

        (await unit.Do(cdb)).AssertGood();

        Assert.True(unit.Server.IsStopped);
        Assert.Equal(flushes, unit.Calls.Count(call => call == Call.Flush));
    }

    [Fact]
    public async Task A_unit_whose_flush_failed_stays_started()
    {
        var unit = new Unit { Device = { IsLate = true } };
        unit.Device.FailNext(Call.Flush, ScsiResult.Check(SenseKey.MediumError, AdditionalSense.WriteError));

        Assert.Equal("03/0C/00", (await unit.Do(Stop)).Sense);
        Assert.False(unit.Server.IsStopped);
    }

    [Theory]
    [InlineData("1B 00 00 00 10 00", "05/24/00@4")]
    [InlineData("1B 00 00 00 31 00", "05/24/00@4")]
    [InlineData("1B 00 00 00 02 00", "05/24/00@4")]
    [InlineData("1B 00 00 01 01 00", "05/24/00@3")]
    public async Task Power_conditions_and_ejecting_are_refused(string cdb, string sense)
    {
        var unit = new Unit();

        Assert.Equal(sense, (await unit.Do(cdb)).SenseAt);
        Assert.False(unit.Server.IsStopped);
    }

    [Theory]
    [InlineData("1E 00 00 00 00 00", "Good")]
    [InlineData("1E 00 00 00 01 00", "Good")]
    [InlineData("1E 00 00 00 02 00", "05/24/00@4")]
    [InlineData("1E 00 00 00 03 00", "05/24/00@4")]
    public async Task Preventing_the_removal_of_what_cannot_be_removed_is_granted_SBC_3_5_10(string cdb, string sense) =>
        Assert.Equal(sense, (await new Unit().Do(cdb)).SenseAt);

    // ---- SEND DIAGNOSTIC ----

    [Fact]
    public async Task The_default_self_test_reads_the_medium_SPC_4_6_42()
    {
        var unit = new Unit();

        (await unit.Do("1D 04 00 00 00 00")).AssertGood();

        Assert.Equal([Call.Read], unit.Calls);
        Assert.Equal(0, unit.Device.RentedBuffers);
    }

    [Fact]
    public async Task A_self_test_that_cannot_read_has_failed()
    {
        var unit = new Unit();
        unit.Device.FailNext(Call.Read, ScsiResult.Check(SenseKey.MediumError, AdditionalSense.UnrecoveredReadError));

        Assert.Equal("04/3E/03", (await unit.Do("1D 04 00 00 00 00")).Sense);
    }

    [Theory]
    [InlineData("1D 00 00 00 00 00", "Good")]
    [InlineData("1D 10 00 00 00 00", "Good")] // PF, and no page
    [InlineData("1D 20 00 00 00 00", "05/24/00@1")] // background short self-test
    [InlineData("1D 10 00 00 04 00", "05/24/00@3")] // a page
    public async Task Other_tests_and_pages_are_refused(string cdb, string sense) => Assert.Equal(sense, (await new Unit().Do(cdb, new byte[4])).SenseAt);
}
