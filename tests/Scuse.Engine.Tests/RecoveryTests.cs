using Scuse.Engine.Backstores;
using Scuse.Ring;
using Scuse.Ring.Attach;
using Scuse.Scsi;
using Scuse.Target;
using Scuse.Target.Tests;

namespace Scuse.Engine.Tests;

/// <summary>What becomes of commands by policy, by an operator's hand, and while a handler is replaced.</summary>
public sealed class RecoveryTests : IDisposable
{
    const string Busy = "Busy", Full = "TaskSetFull", LinkFailure = "02/08/00";

    readonly Disk _disk = new();

    public void Dispose() => _disk.Dispose();

    static ScsiTask Read(Disk disk, uint lba = 0, ushort blocks = 1) => disk.Initiator.Send(Cdbs.Read10(lba, blocks), dataIn: blocks * 512);

    static void Write(Disk disk, byte lba, bool fua) =>
        disk.Target.DataArrived(disk.Initiator.Send([0x2A, fua ? (byte)0x08 : (byte)0, 0, 0, 0, lba, 0, 0, 1, 0], dataOut: 512));

    static void Flush(Disk disk) => disk.Initiator.Send([0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0]); // by the device server

    static List<string> Outcomes(Disk disk) => [.. disk.Initiator.Completed.Select(Initiator.OutcomeOf)];

    // ---- loss policies ----

    [Theory]
    [InlineData(HandlerLossPolicy.Busy, Busy)]
    [InlineData(HandlerLossPolicy.Fail, LinkFailure)]
    public void Where_commands_are_not_held_the_handlers_death_ends_them_and_those_that_come_until_the_next(HandlerLossPolicy policy, string outcome)
    {
        using var disk = new Disk(onLoss: policy);
        TestHandler dead = disk.Attach();
        Read(disk);
        dead.TakeOne();

        disk.Backstore.Detach(dead.Link, "killed");
        Read(disk, 1);
        Flush(disk);

        Assert.Equal([outcome, outcome, outcome], Outcomes(disk));
        TestHandler next = disk.Attach();
        Assert.Empty(next.TakeAll());
        Read(disk, 2);
        next.Answer(next.TakeOne());
        Assert.Equal("Good", Outcomes(disk)[^1]);
    }

    [Theory]
    [InlineData(HandlerLossPolicy.Busy, Busy)]
    [InlineData(HandlerLossPolicy.Fail, LinkFailure)]
    public void Where_commands_are_not_held_even_the_first_handler_is_not_waited_for(HandlerLossPolicy policy, string outcome)
    {
        using var disk = new Disk(onLoss: policy);

        Read(disk);

        Assert.Equal(outcome, disk.Initiator.Outcome);
    }

    [Fact]
    public void A_write_whose_data_comes_after_the_handlers_death_ends_by_policy_too()
    {
        using var disk = new Disk(onLoss: HandlerLossPolicy.Busy);
        TestHandler dead = disk.Attach();
        ScsiTask task = disk.Initiator.Send(Cdbs.Write10(0, 1), dataOut: 512);

        disk.Backstore.Detach(dead.Link, "killed");
        Assert.Empty(disk.Initiator.Completed);
        disk.Target.DataArrived(task);

        Assert.Equal(Busy, disk.Initiator.Outcome);
    }

    [Theory]
    [InlineData(0x89)] // COMPARE AND WRITE
    [InlineData(0xC1)] // vendor specific: nobody here knows what it does
    public void What_must_not_be_executed_twice_fails_when_its_handler_dies(byte operationCode)
    {
        TestHandler dead = _disk.Attach(level: PassLevel.All);
        byte[] cdb = new byte[16];
        cdb[0] = operationCode;
        cdb[13] = 1;
        ScsiTask task = _disk.Initiator.Send(cdb, dataOut: 1024);
        _disk.Target.DataArrived(task);
        dead.TakeOne();

        _disk.Backstore.Detach(dead.Link, "killed");

        Assert.Equal("0B/08/00", _disk.Initiator.Outcome);
        Assert.Empty(_disk.Attach(level: PassLevel.All).TakeAll());
        Assert.Contains(_disk.Backstore.Events.ToArray(), happened => happened.Kind == LunEventKind.NotRepeated);
    }

    // ---- waiting for room ----

    [Fact]
    public void With_no_time_to_wait_for_room_a_command_that_finds_none_ends_at_once_with_TASK_SET_FULL()
    {
        using var disk = new Disk(queueFullTimeoutMs: 0);
        disk.Attach();
        Read(disk, 0, 128);

        Read(disk);

        Assert.Equal(Full, disk.Initiator.Outcome);
    }

    [Fact]
    public void A_command_that_finds_no_room_in_time_ends_with_TASK_SET_FULL_and_one_that_does_is_executed()
    {
        using var disk = new Disk(queueFullTimeoutMs: 500);
        TestHandler handler = disk.Attach();
        ScsiTask large = Read(disk, 0, 128);
        Read(disk, 1);
        disk.Target.Tick(499);
        Assert.Empty(disk.Initiator.Completed);

        disk.Target.Tick(500);
        Assert.Equal(Full, disk.Initiator.Outcome);
        Read(disk, 2);
        handler.Answer(handler.TakeOne());
        large.Release();
        disk.Target.Tick(999);
        handler.Answer(handler.TakeOne());

        Assert.Equal([Full, "Good", "Good"], Outcomes(disk));
        disk.Target.Tick(5000);
        Assert.Equal(3, disk.Initiator.Completed.Count);
    }

    [Fact]
    public void Who_waits_for_a_handler_and_not_for_room_is_not_told_TASK_SET_FULL()
    {
        using var disk = new Disk(queueFullTimeoutMs: 0);
        TestHandler dead = disk.Attach();
        disk.Backstore.Detach(dead.Link, "killed");

        Read(disk);

        Assert.Empty(disk.Initiator.Completed);
        Assert.Single(disk.Attach().TakeAll());
    }

    // ---- slow and late ----

    [Fact]
    public void A_slow_command_is_named_then_its_handler_is_told_then_it_fails_then_the_handler_is_given_up()
    {
        using var disk = new Disk(commandTimeoutMs: 6000);
        TestHandler handler = disk.Attach(abilities: ReadyMessage.RingTaskManagement);
        Read(disk, 7, 2);
        var command = handler.TakeOne();

        disk.Target.Tick(1999);
        Assert.DoesNotContain(disk.Backstore.Events.ToArray(), happened => happened.Kind == LunEventKind.Slow);
        disk.Target.Tick(2000);
        LunEvent slow = Assert.Single(disk.Backstore.Events.ToArray(), happened => happened.Kind == LunEventKind.Slow);
        Assert.Contains("of 2 blocks at 7", slow.Text, StringComparison.Ordinal);
        Assert.Empty(handler.TakeAll());

        disk.Target.Tick(5250);
        Assert.Equal([command.Id], handler.TakeOne().TaskManagementIds.ToArray());
        Assert.Empty(disk.Initiator.Completed);

        disk.Target.Tick(6000);
        Assert.Equal(LinkFailure, disk.Initiator.Outcome);
        disk.Reactor.RunPosted();
        Assert.Single(disk.Dropped);
    }

    [Fact]
    public void A_handler_that_answers_when_it_is_told_that_time_is_short_stays()
    {
        using var disk = new Disk(commandTimeoutMs: 6000);
        TestHandler handler = disk.Attach(abilities: ReadyMessage.RingTaskManagement);
        Read(disk);
        var command = handler.TakeOne();
        disk.Target.Tick(2000);
        disk.Target.Tick(5250);

        handler.Answer(command);
        disk.Target.Tick(6000);
        disk.Reactor.RunPosted();

        Assert.Equal("Good", disk.Initiator.Outcome);
        Assert.Empty(disk.Dropped);
    }

    [Fact]
    public void Time_that_the_initiator_takes_to_bring_data_does_not_count()
    {
        TestHandler handler = _disk.Attach();
        ScsiTask task = _disk.Initiator.Send(Cdbs.Write10(0, 1), dataOut: 512);
        _disk.Target.Tick(5000);

        _disk.Target.DataArrived(task);
        _disk.Target.Tick(5999);
        handler.Answer(handler.TakeOne());

        Assert.Equal("Good", _disk.Initiator.Outcome);
    }

    [Fact]
    public void A_command_of_the_device_server_fails_at_its_time_limit_as_well()
    {
        TestHandler handler = _disk.Attach();
        _disk.Initiator.Send([0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        handler.TakeOne();

        _disk.Target.Tick(1000);
        _disk.Reactor.RunPosted();

        Assert.Equal(LinkFailure, _disk.Initiator.Outcome);
        Assert.Single(_disk.Dropped);
    }

    // ---- operators ----

    [Fact]
    public void A_blocked_logical_unit_holds_commands_back_and_lets_them_through_in_order()
    {
        TestHandler handler = _disk.Attach();
        Read(_disk, 0);
        var before = handler.TakeOne();
        _disk.Backstore.Block();
        Read(_disk, 1);
        Read(_disk, 2);

        handler.Answer(before); // what the handler had goes on
        Assert.Empty(handler.TakeAll());
        Assert.Single(_disk.Initiator.Completed);
        _disk.Backstore.Unblock();

        Assert.Equal([1, 2], handler.TakeAll().Select(command => (int)command.CdbMemory.Span[5]));
    }

    [Fact]
    public void A_blocked_logical_unit_stays_blocked_over_its_handlers_death()
    {
        TestHandler dead = _disk.Attach();
        Read(_disk, 0);
        dead.TakeOne();
        _disk.Backstore.Block();

        _disk.Backstore.Detach(dead.Link, "killed");
        TestHandler next = _disk.Attach();
        Assert.Empty(next.TakeAll());
        _disk.Backstore.Unblock();

        Assert.Single(next.TakeAll());
    }

    [Theory]
    [InlineData(RingReset.Busy, Busy)]
    [InlineData(RingReset.Fail, LinkFailure)]
    public void A_reset_of_the_ring_ends_what_the_handler_has_and_gives_it_up_but_not_what_waits(RingReset how, string outcome)
    {
        TestHandler old = _disk.Attach();
        Read(_disk, 0);
        Read(_disk, 1);
        var taken = old.TakeAll();
        old.AnswerWithoutReaping(taken[1]);
        _disk.Backstore.Block();
        Read(_disk, 2);

        Assert.Equal(1, _disk.Backstore.ResetRing(how));

        Assert.Equal(["Good", outcome], Outcomes(_disk));
        Assert.Single(_disk.Dropped);
        _disk.Backstore.Unblock();
        Assert.Equal(2, _disk.Attach().TakeOne().CdbMemory.Span[5]);
    }

    [Fact]
    public void A_reset_of_the_ring_ends_commands_that_are_held_for_the_next_handler()
    {
        TestHandler dead = _disk.Attach();
        Read(_disk);
        dead.TakeOne();
        _disk.Backstore.Detach(dead.Link, "killed");

        Assert.Equal(1, _disk.Backstore.ResetRing(RingReset.Busy));

        Assert.Equal(Busy, _disk.Initiator.Outcome);
        Assert.Empty(_disk.Attach().TakeAll());
    }

    // ---- replacement ----

    [Fact]
    public void A_drain_is_over_when_the_handler_has_answered_all_it_has_and_then_the_next_one_gets_what_came_meanwhile()
    {
        using var disk = new Disk(queueFullTimeoutMs: 0, onLoss: HandlerLossPolicy.Fail);
        TestHandler old = disk.Attach();
        Read(disk, 0);
        Read(disk, 1);
        var taken = old.TakeAll();
        int drained = 0;

        disk.Backstore.Drain(() => drained++);
        ScsiTask write = disk.Initiator.Send(Cdbs.Write10(2, 1), dataOut: 512);
        write.DataOut.CopyFrom(Enumerable.Repeat((byte)0x42, 512).ToArray());
        disk.Target.DataArrived(write);
        old.Answer(taken[1]);
        Assert.Equal(0, drained);
        old.Answer(taken[0]);
        Assert.Equal(1, drained);
        Assert.Empty(old.TakeAll());

        disk.Backstore.Detach(old.Link, "replaced", asPlanned: true);
        Read(disk, 3);
        TestHandler next = disk.Attach();

        var got = next.TakeAll();
        Assert.Equal([2, 3], got.Select(command => (int)command.CdbMemory.Span[5]));
        Assert.Equal(0x42, next.Data(got[0])[511]);
        got.ForEach(command => next.Answer(command));
        Assert.Equal(["Good", "Good", "Good", "Good"], Outcomes(disk));
        Assert.Equal(1, drained);
    }

    [Fact]
    public void Before_a_drain_flushes_are_set_aside_and_reads_and_writes_go_on_until_the_handler_has_no_flush_left()
    {
        TestHandler old = _disk.Attach();
        Flush(_disk);
        var flush = old.TakeOne();
        int settled = 0;

        _disk.Backstore.Settle(() => settled++);
        Flush(_disk);
        Write(_disk, 1, fua: true);
        Write(_disk, 2, fua: false);
        Read(_disk, 3);
        old.TakeAll().ForEach(command => old.Answer(command));
        Assert.Equal(["Good", "Good"], Outcomes(_disk));
        Assert.Equal((0, 2), (settled, _disk.Backstore.Waiting));

        old.Answer(flush);
        Assert.Equal(1, settled);
        Assert.Empty(old.TakeAll());
    }

    [Fact]
    public void What_was_set_aside_before_a_drain_is_the_first_that_the_next_handler_gets()
    {
        TestHandler old = _disk.Attach();
        _disk.Backstore.Settle(() => { });
        Flush(_disk);
        _disk.Backstore.Drain(() => { });
        Read(_disk, 1);

        _disk.Backstore.Detach(old.Link, "replaced", asPlanned: true);
        var got = _disk.Attach().TakeAll();

        Assert.Equal([OperationCode.SynchronizeCache16, OperationCode.Read10], got.Select(command => command.CdbMemory.Span[0]));
    }

    [Fact]
    public void What_was_set_aside_goes_to_the_same_handler_when_the_replacement_is_called_off()
    {
        TestHandler handler = _disk.Attach();
        _disk.Backstore.Settle(() => { });
        Flush(_disk);
        Assert.Empty(handler.TakeAll());

        _disk.Backstore.Resume();

        handler.Answer(handler.TakeOne());
        Assert.Equal(["Good"], Outcomes(_disk));
    }

    [Fact]
    public void What_was_set_aside_keeps_its_time_limit()
    {
        using var disk = new Disk(commandTimeoutMs: 1000);
        TestHandler handler = disk.Attach();
        disk.Backstore.Settle(() => { });
        Flush(disk);

        disk.Target.Tick(disk.Target.NowMs + 2000);

        Assert.Equal(LinkFailure, disk.Initiator.Outcome);
        disk.Backstore.Resume();
        Assert.Empty(handler.TakeAll());
    }

    [Fact]
    public void A_handler_that_dies_before_it_is_drained_has_settled()
    {
        TestHandler old = _disk.Attach();
        Flush(_disk);
        old.TakeOne();
        int settled = 0;
        _disk.Backstore.Settle(() => settled++);

        _disk.Backstore.Detach(old.Link, "killed");

        Assert.Equal(1, settled);
    }

    [Fact]
    public void A_drain_of_an_idle_handler_is_over_at_once()
    {
        _disk.Attach();
        bool drained = false;

        _disk.Backstore.Drain(() => drained = true);

        Assert.True(drained);
    }

    [Fact]
    public void A_drain_that_is_called_off_lets_commands_through_to_the_same_handler()
    {
        TestHandler handler = _disk.Attach();
        Read(_disk, 0);
        var first = handler.TakeOne();
        int drained = 0;
        _disk.Backstore.Drain(() => drained++);
        Read(_disk, 1);

        _disk.Backstore.Resume();

        handler.Answer(first);
        handler.Answer(handler.TakeOne());
        Assert.Equal(["Good", "Good"], Outcomes(_disk));
        Assert.Equal(0, drained);
    }

    [Fact]
    public void After_a_drain_that_was_called_off_the_handlers_death_ends_commands_by_policy_again()
    {
        using var disk = new Disk(onLoss: HandlerLossPolicy.Busy);
        TestHandler handler = disk.Attach();
        disk.Backstore.Drain(() => { });
        disk.Backstore.Resume();
        Read(disk);
        handler.TakeOne();

        disk.Backstore.Detach(handler.Link, "killed");

        Assert.Equal(Busy, disk.Initiator.Outcome);
    }

    [Fact]
    public void A_handler_that_dies_while_it_is_drained_has_its_commands_repeated_to_the_next()
    {
        TestHandler old = _disk.Attach();
        Read(_disk, 0);
        old.TakeOne();
        int drained = 0;
        _disk.Backstore.Drain(() => drained++);

        _disk.Backstore.Detach(old.Link, "killed");

        Assert.Equal(1, drained);
        Assert.Single(_disk.Attach().TakeAll());
    }

    // ---- kept buffers, data with sense, notices ----

    [Fact]
    public void A_kept_commands_blocks_and_id_stay_taken_until_the_handler_frees_them()
    {
        TestHandler handler = _disk.Attach(abilities: ReadyMessage.RingKeepBuffers);
        ScsiTask task = Read(_disk, 0, 64);
        var command = handler.TakeOne();

        handler.Answer(command, flags: ResponseFlags.KeepBuffer);
        Assert.Equal("Good", _disk.Initiator.Outcome);
        task.Release();
        Assert.Equal(8, handler.Link.DataArea.BlocksInUse);
        Assert.Equal(1, handler.Link.Ring.Kept);

        _disk.Backstore.FreeKept(handler.Link, [command.Id]);

        Assert.Equal(0, handler.Link.DataArea.BlocksInUse);
        Assert.Equal(0, handler.Link.Ring.Kept);
    }

    [Fact]
    public void Blocks_freed_while_the_answer_is_still_being_sent_are_given_back_when_it_has_been()
    {
        TestHandler handler = _disk.Attach(abilities: ReadyMessage.RingKeepBuffers);
        ScsiTask task = Read(_disk, 0, 64);
        var command = handler.TakeOne();
        handler.Answer(command, flags: ResponseFlags.KeepBuffer);

        _disk.Backstore.FreeKept(handler.Link, [command.Id]);
        Assert.Equal(8, handler.Link.DataArea.BlocksInUse);
        task.Release();

        Assert.Equal(0, handler.Link.DataArea.BlocksInUse);
    }

    [Fact]
    public void Who_waits_for_room_gets_what_was_kept()
    {
        TestHandler handler = _disk.Attach(abilities: ReadyMessage.RingKeepBuffers);
        ScsiTask task = Read(_disk, 0, 128);
        var command = handler.TakeOne();
        handler.Answer(command, flags: ResponseFlags.KeepBuffer);
        task.Release();
        Read(_disk, 1);
        Assert.Empty(handler.TakeAll());

        _disk.Backstore.FreeKept(handler.Link, [command.Id]);

        Assert.Single(handler.TakeAll());
    }

    [Fact]
    public void A_handler_that_frees_what_it_does_not_keep_is_given_up()
    {
        TestHandler handler = _disk.Attach(abilities: ReadyMessage.RingKeepBuffers);

        _disk.Backstore.FreeKept(handler.Link, [5]);

        Assert.Contains("does not keep", Assert.Single(_disk.Dropped), StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_dead_handler_kept_is_given_back_with_its_region()
    {
        TestHandler dead = _disk.Attach(abilities: ReadyMessage.RingKeepBuffers);
        ScsiTask task = Read(_disk);
        dead.Answer(dead.TakeOne(), flags: ResponseFlags.KeepBuffer);
        task.Release();

        _disk.Backstore.Detach(dead.Link, "killed");

        Assert.Equal(0, dead.Link.Users);
        Assert.Equal(0, _disk.Backstore.Kept);
        Assert.Empty(_disk.Attach().TakeAll());
    }

    [Theory]
    [InlineData(100u, 100)]
    [InlineData(4096u, 512)]
    public void With_a_read_length_data_goes_with_sense_data(uint readLength, int sent)
    {
        TestHandler handler = _disk.Attach();
        ScsiTask task = Read(_disk);
        byte[] sense = new byte[SenseData.FixedLength];
        new SenseData(SenseKey.RecoveredError, 0x1700).WriteFixed(sense);

        handler.Answer(handler.TakeOne(), (byte)ScsiStatus.CheckCondition, sense, ResponseFlags.ReadLength, readLength);

        Assert.Equal("01/17/00", _disk.Initiator.Outcome);
        Assert.Equal(sent, task.DataInLength);
    }

    [Theory]
    [InlineData(TaskManagementFunction.AbortTaskSet, RingAbi.TaskManagementAbortTaskSet)]
    [InlineData(TaskManagementFunction.ClearTaskSet, RingAbi.TaskManagementClearTaskSet)]
    [InlineData(TaskManagementFunction.LogicalUnitReset, RingAbi.TaskManagementLogicalUnitReset)]
    [InlineData(TaskManagementFunction.TargetWarmReset, RingAbi.TaskManagementTargetWarmReset)]
    [InlineData(TaskManagementFunction.TargetColdReset, RingAbi.TaskManagementTargetColdReset)]
    public void A_handler_that_wants_to_know_is_told_of_a_function_once_with_all_its_commands(TaskManagementFunction function, byte type)
    {
        TestHandler handler = _disk.Attach(abilities: ReadyMessage.RingTaskManagement);
        Read(_disk, 0);
        Read(_disk, 1);
        var taken = handler.TakeAll();

        _disk.Initiator.Manage(function);

        var notice = handler.TakeOne();
        Assert.Equal(type, notice.TaskManagementType);
        Assert.Equal(taken.Select(command => command.Id), notice.TaskManagementIds.ToArray());
        taken.ForEach(command => handler.Answer(command));
        Assert.Single(_disk.Initiator.Answers);
    }

    [Fact]
    public void A_flood_of_resets_leaves_the_ring_to_commands()
    {
        TestHandler handler = _disk.Attach(abilities: ReadyMessage.RingTaskManagement);
        for (int i = 0; i < 1000; i++)
        {
            _disk.Initiator.Manage(TaskManagementFunction.LogicalUnitReset);
        }

        _disk.Initiator.Send([0, 0, 0, 0, 0, 0]); // takes the unit attention
        Read(_disk);

        handler.Answer(handler.TakeAll().Single(entry => entry.Kind == HandlerCommandKind.Command));
        Assert.Equal("Good", Outcomes(_disk)[^1]);
    }
}
