using System.Runtime.InteropServices;

namespace Scuse.Ring.Tests;

/// <summary>Answers that point into the handler's own memory, and lies about where.</summary>
public sealed class OwnMemoryTests
{
    const long OwnBytes = 1 << 20;
    const int DataBytes = 3 * 4096;

    static RingFixture NewRing(MailboxFlags flags = RingFixture.AllFlags, long ownBytes = OwnBytes) => new(flags: flags, ownMemoryBytes: ownBytes);

    /// <summary>A read of <see cref="DataBytes"/> bytes in two pieces.</summary>
    static ushort PostRead(RingFixture ring)
    {
        DataExtent[] extents = [new(ring.Layout.DataOffset, 4096), new(ring.Layout.DataOffset + 16384, 8192)];
        Assert.Equal(PostResult.Posted, ring.Target.TryPost(new byte[10], [], extents, out ushort id));
        ring.Target.Publish();
        return id;
    }

    /// <summary>Writes an answer as a handler without our library would, or a liar.</summary>
    static void Store(RingFixture ring, ushort id, byte status, ResponseFlags flags, ulong place, uint readLength = 0)
    {
        ring.StoreAnswerAt(0, id);
        ring.Ring(RingAbi.ResponseFlagsOffset, 1)[0] = (byte)flags;
        ring.Ring(RingAbi.StatusOffset, 1)[0] = status;
        MemoryMarshal.Write(ring.Ring(RingAbi.ReadLengthOffset, 4), readLength);
        MemoryMarshal.Write(ring.Ring(16, 8), place);
        ring.Tail = ring.Head;
    }

    static void AssertBroken(RingFixture ring, string because)
    {
        Assert.False(ring.Target.TryReap(out _));
        Assert.Contains(because, ring.Target.Violation, StringComparison.Ordinal);
        Assert.Equal(1, ring.Target.Outstanding);
    }

    [Theory]
    [InlineData(RingFixture.AllFlags)]
    [InlineData(MailboxFlags.None)]
    public void A_place_comes_to_the_target_as_the_handler_said_it(MailboxFlags flags)
    {
        using RingFixture ring = NewRing(flags);
        ushort first = PostRead(ring), second = PostRead(ring);
        ring.Take();
        ring.Take();

        ring.Handler.AnswerFromOwnMemory(second, OwnBytes - DataBytes);
        ring.Handler.AnswerFromOwnMemory(first, 8);
        ring.Handler.Publish();

        RingAnswer[] answers = [ring.Reap(), ring.Reap()];
        Assert.Contains(new RingAnswer(first, RingFixture.Good, ResponseFlags.OwnMemory, 0, 8), answers);
        Assert.Contains(new RingAnswer(second, RingFixture.Good, ResponseFlags.OwnMemory, 0, OwnBytes - DataBytes), answers);
        byte[] sense = new byte[RingAbi.SenseBytes];
        ring.Target.CopySense(sense);
        Assert.False(sense.AsSpan().ContainsAnyExcept((byte)0));
    }

    [Theory]
    [InlineData(OwnBytes - DataBytes + 1)]
    [InlineData(OwnBytes)]
    [InlineData(OwnBytes + 1)]
    [InlineData(long.MaxValue)]
    [InlineData(-1)]
    [InlineData(-DataBytes)]
    [InlineData(long.MinValue)]
    public void A_place_from_where_the_data_would_reach_beyond_the_memory_breaks_the_ring(long place)
    {
        using RingFixture ring = NewRing();
        ushort id = PostRead(ring);

        Store(ring, id, RingFixture.Good, ResponseFlags.OwnMemory, (ulong)place);

        AssertBroken(ring, $"with {DataBytes} bytes at {(ulong)place} of its own memory, which has {OwnBytes}");
    }

    [Fact]
    public void A_read_length_shortens_what_has_to_lie_there_and_never_lengthens_it()
    {
        using RingFixture ring = NewRing();
        ushort id = PostRead(ring);
        Store(ring, id, RingFixture.Good, ResponseFlags.OwnMemory | ResponseFlags.ReadLength, OwnBytes - 512, readLength: 512);
        Assert.Equal(OwnBytes - 512, ring.Reap().Place);

        using RingFixture other = NewRing();
        id = PostRead(other);
        Store(other, id, RingFixture.Good, ResponseFlags.OwnMemory | ResponseFlags.ReadLength, OwnBytes - DataBytes + 512, readLength: uint.MaxValue);
        AssertBroken(other, $"with {DataBytes} bytes");
    }

    [Fact]
    public void A_place_although_that_was_not_agreed_breaks_the_ring()
    {
        using RingFixture ring = NewRing(ownBytes: 0);
        ushort id = PostRead(ring);

        Store(ring, id, RingFixture.Good, ResponseFlags.OwnMemory, 0);

        AssertBroken(ring, "which was not agreed");
    }

    [Theory]
    [InlineData(RingFixture.CheckCondition, ResponseFlags.OwnMemory)]
    [InlineData(RingFixture.Busy, ResponseFlags.OwnMemory)]
    [InlineData(RingFixture.Good, ResponseFlags.OwnMemory | ResponseFlags.UnknownOp)]
    public void A_place_with_anything_but_good_breaks_the_ring(byte status, ResponseFlags flags)
    {
        using RingFixture ring = NewRing();
        ushort id = PostRead(ring);

        Store(ring, id, status, flags, 0);

        AssertBroken(ring, "only GOOD comes with such data");
    }

    [Fact]
    public void A_place_for_a_command_that_returns_no_data_breaks_the_ring()
    {
        using RingFixture ring = NewRing();
        Assert.Equal(PostResult.Posted, ring.Target.TryPost(new byte[10], [new DataExtent(ring.Layout.DataOffset, 4096)], [], out ushort id));
        ring.Target.Publish();

        Store(ring, id, RingFixture.Good, ResponseFlags.OwnMemory, 0);

        AssertBroken(ring, "which returns no data");
    }

    [Fact]
    public void Each_command_is_measured_by_its_own_length_however_often_its_id_is_used()
    {
        using var ring = new RingFixture(ownMemoryBytes: 8192, maxOutstanding: 40);
        for (int i = 0; i < 200; i++)
        {
            long length = 512 * (i % 16 + 1);
            Assert.Equal(PostResult.Posted, ring.Target.TryPost(new byte[10], [], [new DataExtent(ring.Layout.DataOffset, length)], out ushort id));
            ring.Target.Publish();
            ring.Take();
            ring.Handler.AnswerFromOwnMemory(id, 8192 - length);
            ring.Handler.Publish();
            Assert.Equal(8192 - length, ring.Reap().Place);
        }
    }
}
