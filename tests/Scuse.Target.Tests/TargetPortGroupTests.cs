using Scuse.Scsi;

namespace Scuse.Target.Tests;

/// <summary>Asymmetric logical unit access: SPC-4 clauses 5.16.2, 6.37 and 6.45.</summary>
public class TargetPortGroupTests
{
    readonly FakeBackstore _disk = new();
    readonly FakeBackstore _raw = new(PassLevel.All);
    readonly ScsiTarget _target;
    readonly Initiator _initiator;
    readonly Initiator _other;

    public TargetPortGroupTests()
    {
        _target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, _disk), new LogicalUnit(5, _raw)]);
        _initiator = new Initiator(_target, clearAttentions: false);
        _other = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002", clearAttentions: false);
        Array.ForEach([_initiator, _other], ForgetAttentions);
    }

    static void ForgetAttentions(Initiator initiator)
    {
        initiator.Send(Cdbs.TestUnitReady);
        initiator.Send(Cdbs.TestUnitReady, lun: 5);
    }

    static byte[] DataOf(ScsiTask task)
    {
        Assert.Equal("Good", Initiator.OutcomeOf(task));
        byte[] data = new byte[task.DataInLength];
        task.DataIn.CopyTo(data);
        return data;
    }

    byte[] Report(byte format = 0, byte allocation = 255, int lun = 0) =>
        DataOf(_initiator.Send([0xA3, (byte)(0x0A | (format << 5)), 0, 0, 0, 0, 0, 0, 0, allocation, 0, 0], dataIn: 255, lun: lun));

    string Set(params byte[] list)
    {
        ScsiTask task = _initiator.Send([0xA4, 0x0A, 0, 0, 0, 0, 0, 0, 0, (byte)list.Length, 0, 0], dataOut: list.Length);
        if (list.Length > 0 && _initiator.Wanted.Remove(task))
        {
            task.DataOut.CopyFrom(list);
            _target.DataArrived(task);
        }

        return task.Status == ScsiStatus.CheckCondition ? Initiator.OutcomeOf(task) : task.Status.ToString();
    }

    static string Probe(Initiator by, int lun = 0) => Initiator.OutcomeOf(by.Send(Cdbs.TestUnitReady, lun: lun));

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    public void The_group_of_the_only_port_is_reported_at_both_pass_levels(int lun) =>
        Assert.Equal([0, 0, 0, 12, 0x00, 0x8F, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1], Report(lun: lun));

    [Fact]
    public void With_an_extended_header_the_transition_time_comes_too_and_none_is_specified() =>
        Assert.Equal([0, 0, 0, 16, 0x10, 0, 0, 0, 0x00, 0x8F, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1], Report(format: 1));

    [Fact]
    public void Less_room_cuts_the_report() => Assert.Equal([0, 0, 0, 12, 0], Report(allocation: 5));

    [Fact]
    public void An_explicit_change_is_reported_and_told_to_every_other_nexus_of_every_logical_unit()
    {
        Assert.Equal("Good", Set(0, 0, 0, 0, 0x01, 0, 0, 1));

        Assert.Equal([0x01, 0x8F, 0, 1, 0, 1], Report()[4..10]);
        Assert.Equal("Good", Probe(_initiator));
        Assert.Equal("06/2A/06", Probe(_other));
        Assert.Equal("06/2A/06", Probe(_other, lun: 5));
        Assert.Equal("Good", Probe(_other));
    }

    [Fact]
    public void An_implicit_change_is_told_to_all()
    {
        _target.PortGroup.SetState(AsymmetricAccessState.ActiveNonOptimized);

        Assert.Equal("06/2A/06", Probe(_initiator));
        Assert.Equal("06/2A/06", Probe(_other));
        Assert.Equal([0x01, 0x8F, 0, 1, 0, 2], Report()[4..10]);
    }

    [Fact]
    public void Setting_the_state_that_holds_tells_nobody()
    {
        Assert.Equal("Good", Set(0, 0, 0, 0, 0x00, 0, 0, 1));

        Assert.Equal("Good", Probe(_other));
    }

    [Theory]
    [InlineData(AsymmetricAccessState.Standby, "02/04/0B")]
    [InlineData(AsymmetricAccessState.Unavailable, "02/04/0C")]
    [InlineData(AsymmetricAccessState.Transitioning, "02/04/0A")]
    public void Where_the_logical_unit_is_not_accessible_commands_are_told_why(AsymmetricAccessState state, string sense)
    {
        _target.PortGroup.SetState(state);
        ForgetAttentions(_initiator);

        Assert.Equal(sense, Probe(_initiator));
        Assert.Equal(sense, Probe(_initiator, lun: 5));
        Assert.Equal(sense, Initiator.OutcomeOf(_initiator.Send(Cdbs.Write10(0, 1), dataOut: 512)));
        Assert.Empty(_disk.Submitted);
    }

    [Theory]
    [InlineData(AsymmetricAccessState.Standby, true, true, true)]
    [InlineData(AsymmetricAccessState.Unavailable, false, true, true)]
    [InlineData(AsymmetricAccessState.Transitioning, false, false, true)]
    public void Each_state_serves_what_it_must(AsymmetricAccessState state, bool modeSense, bool setGroups, bool reportGroups)
    {
        _target.PortGroup.SetState(state);
        ForgetAttentions(_initiator);

        Assert.Equal(modeSense, Initiator.OutcomeOf(_initiator.Send([0x1A, 0, 0x3F, 0, 255, 0], dataIn: 255)) == "Good");
        Assert.Equal(setGroups, Set() == "Good");
        Assert.Equal(reportGroups, Initiator.OutcomeOf(_initiator.Send([0xA3, 0x0A, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0], dataIn: 255)) == "Good");
        Assert.Equal("Good", Initiator.OutcomeOf(_initiator.Send(Cdbs.Inquiry, dataIn: 255)));
        Assert.Equal("Good", Initiator.OutcomeOf(_initiator.Send(Cdbs.RequestSense, dataIn: 252)));
        Assert.Equal("Good", Initiator.OutcomeOf(_initiator.Send(Cdbs.ReportLuns(), dataIn: 1024)));
    }

    [Fact]
    public void What_was_made_standby_can_be_made_active_again()
    {
        Set(0, 0, 0, 0, 0x02, 0, 0, 1);
        Assert.Equal("02/04/0B", Probe(_initiator));

        Assert.Equal("Good", Set(0, 0, 0, 0, 0x00, 0, 0, 1));

        Assert.Equal("Good", Probe(_initiator));
    }

    [Fact]
    public void A_list_without_descriptors_changes_nothing_and_is_no_error()
    {
        Assert.Equal("Good", Set());
        Assert.Equal("Good", Set(0, 0, 0, 0));
        Assert.Equal(AsymmetricAccessState.ActiveOptimized, _target.PortGroup.State);
    }

    [Theory]
    [InlineData(new byte[] { 0, 0, 0 }, "05/1A/00")]
    [InlineData(new byte[] { 0, 0, 0, 0, 1, 0, 0 }, "05/1A/00")]
    [InlineData(new byte[] { 0, 0, 0, 0, 0x04, 0, 0, 1 }, "05/26/00")] // logical block dependent
    [InlineData(new byte[] { 0, 0, 0, 0, 0x0E, 0, 0, 1 }, "05/26/00")] // offline
    [InlineData(new byte[] { 0, 0, 0, 0, 0x0F, 0, 0, 1 }, "05/26/00")] // transitioning
    [InlineData(new byte[] { 0, 0, 0, 0, 0x01, 0, 0, 2 }, "05/26/00")] // no such group
    [InlineData(new byte[] { 0, 0, 0, 0, 0x01, 0, 0, 1, 0x02, 0, 0, 1 }, "05/26/00")] // twice
    public void A_list_that_is_wrong_changes_nothing(byte[] list, string sense)
    {
        Assert.Equal(sense, Set(list));

        Assert.Equal(AsymmetricAccessState.ActiveOptimized, _target.PortGroup.State);
        Assert.Equal("Good", Probe(_other));
    }

    // ---- INQUIRY ----

    [Fact]
    public void INQUIRY_says_that_access_is_asymmetric_and_where_unavailable_that_it_cannot_be_reached()
    {
        Assert.Equal(0x30, DataOf(_initiator.Send(Cdbs.Inquiry, dataIn: 255))[5] & 0x30);
        Assert.Equal(5, DataOf(_initiator.Send([0x12, 0, 0, 0, 5, 0], dataIn: 255)).Length);
        _target.PortGroup.SetState(AsymmetricAccessState.Unavailable);

        Assert.Equal(0x20, DataOf(_initiator.Send(Cdbs.Inquiry, dataIn: 255))[0]);
    }

    static readonly byte[] Designators = [0x51, 0x94, 0, 4, 0, 0, 0, 1, 0x51, 0x95, 0, 4, 0, 0, 0, 1];

    [Fact]
    public void Page_83h_has_the_port_and_its_group_after_the_logical_units_designators()
    {
        byte[] data = DataOf(_initiator.Send([0x12, 1, 0x83, 0, 255, 0], dataIn: 255));

        Assert.Equal(data.Length - 4, data[3]);
        Assert.Equal(Designators, data[^16..]);
    }

    [Fact]
    public void Page_83h_is_cut_by_the_allocation_length_and_says_how_long_it_is()
    {
        byte[] whole = DataOf(_initiator.Send([0x12, 1, 0x83, 0, 255, 0], dataIn: 255));

        Assert.Equal(whole[..^3], DataOf(_initiator.Send([0x12, 1, 0x83, 0, (byte)(whole.Length - 3), 0], dataIn: 255)));
        Assert.Equal(whole[..^20], DataOf(_initiator.Send([0x12, 1, 0x83, 0, (byte)(whole.Length - 20), 0], dataIn: 255)));
        Assert.Equal(whole[..4], DataOf(_initiator.Send([0x12, 1, 0x83, 0, 4, 0], dataIn: 4)));
    }

    [Fact]
    public void What_a_handler_answers_itself_gets_them_too()
    {
        ScsiTask task = _initiator.Send([0x12, 1, 0x83, 0, 40, 0], dataIn: 40, lun: 5);
        task.DataIn.CopyFrom([0, 0x83, 0, 8, 0x01, 0x03, 0, 4, 1, 2, 3, 4]);
        _raw.Unit.HandlerAnswered(task, ScsiStatus.Good, default, 12);

        Assert.Equal([0, 0x83, 0, 24, 0x01, 0x03, 0, 4, 1, 2, 3, 4, .. Designators], DataOf(task));
    }

    [Fact]
    public void A_page_that_a_handler_says_is_longer_than_it_is_harms_nobody()
    {
        ScsiTask task = _initiator.Send([0x12, 1, 0x83, 0, 40, 0], dataIn: 40, lun: 5);
        task.DataIn.CopyFrom([0, 0x83, 0xFF, 0xF0]);
        _raw.Unit.HandlerAnswered(task, ScsiStatus.Good, default, 40);

        Assert.Equal(40, DataOf(task).Length);
    }
}
