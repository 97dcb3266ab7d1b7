namespace Scuse.Target.Tests;

/// <summary>What must be atomic has its blocks for itself, at pass level io, where reads and writes go straight to the handler.</summary>
public class AtomicTaskTests
{
    readonly FakeBackstore _disk = new() { HoldsReads = true };
    readonly ScsiTarget _target;
    readonly Initiator _initiator;

    public AtomicTaskTests()
    {
        _target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, _disk)]);
        _initiator = new Initiator(_target);
    }

    ScsiTask CompareAndWrite(byte lba)
    {
        byte[] cdb = [0x89, 0, 0, 0, 0, 0, 0, 0, 0, lba, 0, 0, 0, 1, 0, 0];
        ScsiTask task = _initiator.Send(cdb, dataOut: 1024);
        _target.DataArrived(task);
        return task;
    }

    ScsiTask Write(uint lba)
    {
        ScsiTask task = _initiator.Send(Cdbs.Write10(lba, 1), dataOut: 512);
        BringData();
        return task;
    }

    /// <summary>The data of every write that has been let in, and of those that are then.</summary>
    void BringData()
    {
        while (_initiator.Wanted.Find(static task => task.Cdb[0] == 0x2A) is { } task)
        {
            _initiator.Wanted.Remove(task);
            _target.DataArrived(task);
        }
    }

    void FinishRead()
    {
        _disk.FinishRead();
        BringData();
    }

    [Fact]
    public void It_waits_for_writes_under_way_to_its_blocks()
    {
        ScsiTask write = Write(5);

        CompareAndWrite(5);
        Assert.Equal(0, _disk.ReadsUnderWay);
        _disk.Answer(write);

        Assert.Equal(1, _disk.ReadsUnderWay);
    }

    [Fact]
    public void It_does_not_wait_for_writes_to_other_blocks()
    {
        Write(4);
        Write(6);

        CompareAndWrite(5);

        Assert.Equal(1, _disk.ReadsUnderWay);
    }

    [Fact]
    public void Writes_to_its_blocks_wait_for_it_and_others_do_not()
    {
        ScsiTask atomic = CompareAndWrite(5);
        ScsiTask same = Write(5), other = Write(6);

        Assert.Equal([other], _disk.Submitted);
        FinishRead();

        Assert.Contains(atomic, _initiator.Completed);
        Assert.Equal([other, same], _disk.Submitted);
    }

    [Fact]
    public void WRITE_ATOMIC_waits_for_reads_of_its_blocks_so_that_none_sees_a_part_of_it()
    {
        ScsiTask read = _initiator.Send(Cdbs.Read10(6, 1), dataIn: 512);
        ScsiTask atomic = _initiator.Send([0x9C, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2, 0, 0], dataOut: 1024);

        _target.DataArrived(atomic);
        Assert.DoesNotContain(atomic, _initiator.Completed);
        _disk.Answer(read);

        Assert.Equal("Good", Initiator.OutcomeOf(atomic));
    }

    [Fact]
    public void COMPARE_AND_WRITE_of_no_blocks_that_brings_data_is_refused_and_not_answered_as_if_it_had_compared()
    {
        ScsiTask task = _initiator.Send([0x89, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0], dataOut: 512);

        Assert.Equal("05/24/00", Initiator.OutcomeOf(task));
    }

    [Fact]
    public void COMPARE_AND_WRITE_of_no_blocks_is_no_error_SBC_3_5_2()
    {
        ScsiTask task = _initiator.Send([0x89, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0]);

        Assert.Equal("Good", Initiator.OutcomeOf(task));
    }

    [Fact]
    public void Two_for_the_same_blocks_run_one_after_the_other()
    {
        CompareAndWrite(5);
        CompareAndWrite(5);
        Assert.Equal(1, _disk.ReadsUnderWay);

        FinishRead();

        Assert.Equal(1, _disk.ReadsUnderWay);
        FinishRead();
        Assert.Equal(2, _initiator.Completed.Count);
    }

    [Fact]
    public void Who_came_later_does_not_overtake_who_waits_for_the_same_blocks()
    {
        ScsiTask first = Write(5);
        CompareAndWrite(5);
        ScsiTask later = Write(5);

        _disk.Answer(first);
        Assert.DoesNotContain(later, _disk.Submitted);
        FinishRead();

        Assert.Equal([later], _disk.Submitted);
    }

    [Fact]
    public void One_that_waits_is_aborted_at_once_and_those_behind_it_go_on()
    {
        ScsiTask write = Write(5);
        ScsiTask atomic = CompareAndWrite(5);
        ScsiTask behind = Write(5);

        _initiator.Manage(TaskManagementFunction.AbortTask, atomic);
        BringData();

        Assert.Equal([TaskManagementResponse.FunctionComplete], _initiator.Answers);
        Assert.Equal([write, behind], _disk.Submitted);
        _disk.Answer(write);
        _disk.Answer(behind);
        Assert.Equal(0, _disk.ReadsUnderWay);
    }

    [Fact]
    public void Nothing_is_left_behind_when_the_nexus_goes()
    {
        ScsiTask write = Write(5);
        CompareAndWrite(5);
        Write(5);

        _target.Detach(_initiator.Nexus);
        _disk.Answer(write);
        var next = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");
        ScsiTask task = next.Send(Cdbs.Write10(5, 1), dataOut: 512);
        _target.DataArrived(task);

        Assert.Equal([task], _disk.Submitted);
    }

    [Fact]
    public void A_command_that_waits_for_blocks_fails_at_its_time_limit()
    {
        CompareAndWrite(5);
        ScsiTask write = Write(5);

        _target.TickAll(30_000);

        Assert.Contains(write, _initiator.Completed);
        Assert.Equal("02/08/00", Initiator.OutcomeOf(write));
        FinishRead();
        Assert.Empty(_disk.Submitted);
    }

    [Fact]
    public void Who_waits_for_it_holds_no_memory()
    {
        CompareAndWrite(5);
        ScsiTask write = _initiator.Send(Cdbs.Write10(5, 1), dataOut: 512);

        Assert.Null(write.BackstoreState);
        Assert.DoesNotContain(write, _initiator.Wanted);
        _disk.FinishRead();

        Assert.Contains(write, _initiator.Wanted);
    }

    [Fact]
    public void It_waits_for_writes_whose_data_is_still_to_come()
    {
        ScsiTask write = _initiator.Send(Cdbs.Write10(5, 1), dataOut: 512);

        CompareAndWrite(5);
        Assert.Equal(0, _disk.ReadsUnderWay);
        _target.DataArrived(write);
        _disk.Answer(write);

        Assert.Equal(1, _disk.ReadsUnderWay);
    }

    [Fact]
    public void It_waits_no_longer_than_its_time_limit()
    {
        _initiator.Send(Cdbs.Write10(5, 1), dataOut: 512); // and its data never comes
        ScsiTask atomic = CompareAndWrite(5);

        _target.TickAll(30_000);

        Assert.Equal("02/08/00", Initiator.OutcomeOf(atomic));
        Assert.Equal(0, _disk.ReadsUnderWay);
    }
}
