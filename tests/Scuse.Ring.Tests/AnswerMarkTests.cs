namespace Scuse.Ring.Tests;

/// <summary>A ring that outlives its handler: whether the next one can read on where the one before has ended.</summary>
public sealed class AnswerMarkTests
{
    static HandlerRing Open(RingFixture ring) => new(ring.Region, ring.Layout.RegionBytes) { MarksAnswers = true };

    [Fact]
    public void A_ring_whose_commands_are_as_they_came_can_be_read_on()
    {
        using var ring = new RingFixture();
        var handler = Open(ring);
        Assert.False(handler.HasAnswersBegun());
        ring.PostAndPublish();
        ring.PostAndPublish();

        Assert.True(handler.TryTake(ring.Command));
        handler.Answer(ring.Command.Id, RingFixture.Good, []);
        handler.Publish();
        Assert.True(handler.TryTake(ring.Command));

        Assert.False(Open(ring).HasAnswersBegun());
    }

    [Fact]
    public void An_answer_that_was_not_shown_tells_that_a_command_is_lost()
    {
        using var ring = new RingFixture();
        var handler = Open(ring);
        ring.PostAndPublish();
        var second = ring.PostAndPublish();
        handler.TryTake(ring.Command);
        handler.TryTake(ring.Command);

        handler.Answer(second, RingFixture.Good, []); // into the first one's entry

        Assert.True(Open(ring).HasAnswersBegun());
        handler.Publish();
        Assert.False(Open(ring).HasAnswersBegun());
    }

    [Fact]
    public void The_mark_is_seen_beyond_the_rings_end()
    {
        using var ring = new RingFixture();
        for (var i = 0; i < 29; i++)
            ring.RoundTrip();
        var handler = Open(ring);
        ushort[] ids = [ring.PostAndPublish(), ring.PostAndPublish(), ring.PostAndPublish()];
        Assert.True(ring.Head < ring.Tail);
        foreach (var _ in ids)
            handler.TryTake(ring.Command);

        Assert.False(Open(ring).HasAnswersBegun());
        foreach (var id in ids)
            handler.Answer(id, RingFixture.Good, []);
        ring.Ring(ring.Tail + RingAbi.ResponseFlagsOffset, 1)[0] = 0;

        Assert.True(Open(ring).HasAnswersBegun());
    }

    [Fact]
    public void A_target_passes_over_the_mark()
    {
        using var ring = new RingFixture();
        var handler = Open(ring);
        var id = ring.PostAndPublish();
        handler.TryTake(ring.Command);

        handler.Answer(id, RingFixture.Busy, [], ResponseFlags.KeepBuffer);
        handler.Publish();

        var answer = ring.Reap();
        Assert.Equal((id, RingFixture.Busy, ResponseFlags.KeepBuffer), (answer.Id, answer.Status, answer.Flags));
    }

    [Fact]
    public void A_ring_that_makes_no_sense_is_told_as_such()
    {
        using var ring = new RingFixture();
        ring.PostAndPublish();
        ring.Ring(0, 4).Fill(0xFF);

        Assert.Throws<RingFormatException>(() => Open(ring).HasAnswersBegun());
    }
}
