using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target.Tests;

/// <summary>SANITIZE and FORMAT UNIT at pass level io, where reads and writes go straight to the handler: what is under way ends first, what comes later is refused.</summary>
public class MediumWorkTaskTests
{
    static readonly byte[] BlockErase = [0x48, 0x02, 0, 0, 0, 0, 0, 0, 0, 0];
    static readonly byte[] BlockEraseInBackground = [0x48, 0x82, 0, 0, 0, 0, 0, 0, 0, 0];
    static readonly byte[] Format = [0x04, 0, 0, 0, 0, 0];

    readonly TaskCompletionSource<ScsiResult> _end = new();
    readonly FakeBackstore _disk;
    readonly ScsiTarget _target;
    readonly Initiator _initiator;

    public MediumWorkTaskTests()
    {
        _disk = new FakeBackstore { Features = BlockDeviceFeatures.Flush | BlockDeviceFeatures.Unmap | BlockDeviceFeatures.Extents, FlushGate = _end };
        _target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, _disk)]);
        _initiator = new Initiator(_target);
    }

    string OutcomeOfRead() => Initiator.OutcomeOf(_initiator.Send(Cdbs.Read10(5, 1), dataIn: 512));

    [Fact]
    public void It_begins_when_writes_under_way_have_ended()
    {
        ScsiTask write = _initiator.Send(Cdbs.Write10(5, 1), dataOut: 512);
        _target.DataArrived(write);

        ScsiTask erase = _initiator.Send(BlockEraseInBackground);
        Assert.DoesNotContain(erase, _initiator.Completed);
        _disk.Answer(write);

        Assert.Contains(erase, _initiator.Completed);
        Assert.Equal("02/04/1B", OutcomeOfRead());
    }

    [Fact]
    public void Who_waited_behind_it_is_told_as_soon_as_it_has_begun()
    {
        ScsiTask write = _initiator.Send(Cdbs.Write10(5, 1), dataOut: 512);
        _target.DataArrived(write);
        ScsiTask format = _initiator.Send(Format);
        ScsiTask later = _initiator.Send(Cdbs.Write10(7, 1), dataOut: 512);
        ScsiTask verify = _initiator.Send([0x2F, 0, 0, 0, 0, 7, 0, 0, 1, 0]);

        _disk.Answer(write);

        Assert.Equal("02/04/04", Initiator.OutcomeOf(later));
        Assert.Equal("02/04/04", Initiator.OutcomeOf(verify));
        Assert.DoesNotContain(format, _initiator.Completed);
        Assert.Empty(_disk.Submitted);
    }

    [Fact]
    public void Commands_that_must_be_atomic_are_refused_too_and_do_not_wait_for_its_end()
    {
        _initiator.Send(BlockErase);

        ScsiTask atomic = _initiator.Send([0x89, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0], dataOut: 1024);
        _target.DataArrived(atomic);

        Assert.Equal("02/04/1B", Initiator.OutcomeOf(atomic));
    }

    [Theory]
    [InlineData(TaskAttribute.Ordered, TaskAttribute.Simple)]
    [InlineData(TaskAttribute.HeadOfQueue, TaskAttribute.Simple)]
    [InlineData(TaskAttribute.Simple, TaskAttribute.Ordered)]
    public void The_order_of_tasks_keeps_nobody_waiting_for_its_end(TaskAttribute its, TaskAttribute later)
    {
        Send(BlockErase, its);

        Assert.Equal("02/04/1B", Initiator.OutcomeOf(Send(Cdbs.TestUnitReady, later)));
    }

    [Fact]
    public void A_task_that_waited_for_one_in_the_order_is_told_when_that_has_begun()
    {
        ScsiTask write = _initiator.Send(Cdbs.Write10(5, 1), dataOut: 512);
        _target.DataArrived(write);
        Send(BlockErase, TaskAttribute.Ordered);
        ScsiTask later = Send(Cdbs.TestUnitReady, TaskAttribute.Simple);
        Assert.DoesNotContain(later, _initiator.Completed);

        _disk.Answer(write);

        Assert.Equal("02/04/1B", Initiator.OutcomeOf(later));
    }

    ScsiTask Send(byte[] cdb, TaskAttribute attribute)
    {
        ScsiTask task = _target.Rent();
        task.Transport = _initiator;
        task.Nexus = _initiator.Nexus;
        task.Attribute = attribute;
        task.SetCdb(cdb);
        _target.Begin(task);
        return task;
    }

    [Fact]
    public void It_may_take_as_long_as_it_takes()
    {
        ScsiTask erase = _initiator.Send(BlockErase);
        _target.TickAll(3_600_000);
        Assert.DoesNotContain(erase, _initiator.Completed);

        _end.SetResult(ScsiResult.Good);

        Assert.Equal("Good", Initiator.OutcomeOf(erase));
        Assert.Contains(_initiator.Send(Cdbs.Read10(5, 1), dataIn: 512), _disk.Submitted);
    }

    [Theory]
    [InlineData(TaskManagementFunction.AbortTask)]
    [InlineData(TaskManagementFunction.LogicalUnitReset)]
    [InlineData(TaskManagementFunction.TargetColdReset)]
    public void Aborting_its_command_is_answered_at_once_and_does_not_end_it_SBC_3_4_11_4(TaskManagementFunction function)
    {
        ScsiTask erase = _initiator.Send(BlockErase);

        _initiator.Manage(function, erase);

        Assert.Equal([TaskManagementResponse.FunctionComplete], _initiator.Answers);
        _initiator.Send(Cdbs.TestUnitReady); // the unit attention
        Assert.Equal("02/04/1B", OutcomeOfRead());
        _end.SetResult(ScsiResult.Good);
        Assert.Contains(_initiator.Send(Cdbs.Read10(5, 1), dataIn: 512), _disk.Submitted);
    }

    [Fact]
    public void It_goes_on_when_its_nexus_is_lost()
    {
        _initiator.Send(BlockErase);

        _target.Detach(_initiator.Nexus);

        var next = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");
        Assert.Equal("02/04/1B", Initiator.OutcomeOf(next.Send(Cdbs.Read10(5, 1), dataIn: 512)));
    }

    [Fact]
    public void What_a_handler_fails_that_was_lost_is_a_failed_unit_and_not_a_medium_half_done()
    {
        ScsiTask erase = _initiator.Send(BlockErase);

        _end.SetResult(ScsiResult.Check(SenseKey.NotReady, AdditionalSense.CommunicationFailure));

        Assert.Equal("03/31/03", Initiator.OutcomeOf(erase));
        Assert.Equal("03/31/03", OutcomeOfRead());
    }
}
