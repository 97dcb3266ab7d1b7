using System.Buffers.Binary;
using Scuse.Scsi;

namespace Scuse.Target.Tests;

/// <summary>A nexus that sees some of the logical units, under other numbers, some of them only to read.</summary>
public class LunMapTests
{
    readonly FakeBackstore[] _disks = [new(serial: "0"), new(serial: "1"), new(serial: "2")];
    readonly ScsiTarget _target;
    readonly Initiator _all;
    readonly Initiator _mapped;

    public LunMapTests()
    {
        _target = new ScsiTarget("iqn.2026-11.example:t", [.. _disks.Select(static (disk, number) => new LogicalUnit(number, disk))]);
        _all = new Initiator(_target);
        _mapped = With([new(0, 2), new(7, 1, IsReadOnly: true)]);
    }

    Initiator With(LunMapping[] mappings, string name = "iqn.2026-11.example:b,i,0x000000000002")
    {
        var initiator = new Initiator(_target, name, clearAttentions: false, map: new LunMap(mappings));
        foreach (LunMapping mapping in mappings)
        {
            Assert.Equal("06/29/00", Initiator.OutcomeOf(initiator.Send(Cdbs.TestUnitReady, lun: mapping.Lun)));
        }

        initiator.Completed.Clear();
        return initiator;
    }

    static string OutcomeOf(Initiator initiator, byte[] cdb, int lun, int dataIn = 0, int dataOut = 0) =>
        Initiator.OutcomeOf(initiator.Send(cdb, dataIn, dataOut, lun));

    static ulong[] Luns(Initiator initiator, int lun)
    {
        ScsiTask task = initiator.Send(Cdbs.ReportLuns(0), dataIn: 255, lun: lun);
        byte[] data = new byte[task.DataInLength];
        task.DataIn.CopyTo(data);
        return [.. data.Skip(8).Chunk(8).Select(static entry => BinaryPrimitives.ReadUInt64BigEndian(entry) >> 48)];
    }

    [Fact]
    public void REPORT_LUNS_lists_what_the_nexus_sees_whoever_is_asked()
    {
        Assert.Equal([0UL, 7], Luns(_mapped, 0));
        Assert.Equal([0UL, 7], Luns(_mapped, 3));
        Assert.Equal([0UL, 7], Luns(_mapped, Initiator.ReportLunsLun));
        Assert.Equal([0UL, 1, 2], Luns(_all, 0));
    }

    [Fact]
    public void A_command_reaches_the_unit_that_the_number_stands_for()
    {
        _mapped.Send(Cdbs.Read10(0, 1), dataIn: 512, lun: 0);
        Assert.Single(_disks[2].Submitted);
        Assert.Empty(_disks[0].Submitted);
        Assert.Equal("05/25/00", OutcomeOf(_mapped, Cdbs.TestUnitReady, lun: 1));
        Assert.Equal("05/25/00", OutcomeOf(_mapped, Cdbs.TestUnitReady, lun: 2));
    }

    [Theory]
    [InlineData("2A 00 00 00 00 00 00 00 01 00")] // WRITE(10)
    [InlineData("8A 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00")]
    [InlineData("42 00 00 00 00 00 00 00 18 00")] // UNMAP
    [InlineData("93 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00")] // WRITE SAME(16)
    [InlineData("89 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00")] // COMPARE AND WRITE
    [InlineData("04 00 00 00 00 00")] // FORMAT UNIT
    [InlineData("48 01 00 00 00 00 00 00 00 00")] // SANITIZE
    [InlineData("15 10 00 00 18 00")] // MODE SELECT(6)
    [InlineData("1B 00 00 00 00 00")] // START STOP UNIT: stop
    [InlineData("83 11 00 00 00 00 00 00 00 00 00 00 00 28 00 00")] // WRITE USING TOKEN
    [InlineData("C1 00 00 00 00 00")] // who knows
    public void What_may_only_be_read_is_not_changed(string cdb)
    {
        byte[] bytes = Convert.FromHexString(cdb.Replace(" ", "", StringComparison.Ordinal));
        Assert.Equal("07/27/00", OutcomeOf(_mapped, bytes, lun: 7, dataOut: 512));
        Assert.Empty(_disks[1].Submitted);
        Assert.NotEqual("07/27/00", _mapped.Send(bytes, dataOut: 512, lun: 0) is { State: TaskState.Completed } done ? Initiator.OutcomeOf(done) : "under way");
    }

    [Theory]
    [InlineData("28 00 00 00 00 00 00 00 00 00")] // READ(10)
    [InlineData("35 00 00 00 00 00 00 00 00 00")] // SYNCHRONIZE CACHE
    [InlineData("5E 00 00 00 00 00 00 00 08 00")] // PERSISTENT RESERVE IN
    [InlineData("16 00 00 00 00 00")] // RESERVE(6)
    [InlineData("9E 10 00 00 00 00 00 00 00 00 00 00 00 20 00 00")] // READ CAPACITY(16)
    public void What_may_only_be_read_can_be_read_flushed_and_reserved(string cdb) =>
        Assert.Equal("Good", OutcomeOf(_mapped, Convert.FromHexString(cdb.Replace(" ", "", StringComparison.Ordinal)), lun: 7, dataIn: 512));

    [Theory]
    [InlineData("1A 00 3F 00 FF 00", 2)]
    [InlineData("5A 00 3F 00 00 00 00 00 FF 00", 3)]
    public void MODE_SENSE_tells_that_nexus_alone_that_it_is_write_protected(string cdb, int offset)
    {
        byte Flags(Initiator initiator, int lun)
        {
            ScsiTask task = initiator.Send(Convert.FromHexString(cdb.Replace(" ", "", StringComparison.Ordinal)), dataIn: 255, lun: lun);
            byte[] data = new byte[offset + 1];
            task.DataIn.CopyTo(data);
            return data[offset];
        }

        Assert.Equal(0x80, Flags(_mapped, 7) & 0x80);
        Assert.Equal(0, Flags(_mapped, 0) & 0x80);
        Assert.Equal(0, Flags(_all, 1) & 0x80);
        Assert.Equal(Flags(_all, 1), Flags(_mapped, 7) & ~0x80);
    }

    [Fact]
    public void A_reservation_holds_whatever_the_unit_is_called()
    {
        Assert.Equal("Good", OutcomeOf(_mapped, [0x16, 0, 0, 0, 0, 0], lun: 0));
        Assert.Equal("ReservationConflict", OutcomeOf(_all, Cdbs.Read10(0, 1), lun: 2, dataIn: 512));
        Assert.Equal("Good", OutcomeOf(_all, Cdbs.TestUnitReady, lun: 0));
    }

    [Fact]
    public void A_condition_is_told_under_the_number_that_the_nexus_knows()
    {
        _disks[2].Unit.CapacityChanged();
        _disks[0].Unit.CapacityChanged();
        Assert.Equal("Good", OutcomeOf(_mapped, Cdbs.TestUnitReady, lun: 7));
        Assert.Equal("06/2A/09", OutcomeOf(_mapped, Cdbs.TestUnitReady, lun: 0));
        Assert.Equal(0, _mapped.Nexus.PendingAttentions); // nothing of what it does not see
    }

    [Fact]
    public void A_reset_of_one_unit_is_by_its_number_and_one_of_the_whole_target_is_not_for_a_nexus_that_sees_a_part()
    {
        _mapped.Manage(TaskManagementFunction.LogicalUnitReset, lun: 7);
        _mapped.Manage(TaskManagementFunction.LogicalUnitReset, lun: 1);
        _mapped.Manage(TaskManagementFunction.TargetWarmReset);
        _mapped.Manage(TaskManagementFunction.TargetColdReset);
        Assert.Equal(
            [TaskManagementResponse.FunctionComplete, TaskManagementResponse.LunDoesNotExist, TaskManagementResponse.AuthorizationFailed, TaskManagementResponse.AuthorizationFailed],
            _mapped.Answers);
        Assert.Equal("06/29/03", OutcomeOf(_all, Cdbs.TestUnitReady, lun: 1));
        Assert.Equal("Good", OutcomeOf(_all, Cdbs.TestUnitReady, lun: 0));
    }

    [Fact]
    public void The_states_of_the_port_are_not_for_a_nexus_that_sees_a_part() =>
        Assert.Equal("05/20/02", OutcomeOf(_mapped, [0xA4, 0x0A, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], lun: 0));

    [Fact]
    public void A_map_that_changes_is_told_on_every_unit_and_a_new_unit_is_new()
    {
        _target.SetMap(_mapped.Nexus, new LunMap([new(0, 2), new(1, 0)]));
        Assert.Equal("06/3F/0E", OutcomeOf(_mapped, Cdbs.TestUnitReady, lun: 0));
        Assert.Equal("Good", OutcomeOf(_mapped, Cdbs.TestUnitReady, lun: 0));
        Assert.Equal("06/29/00", OutcomeOf(_mapped, Cdbs.TestUnitReady, lun: 1));
        Assert.Equal("06/3F/0E", OutcomeOf(_mapped, Cdbs.TestUnitReady, lun: 1));
        Assert.Equal("05/25/00", OutcomeOf(_mapped, Cdbs.TestUnitReady, lun: 7));
        Assert.Equal([0UL, 1], Luns(_mapped, 0));
        Assert.Equal("Good", OutcomeOf(_all, Cdbs.TestUnitReady, lun: 0));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(Initiator.ReportLunsLun)]
    public void Who_asked_for_the_list_need_not_be_told_that_it_changed(int asked)
    {
        _target.SetMap(_mapped.Nexus, new LunMap([new(0, 2), new(1, 0)]));
        Assert.Equal([0UL, 1], Luns(_mapped, asked));
        Assert.Equal("Good", OutcomeOf(_mapped, Cdbs.TestUnitReady, lun: 0));
        Assert.Equal("06/29/00", OutcomeOf(_mapped, Cdbs.TestUnitReady, lun: 1)); // that it is new is another matter
        Assert.Equal("Good", OutcomeOf(_mapped, Cdbs.TestUnitReady, lun: 1));
        Assert.Equal(0, _mapped.Nexus.PendingAttentions);
    }

    [Fact]
    public void A_list_that_was_refused_tells_nobody_anything()
    {
        _target.SetMap(_mapped.Nexus, new LunMap([new(0, 2)]));
        Assert.Equal("05/24/00", OutcomeOf(_mapped, Cdbs.ReportLuns(allocation: 8), lun: 0, dataIn: 8));
        Assert.Equal("06/3F/0E", OutcomeOf(_mapped, Cdbs.TestUnitReady, lun: 0));
    }

    [Fact]
    public void The_same_map_again_is_no_change()
    {
        _target.SetMap(_mapped.Nexus, new LunMap([new(7, 1, IsReadOnly: true), new(0, 2), new(9, 999)])); // 999 is not there
        Assert.Equal(0, _mapped.Nexus.PendingAttentions);
    }

    [Fact]
    public void A_command_under_way_ends_when_its_unit_leaves_the_map_and_a_reservation_by_RESERVE_goes()
    {
        ScsiTask read = _mapped.Send(Cdbs.Read10(0, 1), dataIn: 512, lun: 0);
        Assert.Equal("Good", OutcomeOf(_mapped, [0x16, 0, 0, 0, 0, 0], lun: 0));
        _target.SetMap(_mapped.Nexus, LunMap.Nothing);
        _disks[2].Answer(read);
        Assert.Contains(read, _mapped.Completed);
        Assert.Equal("Good", OutcomeOf(_all, Cdbs.TestUnitReady, lun: 2));
        Assert.Empty(Luns(_mapped, 0));
    }

    [Fact]
    public async Task A_copy_neither_finds_what_the_nexus_does_not_see_nor_writes_what_it_may_only_read()
    {
        Assert.Equal([1, 2], _target.UnitsVisibleTo(_mapped.Nexus).Select(static unit => unit.Number));
        using var transfer = new CopyTransfer(_target, _mapped.Nexus, CancellationToken.None);
        byte[] block = new byte[512];
        Assert.Equal("05/25/00", (await transfer.RunAsync(_disks[0].Unit, isWrite: false, 0, 1, block)).Sense.ToString());
        Assert.Equal("07/27/00", (await transfer.RunAsync(_disks[1].Unit, isWrite: true, 0, 1, block)).Sense.ToString());
        Task<ScsiResult> allowed = transfer.RunAsync(_disks[2].Unit, isWrite: true, 0, 1, block);
        _disks[2].Answer(Assert.Single(_disks[2].Submitted));
        Assert.True((await allowed).IsGood);
    }

    [Fact]
    public void A_number_twice_or_out_of_range_is_no_map()
    {
        Assert.Throws<ArgumentException>(() => new LunMap([new(0, 1), new(0, 2)]));
        Assert.Throws<ArgumentException>(() => new LunMap([new(0, 1), new(1, 1)]));
        Assert.Throws<ArgumentException>(() => new LunMap([new(-1, 1)]));
        Assert.Throws<ArgumentException>(() => new LunMap([new(0, LunAddress.MaxLun + 1)]));
    }
}
