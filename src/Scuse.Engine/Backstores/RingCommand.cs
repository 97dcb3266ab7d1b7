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

    /// <summary>Whether the handler was told that nobody waits for it any more.</summary>
    public bool IsAbortTold { get; set; }

    /// <summary>The id in the ring while posted.</summary>
    public ushort Id { get; set; }

    public int OutLength { get; set; }

    public int InLength { get; set; }

    /// <summary>The blocks it holds.</summary>
    public RegionBlocks Blocks { get; private set; } = new();

    /// <summary>Blocks set aside in a newer region, for when the data has arrived in the old one.</summary>
    public RegionBlocks Reserved { get; private set; } = new();

    public ReadOnlySpan<byte> Cdb => Call is { } call ? call.Cdb : Task!.Cdb;

    /// <summary>The command's place in the queue it waits in; it brings it, so that waiting allocates nothing.</summary>
    public LinkedListNode<RingCommand> Place { get; }

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

    public void Reset()
    {
        Blocks.Free();
        Reserved.Free();
        Task = null;
        Call = null;
        IsAbortTold = false;
        State = RingCommandState.Free;
    }
}

/// <summary>A read, write or other command that the engine's device server has the handler do.</summary>
sealed class DeviceCall(byte[] cdb, DataBuffer from, DataBuffer into, long arrivedMs)
{
    readonly TaskCompletionSource<ScsiResult> _completion = new(); // continues on the reactor, inside the reaping

    public byte[] Cdb { get; } = cdb;

    public DataBuffer From { get; } = from;

    public DataBuffer Into { get; } = into;

    public long ArrivedMs { get; } = arrivedMs;

    public ValueTask<ScsiResult> Completion => new(_completion.Task);

    public void Complete(ScsiResult result) => _completion.SetResult(result);
}
