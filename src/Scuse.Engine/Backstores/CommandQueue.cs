using Scuse.Ring;
using Scuse.Target;

namespace Scuse.Engine.Backstores;

/// <summary>Whose commands a <see cref="CommandQueue"/> keeps.</summary>
interface ICommandQueueOwner
{
    /// <summary>Where deadlines are kept, and the clock they go by.</summary>
    TimerWheel Timers { get; }

    /// <summary>Milliseconds on that clock.</summary>
    long NowMs { get; }

    /// <summary>Nanoseconds on the clock that commands' times are measured by.</summary>
    long NowNs { get; }

    /// <summary>A command has got its blocks.</summary>
    void HasMemory(RingCommand command);

    /// <summary>A command can never be posted; the queue has let go of it.</summary>
    void IsTooLarge(RingCommand command);

    /// <summary>A command has waited for room as long as it may; the queue has let go of it.</summary>
    void IsQueueFull(RingCommand command);
}

/// <summary>
/// Brings commands to the handler in the order they came: finds them blocks in the data area, then a slot in the ring, and keeps them while there is no
/// room or no handler.
/// </summary>
/// <remarks>
/// Touched only by the owning reactor. Two queues: commands that wait for blocks, and commands with their data that wait for a slot. The second is
/// served first: its commands hold blocks that the first may be waiting for. Beside them stand those that are set aside before a drain.
/// </remarks>
/// <param name="owner">Hears of what becomes of commands.</param>
/// <param name="queueFullMs">How long a command may wait for room, in milliseconds; 0: not at all; -1: as long as its time limit lets it.</param>
/// <param name="dataAreaBytes">The size of every handler's data area.</param>
sealed class CommandQueue(ICommandQueueOwner owner, int queueFullMs, long dataAreaBytes)
{
    readonly List<RingCommand> _commands = [];
    readonly Stack<RingCommand> _pool = new();
    readonly LinkedList<RingCommand> _wantMemory = new();
    readonly LinkedList<RingCommand> _wantSlot = new();
    readonly LinkedList<RingCommand> _setAside = new();
    long _sequence;

    /// <summary>The handler there is; null while there is none.</summary>
    public HandlerLink? Link { get; private set; }

    /// <summary>Whether nothing is posted for now: commands gather, and go on when it ends and <see cref="Pump"/> is called.</summary>
    public bool IsPaused { get; set; }

    /// <summary>Whether only commands that are answered promptly are posted; the others are set aside until it ends.</summary>
    public bool IsPromptOnly
    {
        get;
        set
        {
            field = value;
            while (!value && _setAside.Last is { } last)
            {
                _setAside.RemoveLast();
                _wantSlot.AddFirst(last); // they have waited long enough
            }
        }
    }

    /// <summary>Whether waiting counts against the commands: not while a handler is replaced, which is none of the initiator's business.</summary>
    public bool IsWaitingLimited { get; set; } = true;

    /// <summary>Every command there is, those in the pool included.</summary>
    public IReadOnlyList<RingCommand> Commands => _commands;

    /// <summary>How many commands are marked with <see cref="MarkShared"/>.</summary>
    public int Shared { get; private set; }

    /// <summary>What becomes of the command concerns other threads than the owner's.</summary>
    public void MarkShared(RingCommand command)
    {
        if (!command.IsShared)
        {
            command.IsShared = true;
            Shared++;
        }
    }

    /// <summary>The command is answered, and concerns nobody any more.</summary>
    public void Unmark(RingCommand command)
    {
        if (command.IsShared)
        {
            command.IsShared = false;
            Shared--;
        }
    }

    /// <summary>How many commands wait for blocks or for a slot.</summary>
    public int Waiting => _wantMemory.Count + _wantSlot.Count + _setAside.Count;

    /// <summary>Whether the handler has a command that it need not answer promptly.</summary>
    public bool HasSlowPosted =>
        _commands.Exists(static command => command is { State: RingCommandState.Posted, HasOwner: true } && !PromptCommands.Includes(command.Cdb));

    /// <summary>An empty command, next in the order.</summary>
    public RingCommand Rent()
    {
        if (!_pool.TryPop(out RingCommand? command))
        {
            command = new RingCommand();
            _commands.Add(command);
        }

        command.Sequence = _sequence++;
        command.ArrivedMs = owner.NowMs;
        command.Times.Begin(owner.NowNs);
        return command;
    }

    /// <summary>Gives back a command that stands in no queue, and its blocks.</summary>
    public void Free(RingCommand command)
    {
        if (command.Deadline is { } deadline)
        {
            TimerWheel.Clear(deadline);
        }

        Unmark(command);
        command.Reset();
        _pool.Push(command);
    }

    /// <summary>Finds the command blocks, now or when there is room.</summary>
    public void WantMemory(RingCommand command)
    {
        if (BlockBytes(command.OutLength) + BlockBytes(command.InLength) > BlockBytes(dataAreaBytes))
        {
            command.State = RingCommandState.Answered; // in vain it would wait, and all others behind it
            owner.IsTooLarge(command);
            return;
        }

        if (Link is { } link && _wantMemory.First is null && command.TryAllocate(link))
        {
            command.State = RingCommandState.Collecting;
            owner.HasMemory(command);
            return;
        }

        Wait(command, RingCommandState.WantsMemory, _wantMemory);
    }

    static long BlockBytes(long bytes) => RingAbi.RoundUp(bytes, RingAbi.PageBytes);

    /// <summary>Posts a command that has its data, now or when there is room.</summary>
    public void WantSlot(RingCommand command)
    {
        if (command.Reserved.Link is not null)
        {
            command.MoveToReserved(); // its data came while the handler changed
        }

        command.State = RingCommandState.WantsSlot;
        if (IsToBeSetAside(command))
        {
            Wait(command, RingCommandState.WantsSlot, _setAside);
        }
        else if (Link is null || IsPaused || _wantSlot.First is not null || command.Blocks.Link != Link || !TryPost(command))
        {
            Wait(command, RingCommandState.WantsSlot, _wantSlot);
        }
    }

    bool IsToBeSetAside(RingCommand command) => IsPromptOnly && !PromptCommands.Includes(command.Cdb);

    void Wait(RingCommand command, RingCommandState state, LinkedList<RingCommand> queue)
    {
        command.State = state;
        queue.AddLast(command.Place);
        if (queueFullMs == 0 && IsFull)
        {
            GiveUpWaiting(command);
        }
        else if (queueFullMs > 0)
        {
            owner.Timers.Set(command.QueueLimit ??= new RingCommandTimer(command, QueueLimitReached), owner.NowMs + queueFullMs);
        }
    }

    /// <summary>Whether who waits now waits for room, and not for a handler.</summary>
    bool IsFull => Link is not null && IsWaitingLimited;

    void QueueLimitReached(RingCommand command)
    {
        if (command.WasPosted)
        {
            return; // TASK SET FULL says that a command was not executed, which nobody knows of this one
        }

        if (IsFull)
        {
            GiveUpWaiting(command);
        }
        else
        {
            owner.Timers.Set(command.QueueLimit!, owner.NowMs + queueFullMs);
        }
    }

    void GiveUpWaiting(RingCommand command)
    {
        TryWithdraw(command);
        owner.IsQueueFull(command);
    }

    /// <summary>Takes a waiting command out of its queue; false when it waits in none.</summary>
    public static bool TryWithdraw(RingCommand command)
    {
        if (command.State is not (RingCommandState.WantsMemory or RingCommandState.WantsSlot))
        {
            return false;
        }

        Leave(command);
        command.State = RingCommandState.Collecting;
        return true;
    }

    static void Leave(RingCommand command)
    {
        command.Place.List!.Remove(command.Place);
        if (command.QueueLimit is { } limit)
        {
            TimerWheel.Clear(limit);
        }
    }

    /// <summary>Serves the queues as far as there is room.</summary>
    public void Pump()
    {
        while (!IsPaused && Link is { } link && _wantSlot.First?.Value is { } command && command.Blocks.Link == link)
        {
            _wantSlot.Remove(command.Place);
            if (IsToBeSetAside(command))
            {
                _setAside.AddLast(command.Place);
            }
            else if (!TryPost(command))
            {
                _wantSlot.AddFirst(command.Place);
                break;
            }
        }

        while (Link is { } link && _wantMemory.First?.Value is { } command && command.TryAllocate(link))
        {
            Leave(command);
            command.State = RingCommandState.Collecting;
            owner.HasMemory(command);
        }
    }

    /// <summary>False when the ring is full for now. A command that can never be posted is handed back, which counts as posted.</summary>
    bool TryPost(RingCommand command)
    {
        PostResult result = Link!.TryPost(command);
        if (result is PostResult.RingFull or PostResult.NoFreeId)
        {
            return false;
        }

        if (command.QueueLimit is { } limit)
        {
            TimerWheel.Clear(limit);
        }

        if (result == PostResult.Posted)
        {
            command.State = RingCommandState.Posted;
            command.WasPosted = true;
            command.PostedMs = owner.NowMs;
            command.Times.Waited(owner.NowNs);
        }
        else
        {
            command.State = RingCommandState.Answered;
            owner.IsTooLarge(command);
        }

        return true;
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

            if (!command.TryReserve(link))
            {
                throw new InvalidOperationException("a fresh region is too small for the commands of the one before");
            }

            if (command.State == RingCommandState.WantsSlot)
            {
                repeated += command.WasPosted ? 1 : 0;
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
