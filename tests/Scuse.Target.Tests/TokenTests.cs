using System.Buffers.Binary;
using Scuse.Device;
using Scuse.Scsi;

namespace Scuse.Target.Tests;

/// <summary>POPULATE TOKEN, WRITE USING TOKEN and RECEIVE ROD TOKEN INFORMATION between two disks of 100 blocks.</summary>
public class TokenTests
{
    const byte Populate = 0x10, WriteUsing = 0x11;

    readonly FakeBackstore _source = new(serial: "source"), _destination = new(serial: "destination");
    readonly ScsiTarget _target;
    readonly Initiator _initiator;

    public TokenTests()
    {
        _target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, _source), new LogicalUnit(1, _destination)]);
        _initiator = new Initiator(_target);
    }

    // ---- lists ----

    static byte[] Ranges((ulong Lba, uint Blocks)[] ranges)
    {
        byte[] descriptors = new byte[16 * ranges.Length];
        for (int i = 0; i < ranges.Length; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(descriptors.AsSpan(16 * i), ranges[i].Lba);
            BinaryPrimitives.WriteUInt32BigEndian(descriptors.AsSpan((16 * i) + 8), ranges[i].Blocks);
        }

        return descriptors;
    }

    static byte[] PopulateList(params (ulong Lba, uint Blocks)[] ranges)
    {
        byte[] list = [.. new byte[16], .. Ranges(ranges)];
        BinaryPrimitives.WriteUInt16BigEndian(list, (ushort)(list.Length - 2));
        BinaryPrimitives.WriteUInt16BigEndian(list.AsSpan(14), (ushort)(list.Length - 16));
        return list;
    }

    static byte[] WriteList(byte[] token, ulong offset, params (ulong Lba, uint Blocks)[] ranges)
    {
        byte[] list = [.. new byte[536], .. Ranges(ranges)];
        BinaryPrimitives.WriteUInt16BigEndian(list, (ushort)(list.Length - 2));
        BinaryPrimitives.WriteUInt64BigEndian(list.AsSpan(8), offset);
        token.CopyTo(list, 16);
        BinaryPrimitives.WriteUInt16BigEndian(list.AsSpan(534), (ushort)(list.Length - 536));
        return list;
    }

    static byte[] ZeroToken()
    {
        byte[] token = new byte[512];
        new byte[] { 0xFF, 0xFF, 0x00, 0x01, 0, 0, 0x01, 0xF8 }.CopyTo(token, 0);
        return token;
    }

    // ---- commands ----

    ScsiTask Send(byte serviceAction, byte[] list, int lun, Initiator? by = null, byte listIdentifier = 7)
    {
        by ??= _initiator;
        byte[] cdb = [0x83, serviceAction, 0, 0, 0, 0, 0, 0, 0, listIdentifier, 0, 0, 0, 0, 0, 0];
        BinaryPrimitives.WriteUInt32BigEndian(cdb.AsSpan(10), (uint)list.Length);
        ScsiTask task = by.Send(cdb, dataOut: list.Length, lun: lun);
        if (by.Wanted.Remove(task))
        {
            task.DataOut.Slice(0, list.Length).CopyFrom(list);
            _target.DataArrived(task);
        }

        return task;
    }

    byte[] Information(int lun, Initiator? by = null, int allocation = 1024)
    {
        byte[] cdb = [0x84, 0x07, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, (byte)(allocation >> 8), (byte)allocation, 0, 0];
        ScsiTask task = (by ?? _initiator).Send(cdb, dataIn: 1024, lun: lun);
        return task.Status == ScsiStatus.Good ? task.DataIn.ToArray()[..task.DataInLength] : [];
    }

    /// <summary>A token for blocks of LUN 0.</summary>
    byte[] Token(params (ulong Lba, uint Blocks)[] ranges)
    {
        Assert.Equal("Good", Initiator.OutcomeOf(Send(Populate, PopulateList(ranges), lun: 0)));
        byte[] information = Information(lun: 0);
        Assert.Equal(32 + 4 + 2 + 512, information.Length);
        return information[38..];
    }

    ScsiTask Write(byte[] token, ulong offset = 0, uint blocks = 4, Initiator? by = null) => Send(WriteUsing, WriteList(token, offset, (50, blocks)), lun: 1, by);

    static (ulong Lba, uint Blocks) Where(ScsiTask task) =>
        (BinaryPrimitives.ReadUInt64BigEndian(task.Cdb[2..]), BinaryPrimitives.ReadUInt32BigEndian(task.Cdb[10..]));

    void AnswerRead(byte content)
    {
        ScsiTask read = Assert.Single(_source.Submitted);
        read.DataIn.CopyFrom(Enumerable.Repeat(content, read.DataIn.Length).ToArray());
        _source.Answer(read);
    }

    // ---- what a token is ----

    [Fact]
    public void A_token_says_what_it_stands_for_and_holds_128_bytes_that_nobody_can_guess_SPC_4_5_17_6_5()
    {
        byte[] one = Token((10, 4), (20, 6)), other = Token((10, 4), (20, 6));

        Assert.Equal(ThirdPartyCopyLimits.PointInTimeChangeVulnerable, BinaryPrimitives.ReadUInt32BigEndian(one));
        Assert.Equal(0x01F8, BinaryPrimitives.ReadUInt16BigEndian(one.AsSpan(6)));
        Assert.Equal(10UL * 512, BinaryPrimitives.ReadUInt64BigEndian(one.AsSpan(56)));
        Assert.Equal(0xE4, one[16]); // CREATOR LOGICAL UNIT DESCRIPTOR
        Assert.NotEqual(one[8..16], other[8..16]); // COPY MANAGER ROD TOKEN IDENTIFIER
        Assert.NotEqual(one[384..], other[384..]);
    }

    [Fact]
    public void The_information_says_how_many_blocks_the_token_stands_for_SBC_5_5_25_2()
    {
        Send(Populate, PopulateList((10, 4)), lun: 0);

        byte[] information = Information(lun: 0);

        Assert.Equal(546, BinaryPrimitives.ReadInt32BigEndian(information));
        Assert.Equal(new byte[] { Populate, 0x01, 0, 1, 0xFF, 0xFF, 0xFF, 0xFE, 0, 0, 0, 0xF1 }, information[4..16]);
        Assert.Equal(4UL, BinaryPrimitives.ReadUInt64BigEndian(information.AsSpan(16)));
        Assert.Equal(514, BinaryPrimitives.ReadInt32BigEndian(information.AsSpan(32)));
    }

    [Fact]
    public void A_token_is_told_once_SPC_4_6_26()
    {
        Send(Populate, PopulateList((10, 4)), lun: 0);

        Assert.Equal(20, Information(lun: 0, allocation: 20).Length); // not whole: it can be asked for again
        Assert.Equal(550, Information(lun: 0).Length);
        Assert.Equal(36, Information(lun: 0).Length);
    }

    [Theory]
    [InlineData(0, "05/1A/00")] // no whole header
    [InlineData(16, "05/26/00")] // POPULATE TOKEN DATA LENGTH
    [InlineData(17, "05/26/00")] // INACTIVITY TIMEOUT
    [InlineData(18, "05/26/00")] // ROD TYPE: not a point in time copy
    [InlineData(19, "05/26/00")] // ROD TYPE: persistent, which is more than is promised
    [InlineData(20, "05/26/00")] // BLOCK DEVICE RANGE DESCRIPTOR LENGTH
    [InlineData(21, "05/21/00")] // beyond the last block
    [InlineData(22, "05/26/00")] // more than a token may stand for
    public void A_list_that_is_wrong_makes_no_token_SBC_5_5_12_2(int what, string sense)
    {
        byte[] list = PopulateList((10, 4));
        Action<byte[]> spoil = what switch
        {
            16 => static bytes => bytes[1] = 0x1D,
            17 => static bytes => bytes[4] = 1,
            18 => static bytes => (bytes[2], bytes[9]) = (0x02, 0x01),
            19 => static bytes => (bytes[2], bytes[9], bytes[11]) = (0x02, 0x80, 0x02),
            20 => static bytes => bytes[15] = 15,
            21 => static bytes => bytes[23] = 97,
            22 => static bytes => bytes[25] = 0x10,
            _ => static _ => { },
        };
        spoil(list);

        Assert.Equal(sense, Initiator.OutcomeOf(Send(Populate, what == 0 ? list[..15] : list, lun: 0)));
        Assert.Empty(Information(lun: 0));
    }

    [Fact]
    public void Ranges_that_share_a_block_and_too_many_of_them_are_refused_SBC_5_5_12_2()
    {
        (ulong, uint)[] many = [.. Enumerable.Range(0, ThirdPartyCopyLimits.MaxTokenRanges + 1).Select(static i => ((ulong)i, 1U))];

        Assert.Equal("05/26/00", Initiator.OutcomeOf(Send(Populate, PopulateList((10, 4), (13, 1)), lun: 0)));
        Assert.Equal("05/26/08", Initiator.OutcomeOf(Send(Populate, PopulateList(many), lun: 0)));
    }

    [Fact]
    public void A_stopped_disk_makes_no_token()
    {
        _initiator.Send([0x1B, 0, 0, 0, 0, 0]); // START STOP UNIT

        Assert.Equal("02/04/02", Initiator.OutcomeOf(Send(Populate, PopulateList((10, 4)), lun: 0)));
    }

    // ---- what it is good for ----

    [Fact]
    public void What_a_token_stands_for_is_written_range_by_range_from_the_offset_on_SBC_5_5_59()
    {
        byte[] token = Token((10, 4), (20, 6));

        ScsiTask write = Write(token, offset: 2, blocks: 4);
        ScsiTask first = Assert.Single(_source.Submitted);
        Assert.Equal((12UL, 2U), Where(first));
        AnswerRead(1);
        Assert.Equal((20UL, 2U), Where(Assert.Single(_source.Submitted)));
        AnswerRead(2);
        ScsiTask written = Assert.Single(_destination.Submitted);
        Assert.Equal((50UL, 4U), Where(written));
        Assert.Equal([.. Enumerable.Repeat((byte)1, 1024), .. Enumerable.Repeat((byte)2, 1024)], written.DataOut.ToArray());
        _destination.Answer(written);

        Assert.Equal("Good", Initiator.OutcomeOf(write));
        byte[] information = Information(lun: 1);
        Assert.Equal((WriteUsing, 0x01, 4UL), (information[4], information[5], BinaryPrimitives.ReadUInt64BigEndian(information.AsSpan(16))));
        Assert.Equal(36, information.Length);
    }

    [Fact]
    public void The_zero_token_writes_zeros_and_reads_nothing_SBC_5_4_28_4()
    {
        ScsiTask write = Write(ZeroToken(), offset: ulong.MaxValue);
        ScsiTask written = Assert.Single(_destination.Submitted);
        Assert.Equal(new byte[4 * 512], written.DataOut.ToArray());
        _destination.Answer(written);

        Assert.Equal("Good", Initiator.OutcomeOf(write));
        Assert.Empty(_source.Submitted);
    }

    [Fact]
    public void More_than_the_token_stands_for_is_written_as_far_as_it_goes_SBC_5_4_28_2()
    {
        ScsiTask write = Write(Token((10, 3)), blocks: 8);
        AnswerRead(1);
        _destination.Answer(Assert.Single(_destination.Submitted));

        SenseData sense = SenseData.Parse(write.Sense);
        Assert.Equal(("0A/0D/04", (ulong?)3), (sense.ToString(), sense.Information));
        Assert.Equal(0x03, Information(lun: 1)[5]);
    }

    [Theory]
    [InlineData(1, "05/23/0A")] // ROD TOKEN LENGTH
    [InlineData(2, "05/23/01")] // ACCESS UPON REFERENCE
    [InlineData(3, "05/23/04")] // another identifier
    [InlineData(4, "05/23/04")] // the last byte of the secret
    [InlineData(5, "05/26/00")] // OFFSET INTO ROD at the end
    public void A_token_that_is_not_right_in_every_byte_is_good_for_nothing_SPC_4_5_17_6_5_2(int what, string sense)
    {
        byte[] token = Token((10, 4));
        Action<byte[]> spoil = what switch
        {
            1 => static bytes => bytes[7]++,
            2 => static bytes => bytes[1] = 0x01,
            3 => static bytes => bytes[15]++,
            4 => static bytes => bytes[511] ^= 1,
            _ => static _ => { },
        };
        spoil(token);

        Assert.Equal(sense, Initiator.OutcomeOf(Write(token, offset: what == 5 ? 4UL : 0)));
        Assert.Empty(_source.Submitted);
    }

    [Fact]
    public void Somebody_elses_token_is_as_good_but_reads_and_writes_only_what_its_user_may()
    {
        byte[] token = Token((10, 4));
        var other = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");

        ScsiTask copy = Write(token, by: other);
        AnswerRead(1);
        _destination.Answer(Assert.Single(_destination.Submitted));
        _initiator.Send([0x16, 0, 0, 0, 0, 0]); // RESERVE(6) of the source
        ScsiTask refused = Write(token, by: other);

        Assert.Equal("Good", Initiator.OutcomeOf(copy));
        Assert.Equal("05/0D/04", Initiator.OutcomeOf(refused));
    }

    [Fact]
    public void A_write_protected_destination_says_so()
    {
        byte[] token = Token((10, 4));
        _destination.Features = BlockDeviceFeatures.ReadOnly;

        Assert.Equal("07/27/00", Initiator.OutcomeOf(Write(token)));
        Assert.Empty(_source.Submitted);
    }

    // ---- point in time ----

    [Theory]
    [InlineData(13, true)]
    [InlineData(14, false)]
    [InlineData(9, false)]
    public void A_write_to_one_of_its_blocks_cancels_a_token(byte lba, bool cancels)
    {
        byte[] token = Token((10, 4));
        ScsiTask write = _initiator.Send([0x2A, 0, 0, 0, 0, lba, 0, 0, 1, 0], dataOut: 512);
        _target.DataArrived(write);
        _source.Answer(write);

        Write(token);

        Assert.Equal(cancels ? 0 : 1, _source.Submitted.Count);
        Assert.Equal(cancels, _initiator.Completed.Exists(static task => Initiator.OutcomeOf(task) == "05/23/08"));
    }

    [Fact]
    public void A_write_that_was_under_way_when_the_token_was_made_cancels_it_when_it_ends()
    {
        ScsiTask write = _initiator.Send([0x2A, 0, 0, 0, 0, 10, 0, 0, 1, 0], dataOut: 512);
        _target.DataArrived(write);
        byte[] token = Token((10, 4));

        _source.Answer(write);

        Assert.Equal("05/23/08", Initiator.OutcomeOf(Write(token)));
    }

    [Fact]
    public void A_write_to_its_blocks_in_the_midst_of_a_copy_ends_the_copy_before_anything_newer_is_written()
    {
        byte[] token = Token((10, 4));
        ScsiTask copy = Write(token);
        ScsiTask write = _initiator.Send([0x2A, 0, 0, 0, 0, 10, 0, 0, 1, 0], dataOut: 512);
        _target.DataArrived(write);

        ScsiTask read = _source.Submitted[0];
        _source.Answer(read);

        Assert.Equal("05/0D/04", Initiator.OutcomeOf(copy));
        Assert.Empty(_destination.Submitted);
    }

    [Fact]
    public void A_change_of_capacity_cancels_tokens()
    {
        byte[] token = Token((10, 4));

        _source.Unit.CapacityChanged();
        _initiator.Send(Cdbs.TestUnitReady); // hears of it

        Assert.Equal("05/23/08", Initiator.OutcomeOf(Write(token)));
    }

    // ---- life ----

    [Fact]
    public void A_token_expires_when_it_is_not_used_SPC_4_5_17_6_7()
    {
        byte[] list = PopulateList((10, 4));
        list[7] = 10; // INACTIVITY TIMEOUT
        Send(Populate, list, lun: 0);
        byte[] token = Information(lun: 0)[38..];

        _target.TickAll(9_000);
        Write(token);
        AnswerRead(1);
        _destination.Answer(Assert.Single(_destination.Submitted));
        _target.TickAll(18_000);
        Write(token);
        AnswerRead(1);
        _destination.Answer(Assert.Single(_destination.Submitted));
        _target.TickAll(28_000);

        Assert.Equal("05/23/07", Initiator.OutcomeOf(Write(token)));
    }

    [Fact]
    public void A_token_is_deleted_when_its_user_says_so_SBC_5_5_59_2()
    {
        byte[] token = Token((10, 4));
        byte[] list = WriteList(token, 0, (50, 4));
        list[2] = 0x02; // DEL_TKN
        Send(WriteUsing, list, lun: 1);
        AnswerRead(1);
        _destination.Answer(Assert.Single(_destination.Submitted));

        Assert.Equal("05/23/09", Initiator.OutcomeOf(Write(token)));
    }

    [Fact]
    public void Who_has_many_tokens_made_loses_the_oldest_of_its_own()
    {
        var other = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");
        Send(Populate, PopulateList((10, 4)), lun: 0, other);
        byte[] others = Information(lun: 0, other)[38..];
        byte[] oldest = Token((10, 4));
        byte[] newest = [];
        for (int i = 0; i < RodTokens.MaxPerInitiator; i++)
        {
            newest = Token((10, 4));
        }

        Assert.Equal("05/23/08", Initiator.OutcomeOf(Write(oldest)));
        Write(others, by: other);
        Write(newest);
        Assert.Equal(2, _source.Submitted.Count);
    }

    // ---- IMMED ----

    ScsiTask WriteInBackground(byte[] token, byte listIdentifier = 7, Initiator? by = null)
    {
        byte[] list = WriteList(token, 0, (50, 4));
        list[2] = 0x01; // IMMED
        return Send(WriteUsing, list, lun: 1, by, listIdentifier);
    }

    [Fact]
    public void With_IMMED_the_copy_goes_on_after_the_command_and_can_be_asked_about_SBC_5_5_59_2()
    {
        ScsiTask write = WriteInBackground(Token((10, 4)));
        Assert.Equal("Good", Initiator.OutcomeOf(write));
        Assert.Equal(0x12, Information(lun: 1)[5]); // in the background
        AnswerRead(1);
        _destination.Answer(Assert.Single(_destination.Submitted));

        Assert.Equal(0x01, Information(lun: 1)[5]);
    }

    [Fact]
    public void A_reset_of_the_destination_ends_a_copy_in_the_background_and_nothing_is_written_afterwards()
    {
        WriteInBackground(Token((10, 4)));

        _initiator.Manage(TaskManagementFunction.LogicalUnitReset, lun: 1);
        Assert.Equal([TaskManagementResponse.FunctionComplete], _initiator.Answers);
        AnswerRead(1);

        Assert.Empty(_destination.Submitted);
        Assert.All(_target.LogicalUnits, unit => Assert.Equal(0, unit.TaskCount));
    }

    [Fact]
    public void A_lost_nexus_ends_its_copy_in_the_background()
    {
        WriteInBackground(Token((10, 4)));
        ScsiTask read = Assert.Single(_source.Submitted);

        _target.Detach(_initiator.Nexus);
        _source.Answer(read);

        Assert.Empty(_destination.Submitted);
        Assert.All(_target.LogicalUnits, unit => Assert.Equal(0, unit.TaskCount));
        Assert.Equal(0, _target.Timers.Count);
    }

    [Fact]
    public void One_nexus_has_so_many_copies_at_a_time_and_leaves_others_theirs()
    {
        byte[] token = Token((10, 4));
        var other = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");
        string[] outcomes = [.. Enumerable.Range(0, ThirdPartyCopyLimits.MaxConcurrentCopies + 1).Select(i => Initiator.OutcomeOf(WriteInBackground(token, (byte)i)))];

        Assert.Equal(Enumerable.Repeat("Good", ThirdPartyCopyLimits.MaxConcurrentCopies).Append("Busy"), outcomes);
        Assert.Equal("Good", Initiator.OutcomeOf(WriteInBackground(token, 0, other)));
    }

    [Fact]
    public void Reservations_stand_to_POPULATE_TOKEN_as_to_a_read_and_to_WRITE_USING_TOKEN_as_to_a_write_SBC_3_table_13()
    {
        var holder = new Initiator(_target, "iqn.2026-11.example:b,i,0x000000000002");
        WriteExclusive(holder, lun: 0);
        WriteExclusive(holder, lun: 1);

        byte[] token = Token((10, 4));

        Assert.Equal("ReservationConflict", Initiator.OutcomeOf(Write(token)));
    }

    void WriteExclusive(Initiator holder, int lun)
    {
        foreach ((byte action, byte type, byte key, byte newKey) in ((byte, byte, byte, byte)[])[(0x00, 0, 0, 1), (0x01, 1, 1, 0)])
        {
            byte[] list = new byte[24];
            (list[7], list[15]) = (key, newKey);
            ScsiTask task = holder.Send([0x5F, action, type, 0, 0, 0, 0, 0, 24, 0], dataOut: 24, lun: lun);
            task.DataOut.CopyFrom(list);
            _target.DataArrived(task);
        }
    }
}

/// <summary>Tokens between disks of different block lengths, at both pass levels; block n of the source is full of n + 1.</summary>
public sealed class TokenBetweenBlockLengthsTests
{
    readonly ServingBackstore _destination;
    readonly ScsiTarget _target;
    readonly Initiator _initiator;

    public TokenBetweenBlockLengthsTests() : this(PassLevel.Io, 4096, 512)
    {
    }

    TokenBetweenBlockLengthsTests(PassLevel level, int sourceBlock, int destinationBlock)
    {
        var source = new ServingBackstore(level, new BlockDeviceInfo { SizeBytes = 16 * sourceBlock, BlockSize = sourceBlock, Serial = "source" });
        _destination = new ServingBackstore(level, new BlockDeviceInfo { SizeBytes = 64 * destinationBlock, BlockSize = destinationBlock, Serial = "destination" });
        _target = new ScsiTarget("iqn.2026-11.example:t", [new LogicalUnit(0, source), new LogicalUnit(1, _destination)]);
        _initiator = new Initiator(_target);
    }

    ScsiTask Send(byte serviceAction, int lun, byte[] list)
    {
        byte[] cdb = [0x83, serviceAction, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, (byte)(list.Length >> 8), (byte)list.Length, 0, 0];
        ScsiTask task = _initiator.Send(cdb, dataOut: list.Length, lun: lun);
        task.DataOut.CopyFrom(list);
        _target.DataArrived(task);
        return task;
    }

    /// <summary>Blocks 1 and 4 of the source; then <paramref name="blocks"/> blocks from block 8 of the destination on are written with it.</summary>
    string Copy(byte offset, byte blocks)
    {
        byte[] populate = [0, 46, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0];
        Assert.Equal("Good", Initiator.OutcomeOf(Send(0x10, 0, populate)));
        byte[] token = _initiator.Send([0x84, 0x07, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0], dataIn: 1024).DataIn.ToArray()[38..550];

        byte[] write = new byte[552];
        (write[0], write[1], write[15], write[535], write[543], write[547]) = (0x02, 0x26, offset, 16, 8, blocks);
        token.CopyTo(write, 16);
        return Initiator.OutcomeOf(Send(0x11, 1, write));
    }

    byte[] Written(int at, int count) => _destination.Medium.AsSpan(at * _destination.Info.BlockSize, count * _destination.Info.BlockSize).ToArray();

    static IEnumerable<byte> Full(byte of, int count) => Enumerable.Repeat(of, count);

    [Theory]
    [InlineData(PassLevel.Io)]
    [InlineData(PassLevel.All)]
    public void The_offset_is_counted_in_blocks_of_the_destination_SBC_5_5_59_2(PassLevel level)
    {
        var test = new TokenBetweenBlockLengthsTests(level, 4096, 512);

        Assert.Equal("Good", test.Copy(offset: 7, blocks: 4));

        Assert.Equal([.. Full(2, 512), .. Full(5, 3 * 512)], test.Written(8, 4));
        Assert.Equal(Full(13, 512), test.Written(12, 1));
    }

    [Theory]
    [InlineData(PassLevel.Io)]
    [InlineData(PassLevel.All)]
    public void Where_the_data_ends_within_a_block_zeros_follow_SBC_5_5_59_2(PassLevel level)
    {
        var test = new TokenBetweenBlockLengthsTests(level, 512, 4096);

        Assert.Equal("Good", test.Copy(offset: 0, blocks: 1));

        Assert.Equal([.. Full(2, 512), .. Full(5, 512), .. Full(0, 3072)], test.Written(8, 1));
    }
}
