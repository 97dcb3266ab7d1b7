using System.Runtime.InteropServices;

namespace Scuse.Ring.Tests;

public sealed class WrapAroundTests
{
    // Entries are 120 bytes with a CDB of 6 and 128 with one of 10.
    const int Small = 6, Large = 10;

    [Fact]
    public void An_entry_that_would_straddle_the_end_is_preceded_by_a_PAD_of_8_bytes()
    {
        using var ring = new RingFixture(commandRingBytes: 3 * 128 + 8);
        ring.RoundTrip(Large);
        ring.RoundTrip(Large);
        ring.RoundTrip(Large);

        var id = ring.PostAndPublish(Large);

        Assert.Equal("0800000000000000", Convert.ToHexString(ring.Ring(3 * 128, 8)));
        Assert.Equal(128u, ring.Head);
        Assert.Equal(id, ring.Take());
        ring.AnswerAndPublish(id);
        Assert.Equal(128u, ring.Tail);
        Assert.Equal(id, ring.Reap().Id);
        Assert.Equal(0, ring.Target.CommandRingBytesInUse);
    }

    [Fact]
    public void An_entry_that_ends_on_the_rings_last_byte_needs_no_PAD_and_wraps_the_head_to_0()
    {
        using var ring = new RingFixture(commandRingBytes: 3 * 128);
        ring.RoundTrip();
        ring.RoundTrip();

        var id = ring.PostAndPublish();

        Assert.Equal(0u, ring.Head);
        Assert.Equal(id, ring.Take());
        Assert.Equal(128, ring.Target.CommandRingBytesInUse);
        ring.AnswerAndPublish(id);
        Assert.Equal(0u, ring.Tail);
        Assert.Equal(id, ring.Reap().Id);
        Assert.False(ring.Target.HasAnswers);
    }

    [Fact]
    public void The_ring_is_never_filled_to_the_last_byte_because_an_even_head_and_tail_mean_empty()
    {
        using var ring = new RingFixture(commandRingBytes: 3 * 128);
        ring.PostTestUnit();
        ring.PostTestUnit();

        Assert.Equal(PostResult.RingFull, ring.Target.TryPost(new byte[Large], [], [], out var id));

        Assert.Equal(0, id);
        Assert.Equal(256, ring.Target.CommandRingBytesInUse);
    }

    [Fact]
    public void A_PAD_counts_as_used_room()
    {
        using var ring = new RingFixture(commandRingBytes: 3 * 128 + 8);
        ring.RoundTrip();
        var held = ring.PostAndPublish();
        ring.PostTestUnit();

        // 136 bytes are free: a PAD of 8 and an entry of 128 would fill them all.
        Assert.Equal(PostResult.RingFull, ring.Target.TryPost(new byte[Large], [], [], out _));
        Assert.Equal(PostResult.Posted, ring.Target.TryPost(new byte[Small], [], [], out _));

        Assert.Equal(held, ring.Take());
        Assert.Equal(128 + 128 + 8 + 120, ring.Target.CommandRingBytesInUse);
    }

    [Fact]
    public void Room_comes_back_when_the_target_reaps_and_not_when_the_handler_moves_the_tail()
    {
        using var ring = new RingFixture(commandRingBytes: 3 * 128);
        var first = ring.PostAndPublish();
        ring.PostAndPublish();
        ring.Take();
        ring.AnswerAndPublish(first);

        Assert.Equal(PostResult.RingFull, ring.Target.TryPost(new byte[Large], [], [], out _));
        ring.Reap();
        Assert.Equal(PostResult.Posted, ring.Target.TryPost(new byte[Large], [], [], out _));
    }

    [Fact]
    public void An_entry_of_half_the_ring_fits_and_one_8_bytes_longer_never_will()
    {
        using var ring = new RingFixture(commandRingBytes: 256);

        Assert.Equal(PostResult.TooLarge, ring.Target.TryPost(new byte[17], [], [], out _));
        Assert.Equal(PostResult.Posted, ring.Target.TryPost(new byte[16], [], [], out _));
    }

    [Fact]
    public void A_CDB_of_more_than_260_bytes_is_too_large()
    {
        using var ring = new RingFixture();

        Assert.Equal(PostResult.TooLarge, ring.Target.TryPost(new byte[261], [], [], out _));
    }

    [Fact]
    public void Ids_run_from_1_to_the_limit_and_then_there_is_none()
    {
        using var ring = new RingFixture(maxOutstanding: 2);

        Assert.Equal(1, ring.PostAndPublish());
        Assert.Equal(2, ring.PostAndPublish());
        Assert.Equal(PostResult.NoFreeId, ring.Target.TryPost(new byte[Small], [], [], out var id));
        Assert.Equal(0, id);
        Assert.Equal(2, ring.Target.Outstanding);
    }

    [Fact]
    public void An_id_is_used_again_only_after_all_others()
    {
        using var ring = new RingFixture(maxOutstanding: 3);
        ring.RoundTrip();

        Assert.Equal(2, ring.PostTestUnit());
        Assert.Equal(3, ring.PostTestUnit());
        Assert.Equal(1, ring.PostTestUnit());
    }

    [Fact]
    public void Nothing_is_seen_by_the_handler_before_it_is_published()
    {
        using var ring = new RingFixture();
        Assert.False(ring.Target.Publish());
        var id = ring.PostTestUnit();

        Assert.False(ring.Handler.HasCommands);
        Assert.False(ring.Handler.TryTake(ring.Command));
        Assert.True(ring.Target.Publish());
        Assert.False(ring.Target.Publish());
        Assert.True(ring.Handler.HasCommands);
        Assert.Equal(id, ring.Take());
        Assert.False(ring.Handler.HasCommands);
    }

    [Fact]
    public void Nothing_is_seen_by_the_target_before_the_handler_publishes()
    {
        using var ring = new RingFixture();
        var id = ring.PostAndPublish();
        ring.Take();
        Assert.False(ring.Handler.Publish());
        ring.Handler.Answer(id, RingFixture.Good, []);

        Assert.False(ring.Target.HasAnswers);
        Assert.False(ring.Target.TryReap(out _));
        Assert.True(ring.Handler.Publish());
        Assert.False(ring.Handler.Publish());
        Assert.True(ring.Target.HasAnswers);
        Assert.Equal(id, ring.Reap().Id);
        Assert.False(ring.Target.HasAnswers);
    }

    [Fact]
    public void The_tail_moves_over_notices_that_need_no_answer()
    {
        using var ring = new RingFixture();
        ring.Target.TryPostTaskManagement(RingAbi.TaskManagementLogicalUnitReset, []);
        ring.Target.Publish();
        ring.Take();

        Assert.True(ring.Handler.Publish());

        Assert.Equal(ring.Head, ring.Tail);
        Assert.True(ring.Target.HasAnswers);
        Assert.False(ring.Target.TryReap(out _));
        Assert.Equal(0, ring.Target.CommandRingBytesInUse);
    }

    [Fact]
    public void The_tail_waits_before_a_command_that_is_not_answered_whatever_comes_after_it()
    {
        using var ring = new RingFixture();
        var id = ring.PostTestUnit();
        ring.Target.TryPostTaskManagement(RingAbi.TaskManagementAbortTask, [id]);
        ring.Target.Publish();
        ring.Take();
        ring.Take();

        Assert.False(ring.Handler.Publish());
        ring.AnswerAndPublish(id);

        Assert.Equal(ring.Head, ring.Tail);
        Assert.Equal(id, ring.Reap().Id);
    }

    [Fact]
    public void No_notice_is_posted_where_the_mailbox_does_not_offer_them()
    {
        using var ring = new RingFixture(flags: MailboxFlags.OutOfOrder);

        Assert.False(ring.Target.TryPostTaskManagement(RingAbi.TaskManagementAbortTask, [1]));
    }

    [Fact]
    public void A_later_command_answered_first_takes_the_slot_at_the_tail()
    {
        using var ring = new RingFixture();
        var (first, second) = (ring.PostAndPublish(), ring.PostAndPublish());
        ring.Take();
        ring.Take();

        ring.AnswerAndPublish(second, RingFixture.Busy);

        Assert.Equal(second, MemoryMarshal.Read<ushort>(ring.Ring(RingAbi.CommandIdOffset, 2)));
        Assert.Equal(128u, ring.Tail);
        Assert.Equal(second, ring.Reap().Id);
        ring.AnswerAndPublish(first);
        Assert.Equal(first, ring.Reap().Id);
    }

    [Fact]
    public void Without_the_out_of_order_flag_an_early_answer_is_held_until_its_turn()
    {
        using var ring = new RingFixture(flags: MailboxFlags.None);
        var (first, second, third) = (ring.PostAndPublish(), ring.PostAndPublish(), ring.PostAndPublish());
        ring.Take();
        ring.Take();
        ring.Take();

        ring.Handler.Answer(third, RingFixture.Good, []);
        ring.Handler.Answer(second, RingFixture.CheckCondition, [0x70, 1, 2]);
        Assert.False(ring.Handler.Publish());
        ring.Handler.Answer(first, RingFixture.Busy, []);
        Assert.True(ring.Handler.Publish());

        Assert.Equal((first, RingFixture.Busy), (ring.Reap() is var a ? a.Id : default, a.Status));
        Assert.Equal((second, RingFixture.CheckCondition), (ring.Reap() is var b ? b.Id : default, b.Status));
        var sense = new byte[96];
        ring.Target.CopySense(sense);
        Assert.Equal([0x70, 1, 2, .. new byte[93]], sense);
        Assert.Equal(third, ring.Reap().Id);
    }

    [Fact]
    public void A_handler_that_starts_anew_reads_on_at_the_tail()
    {
        using var ring = new RingFixture();
        ring.RoundTrip();
        var unanswered = ring.PostAndPublish();
        ring.Take();

        var next = new HandlerRing(ring.Region, ring.Layout.RegionBytes);

        Assert.True(next.TryTake(ring.Command));
        Assert.Equal(unanswered, ring.Command.Id);
        next.Answer(unanswered, RingFixture.Good, []);
        next.Publish();
        Assert.Equal(unanswered, ring.Reap().Id);
    }

    [Fact]
    public void A_kept_id_stays_taken_until_it_is_released()
    {
        using var ring = new RingFixture(maxOutstanding: 1);
        var id = ring.PostAndPublish();
        ring.Take();
        ring.Handler.Answer(id, RingFixture.Good, [], ResponseFlags.KeepBuffer);
        ring.Handler.Publish();

        Assert.Equal(ResponseFlags.KeepBuffer, ring.Reap().Flags);
        Assert.Equal((0, 1), (ring.Target.Outstanding, ring.Target.Kept));
        Assert.Equal(PostResult.NoFreeId, ring.Target.TryPost(new byte[6], [], [], out _));
        ring.Target.ReleaseKept(id);
        Assert.Equal(PostResult.Posted, ring.Target.TryPost(new byte[6], [], [], out _));
        Assert.Throws<InvalidOperationException>(() => ring.Target.ReleaseKept(id));
    }

    [Fact]
    public void A_wish_to_keep_is_ignored_where_the_mailbox_does_not_offer_it()
    {
        using var ring = new RingFixture(flags: MailboxFlags.OutOfOrder);
        var id = ring.PostAndPublish();
        ring.Take();
        ring.Handler.Answer(id, RingFixture.Good, [], ResponseFlags.KeepBuffer | ResponseFlags.UnknownOp);
        ring.Handler.Publish();

        Assert.Equal(ResponseFlags.UnknownOp, ring.Reap().Flags);
        Assert.Equal(0, ring.Target.Kept);
    }

    [Fact]
    public void Waiting_flags_lie_at_16_and_68_and_tell_who_wants_a_doorbell()
    {
        using var ring = new RingFixture();
        Assert.False(ring.Target.HandlerWantsDoorbell(waitFlagsInForce: true));
        Assert.False(ring.Handler.TargetWantsDoorbell(waitFlagsInForce: true));

        ring.Handler.AnnounceSleep();
        ring.Target.AnnounceSleep();

        Assert.Equal(1u, MemoryMarshal.Read<uint>(ring.At(16, 4)));
        Assert.Equal(1u, MemoryMarshal.Read<uint>(ring.At(68, 4)));
        Assert.True(ring.Target.HandlerWantsDoorbell(waitFlagsInForce: true));
        Assert.True(ring.Handler.TargetWantsDoorbell(waitFlagsInForce: true));
        ring.Handler.EndSleep();
        ring.Target.EndSleep();
        Assert.False(ring.Target.HandlerWantsDoorbell(waitFlagsInForce: true));
        Assert.False(ring.Handler.TargetWantsDoorbell(waitFlagsInForce: true));
    }

    [Fact]
    public void Without_waiting_flags_every_publication_wants_a_doorbell()
    {
        using var ring = new RingFixture();

        Assert.True(ring.Target.HandlerWantsDoorbell(waitFlagsInForce: false));
        Assert.True(ring.Handler.TargetWantsDoorbell(waitFlagsInForce: false));
    }
}
