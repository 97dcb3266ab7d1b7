using Scuse.Scsi;

namespace Scuse.Target.Tests;

/// <summary>Unit attention conditions: who is told of what, in which order, and how often. SAM-5 clause 5.14.</summary>
public class UnitAttentionTests
{
    readonly FakeBackstore _disk = new();
    readonly ScsiTarget _target;
    readonly Initiator _initiator;
    readonly Initiator _other;

    public UnitAttentionTests()
    {
        _target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, _disk), new LogicalUnit(5, new FakeBackstore())]);
        _initiator = new Initiator(_target);
        _other = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");
    }

    static string Probe(Initiator initiator, int lun = 0) => Initiator.OutcomeOf(initiator.Send(Cdbs.TestUnitReady, lun: lun));

    [Fact]
    public void What_a_command_changed_every_nexus_hears_of_but_the_one_that_sent_it()
    {
        _disk.DeviceServer.AttentionRaised!(AdditionalSense.ModeParametersChanged, _initiator.Nexus);

        Assert.Equal("Good", Probe(_initiator));
        Assert.Equal("06/2A/01", Probe(_other));
        Assert.Equal("Good", Probe(_other, lun: 5));
    }

    [Fact]
    public void What_nobody_did_every_nexus_hears_of()
    {
        _disk.DeviceServer.AttentionRaised!(AdditionalSense.CapacityDataChanged, null);

        Assert.Equal("06/2A/09", Probe(_initiator));
        Assert.Equal("06/2A/09", Probe(_other));
    }
}
