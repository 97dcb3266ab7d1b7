extern alias Traced;
using System.Globalization;
using System.Runtime.ExceptionServices;
using Traced::Scuse.Ring;

namespace Scuse.Simulation.Schedules;

/// <summary>Faults that the exploration must find: in the protocol's use, or in the order of accesses.</summary>
enum DuelFault
{
    None,

    /// <summary>The handler does not look once more after it has said that it will sleep.</summary>
    HandlerSleepsAtOnce,

    /// <summary>The target does not look once more after it has said that it will sleep.</summary>
    TargetSleepsAtOnce,

    /// <summary>The handler silences its doorbell after its last look at the ring.</summary>
    HandlerSilencesLate,

    /// <summary>The target looks at the handler's flag before it publishes.</summary>
    TargetLooksEarly,

    /// <summary>No fence does anything.</summary>
    NoFences,

    /// <summary>Release stores are plain.</summary>
    NoReleases,

    /// <summary>Acquire loads are plain.</summary>
    NoAcquires,
}

/// <summary>Where a schedule leaves the beaten track: at which access, and what is done otherwise.</summary>
/// <param name="Point">The number of the point of decision.</param>
/// <param name="Kind">Which other way.</param>
readonly record struct Deviation(int Point, DeviationKind Kind)
{
    public override string ToString() => Point.ToString(CultureInfo.InvariantCulture) + (Kind == DeviationKind.Switch ? "s" : "v");

    public static Deviation Parse(string text) =>
        new(int.Parse(text.AsSpan(0, text.Length - 1), CultureInfo.InvariantCulture), text[^1] == 's' ? DeviationKind.Switch : DeviationKind.Visibility);
}

[Flags]
enum DeviationKind : byte
{
    None = 0,

    /// <summary>The other end runs on instead.</summary>
    Switch = 1,

    /// <summary>A store that would be seen now is seen later, or the other way round.</summary>
    Visibility = 2,
}

/// <summary>What the two ends do in an exploration.</summary>
/// <param name="Name">For people.</param>
/// <param name="Commands">How many commands go through the ring.</param>
/// <param name="RingBytes">How large it is.</param>
/// <param name="Window">How many commands the target posts at most before it waits for answers.</param>
/// <param name="AnswersLast">Whether the handler takes all there is before it answers, the youngest first.</param>
/// <param name="Notices">Whether task management notices are posted in between.</param>
sealed record Scenario(string Name, int Commands, int RingBytes, int Window, bool AnswersLast = false, bool Notices = false)
{
    public static IReadOnlyList<Scenario> All { get; } =
    [
        new("one-by-one", Commands: 2, RingBytes: 264, Window: 1),
        new("full-ring", Commands: 3, RingBytes: 264, Window: 3),
        new("out-of-order", Commands: 3, RingBytes: 456, Window: 3, AnswersLast: true),
        new("notices", Commands: 2, RingBytes: 456, Window: 2, Notices: true),
    ];
}

/// <summary>
/// Both ends of a ring, each on a thread and a <see cref="Processor"/> of its own, of which only ever one runs: who, is decided at each access to shared
/// memory. The same deviations give the same run.
/// </summary>
sealed class Duel : IDisposable
{
    const MailboxFlags Flags = MailboxFlags.OutOfOrder | MailboxFlags.ReadLength | MailboxFlags.TaskManagement;
    const int Target = 0, Handler = 1;

    sealed class RunEndedException : Exception;

    readonly Scenario _scenario;
    readonly DuelFault _fault;
    readonly bool _onlyAtMailbox;
    readonly SemaphoreSlim[] _mayRun = [new(0), new(0)];
    readonly SemaphoreSlim _ended = new(0);
    readonly Thread[] _threads;
    readonly Processor[] _processors = new Processor[2];
    readonly List<string> _trace = [];
    readonly bool[] _rung = new bool[2];
    readonly bool[] _waits = new bool[2];
    IReadOnlyList<Deviation> _deviations = [];
    WorkItem[] _items = [];
    int _nextDeviation;
    bool _tracing;
    bool _closing;
    ExceptionDispatchInfo? _failure;
    bool _over;

    /// <param name="scenario">What the ends do.</param>
    /// <param name="fault">The planted fault.</param>
    /// <param name="onlyAtMailbox">Whether the other end may come in only at accesses to the mailbox and at fences: elsewhere it makes no difference as long as nobody touches what is not his.</param>
    public Duel(Scenario scenario, DuelFault fault, bool onlyAtMailbox)
    {
        _scenario = scenario;
        _fault = fault;
        _onlyAtMailbox = onlyAtMailbox;
        _threads = [new Thread(() => Loop(Target)) { IsBackground = true }, new Thread(() => Loop(Handler)) { IsBackground = true }];
        foreach (Thread thread in _threads)
        {
            thread.Start();
        }
    }

    /// <summary>What else could have been done at each point of the last run.</summary>
    public List<DeviationKind> Alternatives { get; } = [];

    /// <summary>The last run, access by access.</summary>
    public IReadOnlyList<string> Trace => _trace;

    /// <summary>Runs once; null when all went well, else what did not.</summary>
    public string? Run(IReadOnlyList<Deviation> deviations, bool tracing = false)
    {
        RingLayout layout = RingLayout.Create(_scenario.RingBytes, 4 * 4096);
        var committed = new CommittedMemory(layout);
        using var targetView = new TracedMemory(layout);
        using var handlerView = new TracedMemory(layout);
        TargetRing.Format(targetView.Address, layout, Flags);
        targetView.Bytes.CopyTo(committed.Bytes);
        targetView.Bytes.CopyTo(handlerView.Bytes);
        _processors[Target] = new Processor(targetView, committed);
        _processors[Handler] = new Processor(handlerView, committed);
        _items = [.. Enumerable.Range(0, _scenario.Commands).Select(static number => new WorkItem(number))];
        _deviations = deviations;
        _nextDeviation = 0;
        _tracing = tracing;
        _trace.Clear();
        Alternatives.Clear();
        _rung.AsSpan().Clear();
        _waits.AsSpan().Clear();
        (_failure, _over) = (null, false);

        _mayRun[Target].Release();
        _ended.Wait();
        return _failure?.SourceException switch
        {
            null => _items.FirstOrDefault(static item => item.Answers != 1) is { } item ? $"command {item.Number} was answered {item.Answers} times" : null,
            BrokenPromiseException or RingFormatException => _failure.SourceException.Message,
            _ => _failure.SourceException.ToString(),
        };
    }

    void Loop(int me)
    {
        while (true)
        {
            _mayRun[me].Wait();
            if (_closing)
            {
                return;
            }

            try
            {
                if (!_over)
                {
                    SharedRegion.BeforeAccess = (access, offset, length) => OnAccess(me, access, offset, length);
                    if (me == Target)
                    {
                        RunTarget();
                    }
                    else
                    {
                        RunHandler();
                    }
                }
            }
            catch (RunEndedException)
            {
            }
#pragma warning disable CA1031 // whatever it is, it is the run's result
            catch (Exception exception)
#pragma warning restore CA1031
            {
                _failure ??= ExceptionDispatchInfo.Capture(exception);
            }

            SharedRegion.BeforeAccess = null;
            if (_over)
            {
                _ended.Release();
            }
            else
            {
                _over = true; // the target has all its answers, or something broke: either way the other end need not go on
                _mayRun[me ^ 1].Release();
            }
        }
    }

    // ---- the two ends ----

    void RunTarget()
    {
        var target = new TargetSide(_processors[Target].View, Flags);
        int posted = 0;
        for (int answered = 0; answered < _items.Length;)
        {
            bool any = false;
            while (posted < _items.Length && target.Outstanding < _scenario.Window && target.TryPost(_items[posted]))
            {
                posted++;
                if (_scenario.Notices)
                {
                    target.Ring.TryPostTaskManagement(RingAbi.TaskManagementAbortTask, [(ushort)posted]);
                }
            }

            bool looksEarly = _fault == DuelFault.TargetLooksEarly && target.Ring.HandlerWantsDoorbell(waitFlagsInForce: true);
            if (target.Ring.Publish() && (_fault == DuelFault.TargetLooksEarly ? looksEarly : target.Ring.HandlerWantsDoorbell(waitFlagsInForce: true)))
            {
                RingDoorbellOf(Handler);
            }

            int reaped = target.Reap();
            answered += reaped;
            any |= reaped > 0;
            if (any || answered == _items.Length)
            {
                continue;
            }

            target.Ring.AnnounceSleep();
            if (_fault == DuelFault.TargetSleepsAtOnce || !target.Ring.HasAnswers)
            {
                WaitForDoorbell(Target);
            }

            target.Ring.EndSleep();
        }
    }

    void RunHandler()
    {
        var handler = new HandlerSide(_processors[Handler].View, _items);
        while (true)
        {
            bool any = false;
            while (handler.TryTake())
            {
                any = true;
                if (!_scenario.AnswersLast)
                {
                    handler.Answer(0);
                }
            }

            while (handler.Taken > 0)
            {
                handler.Answer(handler.Taken - 1);
            }

            if (handler.Ring.Publish() && handler.Ring.TargetWantsDoorbell(waitFlagsInForce: true))
            {
                RingDoorbellOf(Target);
            }

            if (any)
            {
                continue;
            }

            handler.Ring.AnnounceSleep();
            if (_fault == DuelFault.HandlerSleepsAtOnce || !handler.Ring.HasCommands)
            {
                if (_fault == DuelFault.HandlerSilencesLate)
                {
                    MaySwitch(Handler, isMailbox: true);
                    _rung[Handler] = false;
                }

                WaitForDoorbell(Handler);
            }

            handler.Ring.EndSleep();
        }
    }

    // ---- doorbells ----

    void RingDoorbellOf(int other)
    {
        _processors[other ^ 1].StoreIsDone();
        Note(other ^ 1, "rings");
        _rung[other] = true;
        MaySwitch(other ^ 1, isMailbox: true);
    }

    void WaitForDoorbell(int me)
    {
        Processor processor = _processors[me];
        processor.StoreIsDone();
        processor.CommitAll();
        Note(me, "waits");
        while (!_rung[me])
        {
            if (_waits[me ^ 1] && !_rung[me ^ 1])
            {
                throw new BrokenPromiseException("both ends sleep, and nobody will wake them: a wake-up was lost");
            }

            _waits[me] = true;
            SwitchTo(me ^ 1);
            _waits[me] = false;
        }

        _rung[me] = false;
        Note(me, "wakes");
    }

    // ---- who runs, and who sees what ----

    void OnAccess(int me, string access, long offset, int length)
    {
        Processor processor = _processors[me];
        processor.StoreIsDone();
        bool isMailbox = offset < RingAbi.MailboxBytes;
        MaySwitch(me, isMailbox);
        switch (access)
        {
            case nameof(SharedRegion.FullFence):
                if (_fault != DuelFault.NoFences)
                {
                    processor.CommitAll();
                    processor.SeeAll();
                }

                break;
            case nameof(SharedRegion.LoadAcquire32) when _fault != DuelFault.NoAcquires:
                processor.SeeAll();
                break;
            case nameof(SharedRegion.LoadAcquire32) or nameof(SharedRegion.LoadOnce32) or nameof(SharedRegion.LoadOnce64) or nameof(SharedRegion.CopyOutPlain):
                if (isMailbox)
                {
                    processor.See(offset, length);
                }

                break;
            case nameof(SharedRegion.StoreRelease32):
                if (_fault != DuelFault.NoReleases)
                {
                    processor.CommitAll();
                }

                processor.WillStore(offset, length, commitAtOnce: !Chooses(DeviationKind.Visibility));
                break;
            default:
                processor.WillStore(offset, length, commitAtOnce: isMailbox && Chooses(DeviationKind.Visibility));
                break;
        }

        Note(me, access, offset, length);
    }

    void MaySwitch(int me, bool isMailbox)
    {
        int other = me ^ 1;
        bool canRun = !_over && !(_waits[other] && !_rung[other]);
        if (canRun && (isMailbox || !_onlyAtMailbox) && Chooses(DeviationKind.Switch))
        {
            SwitchTo(other);
        }
    }

    /// <summary>A point of decision: whether this run takes the other way here.</summary>
    bool Chooses(DeviationKind kind)
    {
        int point = Alternatives.Count;
        Alternatives.Add(kind);
        if (_nextDeviation < _deviations.Count && _deviations[_nextDeviation].Point == point)
        {
            _nextDeviation++;
            if (_tracing)
            {
                _trace.Add($"        at {point}: {(kind == DeviationKind.Switch ? "the other end runs on" : "the store is seen at another time")}");
            }

            return true;
        }

        return false;
    }

    void SwitchTo(int other)
    {
        int me = other ^ 1;
        _mayRun[other].Release();
        _mayRun[me].Wait();
        if (_over)
        {
            throw new RunEndedException();
        }
    }

    void Note(int me, string what, long offset = -1, int length = 0)
    {
        if (_tracing)
        {
            _trace.Add($"{(me == Target ? "target " : "handler")} {what}{(length > 0 ? $" {offset}+{length}" : "")}");
        }
    }

    public void Dispose()
    {
        _closing = true;
        foreach (SemaphoreSlim semaphore in _mayRun)
        {
            semaphore.Release();
        }

        foreach (Thread thread in _threads)
        {
            thread.Join();
        }

        Array.ForEach(_mayRun, static semaphore => semaphore.Dispose());
        _ended.Dispose();
    }
}
