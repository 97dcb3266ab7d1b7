using System.Runtime.InteropServices;

namespace Scuse.Ring.Tests;

/// <summary>A region in this process's own memory with both ends of its ring. Filled with CCh first, so that forgotten bytes show.</summary>
sealed unsafe class RingFixture : IDisposable
{
    public const MailboxFlags AllFlags = MailboxFlags.OutOfOrder | MailboxFlags.ReadLength | MailboxFlags.TaskManagement | MailboxFlags.KeepBuffer;
    public const byte Good = 0x00, CheckCondition = 0x02, Busy = 0x08;

    readonly byte* _memory;

    public RingFixture(int commandRingBytes = 4096 - RingAbi.MailboxBytes, MailboxFlags flags = AllFlags, long dataBytes = 64 * 4096, int maxOutstanding = 1024,
        long ownMemoryBytes = 0, bool serviceTimes = false)
        : this(RingLayout.Create(commandRingBytes, dataBytes), flags, maxOutstanding, ownMemoryBytes, serviceTimes) { }

    public RingFixture(RingLayout layout, MailboxFlags flags, int maxOutstanding, long ownMemoryBytes = 0, bool serviceTimes = false)
    {
        Layout = layout;
        _memory = (byte*)NativeMemory.AlignedAlloc((nuint)layout.RegionBytes, 4096);
        new Span<byte>(_memory, (int)layout.RegionBytes).Fill(0xCC);
        TargetRing.Format(Region, layout, flags);
        Target = new TargetRing(Region, layout, flags, maxOutstanding) { OwnMemoryBytes = ownMemoryBytes, TellsServiceTimes = serviceTimes };
        Handler = new HandlerRing(Region, layout.RegionBytes) { TellsServiceTimes = serviceTimes };
        Area = new DataArea(layout);
    }

    public RingLayout Layout { get; }

    public nint Region => (nint)_memory;

    public TargetRing Target { get; }

    public HandlerRing Handler { get; }

    public DataArea Area { get; }

    public HandlerCommand Command { get; } = new();

    /// <summary>The memory at an offset from the region's start.</summary>
    public Span<byte> At(long offset, int length) => new(_memory + offset, length);

    /// <summary>The memory at an offset from the command ring's start.</summary>
    public Span<byte> Ring(long offset, int length) => At(Layout.CommandRingOffset + offset, length);

    public uint Head => MemoryMarshal.Read<uint>(At(RingAbi.CommandHeadOffset, 4));

    public uint Tail
    {
        get => MemoryMarshal.Read<uint>(At(RingAbi.CommandTailOffset, 4));
        set => MemoryMarshal.Write(At(RingAbi.CommandTailOffset, 4), value);
    }

    /// <summary>An entry of 128 bytes: 112 and a CDB of ten, padded.</summary>
    public ushort PostTestUnit(int cdbBytes = 10)
    {
        var cdb = new byte[cdbBytes];
        cdb[0] = 0x28;
        Assert.Equal(PostResult.Posted, Target.TryPost(cdb, [], [], out var id));
        return id;
    }

    public ushort PostAndPublish(int cdbBytes = 10)
    {
        var id = PostTestUnit(cdbBytes);
        Target.Publish();
        return id;
    }

    public ushort Take()
    {
        Assert.True(Handler.TryTake(Command));
        return Command.Id;
    }

    public void AnswerAndPublish(ushort id, byte status = Good)
    {
        Handler.Answer(id, status, []);
        Handler.Publish();
    }

    /// <summary>One command all the way: posted, taken, answered, reaped.</summary>
    public void RoundTrip(int cdbBytes = 10)
    {
        var id = PostAndPublish(cdbBytes);
        Assert.Equal(id, Take());
        AnswerAndPublish(id);
        Assert.Equal(id, Reap().Id);
    }

    public RingAnswer Reap()
    {
        Assert.True(Target.TryReap(out var answer), Target.Violation ?? "no answer");
        return answer;
    }

    public void StoreAnswerAt(uint slot, ushort id) => MemoryMarshal.Write(Ring(slot + RingAbi.CommandIdOffset, 2), id);

    public void Dispose() => NativeMemory.AlignedFree(_memory);
}
