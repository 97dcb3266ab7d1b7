using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target.Tests;

/// <summary>What goes before what: SAM-5 clause 8.6.</summary>
public class TaskAttributeTests
{
    readonly FakeBackstore _disk = new();
    readonly ScsiTarget _target;
    readonly Initiator _initiator;
    readonly Initiator _other;

    public TaskAttributeTests()
    {
        _target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, _disk)]);
        _initiator = new Initiator(_target);
        _other = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");
    }

    ScsiTask Read(TaskAttribute attribute = TaskAttribute.Simple, Initiator? by = null) =>
        (by ?? _initiator).Send(Cdbs.Read10(0, 1), dataIn: 512, attribute: attribute);

    void Answer(params ScsiTask[] tasks) => Array.ForEach(tasks, task => _disk.Answer(task));

    [Fact]
    public void An_ordered_task_starts_when_all_older_ones_have_ended()
    {
        ScsiTask first = Read(), second = Read(by: _other), ordered = Read(TaskAttribute.Ordered);

        Answer(second);
        Assert.Equal([first], _disk.Submitted);
        Answer(first);

        Assert.Equal([ordered], _disk.Submitted);
    }

    [Fact]
    public void Younger_simple_tasks_wait_for_it_whoever_sent_them()
    {
        ScsiTask ordered = Read(TaskAttribute.Ordered), own = Read(), others = Read(by: _other), untagged = Read(TaskAttribute.Untagged);

        Assert.Equal([ordered], _disk.Submitted);
        Answer(ordered);

        Assert.Equal([own, others, untagged], _disk.Submitted);
    }

    [Fact]
    public void Ordered_tasks_run_one_after_the_other()
    {
        ScsiTask first = Read(TaskAttribute.Ordered), second = Read(TaskAttribute.Ordered), simple = Read();

        Assert.Equal([first], _disk.Submitted);
        Answer(first);
        Assert.Equal([second], _disk.Submitted);
        Answer(second);
        Assert.Equal([simple], _disk.Submitted);
    }

    [Fact]
    public void A_head_of_queue_task_starts_at_once_and_those_that_wait_wait_for_it_too()
    {
        ScsiTask simple = Read(), ordered = Read(TaskAttribute.Ordered), later = Read();
        ScsiTask head = Read(TaskAttribute.HeadOfQueue);

        Assert.Equal([simple, head], _disk.Submitted);
        Answer(simple);
        Assert.Equal([head], _disk.Submitted);
        Answer(head);

        Assert.Equal([ordered], _disk.Submitted);
        Answer(ordered);
        Assert.Equal([later], _disk.Submitted);
    }

    [Fact]
    public void A_simple_task_waits_for_a_head_of_queue_task()
    {
        ScsiTask head = Read(TaskAttribute.HeadOfQueue), simple = Read();

        Assert.Equal([head], _disk.Submitted);
        Answer(head);

        Assert.Equal([simple], _disk.Submitted);
    }

    [Fact]
    public void Who_waits_has_neither_memory_nor_been_asked_for_its_data()
    {
        ScsiTask ordered = Read(TaskAttribute.Ordered);
        ScsiTask write = _initiator.Send(Cdbs.Write10(0, 1), dataOut: 512);
        ScsiTask report = _initiator.Send([0x5A, 0, 0x3F, 0, 0, 0, 0, 0, 255, 0], dataIn: 255);

        Assert.Null(write.BackstoreState);
        Assert.True(report.DataIn.IsEmpty);
        Assert.Empty(_initiator.Wanted);
        Answer(ordered);

        Assert.Equal([write], _initiator.Wanted);
        Assert.Contains(report, _initiator.Completed);
    }

    [Fact]
    public void What_the_engine_answers_itself_waits_as_well()
    {
        ScsiTask read = Read();
        ScsiTask ordered = _initiator.Send(Cdbs.TestUnitReady, attribute: TaskAttribute.Ordered);
        ScsiTask simple = _initiator.Send(Cdbs.TestUnitReady);

        Assert.Empty(_initiator.Completed);
        Answer(read);

        Assert.Equal([read, ordered, simple], _initiator.Completed);
    }

    [Fact]
    public void What_an_older_task_changes_holds_for_those_that_waited_for_it()
    {
        ScsiTask read = Read();
        ScsiTask reserve = _other.Send([0x16, 0, 0, 0, 0, 0], attribute: TaskAttribute.Ordered);
        ScsiTask waiting = Read();

        Answer(read);

        Assert.Equal(ScsiStatus.Good, reserve.Status);
        Assert.Equal(ScsiStatus.ReservationConflict, waiting.Status);
    }

    [Fact]
    public void A_waiting_task_is_aborted_at_once_and_those_behind_it_go_on()
    {
        ScsiTask read = Read(), ordered = Read(TaskAttribute.Ordered), simple = Read();

        _initiator.Manage(TaskManagementFunction.AbortTask, ordered);

        Assert.Equal([TaskManagementResponse.FunctionComplete], _initiator.Answers);
        Assert.Equal([read, simple], _disk.Submitted);
    }

    [Fact]
    public void Nothing_starts_that_is_to_be_aborted_as_well()
    {
        ScsiTask head = Read(TaskAttribute.HeadOfQueue);
        _initiator.Send(Cdbs.TestUnitReady, attribute: TaskAttribute.Ordered);
        ScsiTask write = _initiator.Send(Cdbs.Write10(0, 1), dataOut: 512);
        _disk.HasRoom = false;

        _initiator.Manage(TaskManagementFunction.AbortTaskSet);
        Answer(head);

        Assert.Contains(write, _initiator.Aborted);
        Assert.Empty(_initiator.Completed);
        Assert.Empty(_disk.Waiting);
        Assert.Equal(0, _disk.Unit.TaskCount);
    }

    [Fact]
    public void A_task_that_waits_its_turn_fails_at_its_time_limit_and_those_behind_it_go_on()
    {
        ScsiTask write = _initiator.Send(Cdbs.Write10(0, 1), dataOut: 512); // its data never comes
        ScsiTask ordered = Read(TaskAttribute.Ordered);
        _target.TickAll(15_000);
        ScsiTask simple = Read();

        _target.TickAll(30_000);

        Assert.Equal("02/08/00", Initiator.OutcomeOf(ordered));
        Assert.Equal([simple], _disk.Submitted);
        _target.DataArrived(write);
    }

    [Fact]
    public void The_time_it_waited_counts()
    {
        ScsiTask ordered = Read(TaskAttribute.Ordered), simple = Read();
        _target.TickAll(20_000);
        Answer(ordered);

        _target.TickAll(30_000);

        Assert.Equal("02/08/00", Initiator.OutcomeOf(simple));
    }

    [Fact]
    public void A_lost_session_leaves_nobody_waiting()
    {
        ScsiTask read = Read(TaskAttribute.Ordered), waiting = Read(by: _other);

        _target.Detach(_initiator.Nexus);
        Assert.Equal([read], _disk.Submitted);
        Answer(read);

        Assert.Equal([waiting], _disk.Submitted);
    }

    [Fact]
    public void A_thousand_that_end_as_they_start_go_one_after_the_other()
    {
        ScsiTask read = Read();
        for (int i = 0; i < 1000; i++)
        {
            _initiator.Send(Cdbs.TestUnitReady, attribute: TaskAttribute.Ordered);
        }

        Answer(read);

        Assert.Equal(1001, _initiator.Completed.Count);
        Assert.Equal(0, _disk.Unit.TaskCount);
    }

    [Fact]
    public void Once_they_have_ended_simple_tasks_allocate_nothing_again()
    {
        Answer(Read(TaskAttribute.Ordered), Read(TaskAttribute.HeadOfQueue));
        byte[] cdb = Cdbs.TestUnitReady;
        Probe(cdb);
        long before = GC.GetAllocatedBytesForCurrentThread();

        Probe(cdb);

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    /// <summary>TEST UNIT READY: what the backstore of these tests allocates for a read is not the target's.</summary>
    void Probe(byte[] cdb)
    {
        for (int i = 0; i < 100; i++)
        {
            _initiator.Completed.Clear();
            _initiator.Send(cdb).Release();
        }
    }

    [Fact]
    public void With_a_task_set_for_each_nexus_others_do_not_wait()
    {
        _disk.DeviceServer.Control = new ControlSettings { TaskSetPerNexus = true };
        ScsiTask ordered = Read(TaskAttribute.Ordered), own = Read();
        ScsiTask others = Read(by: _other), head = Read(TaskAttribute.HeadOfQueue, _other), waiting = Read(by: _other);

        Assert.Equal([ordered, others, head], _disk.Submitted);
        Answer(ordered);
        Assert.Equal([others, head, own], _disk.Submitted);
        Answer(head);

        Assert.Equal([others, own, waiting], _disk.Submitted);
    }
}
