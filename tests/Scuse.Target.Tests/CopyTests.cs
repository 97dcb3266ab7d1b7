using System.Buffers.Binary;
using System.Text;
using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target.Tests;

/// <summary>EXTENDED COPY and RECEIVE COPY RESULTS between two disks of 100 blocks.</summary>
public class CopyTests
{
    readonly FakeBackstore _source = new(serial: "source"), _destination = new(serial: "destination");
    readonly ScsiTarget _target;
    readonly Initiator _initiator;

    public CopyTests()
    {
        _target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, _source), new LogicalUnit(1, _destination)]);
        _initiator = new Initiator(_target);
    }

    // ---- lists ----

    static byte[] Device(string serial)
    {
        byte[] designator = [.. "SCUSE   "u8, .. Encoding.ASCII.GetBytes(serial)];
        byte[] device = new byte[32];
        device[0] = 0xE4;
        device[4] = 0x02; // ASCII
        device[5] = 0x01; // T10 vendor ID based, of the logical unit
        device[7] = (byte)designator.Length;
        designator.CopyTo(device, 8);
        device[30] = 0x02; // blocks of 512 bytes
        return device;
    }

    static byte[] Segment(ulong from, ulong to, ushort blocks, ushort source = 0, ushort destination = 1)
    {
        byte[] segment = new byte[28];
        segment[0] = 0x02;
        segment[3] = 0x18;
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(4), source);
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(6), destination);
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(10), blocks);
        BinaryPrimitives.WriteUInt64BigEndian(segment.AsSpan(12), from);
        BinaryPrimitives.WriteUInt64BigEndian(segment.AsSpan(20), to);
        return segment;
    }

    static byte[] List1(byte[][] devices, params byte[][] segments)
    {
        byte[] header = new byte[16];
        header[0] = 7; // LIST IDENTIFIER
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(2), (ushort)devices.Sum(static device => device.Length));
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(8), (uint)segments.Sum(static segment => segment.Length));
        return [.. header, .. devices.SelectMany(static device => device), .. segments.SelectMany(static segment => segment)];
    }

    static byte[] List4(uint identifier, params byte[][] segments)
    {
        byte[] devices = [.. Device("source"), .. Device("destination")];
        byte[] header = new byte[48];
        header[0] = 0x01;
        header[3] = 0x20;
        header[16] = 0xFF;
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(20), identifier);
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(42), (ushort)devices.Length);
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(44), (ushort)segments.Sum(static segment => segment.Length));
        return [.. header, .. devices, .. segments.SelectMany(static segment => segment)];
    }

    static byte[] Standard(params byte[][] segments) => List1([Device("source"), Device("destination")], segments);

    ScsiTask Copy(byte[] list, byte serviceAction = 0, Initiator? by = null)
    {
        by ??= _initiator;
        byte[] cdb = new byte[16];
        cdb[0] = 0x83;
        cdb[1] = serviceAction;
        BinaryPrimitives.WriteUInt32BigEndian(cdb.AsSpan(10), (uint)list.Length);
        ScsiTask task = by.Send(cdb, dataOut: list.Length);
        if (by.Wanted.Remove(task))
        {
            task.DataOut.Slice(0, list.Length).CopyFrom(list);
            _target.DataArrived(task);
        }

        return task;
    }

    byte[] Results(byte serviceAction, uint identifier)
    {
        byte[] cdb = [0x84, serviceAction, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
        if (serviceAction == 5)
        {
            BinaryPrimitives.WriteUInt32BigEndian(cdb.AsSpan(2), identifier);
        }
        else
        {
            cdb[2] = (byte)identifier;
        }

        ScsiTask task = _initiator.Send(cdb, dataIn: 256);
        return task.Status == ScsiStatus.Good ? task.DataIn.ToArray()[..task.DataInLength] : [];
    }

    static void AnswerRead(FakeBackstore disk, byte content)
    {
        ScsiTask read = Assert.Single(disk.Submitted);
        Assert.Equal(0x88, read.Cdb[0]);
        read.DataIn.CopyFrom(Enumerable.Repeat(content, read.DataIn.Length).ToArray());
        disk.Answer(read);
    }

    static (byte Operation, ulong Lba, uint Blocks) Where(ScsiTask task) =>
        (task.Cdb[0], BinaryPrimitives.ReadUInt64BigEndian(task.Cdb[2..]), BinaryPrimitives.ReadUInt32BigEndian(task.Cdb[10..]));

    // ---- copying ----

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Blocks_go_from_one_logical_unit_to_the_other_SPC_4_6_4_6_5(byte serviceAction)
    {
        ScsiTask copy = Copy(serviceAction == 0 ? Standard(Segment(3, 50, 8)) : List4(7, Segment(3, 50, 8)), serviceAction);

        Assert.Equal((0x88, 3UL, 8U), Where(Assert.Single(_source.Submitted)));
        AnswerRead(_source, 0x5A);
        ScsiTask write = Assert.Single(_destination.Submitted);
        Assert.Equal((0x8A, 50UL, 8U), Where(write));
        Assert.Equal(-1, write.DataOut.ToArray().AsSpan().IndexOfAnyExcept((byte)0x5A));
        Assert.DoesNotContain(copy, _initiator.Completed);
        _destination.Answer(write);

        Assert.Equal("Good", Initiator.OutcomeOf(copy));
    }

    [Fact]
    public void Segments_are_copied_one_after_the_other()
    {
        ScsiTask copy = Copy(Standard(Segment(0, 0, 1), Segment(5, 5, 1)));

        AnswerRead(_source, 1);
        _destination.Answer(_destination.Submitted[0]);
        Assert.Equal((0x88, 5UL, 1U), Where(Assert.Single(_source.Submitted)));
        AnswerRead(_source, 2);
        _destination.Answer(_destination.Submitted[0]);

        Assert.Equal("Good", Initiator.OutcomeOf(copy));
        Assert.Equal(new byte[] { 0, 0, 0, 8, 1, 0, 2, 0, 0, 0, 4, 0 }, Results(0, 7)); // COPY STATUS: done well, 2 segments, 1024 bytes
    }

    [Fact]
    public void Offsets_and_a_byte_count_name_blocks_too_SPC_4_6_4_6_13()
    {
        byte[] segment = [0x0A, 0, 0, 0x1C, 0, 0, 0, 1, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9, 2, 0, 4, 0];

        Copy(Standard(segment));

        Assert.Equal((0x88, 4UL, 2U), Where(Assert.Single(_source.Submitted)));
        AnswerRead(_source, 1);
        Assert.Equal((0x8A, 11UL, 2U), Where(Assert.Single(_destination.Submitted)));
    }

    [Fact]
    public void A_logical_unit_may_be_copied_within()
    {
        Copy(Standard(Segment(0, 10, 4, destination: 0)));

        AnswerRead(_source, 1);
        Assert.Equal((0x8A, 10UL, 4U), Where(Assert.Single(_source.Submitted)));
        Assert.Empty(_destination.Submitted);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void An_empty_list_copies_nothing_and_is_no_error_SPC_4_6_4(byte serviceAction) =>
        Assert.Equal("Good", Initiator.OutcomeOf(Copy([], serviceAction)));

    // ---- who may ----

    [Theory]
    [InlineData("elsewhere", "0A/0D/02")]
    [InlineData("destinatio", "0A/0D/02")]
    public void Only_what_the_nexus_sees_can_be_named(string serial, string sense)
    {
        ScsiTask copy = Copy(List1([Device("source"), Device(serial)], Segment(0, 0, 1)));

        Assert.Equal(sense, Initiator.OutcomeOf(copy));
        Assert.Empty(_source.Submitted);
    }

    [Fact]
    public void A_destination_that_somebody_else_has_reserved_is_not_written_SPC_4_5_12()
    {
        var other = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");
        other.Send([0x16, 0, 0, 0, 0, 0], lun: 1); // RESERVE(6)

        ScsiTask copy = Copy(Standard(Segment(0, 0, 1)));
        AnswerRead(_source, 1);

        Assert.Equal("0A/0D/01", Initiator.OutcomeOf(copy));
        Assert.Empty(_destination.Submitted);
    }

    [Fact]
    public void Who_has_reserved_the_destination_may_copy_to_it()
    {
        _initiator.Send([0x16, 0, 0, 0, 0, 0], lun: 1);

        Copy(Standard(Segment(0, 0, 1)));
        AnswerRead(_source, 1);

        Assert.Single(_destination.Submitted);
    }

    [Fact]
    public void A_source_that_somebody_else_has_reserved_is_not_read()
    {
        var other = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");
        other.Send([0x16, 0, 0, 0, 0, 0], lun: 1);

        ScsiTask copy = Copy(Standard(Segment(0, 0, 1, source: 1, destination: 0)));

        Assert.Equal("0A/0D/01", Initiator.OutcomeOf(copy));
        Assert.Empty(_destination.Submitted);
    }

    [Fact]
    public void A_unit_attention_of_the_destination_stays_for_the_initiator()
    {
        _target.Establish(_target.LogicalUnits.Last(), AdditionalSense.CapacityDataChanged);

        Copy(Standard(Segment(0, 0, 1)));
        AnswerRead(_source, 1);
        _destination.Answer(Assert.Single(_destination.Submitted));

        Assert.Equal("06/2A/09", Initiator.OutcomeOf(_initiator.Send(Cdbs.TestUnitReady, lun: 1)));
    }

    [Fact]
    public void A_stopped_destination_fails_the_copy()
    {
        _initiator.Send([0x1B, 0, 0, 0, 0, 0], lun: 1); // START STOP UNIT

        ScsiTask copy = Copy(Standard(Segment(0, 0, 1)));
        AnswerRead(_source, 1);

        Assert.Equal("0A/0D/01", Initiator.OutcomeOf(copy));
        Assert.Equal(new byte[] { 0, 0, 0, 8, 2, 0, 1, 0, 0, 0, 0, 0 }, Results(0, 7)); // done with errors
    }

    // ---- aborts ----

    [Fact]
    public void An_abort_is_answered_when_the_write_that_is_under_way_has_ended_and_no_other_follows()
    {
        ScsiTask copy = Copy(Standard(Segment(0, 0, 1), Segment(5, 5, 1)));
        AnswerRead(_source, 1);

        _initiator.Manage(TaskManagementFunction.AbortTask, copy);
        Assert.Empty(_initiator.Answers);
        _destination.Answer(Assert.Single(_destination.Submitted));

        Assert.Equal([TaskManagementResponse.FunctionComplete], _initiator.Answers);
        Assert.Empty(_source.Submitted);
    }

    [Fact]
    public void A_reset_of_the_destination_ends_the_copy_and_is_answered_when_the_write_has_ended()
    {
        ScsiTask copy = Copy(Standard(Segment(0, 0, 1), Segment(5, 5, 1)));
        AnswerRead(_source, 1);

        _initiator.Manage(TaskManagementFunction.LogicalUnitReset, lun: 1);
        _target.TickAll(1);
        Assert.Equal("0A/0D/01", Initiator.OutcomeOf(copy));
        Assert.Empty(_initiator.Answers);
        _destination.Answer(Assert.Single(_destination.Submitted));

        Assert.Equal([TaskManagementResponse.FunctionComplete], _initiator.Answers);
        Assert.Empty(_source.Submitted);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void A_reset_of_all_ends_it_and_leaves_nothing_behind(byte receiver)
    {
        byte[] cdb = [0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 108, 0, 0];
        ScsiTask copy = _initiator.Send(cdb, dataOut: 108, lun: receiver);
        copy.DataOut.Slice(0, 108).CopyFrom(Standard(Segment(0, 0, 1)));
        _target.DataArrived(copy);
        AnswerRead(_source, 1);

        _initiator.Manage(TaskManagementFunction.TargetWarmReset);
        _target.TickAll(1000);
        Assert.Empty(_initiator.Answers);
        _destination.Answer(Assert.Single(_destination.Submitted));

        Assert.Equal([TaskManagementResponse.FunctionComplete], _initiator.Answers);
        Assert.DoesNotContain(copy, _initiator.Completed);
        Assert.All(_target.LogicalUnits, unit => Assert.Equal(0, unit.TaskCount));
        Assert.Equal(0, _target.Timers.Count);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void A_lost_nexus_ends_it_and_what_it_still_writes_is_over_before_newer_commands_touch_the_blocks(byte receiver)
    {
        byte[] cdb = [0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 108, 0, 0];
        ScsiTask copy = _initiator.Send(cdb, dataOut: 108, lun: receiver);
        copy.DataOut.Slice(0, 108).CopyFrom(Standard(Segment(0, 0, 1)));
        _target.DataArrived(copy);
        AnswerRead(_source, 1);
        ScsiTask old = Assert.Single(_destination.Submitted);

        _target.Detach(_initiator.Nexus);
        var next = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");
        ScsiTask read = next.Send(Cdbs.Read10(0, 1), dataIn: 512, lun: 1);
        Assert.DoesNotContain(read, _destination.Submitted);
        _destination.Answer(old);

        Assert.Equal([read], _destination.Submitted);
        _destination.Answer(read);
        Assert.All(_target.LogicalUnits, unit => Assert.Equal(0, unit.TaskCount));
    }

    // ---- beside other commands ----

    [Fact]
    public void A_command_that_must_be_atomic_waits_for_a_piece_and_not_for_the_copy()
    {
        Copy(Standard(Segment(0, 0, 1), Segment(0, 0, 1)));
        ScsiTask atomic = _initiator.Send([0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0], dataOut: 1024);
        _target.DataArrived(atomic);
        Assert.DoesNotContain(atomic, _initiator.Completed);

        AnswerRead(_source, 0);

        Assert.Contains(atomic, _initiator.Completed);
        _destination.Answer(Assert.Single(_destination.Submitted));
        Assert.Single(_source.Submitted);
    }

    [Fact]
    public void An_ordered_command_that_waits_for_the_copy_does_not_hold_it_up()
    {
        ScsiTask copy = Copy(Standard(Segment(0, 0, 1), Segment(5, 5, 1)));
        ScsiTask ordered = _target.Rent();
        ordered.Transport = _initiator;
        ordered.Nexus = _initiator.Nexus;
        ordered.Attribute = TaskAttribute.Ordered;
        ordered.SetCdb(Cdbs.TestUnitReady);
        _target.Begin(ordered);

        for (int segment = 0; segment < 2; segment++)
        {
            Assert.DoesNotContain(ordered, _initiator.Completed);
            AnswerRead(_source, 0);
            _destination.Answer(Assert.Single(_destination.Submitted));
        }

        Assert.Equal([copy, ordered], _initiator.Completed);
    }

    // ---- what is wrong with a list ----

    [Theory]
    [InlineData(1, 0x08, "05/26/00")] // LIST ID USAGE
    [InlineData(16, 0xE0, "05/26/07")] // another kind of CSCD descriptor
    [InlineData(17, 0x20, "0A/0D/02")] // NUL
    [InlineData(17, 0x01, "0A/0D/03")] // a tape
    [InlineData(23, 21, "05/26/00")] // DESIGNATOR LENGTH
    [InlineData(46, 0x10, "05/26/00")] // blocks of 4096 bytes, which it has not
    [InlineData(80, 0x03, "05/26/09")] // stream to stream
    [InlineData(83, 0x14, "05/26/00")] // DESCRIPTOR LENGTH
    [InlineData(87, 0x02, "0A/08/04")] // a destination that is not in the list
    [InlineData(99, 100, "0A/0D/02")] // beyond the end of the source
    [InlineData(107, 100, "0A/0D/02")] // beyond the end of the destination
    [InlineData(15, 0x04, "05/1A/00")] // INLINE DATA LENGTH, and none there
    [InlineData(11, 0x38, "05/1A/00")] // longer than it is
    public void A_list_that_is_wrong_copies_nothing(int at, byte value, string sense)
    {
        byte[] list = Standard(Segment(0, 0, 1));
        list[at] = value;

        Assert.Equal(sense, Initiator.OutcomeOf(Copy(list)));
        Assert.Empty(_source.Submitted);
    }

    [Fact]
    public void LU_ID_TYPE_means_nothing_without_an_LU_IDENTIFIER_SPC_4_6_4_5_1()
    {
        byte[] list = Standard(Segment(0, 0, 1));
        list[17] = 0x80;

        Copy(list);

        Assert.Single(_source.Submitted);
    }

    [Fact]
    public void A_length_of_parts_of_a_block_is_inexact()
    {
        byte[] segment = [0x0A, 0, 0, 0x1C, 0, 0, 0, 1, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0];

        Assert.Equal("0A/26/0A", Initiator.OutcomeOf(Copy(Standard(segment))));
    }

    [Fact]
    public void There_are_limits_to_what_a_list_may_hold_SPC_4_6_4_3()
    {
        byte[][] tooManyDevices = [.. Enumerable.Repeat(Device("source"), ThirdPartyCopyLimits.MaxCscds + 1)];
        byte[][] tooManySegments = [.. Enumerable.Repeat(Segment(0, 0, 1), ThirdPartyCopyLimits.MaxSegments + 1)];

        Assert.Equal("05/26/06", Initiator.OutcomeOf(Copy(List1(tooManyDevices, Segment(0, 0, 1)))));
        Assert.Equal("05/26/08", Initiator.OutcomeOf(Copy(Standard(tooManySegments))));
    }

    // ---- RECEIVE COPY RESULTS ----

    [Fact]
    public void A_copy_can_be_asked_about_by_its_nexus_only_SPC_4_6_25()
    {
        Assert.Empty(Results(0, 7));

        Copy(Standard(Segment(0, 0, 2)));
        Assert.Equal(new byte[] { 0, 0, 0, 8, 0, 0, 1, 0, 0, 0, 0, 0 }, Results(0, 7)); // under way, in its first segment
        Assert.Equal("05/00/16", Initiator.OutcomeOf(Copy(Standard(Segment(0, 0, 2))))); // the same name again
        AnswerRead(_source, 1);
        _destination.Answer(Assert.Single(_destination.Submitted));

        Assert.Equal(new byte[] { 0, 0, 0, 8, 1, 0, 1, 0, 0, 0, 4, 0 }, Results(0, 7));
        Assert.Empty(Results(0, 7)); // told once
        Assert.Equal(new byte[4], Results(1, 7)); // no held data
        Assert.Equal(new byte[4], Results(4, 7)); // no failure
        var other = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");
        Assert.Equal("05/24/00", Initiator.OutcomeOf(other.Send([0x84, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0], dataIn: 256)));
    }

    [Fact]
    public void LID4_tells_the_sense_data_of_a_copy_that_failed_SPC_4_6_24()
    {
        Copy(List4(0x12345678, Segment(0, 0, 1), Segment(0, 100, 1)), serviceAction: 1);
        AnswerRead(_source, 1);
        _destination.Answer(Assert.Single(_destination.Submitted));

        byte[] data = Results(5, 0x12345678);

        Assert.Equal(new byte[] { 1, 2, 0, 2, 0xFF, 0xFF, 0xFF, 0xFE }, data[4..12]); // EXTENDED COPY(LID4), done with errors after a read and a write, nothing to wait for
        Assert.Equal(0x02, data[12]); // CHECK CONDITION
        Assert.Equal(512UL, BinaryPrimitives.ReadUInt64BigEndian(data.AsSpan(16)));
        Assert.Equal(2, data[25]); // the second segment was begun
        SenseData sense = SenseData.Parse(data.AsSpan(32));
        Assert.Equal(("0A/0D/02", (ulong?)1), (sense.ToString(), sense.CommandSpecific));
    }

    [Fact]
    public void LID4_tells_that_a_copy_is_under_way_SPC_4_6_24()
    {
        Copy(List4(0x12345678, Segment(0, 0, 1)), serviceAction: 1);

        byte[] data = Results(5, 0x12345678);

        Assert.Equal((0x11, 0), (data[5], data[13])); // in the foreground; no sense data yet
        Assert.InRange(BinaryPrimitives.ReadUInt32BigEndian(data.AsSpan(8)), 1U, 10_000U); // milliseconds until there is more to tell
    }

    [Fact]
    public void What_is_over_is_forgotten_when_the_logical_unit_is_reset_SPC_4_6_24()
    {
        Copy(List4(0x12345678, Segment(0, 100, 1)), serviceAction: 1);

        _initiator.Manage(TaskManagementFunction.LogicalUnitReset);
        _initiator.Send(Cdbs.TestUnitReady); // hears of it

        Assert.Empty(Results(5, 0x12345678));
    }

    [Fact]
    public void Failure_details_have_the_status_and_the_sense_data_SPC_4_6_23()
    {
        Copy(Standard(Segment(0, 100, 1)));

        byte[] data = Results(4, 7);

        Assert.Equal((uint)data.Length - 4, BinaryPrimitives.ReadUInt32BigEndian(data));
        Assert.Equal(0x02, data[56]);
        Assert.Equal("0A/0D/02", SenseData.Parse(data.AsSpan(60)).ToString());
    }

    [Fact]
    public void The_operating_parameters_are_the_limits_that_hold_SPC_4_6_24()
    {
        byte[] data = Results(3, 0);

        Assert.Equal((uint)data.Length - 4, BinaryPrimitives.ReadUInt32BigEndian(data));
        Assert.Equal(1, data[4]);
        Assert.Equal(ThirdPartyCopyLimits.MaxCscds, BinaryPrimitives.ReadUInt16BigEndian(data.AsSpan(8)));
        Assert.Equal(ThirdPartyCopyLimits.MaxSegments, BinaryPrimitives.ReadUInt16BigEndian(data.AsSpan(10)));
        Assert.Equal(new byte[] { 3, 0x02, 0x0A, 0xE4 }, data[43..]);
    }

    [Fact]
    public void Without_a_list_identifier_nothing_is_remembered()
    {
        byte[] list = Standard(Segment(0, 0, 1));
        (list[0], list[1]) = (0, 0x18);

        Copy(list);
        AnswerRead(_source, 1);
        _destination.Answer(Assert.Single(_destination.Submitted));

        Assert.Empty(Results(0, 0));
    }

    [Theory]
    [InlineData(0x83, 0x02)]
    [InlineData(0x83, 0x1F)]
    [InlineData(0x84, 0x02)]
    [InlineData(0x84, 0x06)]
    public void Other_service_actions_do_not_exist(byte operationCode, byte serviceAction) =>
        Assert.Equal("05/24/00", Initiator.OutcomeOf(_initiator.Send([operationCode, serviceAction, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])));
}

public sealed class OverlappingCopyTests
{
    [Theory]
    [InlineData(0, 2, true)]
    [InlineData(2, 0, false)]
    public void What_is_yet_to_be_read_is_not_written_over(ulong from, ulong to, bool isBackwards)
    {
        var disk = new FakeBackstore(serial: "disk") { MaxTransferBytes = 512 };
        var target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, disk)]);
        var initiator = new Initiator(target);
        byte[] blocks = [.. Enumerable.Range(0, 8).Select(static block => (byte)block)];

        ScsiTask copy = CopyWithin(initiator, target, from, to);
        while (disk.Submitted.Count > 0)
        {
            ScsiTask task = disk.Submitted[0];
            int lba = (int)BinaryPrimitives.ReadUInt64BigEndian(task.Cdb[2..]);
            if (task.Cdb[0] == 0x88)
            {
                task.DataIn.CopyFrom(Enumerable.Repeat(blocks[lba], 512).ToArray());
            }
            else
            {
                blocks[lba] = task.DataOut.ToArray()[0];
            }

            disk.Answer(task);
        }

        Assert.Equal("Good", Initiator.OutcomeOf(copy));
        Assert.Equal(isBackwards ? [0, 1, 0, 1, 2, 3, 6, 7] : new byte[] { 2, 3, 4, 5, 4, 5, 6, 7 }, blocks);
    }

    static ScsiTask CopyWithin(Initiator initiator, ScsiTarget target, ulong from, ulong to)
    {
        byte[] list = new byte[76];
        list[3] = 32;
        list[11] = 28;
        list[16] = 0xE4;
        (list[20], list[21], list[23]) = (0x02, 0x01, 12);
        "SCUSE   disk"u8.CopyTo(list.AsSpan(24));
        (list[48], list[51], list[59]) = (0x02, 0x18, 4);
        BinaryPrimitives.WriteUInt64BigEndian(list.AsSpan(60), from);
        BinaryPrimitives.WriteUInt64BigEndian(list.AsSpan(68), to);
        ScsiTask task = initiator.Send([0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 76, 0, 0], dataOut: 76);
        task.DataOut.Slice(0, 76).CopyFrom(list);
        target.DataArrived(task);
        return task;
    }
}
