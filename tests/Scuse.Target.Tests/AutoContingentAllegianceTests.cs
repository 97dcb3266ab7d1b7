using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target.Tests;

/// <summary>What a CHECK CONDITION does to other tasks: ACA (SAM-5 clause 5.10), QERR and TAS (SPC-4 clause 7.5.8).</summary>
public class AutoContingentAllegianceTests
{
    const byte Naca = 0x04;

    readonly FakeBackstore _disk = new();
    readonly ScsiTarget _target;
    readonly Initiator _initiator;
    readonly Initiator _other;

    public AutoContingentAllegianceTests()
    {
        _target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, _disk)]);
        _initiator = new Initiator(_target);
        _other = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");
    }

    static byte[] Probe(byte control = 0) => [0, 0, 0, 0, 0, control];

    ScsiTask Read(TaskAttribute attribute = TaskAttribute.Simple, Initiator? by = null) =>
        (by ?? _initiator).Send(Cdbs.Read10(0, 1), dataIn: 512, attribute: attribute);

    /// <summary>A read past the last block.</summary>
    ScsiTask Fail(byte control = Naca, Initiator? by = null, TaskAttribute attribute = TaskAttribute.Simple)
    {
        byte[] cdb = Cdbs.Read10(FakeBackstore.Blocks, 1);
        cdb[9] = control;
        ScsiTask task = (by ?? _initiator).Send(cdb, dataIn: 512, attribute: attribute);
        Assert.Equal("05/21/00", Initiator.OutcomeOf(task));
        return task;
    }

    static string Outcome(Initiator by, byte control = 0, TaskAttribute attribute = TaskAttribute.Simple) =>
        Initiator.OutcomeOf(by.Send(Probe(control), attribute: attribute));

    [Fact]
    public void Without_NACA_a_failure_stops_nothing()
    {
        Fail(control: 0);

        Assert.Equal("Good", Outcome(_initiator));
    }

    [Fact]
    public void After_a_failure_with_NACA_the_nexus_gets_ACA_ACTIVE_but_for_one_ACA_task_at_a_time()
    {
        Fail();

        Assert.Equal("AcaActive", Outcome(_initiator));
        Assert.Equal("AcaActive", Outcome(_initiator, attribute: TaskAttribute.HeadOfQueue));
        ScsiTask read = Read(TaskAttribute.Aca);
        Assert.Equal([read], _disk.Submitted);
        Assert.Equal("AcaActive", Outcome(_initiator, attribute: TaskAttribute.Aca));
        _disk.Answer(read);
        Assert.Equal("Good", Outcome(_initiator, attribute: TaskAttribute.Aca));
    }

    [Fact]
    public void Other_nexuses_get_BUSY_or_with_NACA_ACA_ACTIVE()
    {
        Fail();

        Assert.Equal("Busy", Outcome(_other));
        Assert.Equal("AcaActive", Outcome(_other, Naca));
        Assert.Equal("AcaActive", Outcome(_other, attribute: TaskAttribute.Aca));
    }

    [Fact]
    public void With_a_task_set_for_each_nexus_others_are_served()
    {
        _disk.DeviceServer.Control = new ControlSettings { TaskSetPerNexus = true };
        Fail();

        Assert.Equal("Good", Outcome(_other));
        Fail(by: _other);
        Assert.Equal("AcaActive", Outcome(_other));
        _initiator.Manage(TaskManagementFunction.ClearAca);

        Assert.Equal("Good", Outcome(_initiator));
        Assert.Equal("AcaActive", Outcome(_other));
    }

    [Fact]
    public void CLEAR_ACA_of_the_faulted_nexus_ends_it_and_its_ACA_task()
    {
        Fail();
        ScsiTask read = Read(TaskAttribute.Aca);

        _initiator.Manage(TaskManagementFunction.ClearAca);
        Assert.Contains(read, _initiator.Aborted);
        Assert.Empty(_initiator.Answers);
        _disk.Answer(read);

        Assert.Equal([TaskManagementResponse.FunctionComplete], _initiator.Answers);
        Assert.Equal("Good", Outcome(_initiator));
        Assert.Equal("Good", Outcome(_other));
    }

    [Fact]
    public void CLEAR_ACA_of_another_nexus_ends_nothing()
    {
        Fail();

        _other.Manage(TaskManagementFunction.ClearAca);

        Assert.Equal([TaskManagementResponse.FunctionComplete], _other.Answers);
        Assert.Equal("AcaActive", Outcome(_initiator));
    }

    [Fact]
    public void Tasks_that_wait_their_turn_wait_until_it_is_cleared()
    {
        ScsiTask running = Read();
        ScsiTask ordered = Read(TaskAttribute.Ordered, _other);
        _disk.Answer(running, ScsiStatus.Good);
        _disk.Submitted.Clear();
        ScsiTask waiting = Read(by: _other);
        Fail(attribute: TaskAttribute.HeadOfQueue);

        _disk.Answer(ordered);
        Assert.Empty(_disk.Submitted);
        _initiator.Manage(TaskManagementFunction.ClearAca);

        Assert.Equal([waiting], _disk.Submitted);
    }

    [Fact]
    public void An_ACA_task_that_fails_without_NACA_ends_it_and_one_with_NACA_does_not()
    {
        Fail();

        Fail(attribute: TaskAttribute.Aca);
        Assert.Equal("AcaActive", Outcome(_initiator));
        Fail(control: 0, attribute: TaskAttribute.Aca);

        Assert.Equal("Good", Outcome(_initiator));
    }

    [Fact]
    public void An_ACA_task_without_an_ACA_is_an_invalid_message() =>
        Assert.Equal("05/49/00", Outcome(_initiator, attribute: TaskAttribute.Aca));

    [Fact]
    public void A_lost_nexus_takes_its_condition_with_it()
    {
        Fail();
        ScsiTask waiting = Read(by: _other);
        Assert.Equal(ScsiStatus.Busy, waiting.Status);

        _target.Detach(_initiator.Nexus);

        Assert.Equal("Good", Outcome(_other));
    }

    [Theory]
    [InlineData(TaskManagementFunction.LogicalUnitReset)]
    [InlineData(TaskManagementFunction.TargetWarmReset)]
    public void A_reset_ends_it(TaskManagementFunction reset)
    {
        Fail();

        _other.Manage(reset);

        Assert.Equal("06/29/03", Outcome(_initiator));
        Assert.Equal("Good", Outcome(_initiator));
    }

    [Fact]
    public void Who_preempts_the_faulted_nexus_ends_it()
    {
        Register(_initiator, key: 1);
        Register(_other, key: 2);
        Fail();

        ScsiTask preempt = ReserveOut(_other, action: 5, key: 2, serviceActionKey: 1);

        Assert.Equal("Good", Initiator.OutcomeOf(preempt));
        Assert.Equal("Good", Outcome(_other));
    }

    void Register(Initiator by, byte key) => Assert.Equal("Good", Initiator.OutcomeOf(ReserveOut(by, action: 0, key: 0, serviceActionKey: key)));

    ScsiTask ReserveOut(Initiator by, byte action, byte key, byte serviceActionKey)
    {
        byte[] list = new byte[24];
        (list[7], list[15]) = (key, serviceActionKey);
        ScsiTask task = by.Send([0x5F, action, 0x01, 0, 0, 0, 0, 0, 24, 0], dataOut: 24);
        task.DataOut.CopyFrom(list);
        _target.DataArrived(task);
        return task;
    }

    // ---- QERR and TAS ----

    [Fact]
    public void QERR_01b_ends_all_other_tasks_of_the_set_and_other_nexuses_are_told()
    {
        _disk.DeviceServer.Control = new ControlSettings { QueueError = QueueErrorManagement.AbortAll };
        ScsiTask own = Read(), others = Read(by: _other);

        Fail(control: 0);

        Assert.Equal([own], _initiator.Aborted);
        Assert.Equal([others], _other.Aborted);
        Assert.Equal("06/2F/00", Outcome(_other));
        Assert.Equal("Good", Outcome(_initiator));
    }

    [Fact]
    public void QERR_11b_ends_the_other_tasks_of_the_same_nexus()
    {
        _disk.DeviceServer.Control = new ControlSettings { QueueError = QueueErrorManagement.AbortOwn };
        ScsiTask own = Read();
        Read(by: _other);

        Fail(control: 0);

        Assert.Equal([own], _initiator.Aborted);
        Assert.Empty(_other.Aborted);
        Assert.Equal("Good", Outcome(_other));
    }

    [Fact]
    public void With_TAS_the_tasks_of_others_end_with_TASK_ABORTED_when_the_device_has_let_go_of_them()
    {
        _disk.DeviceServer.Control = new ControlSettings { QueueError = QueueErrorManagement.AbortAll, ReportsTaskAborted = true };
        ScsiTask others = Read(by: _other);
        ScsiTask write = _other.Send(Cdbs.Write10(0, 1), dataOut: 512);

        Fail(control: 0);
        Assert.Equal([write], _other.Completed);
        Assert.Equal(ScsiStatus.TaskAborted, write.Status);
        _disk.Answer(others);

        Assert.Equal([write, others], _other.Completed);
        Assert.Equal(ScsiStatus.TaskAborted, others.Status);
        Assert.Empty(_other.Aborted);
        Assert.Equal("Good", Outcome(_other));
    }

    [Fact]
    public void With_TAS_so_do_those_that_CLEAR_TASK_SET_ends_and_it_is_answered_after_them()
    {
        _disk.DeviceServer.Control = new ControlSettings { ReportsTaskAborted = true };
        ScsiTask own = Read(), others = Read(by: _other);

        _initiator.Manage(TaskManagementFunction.ClearTaskSet);
        _disk.Answer(own);
        Assert.Empty(_initiator.Answers);
        _disk.Answer(others);

        Assert.Equal([own], _initiator.Aborted);
        Assert.Equal("TaskAborted", _other.Outcome);
        Assert.Single(_initiator.Answers);
    }

    [Fact]
    public void What_is_to_end_with_TASK_ABORTED_ends_in_silence_when_its_own_nexus_aborts_it_or_goes()
    {
        _disk.DeviceServer.Control = new ControlSettings { ReportsTaskAborted = true };
        ScsiTask first = Read(by: _other), second = Read(by: _other);
        _initiator.Manage(TaskManagementFunction.ClearTaskSet);

        _other.Manage(TaskManagementFunction.AbortTask, first);
        _disk.Answer(first);
        _target.Detach(_other.Nexus);
        _disk.Answer(second);

        Assert.Equal([first], _other.Aborted);
        Assert.Empty(_other.Completed);
        Assert.Single(_initiator.Answers);
        Assert.Equal(0, _disk.Unit.TaskCount);
    }

    [Fact]
    public void CLEAR_TASK_SET_leaves_the_task_sets_of_others_alone_where_each_has_its_own()
    {
        _disk.DeviceServer.Control = new ControlSettings { TaskSetPerNexus = true };
        ScsiTask own = Read();
        Read(by: _other);

        _initiator.Manage(TaskManagementFunction.ClearTaskSet);

        Assert.Equal([own], _initiator.Aborted);
        Assert.Empty(_other.Aborted);
    }

    [Fact]
    public void CLEAR_TASK_SET_tells_only_those_who_had_commands()
    {
        Read();

        _initiator.Manage(TaskManagementFunction.ClearTaskSet);

        Assert.Equal("Good", Outcome(_other));
    }
}
