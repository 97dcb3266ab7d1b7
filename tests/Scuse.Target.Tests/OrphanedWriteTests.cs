using Scuse.Device;

namespace Scuse.Target.Tests;

/// <summary>A write whose session is lost goes on in the device: what is sent to its blocks after that comes after it.</summary>
public class OrphanedWriteTests
{
    FakeBackstore _disk = new();
    ScsiTarget _target = null!;
    Initiator _first = null!;

    public OrphanedWriteTests() => Connect();

    void Connect()
    {
        _target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, _disk)]);
        _first = new Initiator(_target);
    }

    /// <summary>A write that is in the device when its session is lost; and the initiator's next session.</summary>
    (ScsiTask Orphan, Initiator Next) LoseSessionOver(byte[] cdb, int dataOut)
    {
        ScsiTask orphan = _first.Send(cdb, dataOut: dataOut);
        if (dataOut > 0)
        {
            _target.DataArrived(orphan);
        }

        Assert.Equal([orphan], _disk.Submitted);
        _target.Detach(_first.Nexus);
        return (orphan, new Initiator(_target));
    }

    void BringData(Initiator initiator, ScsiTask task)
    {
        Assert.Contains(task, initiator.Wanted);
        _target.DataArrived(task);
    }

    [Fact]
    public void A_write_of_the_next_session_waits_until_the_device_has_let_go_of_it()
    {
        (ScsiTask orphan, Initiator next) = LoseSessionOver(Cdbs.Write10(5, 2), 1024);

        ScsiTask write = next.Send(Cdbs.Write10(6, 1), dataOut: 512);
        Assert.Empty(next.Wanted);
        _disk.Answer(orphan);

        BringData(next, write);
        Assert.Equal([write], _disk.Submitted);
    }

    [Fact]
    public void So_does_a_read_which_might_see_what_was_there_before()
    {
        (ScsiTask orphan, Initiator next) = LoseSessionOver(Cdbs.Write10(5, 1), 512);

        ScsiTask read = next.Send(Cdbs.Read10(0, 10), dataIn: 5120);
        Assert.Equal([orphan], _disk.Submitted);
        _disk.Answer(orphan);

        Assert.Equal([read], _disk.Submitted);
    }

    [Fact]
    public void So_does_another_initiator_that_took_over()
    {
        (ScsiTask orphan, _) = LoseSessionOver(Cdbs.Write10(5, 1), 512);
        var other = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");

        other.Send(Cdbs.Read10(5, 1), dataIn: 512);

        Assert.Equal([orphan], _disk.Submitted);
    }

    [Fact]
    public void Other_blocks_are_not_held_up()
    {
        (ScsiTask orphan, Initiator next) = LoseSessionOver(Cdbs.Write10(5, 1), 512);

        ScsiTask read = next.Send(Cdbs.Read10(6, 4), dataIn: 2048);

        Assert.Equal([orphan, read], _disk.Submitted);
    }

    [Fact]
    public void A_read_that_was_lost_holds_nothing_up()
    {
        ScsiTask orphan = _first.Send(Cdbs.Read10(5, 1), dataIn: 512);
        _target.Detach(_first.Nexus);
        var next = new Initiator(_target);

        ScsiTask write = next.Send(Cdbs.Write10(5, 1), dataOut: 512);
        BringData(next, write);

        Assert.Equal([orphan, write], _disk.Submitted);
    }

    [Fact]
    public void It_holds_others_up_no_longer_than_its_own_time_limit()
    {
        (ScsiTask orphan, Initiator next) = LoseSessionOver(Cdbs.Write10(5, 1), 512);
        _target.TickAll(20_000);
        ScsiTask read = next.Send(Cdbs.Read10(5, 1), dataIn: 512);

        _target.TickAll(30_000);

        Assert.Equal([orphan], _disk.Abandoned);
        Assert.Equal([read], _disk.Submitted);
    }

    [Fact]
    public void At_pass_level_all_too()
    {
        _disk = new FakeBackstore(PassLevel.All);
        Connect();
        ScsiTask orphan = _first.Send(Cdbs.Write10(5, 1), dataOut: 512);
        _target.DataArrived(orphan);
        _target.Detach(_first.Nexus);
        var next = new Initiator(_target, clearAttentions: false);
        next.Send(Cdbs.TestUnitReady).Release(); // reports that the nexus is new

        ScsiTask read = next.Send(Cdbs.Read10(5, 1), dataIn: 512);
        Assert.DoesNotContain(read, _disk.Submitted);
        _disk.Answer(orphan);

        Assert.Contains(read, _disk.Submitted);
    }

    [Fact]
    public void An_unmap_may_touch_any_block()
    {
        _disk = new FakeBackstore(PassLevel.All);
        Connect();
        byte[] unmap = [0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0];
        ScsiTask orphan = _first.Send(unmap, dataOut: 24);
        _target.DataArrived(orphan);
        _target.Detach(_first.Nexus);
        var next = new Initiator(_target);

        ScsiTask read = next.Send(Cdbs.Read10(77, 1), dataIn: 512);

        Assert.DoesNotContain(read, _disk.Submitted);
    }
}
