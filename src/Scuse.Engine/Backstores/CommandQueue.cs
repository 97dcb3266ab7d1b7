using Scuse.Ring;

namespace Scuse.Engine.Backstores;

/// <summary>
/// Brings commands to the handler in the order they came: finds them blocks in the data area, then a slot in the ring, and keeps them while there is no
/// room or no handler.
/// </summary>
/// <remarks>
/// Touched only by the owning reactor. Two queues: commands that wait for blocks, and commands with their data that wait for a slot. The second is
/// served first: its commands hold blocks that the first may be waiting for.
/// </remarks>
/// <param name="hasMemory">Called when a command has got its blocks.</param>
/// <param name="isTooLarge">Called when a command can never be posted; the queue has let go of it.</param>
sealed class CommandQueue(Action<RingCommand> hasMemory, Action<RingCommand> isTooLarge)
{
    readonly List<RingCommand> _commands = [];
    readonly Stack<RingCommand> _pool = new();
    readonly LinkedList<RingCommand> _wantMemory = new();
    readonly LinkedList<RingCommand> _wantSlot = new();
    long _sequence;

    /// <summary>The handler there is; null while there is none.</summary>
    public HandlerLink? Link { get; private set; }

    /// <summary>Every command there is, those in the pool included.</summary>
    public IReadOnlyList<RingCommand> Commands => _commands;

    /// <summary>An empty command, next in the order.</summary>
    public RingCommand Rent()
    {
        if (!_pool.TryPop(out RingCommand? command))
        {
            command = new RingCommand();
            _commands.Add(command);
        }

        command.Sequence = _sequence++;
        return command;
    }

    /// <summary>Gives back a command that stands in no queue, and its blocks.</summary>
    public void Free(RingCommand command)
    {
        command.Reset();
        _pool.Push(command);
    }

    /// <summary>Finds the command blocks, now or when there is room.</summary>
    public void WantMemory(RingCommand command)
    {
        if (Link is { } link && _wantMemory.First is null && command.Blocks.TryAllocate(link, command.OutLength, command.InLength))
        {
            command.State = RingCommandState.Collecting;
            hasMemory(command);
            return;
        }

        command.State = RingCommandState.WantsMemory;
        _wantMemory.AddLast(command.Place);
    }

    /// <summary>Posts a command that has its data, now or when there is room.</summary>
    public void WantSlot(RingCommand command)
    {
        if (command.Reserved.Link is not null)
        {
            command.MoveToReserved(); // its data came while the handler changed
        }

        command.State = RingCommandState.WantsSlot;
        if (Link is null || _wantSlot.First is not null || command.Blocks.Link != Link || !TryPost(command))
        {
            _wantSlot.AddLast(command.Place);
        }
    }

    /// <summary>Takes a waiting command out of its queue; false when it waits in none.</summary>
    public bool TryWithdraw(RingCommand command)
    {
        switch (command.State)
        {
            case RingCommandState.WantsMemory:
                _wantMemory.Remove(command.Place);
                break;
            case RingCommandState.WantsSlot:
                _wantSlot.Remove(command.Place);
                break;
            default:
                return false;
        }

        command.State = RingCommandState.Collecting;
        return true;
    }

    /// <summary>Serves the queues as far as there is room.</summary>
    public void Pump()
    {
        while (Link is { } link && _wantSlot.First?.Value is { } command && command.Blocks.Link == link)
        {
            _wantSlot.Remove(command.Place);
            if (!TryPost(command))
            {
                _wantSlot.AddFirst(command.Place);
                break;
            }
        }

        while (Link is { } link && _wantMemory.First?.Value is { } command && command.Blocks.TryAllocate(link, command.OutLength, command.InLength))
        {
            _wantMemory.Remove(command.Place);
            command.State = RingCommandState.Collecting;
            hasMemory(command);
        }
    }

    /// <summary>False when the ring is full for now. A command that can never be posted is handed back, which counts as posted.</summary>
    bool TryPost(RingCommand command)
    {
        switch (Link!.TryPost(command))
        {
            case PostResult.Posted:
                command.State = RingCommandState.Posted;
                return true;
            case PostResult.TooLarge:
                command.State = RingCommandState.Answered;
                isTooLarge(command);
                return true;
            default:
                return false;
        }
    }

    // ---- handlers come and go ----

    /// <summary>
    /// A handler takes over: every command that has blocks in an old region gets some in the new one, before anything else is let in. They all fit: the old
    /// region, no larger, held them all at once. Returns how many commands are repeated; <see cref="Pump"/> posts them.
    /// </summary>
    public int Start(HandlerLink link)
    {
        Link = link;
        int repeated = 0;
        foreach (RingCommand command in _commands)
        {
            bool isKept = command.State is RingCommandState.Collecting or RingCommandState.WantsSlot;
            if (!isKept || command.Blocks.Link is null || command.Blocks.Link == link)
            {
                continue;
            }

            command.Reserved.Free();
            if (!command.Reserved.TryAllocate(link, command.OutLength, command.InLength))
            {
                throw new InvalidOperationException("a fresh region is too small for the commands of the one before");
            }

            if (command.State == RingCommandState.WantsSlot)
            {
                repeated++;
                command.MoveToReserved();
            }
        }

        return repeated;
    }

    /// <summary>
    /// The handler is gone: what it had taken and not answered waits for the next one, before everything younger. Returns these commands in their order.
    /// </summary>
    public IReadOnlyList<RingCommand> Stop()
    {
        HandlerLink link = Link!;
        Link = null;
        List<RingCommand> kept = [.. _commands.Where(static command => command.State == RingCommandState.Posted).OrderBy(static command => command.Sequence)];
        link.Retire();
        for (int i = kept.Count - 1; i >= 0; i--)
        {
            kept[i].State = RingCommandState.WantsSlot;
            _wantSlot.AddFirst(kept[i].Place);
        }

        return kept;
    }
}
