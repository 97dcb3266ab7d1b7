using System.Buffers.Binary;

namespace Scuse.Target.Tests;

/// <summary>REPORT LUNS and the well-known logical unit that is there for it. SPC-4 clauses 6.33 and 8.2, SPC-5 clause 6.31.</summary>
public sealed class ReportLunsTests
{
    const int WellKnown = Initiator.ReportLunsLun;
    const ulong ReportLunsUnitAddress = 0xC101_0000_0000_0000;

    readonly Initiator _initiator;

    public ReportLunsTests()
    {
        var target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, new FakeBackstore()), new LogicalUnit(300, new FakeBackstore())]);
        _initiator = new Initiator(target);
    }

    byte[] Data(byte[] cdb, int lun = WellKnown)
    {
        ScsiTask task = _initiator.Send(cdb, dataIn: 255, lun: lun);
        Assert.Equal("Good", Initiator.OutcomeOf(task));
        byte[] data = new byte[Math.Min(task.DataInLength, 255)];
        task.DataIn.CopyTo(data);
        return data;
    }

    ulong[] Luns(byte select, int lun)
    {
        byte[] data = Data(Cdbs.ReportLuns(select), lun);
        Assert.Equal(data.Length - 8, BinaryPrimitives.ReadInt32BigEndian(data));
        return [.. data.Skip(8).Chunk(8).Select(static entry => BinaryPrimitives.ReadUInt64BigEndian(entry))];
    }

    [Theory]
    [InlineData(0x00, new ulong[] { 0, 0x412C_0000_0000_0000 })]
    [InlineData(0x01, new ulong[] { ReportLunsUnitAddress })]
    [InlineData(0x02, new ulong[] { 0, 0x412C_0000_0000_0000, ReportLunsUnitAddress })]
    [InlineData(0x10, new ulong[0])]
    [InlineData(0x11, new ulong[] { 0, 0x412C_0000_0000_0000 })]
    [InlineData(0x12, new ulong[0])]
    public void SELECT_REPORT_chooses_among_the_logical_units_whoever_is_asked(byte select, ulong[] luns)
    {
        Assert.Equal(luns, Luns(select, lun: 0));
        Assert.Equal(luns, Luns(select, lun: 7));
        Assert.Equal(luns, Luns(select, WellKnown));
    }

    [Theory]
    [InlineData(0x03)]
    [InlineData(0x13)]
    public void Another_SELECT_REPORT_is_refused(byte select) =>
        Assert.Equal("05/24/00", Initiator.OutcomeOf(_initiator.Send(Cdbs.ReportLuns(select), dataIn: 255, lun: WellKnown)));

    [Fact]
    public void The_well_known_unit_is_one_by_its_device_type() => Assert.Equal([0x1E, 0, 0x06, 0x12, 31], Data(Cdbs.Inquiry)[..5]);

    [Fact]
    public void It_is_known_by_the_targets_name()
    {
        Assert.Equal([0x1E, 0, 0, 2, 0x00, 0x83], Data([0x12, 1, 0, 0, 255, 0]));
        Assert.Equal([0x1E, 0x83, 0, 28, 0x53, 0xA8, 0, 24, .. "iqn.2026-11.example:t\0\0\0"u8], Data([0x12, 1, 0x83, 0, 255, 0]));
        Assert.Equal("05/24/00", Initiator.OutcomeOf(_initiator.Send([0x12, 1, 0x80, 0, 255, 0], dataIn: 255, lun: WellKnown)));
    }

    [Fact]
    public void It_is_always_ready_and_has_no_sense_to_tell()
    {
        Assert.Equal("Good", Initiator.OutcomeOf(_initiator.Send(Cdbs.TestUnitReady, lun: WellKnown)));
        Assert.Equal(0, Data(Cdbs.RequestSense)[2]);
    }

    [Fact]
    public void It_knows_no_other_command() =>
        Assert.Equal("05/20/00", Initiator.OutcomeOf(_initiator.Send(Cdbs.Read10(0, 1), dataIn: 512, lun: WellKnown)));

    [Fact]
    public void A_CDB_that_ends_too_early_is_refused() =>
        Assert.Equal("05/24/00", Initiator.OutcomeOf(_initiator.Send([0x12, 0], dataIn: 255, lun: WellKnown)));
}
