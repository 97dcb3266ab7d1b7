namespace Scuse.Ring.Tests;

/// <summary>What a handler says of how long a command took.</summary>
public sealed class ServiceTimeTests
{
    [Theory]
    [InlineData(RingFixture.AllFlags)]
    [InlineData(MailboxFlags.None)]
    public void The_target_hears_of_it_with_each_GOOD_also_out_of_order(MailboxFlags flags)
    {
        using var ring = new RingFixture(flags: flags, serviceTimes: true);
        ushort first = ring.PostAndPublish(), second = ring.PostAndPublish();
        ring.Take();
        ring.Take();

        ring.Handler.Answer(second, RingFixture.Good, [], serviceNs: uint.MaxValue);
        ring.Handler.Answer(first, RingFixture.Good, [], serviceNs: 1234);
        ring.Handler.Publish();

        RingAnswer[] answers = [ring.Reap(), ring.Reap()];
        Assert.Equal(1234u, answers.Single(answer => answer.Id == first).ServiceNs);
        Assert.Equal(uint.MaxValue, answers.Single(answer => answer.Id == second).ServiceNs);
    }

    [Fact]
    public void With_sense_data_there_is_no_room_for_it()
    {
        using var ring = new RingFixture(serviceTimes: true);
        ushort id = ring.PostAndPublish();
        ring.Take();
        byte[] told = [.. Enumerable.Range(1, 32).Select(static i => (byte)i)];

        ring.Handler.Answer(id, RingFixture.CheckCondition, told, serviceNs: 1234);
        ring.Handler.Publish();

        Assert.Equal(0u, ring.Reap().ServiceNs);
        byte[] sense = new byte[RingAbi.SenseBytes];
        ring.Target.CopySense(sense);
        Assert.Equal(told, sense[..told.Length]);
    }

    [Fact]
    public void It_goes_with_a_place_in_the_handlers_own_memory()
    {
        using var ring = new RingFixture(ownMemoryBytes: 1 << 20, serviceTimes: true);
        Assert.Equal(PostResult.Posted, ring.Target.TryPost(new byte[10], [], [new DataExtent(ring.Layout.DataOffset, 4096)], out ushort id));
        ring.Target.Publish();
        ring.Take();

        ring.Handler.AnswerFromOwnMemory(id, 8192, serviceNs: 77);
        ring.Handler.Publish();

        Assert.Equal(new RingAnswer(id, RingFixture.Good, ResponseFlags.OwnMemory, 0, 8192, 77), ring.Reap());
    }

    [Fact]
    public void Where_it_was_not_agreed_the_entry_is_not_touched_and_nothing_is_believed()
    {
        using var ring = new RingFixture();
        ushort id = ring.PostAndPublish();
        ring.Take();
        byte[] before = ring.Ring(RingAbi.ServiceTimeOffset, 4).ToArray();

        ring.Handler.Answer(id, RingFixture.Good, [], serviceNs: 1234);
        ring.Handler.Publish();

        Assert.Equal(before, ring.Ring(RingAbi.ServiceTimeOffset, 4).ToArray());
        Assert.Equal(0u, ring.Reap().ServiceNs);
    }
}
