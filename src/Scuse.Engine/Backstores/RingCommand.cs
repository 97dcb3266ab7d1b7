using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Engine.Backstores;

/// <summary>Where a command is on its way to the handler.</summary>
enum RingCommandState
{
    /// <summary>In the pool.</summary>
    Free,

    /// <summary>Waits for blocks of the data area, or for a handler.</summary>
    WantsMemory,

    /// <summary>Has its blocks; its data is being brought.</summary>
    Collecting,

    /// <summary>Waits for room in the ring, or for a handler.</summary>
    WantsSlot,

    /// <summary>The handler has it.</summary>
    Posted,

    /// <summary>The handler has answered; the blocks are in use until the answer is sent.</summary>
    Answered,

    /// <summary>Answered and sent, but the handler keeps id and blocks until it frees them.</summary>
    Kept,
}

/// <summary>One command on its way through a ring, with the blocks of the data area it holds. Pooled by its backstore.</summary>
/// <remarks>Touched only by the owning reactor.</remarks>
sealed class RingCommand
{
    public RingCommand() => Place = new LinkedListNode<RingCommand>(this);

    /// <summary>The initiator's task; null for a command of the engine's own, and for one whose task was taken away.</summary>
    public ScsiTask? Task { get; set; }

    /// <summary>The device server's call that waits for it; null for a task.</summary>
    public DeviceCall? Call { get; set; }

    public RingCommandState State { get; set; }

    /// <summary>Place in the order of arrival: what is repeated to a new handler keeps it.</summary>
    public long Sequence { get; set; }

    /// <summary>When it came, on the target's clock.</summary>
    public long ArrivedMs { get; set; }

    /// <summary>When a handler was last given it, on the target's clock.</summary>
    public long PostedMs { get; set; }

    /// <summary>Whether a handler was ever given it: then it may have been executed.</summary>
    public bool WasPosted { get; set; }

    /// <summary>Whether the handler keeps its id and blocks beyond the answer.</summary>
    public bool IsKept { get; set; }

    /// <summary>Whether what becomes of it concerns others than its own reactor; <see cref="CommandQueue.MarkShared"/> sets it.</summary>
    public bool IsShared { get; set; }

    /// <summary>The limit of its waiting for room; null until it first waits with one.</summary>
    public RingCommandTimer? QueueLimit { get; set; }

    /// <summary>The time limit of a command of the engine's own, null until the first; tasks have theirs in the target core.</summary>
    public RingCommandTimer? Deadline { get; set; }

    /// <summary>The id in the ring while posted.</summary>
    public ushort Id { get; set; }

    /// <summary>Where its time goes.</summary>
    public CommandTimes Times { get; } = new();

    public int OutLength { get; set; }

    public int InLength { get; set; }

    /// <summary>Whether its Data-In is sent from where it lies in the handler's own memory.</summary>
    public bool IsInPlace { get; private set; }

    Memory<byte>[]? _inPlace;
    long _place;

    /// <summary>The blocks it holds.</summary>
    public RegionBlocks Blocks { get; private set; } = new();

    /// <summary>Blocks set aside in a newer region, for when the data has arrived in the old one.</summary>
    public RegionBlocks Reserved { get; private set; } = new();

    /// <summary>Whose bytes stand in its blocks; the engine acts for this nexus and that.</summary>
    uint BlockOwner => Task is { } task ? task.Nexus.Id : BlockOwners.Foreign;

    public ReadOnlySpan<byte> Cdb => Call is { } call ? call.Cdb : Task!.Cdb;

    /// <summary>Whether a task or a call still stands for it: without, it was given up, and has no CDB to look at.</summary>
    public bool HasOwner => Call is not null || Task is not null;

    /// <summary>Whether anybody waits for its answer.</summary>
    public bool IsWanted => Call is not null || Task is { IsUnwanted: false };

    /// <summary>The command's place in the queue it waits in; it brings it, so that waiting allocates nothing.</summary>
    public LinkedListNode<RingCommand> Place { get; }

    /// <summary>Takes its blocks in a handler's region; false when there are none to be had now.</summary>
    public bool TryAllocate(HandlerLink link) => Blocks.TryAllocate(link, OutLength, InLength, BlockOwner);

    /// <summary>Sets blocks aside in a newer region, as many as it has in the older one; false when that region is too small.</summary>
    public bool TryReserve(HandlerLink link)
    {
        Reserved.Free();
        return Reserved.TryAllocate(link, OutLength, InLength, BlockOwner, anyway: true);
    }

    /// <summary>The blocks set aside become the command's own, with the Data-Out that was in the old ones.</summary>
    public void MoveToReserved()
    {
        Reserved.DataOut(OutLength).CopyFrom(Blocks.DataOut(OutLength));
        Blocks.Free();
        (Blocks, Reserved) = (Reserved, Blocks);
        ShowBuffers();
    }

    /// <summary>Tells the initiator's task, if there is one, where its data is.</summary>
    public void ShowBuffers() => Task?.SetBuffers(Blocks.DataOut(OutLength), Blocks.DataIn(InLength));

    /// <summary>The handler's own memory holds the answer: the task's data is there from now on. Ends with <see cref="TrySettle"/> or <see cref="LeavePlace"/>.</summary>
    public void ShowInPlace(HandlerMemory memory, long place, int length)
    {
        IsInPlace = true;
        _place = place;
        _inPlace ??= new Memory<byte>[1];
        _inPlace[0] = memory.Slice(place, length);
        Task!.SetBuffers(Task.DataOut, new DataBuffer(_inPlace, 1, length));
    }

    /// <summary>Copies the data as it is now to the blocks, where it stays as it is.</summary>
    public bool TrySettle()
    {
        ScsiTask task = Task!;
        DataBuffer blocks = Blocks.DataIn(task.DataIn.Length);
        if (!Blocks.Link!.OwnMemory!.TryCopy(_place, blocks))
        {
            return false;
        }

        LeavePlace();
        task.SetBuffers(task.DataOut, blocks);
        return true;
    }

    /// <summary>Nobody needs the data in the handler's own memory any more.</summary>
    public void LeavePlace()
    {
        IsInPlace = false;
        _inPlace![0] = default;
    }

    public void Reset()
    {
        Blocks.Free();
        Reserved.Free();
        Task = null;
        Call = null;
        WasPosted = false;
        IsKept = false;
        State = RingCommandState.Free;
    }
}

/// <summary>A deadline of one command.</summary>
/// <param name="command">The command.</param>
/// <param name="due">What to do.</param>
sealed class RingCommandTimer(RingCommand command, Action<RingCommand> due) : WheelTimer
{
    protected override void Due(long nowMs) => due(command);
}
