extern alias Traced;
using System.Runtime.InteropServices;
using Traced::Scuse.Ring;

namespace Scuse.Simulation.Schedules;

/// <summary>Faults that the sweep must find.</summary>
enum CrashFault
{
    None,

    /// <summary>The handler moves the tail before its answer is written.</summary>
    TailBeforeAnswer,

    /// <summary>The target gives the next handler also what was answered.</summary>
    RepeatAnswered,

    /// <summary>The target forgets what the dead handler had taken.</summary>
    ForgetTaken,

    /// <summary>The next handler goes on in the region of the dead one, as the kernel has it.</summary>
    ReuseRegion,
}

/// <summary>
/// A workload in which the handler ends before the n-th of its accesses to shared memory, for every n; where the access is a copy of several bytes, also
/// in the middle of it. Afterwards everything published counts, and the rest goes to a next handler on a fresh region.
/// </summary>
sealed class CrashSweep(int seed, int ringBytes, MailboxFlags flags, CrashFault fault = CrashFault.None)
{
    const int Commands = 12;

    sealed class CrashException : Exception;

    readonly WorkItem[] _items = [.. Enumerable.Range(0, Commands).Select(static number => new WorkItem(number))];
    readonly Random _random = new(seed);
    long _accesses;
    bool _lastWasCopy;

    /// <summary>Every crash point of one workload; returns how many there were.</summary>
    public static int Run(int seed, int ringBytes, MailboxFlags flags, CrashFault fault = CrashFault.None)
    {
        int points = 0;
        for (long access = 0; ; access++)
        {
            var run = new CrashSweep(seed, ringBytes, flags, fault);
            bool crashed = run.Run(access, torn: false);
            points++;
            if (!crashed)
            {
                return points;
            }

            if (run._lastWasCopy)
            {
                new CrashSweep(seed, ringBytes, flags, fault).Run(access, torn: true);
                points++;
            }
        }
    }

    /// <summary>False when the workload ended before the crash.</summary>
    bool Run(long crashBefore, bool torn)
    {
        try
        {
            using var memory = new TracedMemory(RingLayout.Create(ringBytes, 8 * 4096));
            TargetRing.Format(memory.Address, memory.Layout, flags);
            var target = new TargetSide(memory, flags);
            int posted = 0;
            bool crashed = false;
            try
            {
                Work(memory, target, ref posted, crashBefore, torn);
            }
            catch (CrashException)
            {
                crashed = true;
            }
            finally
            {
                SharedRegion.BeforeAccess = null;
            }

            target.Reap();
            Recover(memory, target, posted);
            foreach (WorkItem item in _items)
            {
                if (item.Answers != 1)
                {
                    throw new BrokenPromiseException($"command {item.Number} was answered {item.Answers} times");
                }
            }

            return crashed;
        }
        catch (Exception exception) when (exception is BrokenPromiseException or RingFormatException or InvalidOperationException)
        {
            throw new BrokenPromiseException($"seed {seed}, ring {ringBytes}, {flags}, crash before access {crashBefore}{(torn ? " half done" : "")}: {exception.Message}");
        }
    }

    /// <summary>Both ends by turns, in an order that the seed says.</summary>
    void Work(TracedMemory memory, TargetSide target, ref int posted, long crashBefore, bool torn)
    {
        Action<string, long, int> hook = (access, offset, length) => OnAccess(memory, access, offset, length, crashBefore, torn);
        HandlerSide? handler = null;
        As(() => handler = new HandlerSide(memory, _items));
        while (posted < Commands || target.Outstanding > 0)
        {
            switch (_random.Next(5))
            {
                case 0:
                    for (int count = _random.Next(1, 4); count > 0 && posted < Commands && target.TryPost(_items[posted]); count--)
                    {
                        posted++;
                    }

                    if (_random.Next(4) == 0)
                    {
                        target.Ring.TryPostTaskManagement(RingAbi.TaskManagementAbortTask, [1, 2]);
                    }

                    break;
                case 1:
                    target.Ring.Publish();
                    break;
                case 2:
                    As(() => handler!.TryTake());
                    break;
                case 3:
                    if (handler!.Taken > 0)
                    {
                        int index = _random.Next(handler.Taken);
                        As(() => handler.Answer(index));
                    }

                    break;
                default:
                    As(() => handler!.Ring.Publish());
                    target.Reap();
                    break;
            }
        }

        void As(Action handlerDoes)
        {
            SharedRegion.BeforeAccess = hook;
            handlerDoes();
            SharedRegion.BeforeAccess = null;
        }
    }

    void OnAccess(TracedMemory memory, string access, long offset, int length, long crashBefore, bool torn)
    {
        if (fault == CrashFault.TailBeforeAnswer && access == nameof(SharedRegion.StorePlain16))
        {
            long slot = offset - RingAbi.CommandIdOffset;
            uint entry = MemoryMarshal.Read<uint>(memory.Bytes[(int)slot..]) & ~7u;
            uint tail = (uint)(slot - memory.Layout.CommandRingOffset) + entry;
            MemoryMarshal.Write(memory.Bytes[RingAbi.CommandTailOffset..], tail == memory.Layout.CommandRingBytes ? 0 : tail);
        }

        if (_accesses++ != crashBefore)
        {
            return;
        }

        _lastWasCopy = access is nameof(SharedRegion.CopyInPlain) or nameof(SharedRegion.ZeroPlain) && length > 1;
        if (torn)
        {
            _random.NextBytes(memory.Bytes.Slice((int)offset, length / 2));
        }

        throw new CrashException();
    }

    void Recover(TracedMemory old, TargetSide target, int posted)
    {
        List<WorkItem> wanted = fault switch
        {
            CrashFault.RepeatAnswered => [.. _items],
            CrashFault.ForgetTaken => [.. _items[posted..]],
            _ => [.. target.Unanswered, .. _items[posted..]],
        };
        if (fault == CrashFault.ReuseRegion)
        {
            var next = new HandlerSide(old, _items);
            target.Ring.Publish();
            Serve(target, next, _items[posted..]);
            return;
        }

        using var fresh = new TracedMemory(RingLayout.Create(ringBytes, 8 * 4096));
        TargetRing.Format(fresh.Address, fresh.Layout, flags);
        var recovered = new TargetSide(fresh, flags);
        Serve(recovered, new HandlerSide(fresh, _items), wanted);
        if (recovered.Area.BlocksInUse != 0)
        {
            throw new BrokenPromiseException($"{recovered.Area.BlocksInUse} blocks are still in use");
        }
    }

    static void Serve(TargetSide target, HandlerSide handler, IReadOnlyList<WorkItem> wanted)
    {
        int next = 0;
        for (int idle = 0; (next < wanted.Count || target.Outstanding > 0) && idle < 3; idle++)
        {
            while (next < wanted.Count && target.TryPost(wanted[next]))
            {
                next++;
                idle = 0;
            }

            target.Ring.Publish();
            while (handler.TryTake())
            {
                idle = 0;
            }

            while (handler.Taken > 0)
            {
                handler.Answer(0);
            }

            handler.Ring.Publish();
            if (target.Reap() > 0)
            {
                idle = 0;
            }
        }
    }
}
