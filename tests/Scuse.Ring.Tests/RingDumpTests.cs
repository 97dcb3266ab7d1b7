using System.Buffers.Binary;
using System.Runtime.InteropServices;
using CsCheck;
using Scuse.Ring.Diagnostics;

namespace Scuse.Ring.Tests;

public sealed class RingDumpTests
{
    static readonly byte[] Write10 = Convert.FromHexString("2A000000100000000800");

    // docs/ring-abi.md, "Test vector": the first command in a fresh ring of the kernel's default size.
    static byte[] TestVector(string mailbox, params (int Offset, string Hex)[] parts)
    {
        var region = new byte[0x900000];
        foreach (var (offset, hex) in (IEnumerable<(int, string)>)[(0, mailbox), .. parts])
            Convert.FromHexString(hex.Replace(" ", "")).CopyTo(region, offset);
        return region;
    }

    const string Mailbox = "02 00 0F 00  80 00 00 00  80 FF 7F 00  80 00 00 00";

    static readonly (int, string)[] PostedWrite10 =
    [
        (0x80, "81 00 00 00  01 00  00  00"),
        (0x88, "01 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00"),
        (0x98, "F0 00 00 00 00 00 00 00"),
        (0xB0, "00 00 80 00 00 00 00 00  00 10 00 00 00 00 00 00"),
        (0xF0, "2A 00 00 00 10 00 00 00 08 00"),
    ];

    static RingDump DumpOf(RingFixture ring, uint? reaped = null) => RingDump.Read(ring.Region, ring.Layout.RegionBytes, reaped);

    [Fact]
    public void The_documented_command_is_shown_with_its_mailbox_CDB_and_block()
    {
        var dump = RingDump.Read(TestVector(Mailbox, PostedWrite10));

        Assert.True(dump.IsSound);
        Assert.Equal(2, dump.Mailbox!.Version);
        Assert.Equal(["OOOC", "READ_LEN", "TMR", "KEEP_BUF"], dump.Mailbox.FlagNames);
        Assert.Equal((128u, 8388480u, 128u, 0u), (dump.Mailbox.CommandRingOffset, dump.Mailbox.CommandRingBytes, dump.Mailbox.Head, dump.Mailbox.Tail));
        Assert.Equal(0x800000, dump.DataOffset);
        var entry = Assert.Single(dump.Entries);
        Assert.Equal((0u, 128u, RingEntryKind.Command, (ushort)1, (byte)0), (entry.Offset, entry.Length, entry.Kind, entry.Id, entry.TargetFlags));
        Assert.Equal(Write10, entry.Request!.Cdb);
        Assert.Equal(0xF0u, entry.Request.CdbOffset);
        Assert.Equal([new RingExtentDump(0x800000, 0x1000, 0, 0)], entry.Request.Data);
        Assert.Empty(entry.Request.BidiDataIn);
        Assert.Null(entry.Answer);
    }

    [Fact]
    public void The_documented_answer_is_shown_with_status_and_sense_as_long_as_it_is_not_reaped()
    {
        (int, string)[] answered =
        [
            .. PostedWrite10,
            (0x88, "02 00 00 00  00 00 00 00"),
            (0x90, "70 00 03 00 00 00 00 0A 00 00 00 00 0C 00 00 00 00 00" + new string('0', 2 * 78)),
            (0x40, "80 00 00 00"),
        ];

        var dump = RingDump.Read(TestVector(Mailbox, answered), reapedOffset: 0);

        Assert.True(dump.IsSound);
        Assert.True(dump.IsReapedKnown);
        Assert.Empty(dump.Entries);
        var entry = Assert.Single(dump.Answered);
        Assert.Equal(1, entry.Id);
        Assert.Null(entry.Request);
        Assert.Equal((2, 0u), (entry.Answer!.Status, entry.Answer.ReadLength));
        Assert.Equal(Convert.FromHexString("70000300000000" + "0A000000000C"), entry.Answer.Sense);
        Assert.Empty(RingDump.Read(TestVector(Mailbox, answered), reapedOffset: 0x80).Answered);
    }

    [Fact]
    public void A_saved_region_shows_the_last_answers_before_the_tail_and_says_that_they_may_be_old()
    {
        using var ring = new RingFixture();
        for (var i = 0; i < 3; i++)
            ring.RoundTrip();

        var dump = DumpOf(ring);

        Assert.False(dump.IsReapedKnown);
        Assert.Equal<ushort>([1, 2, 3], dump.Answered.Select(entry => entry.Id));
        Assert.True(dump.IsSound);
    }

    [Fact]
    public void More_recent_answers_than_are_shown_push_the_oldest_out()
    {
        using var ring = new RingFixture();
        for (var i = 0; i < RingDump.RecentAnswers + 5; i++)
            ring.RoundTrip();

        Assert.Equal(Enumerable.Range(6, RingDump.RecentAnswers).Select(id => (ushort)id), DumpOf(ring).Answered.Select(entry => entry.Id));
    }

    [Fact]
    public void A_ring_that_came_round_is_walked_over_its_PAD()
    {
        using var ring = new RingFixture(commandRingBytes: 392);
        for (var i = 0; i < 3; i++)
            ring.RoundTrip();
        var id = ring.PostAndPublish();

        var dump = DumpOf(ring);

        Assert.Equal([(384u, RingEntryKind.Pad, (ushort)0), (0u, RingEntryKind.Command, id)], dump.Entries.Select(entry => (entry.Offset, entry.Kind, entry.Id)));
        Assert.True(dump.IsSound);
    }

    [Fact]
    public void A_bidirectional_command_and_a_notice_are_told_apart_from_a_command()
    {
        using var ring = new RingFixture();
        var d = ring.Layout.DataOffset;
        ring.Target.TryPost(Write10, [new(d, 512)], [new(d + 4096, 8192)], out _);
        ring.Target.TryPostTaskManagement(RingAbi.TaskManagementAbortTaskSet, [1, 0x0203, 7]);
        ring.Target.Publish();

        var dump = DumpOf(ring);

        Assert.Equal([new RingExtentDump((ulong)d, 512, 0, 0)], dump.Entries[0].Request!.Data);
        Assert.Equal([new RingExtentDump((ulong)d + 4096, 8192, 1, 2)], dump.Entries[0].Request!.BidiDataIn);
        Assert.Equal(("ABORT TASK SET", 3u), (dump.Entries[1].Notice!.Name, dump.Entries[1].Notice!.Count));
        Assert.Equal<ushort>([1, 0x0203, 7], dump.Entries[1].Notice!.Ids);
        Assert.True(dump.IsSound);
    }

    [Fact]
    public void Answers_not_reaped_come_before_commands_not_answered_and_carry_the_ids_that_were_answered()
    {
        using var ring = new RingFixture();
        var (first, second) = (ring.PostAndPublish(), ring.PostAndPublish());
        ring.Take();
        ring.Take();
        ring.Handler.Answer(second, RingFixture.Good, [], ResponseFlags.ReadLength, 77);
        ring.Handler.Publish();

        var dump = DumpOf(ring, reaped: 0);

        var answered = Assert.Single(dump.Answered);
        Assert.Equal((0u, second, 77u), (answered.Offset, answered.Id, answered.Answer!.ReadLength));
        Assert.Equal(["READ_LEN"], answered.ResponseFlagNames);
        Assert.Equal(128u, Assert.Single(dump.Entries).Offset);
        Assert.NotEqual(first, answered.Id);
    }

    [Fact]
    public void The_waiting_words_and_flags_without_a_name_are_shown_as_they_stand_there()
    {
        using var ring = new RingFixture();
        ring.Target.AnnounceSleep();
        BinaryPrimitives.WriteUInt32LittleEndian(ring.At(RingAbi.HandlerWaitingOffset, 4), 7);
        BinaryPrimitives.WriteUInt16LittleEndian(ring.At(RingAbi.MailboxFlagsOffset, 2), 0x8001);

        var mailbox = DumpOf(ring).Mailbox!;

        Assert.Equal((1u, 7u), (mailbox.TargetWaiting, mailbox.HandlerWaiting));
        Assert.Equal(["OOOC", "0x8000"], mailbox.FlagNames);
    }

    [Fact]
    public void The_start_of_a_region_is_enough_when_its_length_is_told()
    {
        var start = TestVector(Mailbox, PostedWrite10)[..(int)RingDump.BytesUpToData(TestVector(Mailbox))];

        Assert.Equal(0x800000, start.Length);
        Assert.True(RingDump.Read(start, regionBytes: 0x900000).IsSound);
        Assert.Contains("outside the data area", RingDump.Read(start).Entries[0].Problem);
    }

    public static TheoryData<string, int, uint, string> Lies => new()
    {
        { "mailbox", RingAbi.MailboxVersionOffset, 0x000F0003, "version 3" },
        { "mailbox", RingAbi.CommandRingOffsetOffset, 100, "a command ring of 3968 bytes at 100" },
        { "mailbox", RingAbi.CommandRingOffsetOffset, 0xFFFFFFF8, "does not lie in a region" },
        { "mailbox", RingAbi.CommandRingSizeOffset, 0, "a command ring of 0 bytes" },
        { "mailbox", RingAbi.CommandRingSizeOffset, 0xFFFFFFF8, "does not lie in a region" },
        { "mailbox", RingAbi.CommandHeadOffset, 4000, "cmd_head is 4000" },
        { "mailbox", RingAbi.CommandTailOffset, 3, "cmd_tail is 3" },
        { "mailbox", RingAbi.CommandHeadOffset, 64, "of 128 bytes goes past cmd_head, which is 64" },
        { "entry", RingAbi.LengthAndOperationOffset, 1, "has no length" },
        { "entry", RingAbi.LengthAndOperationOffset, 0xFFFFFFF9, "goes past the ring's end" },
        { "entry", RingAbi.LengthAndOperationOffset, 0x83, "operation 3 has no name" },
        { "entry", RingAbi.LengthAndOperationOffset, 0x41, "fewer than a command takes" },
        { "entry", RingAbi.CommandIdOffset, 0, "id 0 is never a command" },
        { "entry", RingAbi.IovecCountOffset, 0xFFFFFFFF, "iovecs are more than 128 bytes hold" },
        { "entry", RingAbi.BidirectionalIovecCountOffset, 6, "iovecs are more than 128 bytes hold" },
        { "entry", RingAbi.ProtectionIovecCountOffset, 1, "iov_dif_cnt is 1" },
        { "entry", RingAbi.CdbOffsetOffset, 8, "cdb_off is 8, outside the entry" },
        { "entry", RingAbi.CdbOffsetOffset, 0x1000, "cdb_off is 4096, outside the entry" },
        { "entry", RingAbi.IovecsOffset, 64, "1 iovecs lie outside the data area, the first with 512 bytes at 64" },
    };

    [Theory]
    [MemberData(nameof(Lies))]
    public void What_does_not_parse_is_said_in_words(string where, int offset, uint value, string expected)
    {
        using var ring = new RingFixture();
        ring.Target.TryPost(Write10, [new(ring.Layout.DataOffset, 512)], [], out _);
        ring.Target.Publish();
        MemoryMarshal.Write(where == "mailbox" ? ring.At(offset, 4) : ring.Ring(offset, 4), value);

        var dump = DumpOf(ring);

        Assert.False(dump.IsSound);
        Assert.Contains(expected, string.Join('\n', [.. dump.Problems, .. dump.Entries.Select(entry => entry.Problem)]));
    }

    [Fact]
    public void The_same_id_twice_is_noticed()
    {
        using var ring = new RingFixture();
        PostWrite(ring);
        PostWrite(ring);
        ring.StoreAnswerAt(128, id: 1);

        Assert.Equal([null, "id 1 is there twice"], DumpOf(ring).Entries.Select(entry => entry.Problem));
    }

    [Fact]
    public void An_answer_that_the_tail_has_not_passed_is_told_from_a_broken_command()
    {
        using var ring = new RingFixture(serviceTimes: true);
        for (var i = 0; i < 4; i++)
            PostWrite(ring);
        ring.Take();
        ring.Take();
        ring.Handler.Answer(2, RingFixture.Good, [], serviceNs: 25_000);
        ring.Handler.Answer(1, 2, Convert.FromHexString("70000300000000"));

        var dump = DumpOf(ring);

        Assert.True(dump.IsSound);
        Assert.Equal([((ushort)2, true), ((ushort)1, true), ((ushort)3, false), ((ushort)4, false)], dump.Entries.Select(entry => (entry.Id, entry.IsBeingAnswered)));
        Assert.Equal([(byte)0, (byte)2], dump.Entries.Take(2).Select(entry => entry.Answer!.Status));
        Assert.All(dump.Entries.Skip(2), entry => Assert.Equal(Write10, entry.Request!.Cdb));
    }

    [Fact]
    public void An_answer_to_a_later_command_tells_of_itself_by_its_id_alone()
    {
        using var ring = new RingFixture();
        for (var i = 0; i < 3; i++)
            PostWrite(ring);
        for (var i = 0; i < 3; i++)
            ring.Take();
        ring.Handler.Answer(3, RingFixture.Good, []);

        var dump = DumpOf(ring);

        Assert.True(dump.IsSound);
        Assert.Equal([((ushort)3, true), ((ushort)2, false), ((ushort)3, false)], dump.Entries.Select(entry => (entry.Id, entry.IsBeingAnswered)));
    }

    [Fact]
    public void A_broken_command_after_one_that_no_answer_has_touched_is_broken()
    {
        using var ring = new RingFixture();
        PostWrite(ring);
        PostWrite(ring);
        MemoryMarshal.Write(ring.Ring(128 + RingAbi.StatusOffset, 4), 0);
        MemoryMarshal.Write(ring.Ring(128 + RingAbi.CdbOffsetOffset, 4), 8);

        Assert.Equal([null, "cdb_off is 8, outside the entry"], DumpOf(ring).Entries.Select(entry => entry.Problem));
    }

    static void PostWrite(RingFixture ring)
    {
        Assert.Equal(PostResult.Posted, ring.Target.TryPost(Write10, [new(ring.Layout.DataOffset, 512)], [], out _));
        ring.Target.Publish();
    }

    [Fact]
    public void A_ring_of_nothing_but_empty_PADs_ends_at_the_limit()
    {
        var region = new byte[(RingDump.MaxEntries + 100) * 8 + RingAbi.MailboxBytes];
        Convert.FromHexString("02000F0080000000").CopyTo(region, 0);
        BinaryPrimitives.WriteUInt32LittleEndian(region.AsSpan(RingAbi.CommandRingSizeOffset), (uint)region.Length - RingAbi.MailboxBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(region.AsSpan(RingAbi.CommandHeadOffset), (uint)region.Length - RingAbi.MailboxBytes - 8);
        for (var i = RingAbi.MailboxBytes; i < region.Length; i += 8)
            region[i] = 8;

        var dump = RingDump.Read(region);

        Assert.Equal(RingDump.MaxEntries, dump.Entries.Count);
        Assert.Contains("are left out", Assert.Single(dump.Problems));
    }

    [Fact]
    public void Ids_beyond_the_limit_are_counted_and_left_out()
    {
        var region = new byte[0x900000];
        Convert.FromHexString("02000F0080000000" + "80FF7F00").CopyTo(region, 0);
        var entryBytes = RingAbi.TaskManagementEntryBytes + (2 * (RingDump.MaxDetails + 4));
        BinaryPrimitives.WriteUInt32LittleEndian(region.AsSpan(RingAbi.CommandHeadOffset), (uint)entryBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(region.AsSpan(RingAbi.MailboxBytes), (uint)entryBytes | RingAbi.OperationTaskManagement);
        BinaryPrimitives.WriteUInt32LittleEndian(region.AsSpan(RingAbi.MailboxBytes + RingAbi.TaskManagementCountOffset), RingDump.MaxDetails + 4);

        var entry = Assert.Single(RingDump.Read(region).Entries);

        Assert.Contains("are left out", entry.Problem);
        Assert.Equal(RingDump.MaxDetails + 4u, entry.Notice!.Count);
        Assert.Empty(entry.Notice.Ids);
    }

    [Fact]
    public void Any_bytes_at_all_are_decoded_without_an_exception() =>
        Gen.Byte.Array[0, 600].Sample(bytes => { Look(RingDump.Read(bytes)); }, iter: 20_000);

    static readonly uint[] HostileWords = [0, 8, 0x71, 0x79, 0x81, 0x89, 0x22, 0xFFFFFFF8, 0xFFFFFFFF, 0x80000000];

    // Random bytes hardly get past the mailbox: this keeps its shape, and plants hostile values where something is read.
    [Fact]
    public void Hostile_values_in_a_ring_of_the_right_shape_are_decoded_without_an_exception()
    {
        var word = Gen.OneOf(Gen.UInt, Gen.UInt[0, 1024], Gen.OneOf([.. HostileWords.Select(Gen.Const)]));
        Gen.Select(Gen.UInt[0, 126], Gen.UInt[0, 126], Gen.Int[-1, 126], Gen.Select(Gen.Int[2, 287], word).Array[0, 60]).Sample((head, tail, reaped, writes) =>
        {
            var region = new byte[1152];
            Convert.FromHexString("02000F0080000000" + "00040000").CopyTo(region, 0);
            foreach (var (at, value) in writes)
                BinaryPrimitives.WriteUInt32LittleEndian(region.AsSpan(at < 32 ? 128 + (at * 4) : at * 4), value);
            BinaryPrimitives.WriteUInt32LittleEndian(region.AsSpan(RingAbi.CommandHeadOffset), head * 8);
            BinaryPrimitives.WriteUInt32LittleEndian(region.AsSpan(RingAbi.CommandTailOffset), tail * 8);

            var dump = RingDump.Read(region, regionBytes: 1 << 20, reaped < 0 ? null : (uint)reaped * 8);

            Look(dump);
            Assert.True(dump.Entries.Count <= 128 && dump.Answered.Count <= 128);
        }, iter: 50_000);
    }

    // Every computed property is asked, too.
    static void Look(RingDump dump)
    {
        _ = dump.IsSound;
        _ = dump.Mailbox?.FlagNames;
        foreach (var entry in dump.Entries.Concat(dump.Answered))
            _ = (entry.Kind, entry.ResponseFlagNames, entry.Notice?.Name);
    }
}
