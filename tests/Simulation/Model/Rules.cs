namespace Scuse.Simulation.Model;

/// <summary>Faults planted in the model, each of which the checker must find.</summary>
enum ModelFault
{
    None,

    /// <summary>The next handler is given what was failed at its time limit.</summary>
    RepeatTimedOut,

    /// <summary>The next handler is given what was aborted.</summary>
    RepeatAborted,

    /// <summary>What the lost handler had taken is forgotten.</summary>
    ForgetTaken,

    /// <summary>The next handler gets the region of the one before.</summary>
    ReuseRegion,

    /// <summary>The next handler opens the store while the one before may still write to it.</summary>
    StartBeforeKill,

    /// <summary>A command's block and id are free at its time limit, though the handler still has it.</summary>
    FreeAtTimeLimit,

    /// <summary>A handler that has missed a time limit is given new commands until it is given up, as in the kernel.</summary>
    ServeOnAfterTimeLimit,

    /// <summary>A kept block that the handler frees is free at once, though it is still being sent; and once more when it has been sent.</summary>
    FreeKeptTwice,

    /// <summary>Answers in the region of a lost handler are still taken.</summary>
    ReapAfterDetach,

    /// <summary>The region goes with its handler, though data is still being sent from it.</summary>
    UnmapAtDetach,

    /// <summary>An abort is answered while the handler is at work on the command.</summary>
    AnswerAbortAtOnce,

    /// <summary>A replaced handler is let go before it has answered everything.</summary>
    ReplaceWithoutDrain,

    /// <summary>A handler that survived its engine attaches to the next one before it has finished what it had.</summary>
    AttachBeforeFinishing,

    /// <summary>Ids are given out without looking whether they are in use.</summary>
    SharedIds,
}

/// <summary>What can happen in the model.</summary>
enum Act : byte
{
    Send,
    Allocate,
    Post,
    Publish,
    Take,
    Execute,
    Answer,
    AnswerAndKeep,
    ShowTail,
    Reap,
    Sent,
    FreeKept,
    Abort,
    TimeOut,
    DropHung,
    Crash,
    NoticeDeath,
    Violate,
    Kill,
    Attach,
    Drain,
    EndDrain,
    Replace,
    EngineCrash,
    AttachAgain,
    LateReap,
}

/// <summary>One step of the model.</summary>
/// <param name="What">What happens.</param>
/// <param name="Region">In which region, counted from 1; 0 where it does not matter.</param>
/// <param name="Command">To which command.</param>
readonly record struct Move(Act What, byte Region, byte Command)
{
    public override string ToString()
    {
        string command = Command switch { 0 => "write 1", 1 => "write 2", _ => "the read" };
        return What switch
        {
            Act.Send => $"the initiator sends {command}",
            Act.Allocate => $"{command} gets a block of region {Region}",
            Act.Post => $"{command} is posted in region {Region}",
            Act.Publish => $"the head of region {Region} is shown",
            Act.Take => $"handler {Region} takes {command}",
            Act.Execute => $"handler {Region} executes {command}",
            Act.Answer => $"handler {Region} answers {command}",
            Act.AnswerAndKeep => $"handler {Region} answers {command} and keeps its block",
            Act.ShowTail => $"handler {Region} shows its tail",
            Act.Reap => $"the answer to {command} is reaped from region {Region}",
            Act.LateReap => $"the answer to {command} is reaped from region {Region}, whose handler was lost",
            Act.Sent => $"the answer to {command} has been sent",
            Act.FreeKept => $"handler {Region} frees the block of {command}",
            Act.Abort => $"{command} is aborted",
            Act.TimeOut => $"{command} misses its time limit",
            Act.DropHung => $"handler {Region} is given up: it hangs",
            Act.Crash => $"handler {Region} crashes",
            Act.NoticeDeath => $"the engine notices the death of handler {Region}",
            Act.Violate => $"handler {Region} breaks the rules and is given up",
            Act.Kill => $"handler {Region} is killed",
            Act.Attach => $"a handler attaches with region {Region}",
            Act.Drain => $"region {Region} is drained",
            Act.EndDrain => "the drain is called off",
            Act.Replace => $"handler {Region} has answered everything and ends, to be replaced",
            Act.EngineCrash => "the engine crashes",
            Act.AttachAgain => $"the surviving handler attaches to the next engine with region {Region}",
            _ => What.ToString(),
        };
    }
}

/// <summary>Something that must never happen, in the model.</summary>
sealed class RuleException(string message) : Exception(message);

/// <summary>What can happen in each state of the model, and what follows. The rules are those of docs/ring-abi.md, docs/attach-protocol.md and docs/decisions/0002.</summary>
/// <param name="fault">The planted fault.</param>
/// <param name="engineCrashes">How many crashes of the engine there can be: after one, a handler may attach again.</param>
sealed class Rules(ModelFault fault, int engineCrashes)
{
    /// <summary>No way through fair weather is longer.</summary>
    const int MostSteps = 100;

    // States from which all ends well, and those on the way that is looked at now.
    readonly HashSet<Key> _heals = [];
    readonly List<Key> _wayOn = [];

    /// <summary>Every move that is possible.</summary>
    public void Moves(in World world, List<Move> into)
    {
        into.Clear();
        for (byte c = 0; c < World.CommandCount; c++)
        {
            foreach (Act act in (ReadOnlySpan<Act>)[Act.Send, Act.Allocate, Act.Post, Act.Sent, Act.Abort, Act.TimeOut])
            {
                Add(world, new Move(act, world.Attached, c), into);
            }
        }

        foreach (Act act in (ReadOnlySpan<Act>)[Act.Publish, Act.DropHung, Act.Violate, Act.NoticeDeath, Act.Drain, Act.EndDrain, Act.Replace, Act.EngineCrash])
        {
            Add(world, new Move(act, world.Attached, 0), into);
        }

        for (byte r = 1; r <= World.RegionCount; r++)
        {
            foreach (Act act in (ReadOnlySpan<Act>)[Act.ShowTail, Act.Crash, Act.Kill, Act.AttachAgain])
            {
                Add(world, new Move(act, r, 0), into);
            }

            for (byte c = 0; c < World.CommandCount; c++)
            {
                foreach (Act act in (ReadOnlySpan<Act>)[Act.Take, Act.Execute, Act.Answer, Act.AnswerAndKeep, Act.Reap, Act.LateReap, Act.FreeKept])
                {
                    Add(world, new Move(act, r, c), into);
                }
            }
        }

        Add(world, new Move(Act.Attach, FreeRegion(world), 0), into);
    }

    void Add(in World world, Move move, List<Move> into)
    {
        if (IsPossible(world, move))
        {
            into.Add(move);
        }
    }

    static byte FreeRegion(in World world)
    {
        for (byte r = 1; r <= World.RegionCount; r++)
        {
            if (world.Regions[r - 1].Process == ProcessState.None)
            {
                return r;
            }
        }

        return 0;
    }

    public bool IsPossible(in World world, Move move)
    {
        (Act act, byte r, byte c) = (move.What, move.Region, move.Command);
        ref readonly Command command = ref world.Commands[c];
        ref readonly Region region = ref world.Regions[Math.Max(0, r - 1)];
        EntryState entry = region.Entries[c].State;
        bool isAlive = r > 0 && region.Process == ProcessState.Alive;
        bool isAttached = r > 0 && r == world.Attached;
        switch (act)
        {
            case Act.Send:
                return command.Phase == Phase.NotSent;
            case Act.Allocate:
                return isAttached && command.Phase == Phase.WantsBlock && FreeBlock(world, r) >= 0;
            case Act.Post:
                return isAttached && !world.IsDraining && command.Phase == Phase.WantsSlot && command.Region == r && SlotsUsed(world, r) < World.SlotCount && FreeId(world, r) > 0;
            case Act.Publish:
                return isAttached && Any(region, EntryState.Posted);
            case Act.Take:
                return isAlive && entry == EntryState.Published;
            case Act.Execute:
                return isAlive && entry == EntryState.Taken;
            case Act.Answer:
                return isAlive && entry == EntryState.Executed;
            case Act.AnswerAndKeep:
                return isAlive && c == World.Read && entry == EntryState.Executed;
            case Act.ShowTail:
                return isAlive && Any(region, EntryState.Answered);
            case Act.Reap:
                return isAttached && entry == EntryState.Shown;
            case Act.LateReap:
                return fault == ModelFault.ReapAfterDetach && r > 0 && !isAttached && entry == EntryState.Shown;
            case Act.Sent:
                return command.Phase == Phase.Sending;
            case Act.FreeKept:
                return isAlive && isAttached && entry == EntryState.Kept;
            case Act.Abort:
                return command.Phase is Phase.WantsBlock or Phase.WantsSlot or Phase.Posted && !command.IsUnwanted;
            case Act.TimeOut:
                return command.Phase is Phase.WantsBlock or Phase.WantsSlot or Phase.Posted;
            case Act.DropHung:
                return isAttached && HasPhase(world, Phase.Overdue);
            case Act.Crash:
                return isAlive && isAttached && world.LossesLeft > 0;
            case Act.NoticeDeath:
                return isAttached && region.Process == ProcessState.Dead;
            case Act.Violate:
                return isAttached && isAlive && world.LossesLeft > 0;
            case Act.Kill:
                return isAlive && !isAttached;
            case Act.Attach:
                return world.Attached == 0 && (r > 0 || fault == ModelFault.ReuseRegion) && (fault == ModelFault.StartBeforeKill || !AnyAlive(world));
            case Act.Drain:
                return isAttached && !world.IsDraining && world.LossesLeft > 0;
            case Act.EndDrain:
                return world.IsDraining;
            case Act.Replace:
                return isAttached && isAlive && world.IsDraining && (SlotsUsed(world, r) == 0 || fault == ModelFault.ReplaceWithoutDrain);
            case Act.EngineCrash:
                return world.EngineCrashesLeft > 0;
            case Act.AttachAgain:
                // A handler finishes what it had, and takes nothing more, before it attaches again; it is the only one that has the store.
                return world.Attached == 0 && isAlive && world.EngineCrashesLeft < engineCrashes && FreeRegion(world) > 0 && OnlyAlive(world, r)
                    && (fault == ModelFault.AttachBeforeFinishing || !Any(region, EntryState.Taken));
            default:
                return false;
        }
    }

    /// <summary>The state after a move. Throws when the move does what must never be done.</summary>
    public void Do(ref World world, Move move)
    {
        (Act act, byte r, byte c) = (move.What, move.Region, move.Command);
        ref Command command = ref world.Commands[c];
        ref Region region = ref world.Regions[Math.Max(0, r - 1)];
        ref Entry entry = ref region.Entries[c];
        switch (act)
        {
            case Act.Send:
                command.Phase = Phase.WantsBlock;
                Begins(ref world, c);
                break;
            case Act.Allocate:
                command.Block = (byte)FreeBlock(world, r);
                command.Region = r;
                command.Phase = Phase.WantsSlot;
                region.Contents[command.Block] = c == World.Read ? World.Junk : World.ValueOf(c);
                break;
            case Act.Post:
                command.Id = FreeId(world, r);
                command.Phase = Phase.Posted;
                entry = new Entry { State = EntryState.Posted, Id = command.Id, Block = command.Block };
                break;
            case Act.Publish:
                Move(ref region, EntryState.Posted, EntryState.Published);
                break;
            case Act.Take:
                entry.State = EntryState.Taken;
                break;
            case Act.Execute:
                entry.State = EntryState.Executed;
                Execute(ref world, ref region, c, entry.Block);
                break;
            case Act.Answer:
                entry.State = EntryState.Answered;
                break;
            case Act.AnswerAndKeep:
                entry.State = EntryState.Answered;
                region.KeepsRead = true;
                break;
            case Act.ShowTail:
                Move(ref region, EntryState.Answered, EntryState.Shown);
                break;
            case Act.Reap or Act.LateReap:
                Reap(ref world, r, c);
                break;
            case Act.Sent:
                Sent(ref world, c);
                break;
            case Act.FreeKept:
                entry = default;
                region.KeepsRead = false;
                LetGoOfKept(ref world, c, freeAtOnce: fault == ModelFault.FreeKeptTwice);
                break;
            case Act.Abort:
                Abort(ref world, c);
                break;
            case Act.TimeOut:
                TimeOut(ref world, c);
                break;
            case Act.DropHung:
                Lose(ref world);
                break;
            case Act.Violate:
                world.LossesLeft--;
                Lose(ref world);
                break;
            case Act.Crash:
                world.LossesLeft--;
                region.Process = ProcessState.Dead;
                break;
            case Act.NoticeDeath:
                for (byte i = 0; i < World.CommandCount; i++)
                {
                    if (region.Entries[i].State == EntryState.Shown)
                    {
                        Reap(ref world, r, i); // what it answered before it died is answered
                    }
                }

                if (world.Attached == r)
                {
                    Lose(ref world);
                }

                break;
            case Act.Kill:
                region.Process = ProcessState.Dead;
                break;
            case Act.Attach:
                Attach(ref world, r);
                break;
            case Act.Drain:
                world.LossesLeft--;
                world.IsDraining = true;
                break;
            case Act.EndDrain:
                world.IsDraining = false;
                break;
            case Act.Replace:
                region.Process = ProcessState.Dead;
                if (fault == ModelFault.ReplaceWithoutDrain)
                {
                    world.Attached = 0;
                    world.IsDraining = false;
                }
                else
                {
                    Lose(ref world);
                }

                break;
            case Act.EngineCrash:
                CrashEngine(ref world);
                break;
            case Act.AttachAgain:
                AttachAgain(ref world, r);
                break;
        }

        TidyUp(ref world);
    }

    // ---- the handler ----

    static void Execute(ref World world, ref Region region, int c, int block)
    {
        if (c == World.Read)
        {
            region.Contents[block] = world.Medium;
            return;
        }

        byte value = region.Contents[block];
        if (value == World.Junk)
        {
            throw new RuleException("a handler writes what nobody sent: the block of its command was somebody else's");
        }

        world.Medium = value;
    }

    // ---- the engine ----

    void Reap(ref World world, byte r, byte c)
    {
        ref Region region = ref world.Regions[r - 1];
        Entry entry = region.Entries[c];
        bool keeps = c == World.Read && region.KeepsRead;
        if (r != world.Attached)
        {
            throw new RuleException("an answer of a lost handler reaches somebody");
        }

        // The engine knows answers by their ids alone.
        int known = -1;
        for (int i = 0; i < World.CommandCount; i++)
        {
            if (world.Commands[i].Phase is Phase.Posted or Phase.Overdue && world.Commands[i].Region == r && world.Commands[i].Id == entry.Id)
            {
                known = i;
            }
        }

        if (known < 0)
        {
            region.Entries[c] = default;
            Lose(ref world); // an id that is not outstanding
            return;
        }

        region.Entries[c] = keeps ? entry with { State = EntryState.Kept } : default;
        ref Command command = ref world.Commands[known];
        command.IsKept = keeps;
        if (command.Phase == Phase.Overdue || command.IsUnwanted)
        {
            if (command.Phase != Phase.Overdue)
            {
                Tell(ref world, known, Told.Aborted);
            }

            Release(ref command);
        }
        else
        {
            command.Phase = Phase.Sending;
        }
    }

    /// <summary>The last byte of the answer is out: the initiator has it.</summary>
    static void Sent(ref World world, int c)
    {
        ref Command command = ref world.Commands[c];
        if (c == World.Read)
        {
            byte value = world.Regions[command.Region - 1].Contents[command.Block];
            if (value == World.Junk || (world.View & (1 << value)) == 0)
            {
                throw new RuleException(value == World.Junk
                    ? "a read returns what was never read: its block was not its own any more, or not mapped"
                    : $"a read returns {value}, which the medium cannot have held for it");
            }
        }

        Tell(ref world, c, Told.Good);
        Release(ref command);
    }

    /// <summary>The command is over; its block is free, unless the handler keeps it.</summary>
    static void Release(ref Command command)
    {
        if (command.IsKept)
        {
            command.Phase = Phase.Kept;
            return;
        }

        command.Phase = Phase.Done;
        command.Region = command.Block = command.Id = 0;
    }

    static void LetGoOfKept(ref World world, int c, bool freeAtOnce)
    {
        ref Command command = ref world.Commands[c];
        command.IsKept = false;
        if (command.Phase == Phase.Kept || freeAtOnce)
        {
            if (command.Phase == Phase.Sending)
            {
                // Its block is free, and it does not know.
                world.Regions[command.Region - 1].Contents[command.Block] = World.Junk;
                return;
            }

            Release(ref command);
        }
    }

    void Abort(ref World world, int c)
    {
        ref Command command = ref world.Commands[c];
        if (command.Phase == Phase.Posted && fault != ModelFault.AnswerAbortAtOnce)
        {
            command.IsUnwanted = true; // answered when the handler has let go of it
            return;
        }

        Tell(ref world, c, Told.Aborted);
        if (command.Phase == Phase.Posted)
        {
            command.Phase = Phase.Overdue;
        }
        else
        {
            Release(ref command);
        }
    }

    void TimeOut(ref World world, int c)
    {
        ref Command command = ref world.Commands[c];
        Tell(ref world, c, command.IsUnwanted ? Told.Aborted : Told.Failed);
        if (command.Phase != Phase.Posted || fault == ModelFault.FreeAtTimeLimit)
        {
            Release(ref command);
            return;
        }

        command.Phase = Phase.Overdue;
        if (fault != ModelFault.ServeOnAfterTimeLimit)
        {
            Lose(ref world); // before anybody can have heard of it and have sent something new
        }
    }

    /// <summary>The handler is given up or gone: what it had waits for the next one, but for what nobody waits for.</summary>
    void Lose(ref World world)
    {
        byte r = world.Attached;
        world.Attached = 0;
        world.IsDraining = false;
        ref Region region = ref world.Regions[r - 1];
        for (int c = 0; c < World.CommandCount; c++)
        {
            ref Command command = ref world.Commands[c];
            if (command.IsKept)
            {
                LetGoOfKept(ref world, c, freeAtOnce: false);
            }

            if (region.Entries[c].State is EntryState.Posted or EntryState.Kept)
            {
                region.Entries[c] = default; // never shown, or not asked for any more
            }

            switch (command.Phase)
            {
                case Phase.Posted when fault == ModelFault.ForgetTaken:
                    break;
                case Phase.Posted when command.IsUnwanted:
                    Tell(ref world, c, Told.Aborted);
                    command.IsUnwanted = false;
                    if (fault == ModelFault.RepeatAborted)
                    {
                        command.Phase = Phase.WantsSlot;
                    }
                    else
                    {
                        Release(ref command);
                    }

                    break;
                case Phase.Posted:
                    command.Phase = Phase.WantsSlot;
                    command.Id = 0;
                    break;
                case Phase.Overdue when fault == ModelFault.RepeatTimedOut:
                    command.Phase = Phase.WantsSlot;
                    break;
                case Phase.Overdue:
                    Release(ref command);
                    break;
            }
        }

        region.KeepsRead = false;
        if (fault == ModelFault.UnmapAtDetach)
        {
            for (int b = 0; b < World.BlockCount; b++)
            {
                region.Contents[b] = World.Junk;
            }
        }
    }

    void Attach(ref World world, byte r)
    {
        if (fault == ModelFault.ReuseRegion)
        {
            // The first one again, with an account in which everything is free.
            r = 1;
            world.Regions[0].Process = ProcessState.Alive;
            world.Regions[0].Entries = default;
        }
        else
        {
            world.Regions[r - 1] = new Region { Process = ProcessState.Alive };
            world.Regions[r - 1].Contents[0] = world.Regions[r - 1].Contents[1] = World.Junk;
        }

        world.Attached = r;
        int block = 0;
        for (int c = 0; c < World.CommandCount; c++)
        {
            ref Command command = ref world.Commands[c];
            if (command.Phase == Phase.WantsSlot)
            {
                byte data = c == World.Read ? World.Junk : world.Regions[command.Region - 1].Contents[command.Block];
                if (block == World.BlockCount)
                {
                    throw new RuleException("a fresh region is too small for the commands of the one before");
                }

                command.Region = r;
                command.Block = (byte)block++;
                world.Regions[r - 1].Contents[command.Block] = data;
            }
        }
    }

    /// <summary>Sessions and commands are gone with the engine; handlers are not, and have what they had.</summary>
    static void CrashEngine(ref World world)
    {
        world.EngineCrashesLeft--;
        world.Attached = 0;
        world.IsDraining = false;
        for (int c = 0; c < World.CommandCount; c++)
        {
            ref Command command = ref world.Commands[c];
            if (command.Phase == Phase.NotSent)
            {
                continue;
            }

            if (command.Told == Told.Nothing)
            {
                Tell(ref world, c, Told.Failed);
            }

            command.IsKept = command.IsUnwanted = false;
            Release(ref command);
        }

        for (int r = 0; r < World.RegionCount; r++)
        {
            for (int c = 0; c < World.CommandCount; c++)
            {
                if (world.Regions[r].Entries[c].State is EntryState.Posted or EntryState.Kept)
                {
                    world.Regions[r].Entries[c] = default;
                }
            }
        }
    }

    void AttachAgain(ref World world, byte old)
    {
        byte r = FreeRegion(world);
        Attach(ref world, r);
        if (fault != ModelFault.AttachBeforeFinishing)
        {
            // The same process, which has let go of the old region; answers may still be sent from it.
            world.Regions[old - 1].Process = ProcessState.Dead;
        }
    }

    /// <summary>A dead handler does nothing any more: its entries are of no interest, nor is its region once nobody sends from it.</summary>
    void TidyUp(ref World world)
    {
        for (byte r = 1; r <= World.RegionCount; r++)
        {
            ref Region region = ref world.Regions[r - 1];
            if (r == world.Attached || region.Process != ProcessState.Dead)
            {
                continue;
            }

            for (int c = 0; c < World.CommandCount; c++)
            {
                if (region.Entries[c].State != EntryState.Shown || fault != ModelFault.ReapAfterDetach)
                {
                    region.Entries[c] = default;
                }
            }

            bool isUsed = false;
            for (int c = 0; c < World.CommandCount; c++)
            {
                isUsed |= world.Commands[c].Region == r;
            }

            if (!isUsed)
            {
                region = default;
            }
        }
    }

    // ---- what initiators may rely on: the same as for the storms ----

    static void Begins(ref World world, int c)
    {
        if (c == World.Read)
        {
            world.View = (byte)(world.Candidates | Open(world));
            return;
        }

        int other = 1 - c;
        if (world.Commands[other].Told != Told.Nothing)
        {
            world.EndedBeforeOther |= (byte)(1 << other);
        }

        if (world.Commands[World.Read].Phase != Phase.NotSent && world.Commands[World.Read].Told == Told.Nothing)
        {
            world.View |= (byte)(1 << World.ValueOf(c));
        }
    }

    /// <summary>A bit for the value of each write that was sent and not told.</summary>
    static int Open(in World world)
    {
        int open = 0;
        for (int c = 0; c < World.Read; c++)
        {
            if (world.Commands[c].Phase != Phase.NotSent && world.Commands[c].Told == Told.Nothing)
            {
                open |= 1 << World.ValueOf(c);
            }
        }

        return open;
    }

    static void Tell(ref World world, int c, Told what)
    {
        ref Command command = ref world.Commands[c];
        if (command.Told != Told.Nothing)
        {
            throw new RuleException($"a command is answered twice: {command.Told}, then {what}");
        }

        command.Told = what;
        if (c == World.Read)
        {
            world.View = 0;
            return;
        }

        if (what == Told.Good)
        {
            int other = 1 - c;
            world.Candidates &= 0b110; // what was there in the beginning is gone
            if ((world.EndedBeforeOther & (1 << other)) != 0)
            {
                world.Candidates &= (byte)~(1 << World.ValueOf(other));
            }
        }

        world.Candidates |= (byte)(1 << World.ValueOf(c));
    }

    /// <summary>What holds in every state. Null when it does.</summary>
    public static string? Check(in World world)
    {
        if (((world.Candidates | Open(world)) & (1 << world.Medium)) == 0)
        {
            return $"the medium holds {world.Medium}: an acknowledged write was lost or undone, or one took effect after its end was told";
        }

        for (int c = 0; c < World.CommandCount; c++)
        {
            ref readonly Command command = ref world.Commands[c];
            if (command.Region == 0)
            {
                continue;
            }

            for (int d = c + 1; d < World.CommandCount; d++)
            {
                if (world.Commands[d].Region == command.Region && world.Commands[d].Block == command.Block)
                {
                    return "two commands use one block";
                }
            }
        }

        for (int r = 1; r <= World.RegionCount; r++)
        {
            ref readonly Region region = ref world.Regions[r - 1];
            for (int c = 0; c < World.CommandCount; c++)
            {
                Entry entry = region.Entries[c];
                if (entry.State == EntryState.None)
                {
                    continue;
                }

                bool mayStillWrite = region.Process == ProcessState.Alive && entry.State is EntryState.Published or EntryState.Taken;
                for (int d = 0; d < World.CommandCount; d++)
                {
                    if (d != c && mayStillWrite && world.Commands[d].Region == r && world.Commands[d].Block == entry.Block)
                    {
                        return "a command was given a block that a handler may still write to for another one";
                    }

                    if (d != c && r == world.Attached && region.Entries[d].State != EntryState.None && region.Entries[d].Id == entry.Id)
                    {
                        return "one id stands for two commands";
                    }
                }
            }
        }

        return null;
    }

    // ---- fair weather ----

    // Nothing is sent, lost or aborted any more; everybody does the next thing there is to do.
    static readonly Act[] Healing =
    [
        Act.Kill, Act.NoticeDeath, Act.EndDrain, Act.Sent, Act.Reap, Act.ShowTail, Act.Answer, Act.Execute, Act.Take, Act.Publish, Act.FreeKept, Act.Post, Act.Allocate, Act.Attach,
    ];

    /// <summary>Whether from here, with nothing going wrong any more, everything is answered and nothing stays in use. Null if so.</summary>
    public string? CheckProgress(World world)
    {
        _wayOn.Clear();
        while (true)
        {
            Key key = world.ToKey();
            if (_heals.Contains(key))
            {
                break;
            }

            if (_wayOn.Count > MostSteps)
            {
                return "in fair weather things go round in circles";
            }

            _wayOn.Add(key);
            if (!TryHeal(ref world))
            {
                if (Stuck(world) is { } stuck)
                {
                    return stuck;
                }

                break;
            }
        }

        _heals.UnionWith(_wayOn);
        return null;
    }

    static string? Stuck(in World world)
    {
        for (int c = 0; c < World.CommandCount; c++)
        {
            ref readonly Command command = ref world.Commands[c];
            if (command.Phase is not (Phase.NotSent or Phase.Done) || command.Region != 0)
            {
                return $"in fair weather {new Move(Act.Send, 0, (byte)c).ToString()[20..]} stays {command.Phase} for ever";
            }
        }

        return Check(world);
    }

    bool TryHeal(ref World world)
    {
        foreach (Act act in Healing)
        {
            for (byte r = 0; r <= World.RegionCount; r++)
            {
                for (byte c = 0; c < World.CommandCount; c++)
                {
                    var move = new Move(act, act == Act.Attach ? FreeRegion(world) : r, c);
                    if (IsPossible(world, move))
                    {
                        Do(ref world, move);
                        return true;
                    }
                }
            }
        }

        return false;
    }

    // ---- looking ----

    static bool Any(in Region region, EntryState state)
    {
        for (int c = 0; c < World.CommandCount; c++)
        {
            if (region.Entries[c].State == state)
            {
                return true;
            }
        }

        return false;
    }

    static void Move(ref Region region, EntryState from, EntryState to)
    {
        for (int c = 0; c < World.CommandCount; c++)
        {
            if (region.Entries[c].State == from)
            {
                region.Entries[c].State = to;
            }
        }
    }

    static bool HasPhase(in World world, Phase phase)
    {
        for (int c = 0; c < World.CommandCount; c++)
        {
            if (world.Commands[c].Phase == phase)
            {
                return true;
            }
        }

        return false;
    }

    static bool AnyAlive(in World world)
    {
        for (int r = 0; r < World.RegionCount; r++)
        {
            if (world.Regions[r].Process == ProcessState.Alive)
            {
                return true;
            }
        }

        return false;
    }

    static bool OnlyAlive(in World world, byte region)
    {
        for (int r = 1; r <= World.RegionCount; r++)
        {
            if (r != region && world.Regions[r - 1].Process == ProcessState.Alive)
            {
                return false;
            }
        }

        return true;
    }

    static int SlotsUsed(in World world, byte r)
    {
        int used = 0;
        for (int c = 0; c < World.CommandCount; c++)
        {
            if (world.Regions[r - 1].Entries[c].State is not (EntryState.None or EntryState.Kept))
            {
                used++;
            }
        }

        return used;
    }

    static int FreeBlock(in World world, byte r)
    {
        for (int b = 0; b < World.BlockCount; b++)
        {
            bool isFree = true;
            for (int c = 0; c < World.CommandCount; c++)
            {
                isFree &= world.Commands[c].Region != r || world.Commands[c].Block != b;
            }

            if (isFree)
            {
                return b;
            }
        }

        return -1;
    }

    byte FreeId(in World world, byte r)
    {
        for (byte id = 1; id <= World.IdCount; id++)
        {
            bool isFree = true;
            for (int c = 0; c < World.CommandCount; c++)
            {
                // What counts is the engine's own account.
                isFree &= world.Commands[c].Region != r || world.Commands[c].Id != id;
            }

            if (isFree || fault == ModelFault.SharedIds)
            {
                return id;
            }
        }

        return 0;
    }
}
