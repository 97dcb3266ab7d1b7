using System.Runtime.InteropServices;

namespace Scuse.Ring.Tests;

/// <summary>What a buggy or hostile peer writes is caught, and caught before it does harm.</summary>
public sealed class ViolationTests
{
    static void AssertBroken(RingFixture ring, string because)
    {
        Assert.False(ring.Target.TryReap(out _));
        Assert.Contains(because, ring.Target.Violation, StringComparison.Ordinal);
        Assert.False(ring.Target.HasAnswers);
    }

    [Theory]
    [InlineData(3968)]
    [InlineData(uint.MaxValue)]
    public void A_tail_past_the_rings_end_breaks_the_ring(uint tail)
    {
        using var ring = new RingFixture(commandRingBytes: 3968);
        ring.PostAndPublish();

        ring.Tail = tail;

        AssertBroken(ring, "past the end of the command ring");
    }

    [Fact]
    public void A_tail_past_the_head_breaks_the_ring()
    {
        using var ring = new RingFixture();
        ring.PostAndPublish();

        ring.Tail = 256;

        AssertBroken(ring, "past cmd_head");
    }

    [Fact]
    public void A_tail_over_entries_not_yet_published_breaks_the_ring()
    {
        using var ring = new RingFixture();
        ring.PostAndPublish();
        ring.PostTestUnit();

        ring.Tail = 256;

        AssertBroken(ring, "past cmd_head");
    }

    [Fact]
    public void A_tail_that_moves_backwards_breaks_the_ring()
    {
        using var ring = new RingFixture();
        ring.RoundTrip();
        ring.RoundTrip();

        ring.Tail = 128;

        AssertBroken(ring, "backwards");
    }

    [Theory]
    [InlineData(8)]
    [InlineData(127)]
    [InlineData(136)]
    public void A_tail_inside_an_entry_breaks_the_ring(uint tail)
    {
        using var ring = new RingFixture();
        var first = ring.PostAndPublish();
        ring.PostAndPublish();

        ring.Tail = tail;

        while (ring.Target.TryReap(out var answer))
            Assert.Equal(first, answer.Id);
        AssertBroken(ring, "is inside the entry");
    }

    [Fact]
    public void An_answer_with_id_0_breaks_the_ring()
    {
        using var ring = new RingFixture();
        ring.PostAndPublish();

        ring.StoreAnswerAt(0, 0);
        ring.Tail = 128;

        AssertBroken(ring, "id 0, which is never a command");
    }

    [Theory]
    [InlineData(2)]
    [InlineData(9)]
    [InlineData(65535)]
    public void An_answer_with_an_id_that_was_never_posted_breaks_the_ring(ushort id)
    {
        using var ring = new RingFixture(maxOutstanding: 8);
        ring.PostAndPublish();

        ring.StoreAnswerAt(0, id);
        ring.Tail = 128;

        AssertBroken(ring, $"id {id}, which was never posted");
    }

    [Fact]
    public void A_second_answer_to_a_command_breaks_the_ring()
    {
        using var ring = new RingFixture();
        ring.PostAndPublish();
        ring.PostAndPublish();
        ring.Tail = 128;
        ring.Reap();

        ring.StoreAnswerAt(128, 1);
        ring.Tail = 256;

        AssertBroken(ring, "id 1 again, which is no longer outstanding");
        Assert.Equal(1, ring.Target.Outstanding);
    }

    [Fact]
    public void A_second_answer_to_a_kept_command_breaks_the_ring()
    {
        using var ring = new RingFixture();
        var kept = ring.PostAndPublish();
        ring.PostAndPublish();
        ring.Take();
        ring.Handler.Answer(kept, RingFixture.Good, [], ResponseFlags.KeepBuffer);
        ring.Handler.Publish();
        ring.Reap();

        ring.StoreAnswerAt(128, kept);
        ring.Tail = 256;

        AssertBroken(ring, "which it had answered and kept");
    }

    [Fact]
    public void An_answer_before_its_turn_breaks_a_ring_that_does_not_offer_that()
    {
        using var ring = new RingFixture(flags: MailboxFlags.None);
        ring.PostAndPublish();
        ring.PostAndPublish();

        ring.StoreAnswerAt(0, 2);
        ring.Tail = 128;

        AssertBroken(ring, "id 2 before id 1");
    }

    [Fact]
    public void What_was_answered_before_the_violation_is_still_reaped_and_nothing_after_it()
    {
        using var ring = new RingFixture();
        var first = ring.PostAndPublish();
        ring.PostAndPublish();
        ring.PostAndPublish();
        ring.StoreAnswerAt(128, 0);
        ring.Tail = 384;

        Assert.Equal(first, ring.Reap().Id);
        AssertBroken(ring, "id 0");

        Assert.Equal(2, ring.Target.Outstanding);
    }

    [Fact]
    public void Lengths_that_the_handler_rewrites_lead_the_target_nowhere()
    {
        using var ring = new RingFixture();
        var (first, second) = (ring.PostAndPublish(), ring.PostAndPublish());
        MemoryMarshal.Write(ring.Ring(0, 4), 0xFFFFFFF9u);
        MemoryMarshal.Write(ring.Ring(128, 4), 0u);
        ring.Tail = 256;

        Assert.Equal(first, ring.Reap().Id);
        Assert.Equal(second, ring.Reap().Id);
        Assert.Null(ring.Target.Violation);
    }

    [Fact]
    public void A_handler_that_answers_twice_is_told_so_before_it_harms_the_ring()
    {
        using var ring = new RingFixture();
        var id = ring.PostAndPublish();
        ring.Take();
        ring.Handler.Answer(id, RingFixture.Good, []);

        Assert.Throws<InvalidOperationException>(() => ring.Handler.Answer(id, RingFixture.Good, []));
        Assert.Throws<InvalidOperationException>(() => ring.Handler.Answer(0, RingFixture.Good, []));
        Assert.Throws<InvalidOperationException>(() => ring.Handler.Answer(77, RingFixture.Good, []));
    }

    [Theory]
    [InlineData(RingAbi.MailboxVersionOffset, 1u, "version 1")]
    [InlineData(RingAbi.CommandRingOffsetOffset, 64u, "starts at 64")]
    [InlineData(RingAbi.CommandRingOffsetOffset, 132u, "starts at 132")]
    [InlineData(RingAbi.CommandRingOffsetOffset, uint.MaxValue - 7, "does not fit")]
    [InlineData(RingAbi.CommandRingSizeOffset, 0u, "does not fit")]
    [InlineData(RingAbi.CommandRingSizeOffset, 4092u, "does not fit")]
    [InlineData(RingAbi.CommandRingSizeOffset, uint.MaxValue - 7, "does not fit")]
    [InlineData(RingAbi.CommandTailOffset, 3968u, "cmd_tail is 3968")]
    [InlineData(RingAbi.CommandTailOffset, 4u, "cmd_tail is 4")]
    public void A_handler_refuses_a_mailbox_that_makes_no_sense(int offset, uint value, string because)
    {
        using var ring = new RingFixture(commandRingBytes: 3968);
        MemoryMarshal.Write(ring.At(offset, 4), value);

        var error = Assert.Throws<RingFormatException>(() => new HandlerRing(ring.Region, ring.Layout.RegionBytes));
        Assert.Contains(because, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_handler_refuses_a_map_shorter_than_a_mailbox()
    {
        using var ring = new RingFixture();

        Assert.Throws<RingFormatException>(() => new HandlerRing(ring.Region, 127));
    }

    [Theory]
    [InlineData(RingAbi.LengthAndOperationOffset, 1u, "claims 0 bytes")]
    [InlineData(RingAbi.LengthAndOperationOffset, 136u | 1, "claims 136 bytes")]
    [InlineData(RingAbi.LengthAndOperationOffset, 112u | 1, "fewer than a command takes")]
    [InlineData(RingAbi.LengthAndOperationOffset, 24u | 2, "fewer than it takes")]
    [InlineData(RingAbi.CommandIdOffset, 0u, "id 0")]
    [InlineData(RingAbi.IovecCountOffset, 6u, "claims 6 + 0 iovecs")]
    [InlineData(RingAbi.IovecCountOffset, uint.MaxValue, "iovecs")]
    [InlineData(RingAbi.BidirectionalIovecCountOffset, 5u, "claims 1 + 5 iovecs")]
    [InlineData(RingAbi.CdbOffsetOffset, 128u, "has its CDB at 128")]
    [InlineData(RingAbi.CdbOffsetOffset, 256u, "has its CDB at 256")]
    [InlineData(RingAbi.CdbOffsetOffset + 4, 1u, "has its CDB at")]
    [InlineData(RingAbi.IovecsOffset, 128u, "outside the data area")]
    [InlineData(RingAbi.IovecsOffset + 4, uint.MaxValue, "outside the data area")]
    [InlineData(RingAbi.IovecsOffset + 12, uint.MaxValue, "outside the data area")]
    [InlineData(RingAbi.IovecsOffset + 8, 64u * 4096 + 1, "outside the data area")]
    public void A_handler_refuses_an_entry_that_makes_no_sense(int offset, uint value, string because)
    {
        using var ring = new RingFixture();
        ring.Target.TryPost(new byte[10], [new(ring.Layout.DataOffset, 512)], [], out _);
        ring.Target.Publish();
        MemoryMarshal.Write(ring.Ring(offset, 4), value);

        var error = Assert.Throws<RingFormatException>(() => ring.Handler.TryTake(ring.Command));
        Assert.Contains(because, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_handler_refuses_a_notice_with_more_ids_than_it_has_room_for()
    {
        using var ring = new RingFixture();
        ring.Target.TryPostTaskManagement(RingAbi.TaskManagementAbortTask, [1, 2]);
        ring.Target.Publish();
        MemoryMarshal.Write(ring.Ring(RingAbi.TaskManagementCountOffset, 4), 5u);

        Assert.Throws<RingFormatException>(() => ring.Handler.TryTake(ring.Command));
    }

    [Fact]
    public void A_handler_refuses_an_id_that_comes_again_before_it_was_answered()
    {
        using var ring = new RingFixture();
        ring.PostAndPublish();
        ring.PostAndPublish();
        ring.StoreAnswerAt(128, 1);
        ring.Take();

        Assert.Throws<RingFormatException>(() => ring.Handler.TryTake(ring.Command));
    }

    [Theory]
    [InlineData(3968u)]
    [InlineData(12u)]
    public void A_handler_refuses_a_head_that_is_no_entrys_start(uint head)
    {
        using var ring = new RingFixture(commandRingBytes: 3968);
        MemoryMarshal.Write(ring.At(RingAbi.CommandHeadOffset, 4), head);

        Assert.Throws<RingFormatException>(() => ring.Handler.TryTake(ring.Command));
    }

    [Fact]
    public void A_handler_refuses_a_head_that_goes_back_over_unanswered_commands()
    {
        using var ring = new RingFixture();
        ring.PostAndPublish();
        ring.PostAndPublish();
        ring.Take();
        ring.Take();
        MemoryMarshal.Write(ring.At(RingAbi.CommandHeadOffset, 4), 128u);

        Assert.Throws<RingFormatException>(() => ring.Handler.TryTake(ring.Command));
    }

    [Fact]
    public void A_handler_passes_over_operations_of_a_later_time_and_marks_them_unknown()
    {
        using var ring = new RingFixture();
        ring.PostTestUnit();
        var known = ring.PostTestUnit();
        ring.Target.Publish();
        MemoryMarshal.Write(ring.Ring(0, 4), 128u | 5);

        Assert.Equal(known, ring.Take());
        ring.Handler.Publish();

        Assert.Equal(128u, ring.Tail);
        Assert.Equal(RingAbi.ResponseFlagUnknownOperation, ring.Ring(RingAbi.ResponseFlagsOffset, 1)[0]);
    }
}
