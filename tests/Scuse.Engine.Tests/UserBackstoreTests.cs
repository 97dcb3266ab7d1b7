using Scuse.Ring;
using Scuse.Ring.Attach;
using Scuse.Scsi;
using Scuse.Target;
using Scuse.Target.Tests;

namespace Scuse.Engine.Tests;

public sealed class UserBackstoreTests : IDisposable
{
    readonly Disk _disk = new();

    public void Dispose() => _disk.Dispose();

    [Fact]
    public void What_the_handler_puts_into_the_data_area_is_what_the_initiator_gets()
    {
        TestHandler handler = _disk.Attach();
        ScsiTask task = _disk.Initiator.Send(Cdbs.Read10(3, 1), dataIn: 512);
        var command = handler.TakeOne();

        handler.Data(command).Fill(0xA5);
        handler.Answer(command);

        Assert.Equal("Good", _disk.Initiator.Outcome);
        Assert.Equal(Enumerable.Repeat((byte)0xA5, 512), task.DataIn.ToArray());
    }

    [Fact]
    public void A_write_lies_in_the_data_area_before_the_handler_sees_its_entry()
    {
        TestHandler handler = _disk.Attach();
        ScsiTask task = _disk.Initiator.Send(Cdbs.Write10(0, 1), dataOut: 512);
        task.DataOut.CopyFrom(Enumerable.Repeat((byte)0x3C, 512).ToArray());
        Assert.Empty(handler.TakeAll());

        _disk.Target.DataArrived(task);

        Assert.Equal(0x3C, handler.Data(handler.TakeOne())[511]);
    }

    [Fact]
    public void Commands_that_find_no_room_wait_in_order_and_do_not_fail()
    {
        TestHandler handler = _disk.Attach();
        ScsiTask first = _disk.Initiator.Send(Cdbs.Read10(0, 128), dataIn: 64 << 10);
        _disk.Initiator.Send(Cdbs.Read10(1, 64), dataIn: 32 << 10);
        _disk.Initiator.Send(Cdbs.Read10(2, 1), dataIn: 512); // would fit beside nothing: it waits behind the second
        var command = handler.TakeOne();
        handler.Answer(command);
        Assert.Empty(handler.TakeAll()); // the answer is still being sent

        first.Release();

        Assert.Equal([1u, 2u], handler.TakeAll().Select(taken => (uint)taken.CdbMemory.Span[5]));
    }

    [Fact]
    public void A_command_that_the_data_area_can_never_hold_is_refused_and_holds_nobody_up()
    {
        TestHandler handler = _disk.Attach();

        _disk.Initiator.Send(Cdbs.Read10(0, 129), dataIn: 129 * 512);

        Assert.Equal("05/24/00", _disk.Initiator.Outcome);
        Assert.Equal(Disk.DataAreaBytes, _disk.Backstore.Info.MaxTransferBytes);
        _disk.Initiator.Send(Cdbs.Read10(0, 128), dataIn: 64 << 10);
        handler.TakeOne();
    }

    [Fact]
    public void A_command_that_needs_more_in_both_directions_than_the_data_area_holds_is_refused()
    {
        TestHandler handler = _disk.Attach(level: PassLevel.All);

        _disk.Initiator.Send([0xC0, 0, 0, 0, 0, 0], dataIn: 40 << 10, dataOut: 40 << 10);

        Assert.Equal("05/24/00", _disk.Initiator.Outcome);
        Assert.Empty(handler.TakeAll());
    }

    [Fact]
    public void Commands_that_find_the_ring_full_wait_in_order()
    {
        using var disk = new Disk(commandRingBytes: 512);
        TestHandler handler = disk.Attach();
        for (uint i = 0; i < 8; i++)
        {
            disk.Initiator.Send(Cdbs.Read10(i, 1), dataIn: 512);
        }

        List<uint> seen = [];
        while (handler.TakeAll() is { Count: > 0 } taken)
        {
            Assert.True(taken.Count < 8);
            seen.AddRange(taken.Select(command => (uint)command.CdbMemory.Span[5]));
            taken.ForEach(command => handler.Answer(command));
        }

        Assert.Equal([0u, 1, 2, 3, 4, 5, 6, 7], seen);
    }

    [Fact]
    public void The_next_handler_gets_what_the_dead_one_had_not_answered_in_the_order_it_came()
    {
        TestHandler dead = _disk.Attach();
        for (uint i = 0; i < 3; i++)
        {
            _disk.Initiator.Send(Cdbs.Read10(i, 1), dataIn: 512);
        }

        var taken = dead.TakeAll();
        dead.Answer(taken[1]);
        _disk.Backstore.Detach(dead.Link, "killed");
        TestHandler next = _disk.Attach();

        Assert.Equal([0u, 2u], next.TakeAll().Select(command => (uint)command.CdbMemory.Span[5]));
        Assert.Equal("Good", _disk.Initiator.Outcome);
    }

    [Fact]
    public void An_answer_that_was_published_before_the_death_counts()
    {
        TestHandler dead = _disk.Attach();
        _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        dead.AnswerWithoutReaping(dead.TakeOne());

        _disk.Backstore.Detach(dead.Link, "killed");

        Assert.Equal("Good", _disk.Initiator.Outcome);
        Assert.Empty(_disk.Attach().TakeAll());
    }

    [Fact]
    public void A_write_is_repeated_with_its_data()
    {
        TestHandler dead = _disk.Attach();
        ScsiTask task = _disk.Initiator.Send(Cdbs.Write10(0, 1), dataOut: 512);
        task.DataOut.CopyFrom(Enumerable.Repeat((byte)0x77, 512).ToArray());
        _disk.Target.DataArrived(task);
        dead.TakeOne();

        _disk.Backstore.Detach(dead.Link, "killed");
        TestHandler next = _disk.Attach();

        Assert.Equal(Enumerable.Repeat((byte)0x77, 512), next.Data(next.TakeOne())[..512].ToArray());
    }

    [Fact]
    public void A_write_whose_data_was_arriving_when_the_handler_died_keeps_what_had_arrived()
    {
        TestHandler dead = _disk.Attach();
        ScsiTask task = _disk.Initiator.Send(Cdbs.Write10(0, 2), dataOut: 1024);
        task.DataOut.CopyFrom(Enumerable.Repeat((byte)1, 512).ToArray());

        _disk.Backstore.Detach(dead.Link, "killed");
        TestHandler next = _disk.Attach();
        task.DataOut.CopyFrom(Enumerable.Repeat((byte)2, 512).ToArray(), at: 512);
        _disk.Target.DataArrived(task);

        Span<byte> data = next.Data(next.TakeOne());
        Assert.Equal(1, data[511]);
        Assert.Equal(2, data[512]);
    }

    [Fact]
    public void An_aborted_command_is_not_repeated_and_its_abort_is_answered()
    {
        TestHandler dead = _disk.Attach();
        ScsiTask task = _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        dead.TakeOne();
        _disk.Initiator.Manage(TaskManagementFunction.AbortTask, task);
        Assert.Empty(_disk.Initiator.Answers);

        _disk.Backstore.Detach(dead.Link, "killed");

        Assert.Single(_disk.Initiator.Answers);
        Assert.Empty(_disk.Attach().TakeAll());
    }

    [Fact]
    public void A_handler_that_wants_to_know_is_told_once_of_an_aborted_command()
    {
        TestHandler handler = _disk.Attach(abilities: ReadyMessage.RingTaskManagement);
        ScsiTask task = _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        var command = handler.TakeOne();

        _disk.Initiator.Manage(TaskManagementFunction.AbortTask, task);
        _disk.Initiator.Manage(TaskManagementFunction.LogicalUnitReset);

        var notices = handler.TakeAll();
        Assert.Equal([HandlerCommandKind.TaskManagement, HandlerCommandKind.TaskManagement], notices.Select(notice => notice.Kind));
        Assert.Equal([RingAbi.TaskManagementAbortTask, RingAbi.TaskManagementLogicalUnitReset], notices.Select(notice => notice.TaskManagementType));
        Assert.Equal([command.Id], notices[0].TaskManagementIds.ToArray());
        Assert.Empty(notices[1].TaskManagementIds.ToArray()); // it knows already
        handler.Answer(command);
        Assert.Equal(2, _disk.Initiator.Answers.Count);
    }

    [Fact]
    public void A_handler_that_knows_commands_only_is_not_told_of_an_aborted_one()
    {
        TestHandler handler = _disk.Attach();
        ScsiTask task = _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        handler.TakeOne();

        _disk.Initiator.Manage(TaskManagementFunction.AbortTask, task);

        Assert.Empty(handler.TakeAll());
    }

    [Fact]
    public void A_command_whose_session_is_gone_is_not_repeated()
    {
        TestHandler dead = _disk.Attach();
        _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        dead.TakeOne();
        _disk.Target.Detach(_disk.Initiator.Nexus);

        _disk.Backstore.Detach(dead.Link, "killed");

        Assert.Empty(_disk.Attach().TakeAll());
    }

    [Fact]
    public void Commands_held_without_a_handler_fail_at_their_time_limit()
    {
        TestHandler dead = _disk.Attach();
        _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        _disk.Backstore.Detach(dead.Link, "killed");

        _disk.Target.Tick(1000);

        Assert.Equal("02/08/00", _disk.Initiator.Outcome);
        Assert.Empty(_disk.Attach().TakeAll());
    }

    [Fact]
    public void A_late_answer_to_a_command_that_has_failed_harms_nothing()
    {
        TestHandler handler = _disk.Attach();
        ScsiTask task = _disk.Initiator.Send(Cdbs.Read10(0, 128), dataIn: 64 << 10);
        var late = handler.TakeOne();
        _disk.Target.Tick(1000);
        task.Release();
        _disk.Initiator.Completed.Clear();
        _disk.Initiator.Send(Cdbs.Read10(1, 1), dataIn: 512);
        Assert.Empty(handler.TakeAll()); // the hung command's blocks are still its own

        handler.Answer(late);

        Assert.Empty(_disk.Initiator.Completed);
        handler.Answer(handler.TakeOne());
        Assert.Equal("Good", _disk.Initiator.Outcome);
    }

    [Fact]
    public void A_handler_that_misses_a_time_limit_is_given_up_and_its_other_commands_go_to_the_next()
    {
        TestHandler hung = _disk.Attach();
        _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        _disk.Target.NowMs = 500;
        _disk.Initiator.Send(Cdbs.Read10(1, 1), dataIn: 512);
        Assert.Equal(2, hung.TakeAll().Count);

        _disk.Target.Tick(1000);
        _disk.Reactor.RunPosted();

        Assert.Equal("02/08/00", _disk.Initiator.Outcome);
        Assert.Single(_disk.Dropped);
        Assert.Equal(1, _disk.Attach().TakeOne().CdbMemory.Span[5]);
    }

    [Fact]
    public void A_handler_that_breaks_the_rules_is_dropped_and_its_commands_go_to_the_next()
    {
        TestHandler liar = _disk.Attach();
        _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        liar.TakeOne();

        liar.Lie();

        Assert.Single(_disk.Dropped);
        Assert.Single(_disk.Attach().TakeAll());
    }

    [Fact]
    public void Check_condition_without_sense_data_that_makes_sense_is_a_hardware_error()
    {
        TestHandler handler = _disk.Attach();
        _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);

        handler.Answer(handler.TakeOne(), status: (byte)ScsiStatus.CheckCondition, sense: [0xFF, 0xFF]);

        Assert.Equal("04/44/00", _disk.Initiator.Outcome);
    }

    [Fact]
    public void The_handlers_sense_data_reaches_the_initiator_as_it_is()
    {
        TestHandler handler = _disk.Attach();
        ScsiTask task = _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        byte[] sense = new byte[SenseData.FixedLength];
        new SenseData(SenseKey.MediumError, AdditionalSense.UnrecoveredReadError) { Information = 7 }.WriteFixed(sense);

        handler.Answer(handler.TakeOne(), status: (byte)ScsiStatus.CheckCondition, sense);

        Assert.Equal(sense, task.Sense.ToArray());
        Assert.Equal(0, task.DataInLength);
    }

    [Fact]
    public void A_flush_is_asked_of_the_handler_by_the_device_server()
    {
        TestHandler handler = _disk.Attach();
        _disk.Initiator.Send([0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        Assert.Empty(_disk.Initiator.Completed);

        var command = handler.TakeOne();
        Assert.Equal(OperationCode.SynchronizeCache16, command.CdbMemory.Span[0]);
        handler.Answer(command);

        Assert.Equal("Good", _disk.Initiator.Outcome);
    }

    [Fact]
    public void A_device_servers_own_call_is_repeated_to_the_next_handler_too()
    {
        TestHandler dead = _disk.Attach();
        _disk.Initiator.Send([0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        dead.TakeOne();
        _disk.Backstore.Detach(dead.Link, "killed");

        TestHandler next = _disk.Attach();
        next.Answer(next.TakeOne());

        Assert.Equal("Good", _disk.Initiator.Outcome);
    }

    [Fact]
    public void Inquiry_is_answered_while_no_handler_is_there()
    {
        TestHandler dead = _disk.Attach();
        _disk.Backstore.Detach(dead.Link, "killed");

        _disk.Initiator.Send(Cdbs.Inquiry, dataIn: 255);

        Assert.Equal("Good", _disk.Initiator.Outcome);
    }

    [Fact]
    public void At_all_inquiry_goes_to_the_handler_with_its_allocation_length_of_room()
    {
        TestHandler handler = _disk.Attach(level: PassLevel.All);
        _disk.Initiator.Send(Cdbs.Inquiry, dataIn: 255);

        Assert.Equal(255, handler.TakeOne().Data[0].Length);
    }

    [Fact]
    public void A_handler_that_comes_back_with_another_size_is_a_unit_attention()
    {
        TestHandler dead = _disk.Attach();
        _disk.Backstore.Detach(dead.Link, "killed");
        _disk.Attach(sizeBytes: 2 << 20);

        _disk.Initiator.Send(Cdbs.TestUnitReady);

        Assert.Equal("06/2A/09", _disk.Initiator.Outcome);
    }

    [Fact]
    public void A_device_that_grows_while_it_is_served_is_a_unit_attention_and_can_be_read_to_its_new_end()
    {
        TestHandler handler = _disk.Attach();
        _disk.Backstore.Resize(handler.Link, 2 << 20);

        _disk.Initiator.Send(Cdbs.TestUnitReady);
        Assert.Equal("06/2A/09", _disk.Initiator.Outcome);
        _disk.Initiator.Send(Cdbs.Read10(4095, 1), dataIn: 512);

        Assert.Equal(1, handler.TakeOne().Data.Length);
    }

    [Fact]
    public void The_size_of_a_handler_that_serves_no_more_means_nothing()
    {
        TestHandler dead = _disk.Attach();
        _disk.Backstore.Detach(dead.Link, "killed");
        _disk.Attach();
        _disk.Backstore.Resize(dead.Link, 2 << 20);

        _disk.Initiator.Send(Cdbs.TestUnitReady);

        Assert.Equal("Good", _disk.Initiator.Outcome);
    }

    [Fact]
    public void Data_is_still_sent_from_the_region_of_a_handler_that_has_died()
    {
        TestHandler dead = _disk.Attach();
        ScsiTask task = _disk.Initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        var command = dead.TakeOne();
        dead.Data(command).Fill(9);
        dead.Answer(command);

        _disk.Backstore.Detach(dead.Link, "killed");
        _disk.Attach();

        Assert.Equal(9, task.DataIn.ToArray()[0]);
        task.Release();
        Assert.Equal(0, dead.Link.Region.Address); // nobody needs it any more
    }
}
