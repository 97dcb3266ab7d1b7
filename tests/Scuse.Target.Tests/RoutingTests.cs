using Scuse.Scsi;

namespace Scuse.Target.Tests;

public class RoutingTests
{
    readonly FakeBackstore _disk = new();
    readonly ScsiTarget _target;
    readonly Initiator _initiator;

    public RoutingTests()
    {
        _target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, _disk) { CommandTimeoutMs = 1000 }, new LogicalUnit(5, new FakeBackstore())]);
        _initiator = new Initiator(_target);
    }

    [Fact]
    public void A_read_goes_to_the_handler_as_the_initiator_sent_it()
    {
        ScsiTask task = _initiator.Send(Cdbs.Read10(8, 2), dataIn: 1024);

        Assert.Equal(Cdbs.Read10(8, 2), task.Cdb.ToArray());
        Assert.Same(task, Assert.Single(_disk.Submitted));
        Assert.Equal(1024, task.DataIn.Length);
    }

    [Fact]
    public void A_read_past_the_last_block_never_reaches_the_handler()
    {
        _initiator.Send(Cdbs.Read10(FakeBackstore.Blocks - 1, 2), dataIn: 1024);

        Assert.Empty(_disk.Submitted);
        Assert.Equal("05/21/00", _initiator.Outcome);
    }

    [Fact]
    public void A_write_is_submitted_only_when_its_data_has_arrived()
    {
        ScsiTask task = _initiator.Send(Cdbs.Write10(0, 1), dataOut: 512);
        Assert.Same(task, Assert.Single(_initiator.Wanted));
        Assert.Empty(_disk.Submitted);

        _target.DataArrived(task);

        Assert.Same(task, Assert.Single(_disk.Submitted));
    }

    [Fact]
    public void A_write_for_which_the_initiator_has_less_data_takes_only_whole_blocks_of_it()
    {
        ScsiTask task = _initiator.Send(Cdbs.Write10(0, 4), dataOut: 1500);

        Assert.Equal(1024, task.DataOutLength);
        Assert.Equal(2048, task.DataOutWantedByCdb);
    }

    [Fact]
    public void A_read_for_which_the_initiator_has_no_room_reports_all_of_it_as_overflow()
    {
        ScsiTask task = _initiator.Send(Cdbs.Read10(0, 1), dataIn: 0);

        Assert.Equal("Good", _initiator.Outcome);
        Assert.Equal(512, task.DataInLength);
        Assert.Empty(_disk.Submitted);
    }

    [Fact]
    public void Inquiry_is_answered_by_the_device_server_at_io_and_by_the_handler_at_all()
    {
        Assert.Equal(Responder.DeviceServer, PassTable.For(PassLevel.Io, [0x12]));
        Assert.Equal(Responder.Handler, PassTable.For(PassLevel.All, [0x12]));
    }

    [Theory]
    [InlineData(0xA0)]
    [InlineData(0x5E)]
    [InlineData(0x5F)]
    public void The_core_keeps_what_speaks_of_the_target_or_the_initiator(byte operationCode)
    {
        Assert.Equal(Responder.TargetCore, PassTable.For(PassLevel.Io, [operationCode]));
        Assert.Equal(Responder.TargetCore, PassTable.For(PassLevel.All, [operationCode]));
    }

    [Fact]
    public void Report_luns_lists_every_logical_unit_in_order()
    {
        ScsiTask task = _initiator.Send(Cdbs.ReportLuns(), dataIn: 1024);

        byte[] data = task.DataIn.Slice(0, task.DataInLength).ToArray();
        Assert.Equal([0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0], data);
    }

    [Fact]
    public void Report_luns_with_an_allocation_length_below_16_is_refused_SPC4_6_33()
    {
        _initiator.Send(Cdbs.ReportLuns(allocation: 15), dataIn: 15);

        Assert.Equal("05/24/00", _initiator.Outcome);
    }

    [Fact]
    public void Inquiry_of_a_number_without_logical_unit_says_that_none_can_be_there()
    {
        ScsiTask task = _initiator.Send(Cdbs.Inquiry, dataIn: 255, lun: 3);

        Assert.Equal("Good", _initiator.Outcome);
        Assert.Equal(0x7F, task.DataIn.ToArray()[0]);
    }

    [Fact]
    public void Any_other_command_to_a_number_without_logical_unit_is_refused()
    {
        _initiator.Send(Cdbs.TestUnitReady, lun: 300);

        Assert.Equal("05/25/00", _initiator.Outcome);
    }

    [Fact]
    public void Commands_are_kept_until_the_backstore_is_open()
    {
        _disk.IsOpen = false;
        _initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        Assert.Empty(_disk.Submitted);

        _disk.IsOpen = true;
        _disk.Unit.Opened();

        Assert.Single(_disk.Submitted);
    }

    [Fact]
    public void A_new_nexus_hears_of_power_on_once_and_inquiry_does_not_use_it_up()
    {
        var newcomer = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002", clearAttentions: false);
        newcomer.Send(Cdbs.Inquiry, dataIn: 255);
        newcomer.Completed.Clear();

        newcomer.Send(Cdbs.TestUnitReady);
        Assert.Equal("06/29/00", newcomer.Outcome);
        newcomer.Completed.Clear();

        newcomer.Send(Cdbs.TestUnitReady);
        Assert.Equal("Good", newcomer.Outcome);
    }

    [Fact]
    public void Request_sense_reports_a_pending_unit_attention_and_clears_it()
    {
        _target.Establish(_disk.Unit, AdditionalSense.CapacityDataChanged);

        ScsiTask task = _initiator.Send(Cdbs.RequestSense, dataIn: 252);
        Assert.Equal("06/2A/09", SenseData.Parse(task.DataIn.Slice(0, task.DataInLength).ToArray()).ToString());
        _initiator.Completed.Clear();

        _initiator.Send(Cdbs.TestUnitReady);
        Assert.Equal("Good", _initiator.Outcome);
    }

    [Fact]
    public void A_reset_is_reported_before_a_capacity_change_that_came_earlier()
    {
        _target.Establish(_disk.Unit, AdditionalSense.CapacityDataChanged);
        _target.Establish(_disk.Unit, AdditionalSense.DeviceResetOccurred);

        _initiator.Send(Cdbs.TestUnitReady);

        Assert.Equal("06/29/03", _initiator.Outcome);
    }

    [Fact]
    public void A_command_that_the_handler_does_not_answer_in_time_fails_and_its_memory_stays_with_the_backstore()
    {
        ScsiTask task = _initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);

        _target.TickAll(999);
        Assert.Empty(_initiator.Completed);
        _target.TickAll(1000);

        Assert.Equal("02/08/00", _initiator.Outcome);
        Assert.Same(task, Assert.Single(_disk.Abandoned));
        task.Release();
        Assert.Equal(0, _disk.Released);
    }

    [Fact]
    public void A_write_whose_data_cannot_be_delivered_ends_with_its_sense_and_never_reaches_the_handler()
    {
        ScsiTask task = _initiator.Send(Cdbs.Write10(0, 1), dataOut: 512);

        Assert.True(_target.TryFailDelivery(task, new SenseData(SenseKey.AbortedCommand, AdditionalSense.ProtocolServiceCrcError)));

        Assert.Equal("0B/47/05", _initiator.Outcome);
        Assert.Empty(_disk.Submitted);
    }

    [Fact]
    public void A_command_that_the_handler_has_cannot_fail_for_its_delivery_any_more()
    {
        ScsiTask task = _initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);

        Assert.False(_target.TryFailDelivery(task, SenseData.NoSense));

        Assert.Empty(_initiator.Completed);
    }

    [Fact]
    public void A_write_whose_initiator_is_slow_is_not_failed_for_that()
    {
        _initiator.Send(Cdbs.Write10(0, 1), dataOut: 512);

        _target.TickAll(1_000_000);

        Assert.Empty(_initiator.Completed);
    }

    [Theory]
    [InlineData(0x0000_0000_0000_0000ul, 0)]
    [InlineData(0x00FF_0000_0000_0000ul, 255)]
    [InlineData(0x4100_0000_0000_0000ul, 256)]
    [InlineData(0x7FFF_0000_0000_0000ul, 16383)]
    [InlineData(0x0100_0000_0000_0000ul, 256)] // bus 1, which is how some initiators write number 256
    [InlineData(0x8000_0000_0000_0000ul, -1)] // logical unit addressing
    [InlineData(0xC101_0000_0000_0000ul, -1)] // well-known logical unit
    [InlineData(0x0000_0001_0000_0000ul, -1)] // second level
    public void Lun_addresses_are_read_as_SAM5_4_7_says(ulong address, int expected) => Assert.Equal(expected, LunAddress.Parse(address));
}
