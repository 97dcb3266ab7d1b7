using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target.Tests;

/// <summary>An initiator that wants to hear when a thin disk gets full does, and so do all others.</summary>
public class ThresholdTests
{
    readonly ServingBackstore _disk = new(PassLevel.Io, new BlockDeviceInfo
    {
        SizeBytes = 65536, Serial = "THIN-1", Features = BlockDeviceFeatures.Unmap | BlockDeviceFeatures.Resources,
    });

    readonly ScsiTarget _target;
    readonly Initiator _one, _other;

    public ThresholdTests()
    {
        _target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, _disk)]);
        _one = new Initiator(_target);
        _other = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");
    }

    /// <summary>LBPERE, and a threshold where 10 MiB are available.</summary>
    void Watch()
    {
        Select([.. new byte[8], 0x01, 0x0A, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0]);
        Select([.. new byte[8], 0x5C, 0x02, 0, 0x1C, .. new byte[12], 0x80, 0x01, 0, 0, 0, 0, 0, 10, 0x01, 0x02, 0, 0, 0, 0, 0, 0]);
        _other.Send(Cdbs.TestUnitReady); // mode parameters changed
    }

    void Select(byte[] list)
    {
        ScsiTask task = _one.Send([0x55, 0x10, 0, 0, 0, 0, 0, 0, (byte)list.Length, 0], dataOut: list.Length);
        task.DataOut.CopyFrom(list);
        _target.DataArrived(task);
        Assert.Equal("Good", Initiator.OutcomeOf(task));
    }

    static string Ready(Initiator initiator) => Initiator.OutcomeOf(initiator.Send(Cdbs.TestUnitReady));

    [Fact]
    public void Every_nexus_is_told_within_a_second_of_a_command_and_where_the_threshold_stands_SBC_5_4_7_3_7_6()
    {
        Watch();
        _disk.Resources = new BlockResources(0, 9 << 20, IsShared: true);

        Assert.Equal("Good", Ready(_one));
        _target.TickAll(1100);
        ScsiTask told = _one.Send(Cdbs.TestUnitReady);

        SenseData sense = SenseData.Parse(told.Sense);
        Assert.Equal(("06/38/07", (ulong?)16), (sense.ToString(), sense.Information));
        Assert.Equal("06/38/07", Ready(_other));
        _target.TickAll(5000);
        Assert.Equal("Good", Ready(_one)); // once
    }

    [Fact]
    public void REQUEST_SENSE_tells_it_too()
    {
        Watch();
        _disk.Resources = new BlockResources(0, 9 << 20, IsShared: true);
        Ready(_one);
        _target.TickAll(1100);

        SenseData sense = SenseData.Parse(_one.Send([0x03, 0, 0, 0, 252, 0], dataIn: 252).DataIn.ToArray().AsSpan(0, 18));

        Assert.Equal(("06/38/07", (ulong?)16), (sense.ToString(), sense.Information));
    }

    [Fact]
    public void While_nobody_has_set_a_threshold_no_timer_runs()
    {
        Ready(_one);

        Assert.Equal(0, _target.Timers.Count);
    }
}
