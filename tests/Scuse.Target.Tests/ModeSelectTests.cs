using Scuse.Scsi;

namespace Scuse.Target.Tests;

/// <summary>What MODE SELECT sets in the device server, and what the target does about it.</summary>
public class ModeSelectTests
{
    const string Header = "00000000";
    const string CachingOff = "0812000000000000000000000000000000000000";
    const string Control = "0A0A041000000000FFFF0000";
    const string Protected = "0A0A001008000000FFFF0000";

    readonly FakeBackstore _io = new();
    readonly FakeBackstore _all = new(PassLevel.All);
    readonly ScsiTarget _target;
    readonly Initiator _initiator;
    readonly Initiator _other;

    public ModeSelectTests()
    {
        _target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, _io), new LogicalUnit(1, _all)]);
        _initiator = new Initiator(_target);
        _other = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");
    }

    ScsiTask Select(string pages, int lun = 0)
    {
        byte[] list = Convert.FromHexString(Header + pages);
        ScsiTask task = _initiator.Send([OperationCode.ModeSelect6, 0x10, 0, 0, (byte)list.Length, 0], dataOut: list.Length, lun: lun);
        task.DataOut.CopyFrom(list);
        _target.DataArrived(task);
        return task;
    }

    byte[] SubmittedWrite(string cdb, int dataOut)
    {
        ScsiTask task = _initiator.Send(Convert.FromHexString(cdb.Replace(" ", "", StringComparison.Ordinal)), dataOut: dataOut);
        _target.DataArrived(task);
        byte[] submitted = _io.Submitted[^1].Cdb.ToArray();
        _io.Answer(task);
        return submitted;
    }

    [Theory]
    [InlineData("2A 00 00000001 00 0001 00", 512, "2A080000000100000100")]
    [InlineData("AA 00 00000001 00000001 00 00", 512, "AA0800000001000000010000")]
    [InlineData("8A 10 0000000000000001 00000001 00 00", 512, "8A180000000000000001000000010000")]
    [InlineData("0A 00 0002 03 00", 1536, "2A080000000200000300")] // WRITE(6) has no FUA
    public void Without_a_write_cache_the_handler_gets_every_write_with_FUA_SBC_3_6_5_5(string cdb, int length, string expected)
    {
        Assert.Equal(ScsiStatus.Good, Select(CachingOff).Status);
        Assert.Equal(expected, Convert.ToHexString(SubmittedWrite(cdb, length)));
    }

    [Fact]
    public void With_a_write_cache_it_gets_it_as_it_came() => Assert.Equal("2A000000000100000100", Convert.ToHexString(SubmittedWrite("2A 00 00000001 00 0001 00", 512)));

    [Fact]
    public void A_write_protected_unit_refuses_writes_on_the_data_path()
    {
        Select(Protected);

        Assert.Equal("07/27/02", Initiator.OutcomeOf(_initiator.Send(Convert.FromHexString("2A000000000100000100"), dataOut: 512)));
        Assert.Empty(_io.Submitted);
    }

    [Fact]
    public void Others_are_told_at_either_level_SPC_4_6_11()
    {
        Select(Control);
        ScsiTask task = Select(Control, lun: 1);
        _all.Answer(task);

        Assert.Equal("06/2A/01", Initiator.OutcomeOf(_other.Send(Cdbs.TestUnitReady)));
        Assert.Equal("06/2A/01", Initiator.OutcomeOf(_other.Send(Cdbs.TestUnitReady, lun: 1)));
        Assert.Equal("Good", Initiator.OutcomeOf(_initiator.Send(Cdbs.TestUnitReady)));
    }

    [Fact]
    public void What_a_handler_that_answers_everything_took_for_its_Control_page_holds_in_the_core_too()
    {
        ScsiTask task = Select(Control, lun: 1);
        Assert.False(_all.DeviceServer.Control.DescriptorSense);
        _all.Answer(task);

        Assert.True(_all.DeviceServer.Control.DescriptorSense);
    }

    [Theory]
    [InlineData("4C02C000000000000000", 0, "06/2A/02")] // LOG SELECT with PCR
    [InlineData("4C00D900000000000000", 0, "06/2A/02")] // to the default cumulative values
    [InlineData("4C004000000000000000", 0, "Good")] // of nothing
    [InlineData("A40600000000000000010000", 1, "06/3F/05")] // SET IDENTIFYING INFORMATION
    [InlineData("A40F000000000000000C0000", 12, "06/2A/10")] // SET TIMESTAMP
    [InlineData("A40F00000000000000000000", 0, "Good")] // to nothing
    [InlineData("151000000000", 0, "Good")] // MODE SELECT without a list
    public void What_a_handler_that_answers_everything_has_changed_others_are_told_of(string cdb, int dataOut, string attention)
    {
        ScsiTask task = _initiator.Send(Convert.FromHexString(cdb), dataOut: dataOut, lun: 1);
        if (dataOut > 0)
        {
            _target.DataArrived(task);
        }

        _all.Answer(task);

        Assert.Equal(attention, Initiator.OutcomeOf(ProbeAll(_other)));
        Assert.Equal("Good", Initiator.OutcomeOf(ProbeAll(_initiator)));
    }

    [Fact]
    public void What_it_refused_does_not()
    {
        _all.Answer(Select(Control, lun: 1), ScsiStatus.Busy);

        Assert.False(_all.DeviceServer.Control.DescriptorSense);
        Assert.Equal("Good", Initiator.OutcomeOf(ProbeAll(_other)));
    }

    [Fact]
    public void When_the_next_handler_starts_anew_all_are_told_once()
    {
        _all.Answer(Select(Control, lun: 1));
        Assert.Equal("06/2A/01", Initiator.OutcomeOf(_other.Send(Cdbs.TestUnitReady, lun: 1)));

        _all.Unit.HandlerStartedAnew();
        _all.Unit.HandlerStartedAnew();

        Assert.False(_all.DeviceServer.Control.DescriptorSense);
        Assert.Equal("06/2A/01", Initiator.OutcomeOf(_initiator.Send(Cdbs.TestUnitReady, lun: 1)));
        Assert.Equal("Good", Initiator.OutcomeOf(ProbeAll(_initiator)));
    }

    [Theory]
    [InlineData(TaskManagementFunction.LogicalUnitReset)]
    [InlineData(TaskManagementFunction.TargetWarmReset)]
    public void A_reset_brings_the_default_values_back_SAM_5_6_3_3(TaskManagementFunction function)
    {
        Select(Control);
        _all.Answer(Select(Control, lun: 1));

        _initiator.Manage(function);
        _initiator.Manage(function, lun: 1);

        Assert.False(_io.DeviceServer.Control.DescriptorSense);
        Assert.False(_all.DeviceServer.Control.DescriptorSense);
    }

    // ---- D_SENSE ----

    const string BeyondTheEnd = "28000000FFFF00000100";

    [Fact]
    public void Sense_data_is_in_descriptor_format_when_D_SENSE_is_set_whoever_writes_it_SPC_4_7_5_8()
    {
        Select(Control);

        ScsiTask task = _initiator.Send(Convert.FromHexString(BeyondTheEnd), dataIn: 512);
        ScsiTask attention = _other.Send(Cdbs.TestUnitReady);

        Assert.Equal("7205210000000000", Convert.ToHexString(task.Sense));
        Assert.Equal("72062A0100000000", Convert.ToHexString(attention.Sense));
        Assert.True(_target.UsesDescriptorSense(_initiator.Nexus, LunAddress.Format(0)));
        Assert.False(_target.UsesDescriptorSense(_initiator.Nexus, LunAddress.Format(1)));
        Assert.False(_target.UsesDescriptorSense(_initiator.Nexus, LunAddress.Format(9)));
    }

    [Fact]
    public void Sense_data_that_a_handler_wrote_in_the_other_format_is_written_anew_at_level_io()
    {
        byte[] written = new byte[SenseData.FixedLength];
        new SenseData(SenseKey.MediumError, AdditionalSense.UnrecoveredReadError) { Information = 7 }.WriteFixed(written);
        ScsiTask plain = _initiator.Send(Cdbs.Read10(7, 1), dataIn: 512);
        _io.Unit.HandlerAnswered(plain, ScsiStatus.CheckCondition, written, 0);
        Select(Control);
        ScsiTask task = _initiator.Send(Cdbs.Read10(7, 1), dataIn: 512);
        _io.Unit.HandlerAnswered(task, ScsiStatus.CheckCondition, written, 0);

        Assert.Equal(written, plain.Sense.ToArray());
        Assert.Equal("720311000000000C000A80000000000000000007", Convert.ToHexString(task.Sense));
    }

    [Fact]
    public void What_a_handler_at_level_all_wrote_is_its_own_word()
    {
        _all.Answer(Select(Control, lun: 1));
        byte[] written = new byte[SenseData.FixedLength];
        SenseData.LbaOutOfRange.WriteFixed(written);
        ScsiTask task = _initiator.Send(Cdbs.Read10(7, 1), dataIn: 512, lun: 1);
        _all.Unit.HandlerAnswered(task, ScsiStatus.CheckCondition, written, 0);

        Assert.Equal(written, task.Sense.ToArray());
    }

    ScsiTask ProbeAll(Initiator initiator)
    {
        ScsiTask task = initiator.Send(Cdbs.TestUnitReady, lun: 1);
        if (_all.Submitted.Contains(task))
        {
            _all.Answer(task);
        }

        return task;
    }
}
