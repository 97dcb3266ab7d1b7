using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging.Abstractions;
using Scuse.Device;
using Scuse.Engine;
using Scuse.Engine.Backstores;
using Scuse.Engine.Reactors;
using Scuse.Ring;
using Scuse.Scsi;
using Scuse.Target;

namespace Scuse.Simulation.Storms;

/// <summary>
/// One disk of the real engine in bad weather: target, logical unit, user backstore, queue and links are the engine's own, over real regions. Initiators,
/// handlers' processes, their supervisor and the clock are simulated, on one thread. The same seed gives the same storm.
/// </summary>
sealed partial class Storm : IDisposable
{
    const int QuietEvery = 1500;
    const int MaxLeapMs = 120;

    /// <summary>Stands for a block that is not one value all through.</summary>
    const ulong Torn = 0xBADBADBADBADBAD;


    readonly StormOptions _options;
    readonly Random _random;
    readonly Medium _medium = new(StormOptions.Blocks);
    readonly BlockHistory[] _history;
    readonly List<Session> _sessions = [];
    readonly List<HandlerProcess> _processes = [];
    readonly List<Operation> _limbo = [];
    readonly List<TaskManagementRequest> _openManagement = [];
    readonly List<(int Block, ulong Value)> _answeredWrites = [];
    readonly List<(long AtMs, Action Do)> _later = [];
    readonly Dictionary<(int Block, ulong Value), Operation> _exchanged = [];
    readonly List<string> _log = [];
    readonly bool _tellsAll;
    Reactor _reactor = null!;
    Rendezvous? _meeting;
    TargetLane[] _lanes = [];
    DataMemory _memory = null!;
    UserBackstore _backstore = null!;
    ScsiTarget _target = null!;
    HandlerProcess? _attached;
    TaskManagementRequest? _managing;
    StormException? _found;
    bool _replacing;
    bool _isQuiet;
    bool _isOver;
    bool _answerLost;
    bool _memoryKept;
    long _clock;
    long _now = 1000;
    long _mostLeapMs;
    long _nextMemoryTickMs;
    int _operations;
    int _sessionNumbers;
    int _mostUnderWay;

    /// <param name="options">What kind of disk and what weather.</param>
    /// <param name="tellsAll">Whether the log has every command, not only misfortunes.</param>
    public Storm(StormOptions options, bool tellsAll = false)
    {
        _options = options;
        _tellsAll = tellsAll;
        _random = new Random(options.Seed * 7919);
        var beginning = new Operation { Number = 0, Kind = OperationKind.Unmap, Blocks = StormOptions.Blocks, EndedAt = 0 };
        _history = [.. Enumerable.Range(0, StormOptions.Blocks).Select(_ => new BlockHistory(beginning))];
        StartEngine();
    }

    /// <summary>How many steps there have been.</summary>
    public int Step { get; private set; }

    /// <summary>How many commands were sent, and what became of them.</summary>
    public StormCounts Counts { get; } = new();

    /// <summary>What happened, for whoever looks into a failure.</summary>
    public IReadOnlyList<string> Log => _log;

    /// <summary>Runs so many steps, and then until all is quiet.</summary>
    public void Run(int steps)
    {
        // What the engine awaits goes on where it is completed, as on its own thread.
        SynchronizationContext? context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            while (Step < steps)
            {
                Step++;
                Act();
                Turn();
                if (Step % QuietEvery == 0)
                {
                    BecomeQuiet();
                }
            }

            BecomeQuiet();
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }
    }

    // ---- the engine ----

    void StartEngine()
    {
        _meeting?.Leave();
        _meeting = _options.Lanes > 1 ? new Rendezvous(1) : null; // one thread plays all reactors: what it does alone, it does alone
        _meeting?.Join(0);
        _reactor = new Reactor("storm", 0, NullLogger.Instance) { Rendezvous = _meeting };
        _memory = new DataMemory(_options.GlobalDataAreaBytes, _now, _reactor.Post);
        _backstore = new UserBackstore(_options.Lun, _reactor, NullLogger.Instance, Dropped, _memory);
        for (int i = 1; i < _options.Lanes; i++)
        {
            _ = new UserBackstore(_options.Lun, _reactor, NullLogger.Instance, Dropped, _memory, first: _backstore);
        }

        _target = new ScsiTarget("iqn.2026-11.example:storm", [new LogicalUnit(0, _backstore) { CommandTimeoutMs = _options.Lun.CommandTimeoutMs }]) { NowMs = _now, Exclusion = _meeting };
        _target.Timers.Advance(_now);
        _lanes = _options.Lanes > 1 ? [.. _backstore.All.Select(MakeLane)] : [];
        for (int i = 0; i < _options.Sessions; i++)
        {
            LogIn();
        }
    }

    TargetLane MakeLane(UserBackstore backstore)
    {
        var lane = new TargetLane(_target, new Dictionary<int, IBackstore> { [0] = backstore }, _reactor.RunLater);
        lane.Tick(_now);
        backstore.Lane = backstore == _backstore ? null : lane;
        return lane;
    }

    /// <summary>As what is posted to a reactor is done.</summary>
    void Alone(Action action)
    {
        _meeting?.Enter();
        action();
        _meeting?.Exit();
    }

    void LogIn()
    {
        int number = ++_sessionNumbers;
        _sessions.Add(new Session(number, this) { Nexus = _target.Attach($"iqn.2026-11.example:i{number},i,0x00000000{number & 0xFFFF:X4}", lane: _lanes.Length > 0 ? _lanes[_random.Next(_lanes.Length)] : null) });
    }

    void Turn()
    {
        _reactor.Turn(timeoutMs: 0);
        if (_found is not null)
        {
            throw _found;
        }

        for (int i = _later.Count - 1; i >= 0; i--)
        {
            (long at, Action action) = _later[i];
            if (at <= _now)
            {
                _later.RemoveAt(i);
                Alone(action);
            }
        }
    }

    void PassTime(int ms)
    {
        if (!_isQuiet)
        {
            _mostLeapMs = Math.Max(_mostLeapMs, ms);
        }

        _now += ms;
        Alone(() => _target.Tick(_now));
        Array.ForEach(_lanes, lane => Alone(() => lane.Tick(_now)));
        if (_now >= _nextMemoryTickMs)
        {
            _nextMemoryTickMs = _now + 250;
            Alone(() => _memory.Tick(_now));
        }
    }

    // ---- one step ----

    void Act()
    {
        if (_random.Next(_options.Calmness) == 0)
        {
            Misfortune();
        }

        switch (_random.Next(12))
        {
            case < 4:
                Send();
                break;
            case 4 or 5:
                BringData();
                break;
            case 6 or 7 or 8:
                HandlersRun();
                break;
            case 9 or 10:
                FinishSending();
                break;
            default:
                PassTime(_random.Next(8) == 0 ? _random.Next(1, MaxLeapMs) : _random.Next(1, 12));
                break;
        }

        if (_attached is null && _random.Next(8) == 0)
        {
            AttachNext();
        }
    }

    void Misfortune()
    {
        var kind = (Weather)(1 << _random.Next(9));
        if ((_options.Weather & kind) == 0)
        {
            return;
        }

        switch (kind)
        {
            case Weather.Kills when _attached is { } process:
                Note("the handler is killed");
                process.Kill();
                After(_random.Next(40), () => Gone(process, "killed"));
                break;
            case Weather.Stops when _attached is { } process:
                Note("the handler is stopped");
                process.IsStopped = true;
                After(_random.Next(4_000), () => process.IsStopped = false);
                break;
            case Weather.Hostility when _attached is { IsDead: false } process && _random.Next(3) == 0:
                Note("the handler breaks the rules");
                process.BreakTheRules();
                foreach (Operation operation in _sessions.SelectMany(static session => session.Open))
                {
                    operation.IsTainted = true;
                }

                break;
            case Weather.Aborts:
                Manage();
                break;
            case Weather.SessionLoss when _random.Next(2) == 0:
                LoseSession(_sessions[_random.Next(_sessions.Count)]);
                break;
            case Weather.Replacement when _attached is { IsDead: false, IsHostile: false } process && !_replacing:
                Replace(process);
                break;
            case Weather.Blocking:
                Note("blocked for a while");
                Alone(_backstore.Block);
                UserBackstore blocked = _backstore;
                After(_random.Next(600), blocked.Unblock);
                break;
            case Weather.RingReset:
                Note("the ring is reset");
                RingReset how = _random.Next(2) == 0 ? RingReset.Busy : RingReset.Fail;
                Alone(() => _backstore.ResetRing(how));
                break;
            case Weather.EngineRestart when _random.Next(6) == 0:
                RestartEngine();
                break;
        }
    }

    void After(int ms, Action action) => _later.Add((_now + ms, action));

    void Note(string what)
    {
        _log.Add($"step {Step} at {_now} ms: {what}");
    }

    void NoteOf(Operation operation, string what)
    {
        if (_tellsAll)
        {
            Note($"    {operation} {what}");
        }
    }

    public void Dispose()
    {
        _isOver = true;
        _processes.ForEach(static process => process.Dispose());
        if (_attached is { } process)
        {
            Alone(() => _backstore.Detach(process.Link, "the storm is over"));
        }

        _meeting?.Leave();

        _reactor.Dispose();
    }
}
