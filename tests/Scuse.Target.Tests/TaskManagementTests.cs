namespace Scuse.Target.Tests;

public class TaskManagementTests
{
    readonly FakeBackstore _disk = new();
    readonly ScsiTarget _target;
    readonly Initiator _initiator;
    readonly Initiator _other;

    public TaskManagementTests()
    {
        _target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, _disk)]);
        _initiator = new Initiator(_target);
        _other = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");
    }

    [Fact]
    public void An_abort_is_answered_only_when_the_handler_has_let_go_of_the_command()
    {
        ScsiTask task = _initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);

        _initiator.Manage(TaskManagementFunction.AbortTask, task);
        Assert.Same(task, Assert.Single(_initiator.Aborted));
        Assert.Empty(_initiator.Answers);

        _disk.Answer(task);
        Assert.Equal([TaskManagementResponse.FunctionComplete], _initiator.Answers);
        Assert.Empty(_initiator.Completed);
        Assert.Equal(1, _disk.Released);
    }

    [Fact]
    public void A_command_that_waits_for_room_is_aborted_at_once()
    {
        _disk.HasRoom = false;
        ScsiTask task = _initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);

        _initiator.Manage(TaskManagementFunction.AbortTask, task);

        Assert.Equal([TaskManagementResponse.FunctionComplete], _initiator.Answers);
        Assert.Empty(_disk.Waiting);
    }

    [Fact]
    public void A_write_that_waits_for_its_data_is_aborted_at_once_and_never_submitted()
    {
        ScsiTask task = _initiator.Send(Cdbs.Write10(0, 1), dataOut: 512);

        _initiator.Manage(TaskManagementFunction.AbortTask, task);

        Assert.Equal([TaskManagementResponse.FunctionComplete], _initiator.Answers);
        Assert.Empty(_disk.Submitted);
        Assert.Equal(1, _disk.Released);
    }

    [Fact]
    public void A_command_kept_for_a_backstore_that_is_not_open_is_aborted_at_once()
    {
        _disk.IsOpen = false;
        ScsiTask task = _initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);

        _initiator.Manage(TaskManagementFunction.AbortTask, task);
        _disk.IsOpen = true;
        _disk.Unit.Opened();

        Assert.Equal([TaskManagementResponse.FunctionComplete], _initiator.Answers);
        Assert.Empty(_disk.Submitted);
    }

    [Fact]
    public void Two_aborts_of_one_command_are_both_answered()
    {
        ScsiTask task = _initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        _initiator.Manage(TaskManagementFunction.AbortTask, task);
        _initiator.Manage(TaskManagementFunction.LogicalUnitReset);

        _disk.Answer(task);

        Assert.Equal(2, _initiator.Answers.Count);
        Assert.Single(_initiator.Aborted);
    }

    [Fact]
    public void Aborting_a_command_whose_status_is_on_the_way_is_complete()
    {
        ScsiTask task = _initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        _disk.Answer(task);

        _initiator.Manage(TaskManagementFunction.AbortTask, task);

        Assert.Equal([TaskManagementResponse.FunctionComplete], _initiator.Answers);
        Assert.Single(_initiator.Completed);
    }

    [Fact]
    public void A_tag_that_nobody_knows_is_answered_as_such()
    {
        _initiator.Manage(TaskManagementFunction.AbortTask, referenced: null);

        Assert.Equal([TaskManagementResponse.TaskDoesNotExist], _initiator.Answers);
    }

    [Fact]
    public void One_initiator_cannot_abort_the_command_of_another()
    {
        ScsiTask task = _other.Send(Cdbs.Read10(0, 1), dataIn: 512);

        _initiator.Manage(TaskManagementFunction.AbortTask, task);

        Assert.Equal([TaskManagementResponse.TaskDoesNotExist], _initiator.Answers);
        Assert.Empty(_other.Aborted);
    }

    [Fact]
    public void A_logical_unit_reset_ends_every_nexus_commands_and_tells_them()
    {
        ScsiTask mine = _initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        ScsiTask theirs = _other.Send(Cdbs.Write10(0, 1), dataOut: 512);

        _initiator.Manage(TaskManagementFunction.LogicalUnitReset);
        _disk.Answer(mine);

        Assert.Equal([TaskManagementResponse.FunctionComplete], _initiator.Answers);
        Assert.Same(theirs, Assert.Single(_other.Aborted));
        _other.Send(Cdbs.TestUnitReady);
        Assert.Equal("06/29/03", _other.Outcome);
    }

    [Fact]
    public void Abort_task_set_leaves_the_commands_of_others_alone()
    {
        ScsiTask theirs = _other.Send(Cdbs.Read10(0, 1), dataIn: 512);

        _initiator.Manage(TaskManagementFunction.AbortTaskSet);

        Assert.Equal([TaskManagementResponse.FunctionComplete], _initiator.Answers);
        Assert.Empty(_other.Aborted);
        _disk.Answer(theirs);
        Assert.Equal("Good", _other.Outcome);
    }

    [Fact]
    public void Clear_task_set_tells_the_others_that_their_commands_were_cleared()
    {
        _other.Send(Cdbs.Write10(0, 1), dataOut: 512);

        _initiator.Manage(TaskManagementFunction.ClearTaskSet);

        Assert.Single(_other.Aborted);
        _other.Send(Cdbs.TestUnitReady);
        Assert.Equal("06/2F/00", _other.Outcome);
    }

    [Fact]
    public void A_function_for_a_missing_logical_unit_says_so()
    {
        _initiator.Manage(TaskManagementFunction.LogicalUnitReset, lun: 9);

        Assert.Equal([TaskManagementResponse.LunDoesNotExist], _initiator.Answers);
    }

    [Fact]
    public void After_a_nexus_is_lost_nothing_more_is_said_to_its_transport()
    {
        ScsiTask task = _initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);

        _target.Detach(_initiator.Nexus);
        _disk.Answer(task);

        Assert.Empty(_initiator.Completed);
        Assert.Empty(_initiator.Aborted);
        Assert.Equal(1, _disk.Released);
        Assert.Equal(0, _disk.Unit.TaskCount);
    }

    [Fact]
    public void A_hung_command_that_is_aborted_is_let_go_at_its_time_limit_and_the_abort_is_answered()
    {
        ScsiTask task = _initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);
        _initiator.Manage(TaskManagementFunction.AbortTask, task);

        _target.TickAll(30_000);

        Assert.Equal([TaskManagementResponse.FunctionComplete], _initiator.Answers);
        Assert.Single(_disk.Abandoned);
    }

    [Fact]
    public void A_reset_and_an_abort_of_a_command_that_waits_for_the_memory_of_another_are_both_answered()
    {
        var target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, new FakeBackstore()) { ControlBudgetBytes = 8192 }]);
        var initiator = new Initiator(target);
        initiator.Send(Cdbs.Verify10(0, 16), dataOut: 8192);
        ScsiTask waiting = initiator.Send(Cdbs.Verify10(0, 16), dataOut: 8192);
        Assert.Single(initiator.Wanted);

        initiator.Manage(TaskManagementFunction.AbortTask, waiting);
        initiator.Manage(TaskManagementFunction.LogicalUnitReset);

        Assert.Equal([TaskManagementResponse.FunctionComplete, TaskManagementResponse.FunctionComplete], initiator.Answers);
        Assert.Equal(0, target.LogicalUnits.Single().TaskCount);
    }

    [Fact]
    public void A_command_that_waits_for_the_memory_of_another_gets_it_when_that_one_is_over()
    {
        var target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, new FakeBackstore()) { ControlBudgetBytes = 8192 }]);
        var initiator = new Initiator(target);
        ScsiTask first = initiator.Send(Cdbs.Verify10(0, 16), dataOut: 8192);
        ScsiTask second = initiator.Send(Cdbs.Verify10(0, 16), dataOut: 8192);

        target.DataArrived(first);
        first.Release();

        Assert.Equal([first, second], initiator.Wanted);
    }

    [Theory]
    [InlineData(TaskManagementFunction.TargetWarmReset, AbortCause.TargetWarmReset)]
    [InlineData(TaskManagementFunction.TargetColdReset, AbortCause.TargetColdReset)]
    public void A_reset_of_the_target_ends_every_task_of_every_logical_unit_and_tells_every_nexus(TaskManagementFunction function, AbortCause cause)
    {
        FakeBackstore first = new(), second = new();
        var target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, first), new LogicalUnit(3, second)]);
        Initiator one = new(target), other = new(target, "iqn.2026-11.example:b,i,0x000000000002");
        ScsiTask mine = one.Send(Cdbs.Read10(0, 1), dataIn: 512);
        ScsiTask theirs = other.Send(Cdbs.Read10(0, 1), dataIn: 512, lun: 3);

        one.Manage(function);
        first.Answer(mine);
        Assert.Empty(one.Answers);
        second.Answer(theirs);

        Assert.Equal([TaskManagementResponse.FunctionComplete], one.Answers);
        Assert.Equal([(cause, 1)], first.Announced);
        Assert.Equal([(cause, 1)], second.Announced);
        foreach (Initiator initiator in new[] { one, other })
        {
            foreach (int lun in new[] { 0, 3 })
            {
                initiator.Completed.Clear();
                initiator.Send(Cdbs.TestUnitReady, lun: lun);
                Assert.Equal("06/29/03", initiator.Outcome);
            }
        }
    }

    [Fact]
    public void A_backstore_hears_of_an_abort_before_its_tasks_are_taken_from_it()
    {
        ScsiTask task = _initiator.Send(Cdbs.Read10(0, 1), dataIn: 512);

        _initiator.Manage(TaskManagementFunction.AbortTask, task);
        _target.Detach(_other.Nexus);

        Assert.Equal([(AbortCause.AbortTask, 1)], _disk.Announced); // who had no tasks is no news
    }
}
