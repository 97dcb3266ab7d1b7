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
sealed class Storm : IDisposable
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
        _reactor = new Reactor("storm", 0, NullLogger.Instance);
        _memory = new DataMemory(_options.GlobalDataAreaBytes, _now, _reactor.Post);
        _backstore = new UserBackstore(_options.Lun, _reactor, NullLogger.Instance, Dropped, _memory);
        _target = new ScsiTarget("iqn.2026-11.example:storm", [new LogicalUnit(0, _backstore) { CommandTimeoutMs = _options.Lun.CommandTimeoutMs }]) { NowMs = _now };
        _target.Timers.Advance(_now);
        for (int i = 0; i < _options.Sessions; i++)
        {
            LogIn();
        }
    }

    void LogIn()
    {
        int number = ++_sessionNumbers;
        _sessions.Add(new Session(number, this) { Nexus = _target.Attach($"iqn.2026-11.example:i{number},i,0x00000000{number & 0xFFFF:X4}") });
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
                action();
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
        _target.Tick(_now);
        if (_now >= _nextMemoryTickMs)
        {
            _nextMemoryTickMs = _now + 250;
            _memory.Tick(_now);
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
                _backstore.Block();
                UserBackstore blocked = _backstore;
                After(_random.Next(600), blocked.Unblock);
                break;
            case Weather.RingReset:
                Note("the ring is reset");
                _backstore.ResetRing(_random.Next(2) == 0 ? RingReset.Busy : RingReset.Fail);
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

    // ---- initiators ----

    void Send()
    {
        Session session = _sessions[_random.Next(_sessions.Count)];
        if (session.Open.Count < _options.QueueDepth && !_isQuiet)
        {
            Send(session, NextKind(), _random.Next(StormOptions.Blocks), _random.Next(5) == 0 ? _random.Next(1, 25) : _random.Next(1, 5));
        }
    }

    OperationKind NextKind()
    {
        bool isIo = _options.Level == PassLevel.Io;
        return _random.Next(44) switch
        {
            < 14 => OperationKind.Read,
            < 30 => OperationKind.Write,
            < 33 => OperationKind.Flush,
            < 35 => OperationKind.Unmap,
            35 => isIo ? OperationKind.WriteSame : OperationKind.Read,
            36 => isIo ? OperationKind.WriteAndVerify : OperationKind.Write,
            37 => isIo ? OperationKind.Verify : OperationKind.Read,
            < 42 => isIo ? OperationKind.CompareAndWrite : OperationKind.Write,
            _ => OperationKind.Other,
        };
    }

    Operation Send(Session session, OperationKind kind, int block, int blocks)
    {
        bool hasRange = kind is not (OperationKind.Flush or OperationKind.Other);
        blocks = !hasRange ? 0 : kind == OperationKind.CompareAndWrite ? 1 : Math.Min(blocks, StormOptions.Blocks - block);
        var operation = new Operation
        {
            Number = ++_operations,
            Kind = kind,
            FirstBlock = block,
            Blocks = blocks,
            Session = session,
            InvokedAt = ++_clock,
            LimitStartMs = _now,
            // What an initiator knows that has just read it, or read it before the last write.
            Expected = _random.Next(3) == 0 ? _medium.ReadStale(block) : _medium.Read(block),
        };
        operation.IsTainted = _attached is { IsHostile: true };
        operation.MetLazy = _attached is { IsLazy: true };

        ScsiTask task = _target.Rent();
        task.Transport = session;
        task.TransportState = operation;
        task.Nexus = session.Nexus;
        task.Lun = LunAddress.Format(0);
        int bytes = blocks * StormOptions.BlockSize;
        byte[] cdb = new byte[kind is OperationKind.WriteSame or OperationKind.CompareAndWrite ? 16 : 10];
        (byte code, int dataOut, int dataIn) = kind switch
        {
            OperationKind.Read => (OperationCode.Read10, 0, bytes),
            OperationKind.Write => (OperationCode.Write10, bytes, 0),
            OperationKind.Flush => (OperationCode.SynchronizeCache10, 0, 0),
            OperationKind.Unmap => (OperationCode.Unmap, UnmapParameterList.LengthFor(1), 0),
            OperationKind.WriteSame => (OperationCode.WriteSame16, StormOptions.BlockSize, 0),
            OperationKind.WriteAndVerify => (OperationCode.WriteAndVerify10, bytes, 0),
            OperationKind.Verify => (OperationCode.Verify10, 0, 0),
            OperationKind.CompareAndWrite => (OperationCode.CompareAndWrite, 2 * StormOptions.BlockSize, 0),
            _ => (_random.Next(2) == 0 ? OperationCode.TestUnitReady : (byte)0xC1, 0, 0),
        };
        cdb[0] = code;
        if (code == OperationCode.WriteSame16)
        {
            Cdb.WriteWriteSame16(cdb, (ulong)block, (uint)blocks);
        }
        else if (code == OperationCode.Unmap)
        {
            Cdb.WriteUnmap10(cdb, (ushort)dataOut);
        }
        else if (code == OperationCode.CompareAndWrite)
        {
            (cdb[9], cdb[13]) = ((byte)block, 1);
        }
        else if (hasRange)
        {
            (cdb[5], cdb[8]) = ((byte)block, (byte)blocks);
        }

        task.ExpectedDataOut = dataOut;
        task.ExpectedDataIn = dataIn;
        task.SetCdb(cdb.AsSpan(0, code == OperationCode.TestUnitReady ? 6 : cdb.Length));
        operation.Task = task;
        session.Open.Add(operation);
        _mostUnderWay = Math.Max(_mostUnderWay, _limbo.Count + _sessions.Sum(static session => session.Open.Count + session.Sending.Count));
        Begin(operation);
        Counts.Sent++;
        NoteOf(operation, "sent");
        _target.Begin(task);
        return operation;
    }

    /// <summary>The block histories hear of it.</summary>
    void Begin(Operation operation)
    {
        if (operation.Kind is OperationKind.Read or OperationKind.CompareAndWrite)
        {
            operation.Views = [.. BlocksOf(operation).Select(block => _history[block].ReadBegins(operation))];
        }
        else if (operation.Kind == OperationKind.Flush)
        {
            operation.Views = [.. _history.Select(static history => history.FlushBegins())];
        }

        if (operation.Writes)
        {
            foreach (int block in BlocksOf(operation))
            {
                _history[block].WriteBegins(operation);
                operation.Session!.Seen.Add(operation.ValueAt(block));
            }
        }
    }

    static IEnumerable<int> BlocksOf(Operation operation) => Enumerable.Range(operation.FirstBlock, operation.Blocks);

    /// <summary>Some of a write's data comes, or the rest of it.</summary>
    void BringData()
    {
        Session session = _sessions[_random.Next(_sessions.Count)];
        Operation[] wanted = [.. session.Open.Where(static operation => operation.IsDataWanted)];
        if (wanted.Length > 0)
        {
            BringData(wanted[_random.Next(wanted.Length)], all: _random.Next(3) != 0);
        }
    }

    void BringData(Operation operation, bool all)
    {
        ScsiTask task = operation.Task!;
        int length = task.DataOutLength;
        if (operation.Kind == OperationKind.Unmap)
        {
            byte[] list = new byte[length];
            UnmapParameterList.Write(list, [new UnmapBlockDescriptor((ulong)operation.FirstBlock, (uint)operation.Blocks)]);
            task.DataOut.CopyFrom(list);
            operation.DataSent = length;
        }
        else
        {
            Span<ulong> words = stackalloc ulong[StormOptions.BlockSize / sizeof(ulong)];
            do
            {
                bool isCompared = operation.Kind == OperationKind.CompareAndWrite && operation.DataSent == 0;
                int block = operation.Kind == OperationKind.CompareAndWrite ? 0 : operation.DataSent / StormOptions.BlockSize;
                words.Fill(isCompared ? operation.Expected : operation.ValueAt(operation.FirstBlock + block));
                task.DataOut.CopyFrom(MemoryMarshal.AsBytes(words), operation.DataSent);
                operation.DataSent += StormOptions.BlockSize;
            }
            while (all && operation.DataSent < length);
        }

        if (operation.DataSent >= length)
        {
            operation.IsDataWanted = false;
            operation.LimitStartMs = _now;
            _target.DataArrived(task);
        }
    }

    /// <summary>An answer has been sent: its memory is given back.</summary>
    void FinishSending()
    {
        Session session = _sessions[_random.Next(_sessions.Count)];
        if (session.Sending.Count > 0)
        {
            FinishSending(session, _random.Next(session.Sending.Count));
        }
    }

    void FinishSending(Session session, int index)
    {
        Operation operation = session.Sending[index];
        session.Sending.RemoveAt(index);
        if (operation.Returned is { } returned && !operation.IsTainted && !Values(operation.Task!, returned.Length).SequenceEqual(returned))
        {
            throw new StormException($"{operation}: its data changed while it was being sent");
        }

        if (_options.Fault == StormFault.KeepMemory && !_memoryKept && Step > 50 && operation.Kind == OperationKind.Read)
        {
            _memoryKept = true;
            return;
        }

        operation.Task!.Release();
        operation.Task = null;
    }

    ulong[] Values(ScsiTask task, int blocks)
    {
        ulong[] values = new ulong[blocks];
        Span<byte> bytes = stackalloc byte[StormOptions.BlockSize];
        for (int i = 0; i < blocks; i++)
        {
            task.DataIn.CopyTo(bytes, i * StormOptions.BlockSize);
            Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
            values[i] = words.IndexOfAnyExcept(words[0]) < 0 ? words[0] : Torn;
        }

        return values;
    }

    // ---- what initiators are told ----

    public void Completed(Session session, Operation operation, ScsiTask task)
    {
        if (_isOver)
        {
            return;
        }

        if (_options.Fault == StormFault.LoseAnswer && !_answerLost && Step > 50)
        {
            _answerLost = true;
            return;
        }

        Guarded(() =>
        {
            Tell(session, operation, task);
            if (_options.Fault == StormFault.AnswerTwice && Step > 50)
            {
                Tell(session, operation, task);
            }
        });
    }

    /// <summary>What is found while the engine calls does not go through it: some of its ways are asynchronous and would keep it. The step's end throws it.</summary>
    void Guarded(Action told)
    {
        try
        {
            told();
        }
        catch (StormException exception)
        {
            _found ??= exception;
        }
    }

    void Tell(Session session, Operation operation, ScsiTask task)
    {
        if (operation.IsTold)
        {
            throw new StormException($"{operation} was answered twice");
        }

        if (operation.AbortedBy.Count > 0)
        {
            throw new StormException($"{operation} was answered although its abort had been told");
        }

        if (!session.Nexus.IsAlive)
        {
            throw new StormException($"{operation} was answered to a session that is gone");
        }

        operation.IsTold = true;
        operation.IsDataWanted = false;
        session.Open.Remove(operation);
        session.Sending.Add(operation);
        CheckLimit(operation);
        if (operation.Kind == OperationKind.Read)
        {
            CheckRead(session, operation, task);
        }

        operation.IsGood = task.Status == ScsiStatus.Good;
        if (operation is { Kind: OperationKind.CompareAndWrite, IsGood: true, IsTainted: false, MetLazy: false })
        {
            CheckExchange(operation);
        }

        string outcome = task.Status == ScsiStatus.CheckCondition ? SenseData.Parse(task.Sense).ToString() : task.Status.ToString();
        Counts.Add(outcome);
        NoteOf(operation, $"told {outcome}{(operation.Returned is { } returned ? $": {string.Join(' ', returned.Select(static value => (value >> 16) & 0xFFFFFFFF))}" : "")}");
        bool isRefused = task.Status == ScsiStatus.CheckCondition && SenseData.Parse(task.Sense).Key is SenseKey.UnitAttention or SenseKey.Miscompare;
        End(operation, task.Status == ScsiStatus.Good && !operation.IsTainted ? Ending.Good
            // Of a compound command some parts may have been done before the next found no room.
            : isRefused || (task.Status == ScsiStatus.TaskSetFull && !operation.IsCompound) ? Ending.Refused
            : Ending.Unknown);
    }

    enum Ending
    {
        Good,
        Refused,
        Unknown,
    }

    /// <summary>Nothing of it happens any more, and its initiator knows how it went.</summary>
    void End(Operation operation, Ending ending)
    {
        if (!operation.IsOpen)
        {
            return;
        }

        operation.EndedAt = ++_clock;
        if (operation.Kind is OperationKind.Read or OperationKind.CompareAndWrite)
        {
            foreach (int block in BlocksOf(operation))
            {
                _history[block].ReadEnds(operation);
            }
        }

        if (operation.Kind == OperationKind.Flush && ending == Ending.Good)
        {
            for (int block = 0; block < _history.Length; block++)
            {
                _history[block].FlushIsDone(operation, operation.Views![block]);
            }
        }
        else if (operation.Writes)
        {
            foreach (int block in BlocksOf(operation))
            {
                switch (ending)
                {
                    case Ending.Good:
                        _history[block].WriteIsDone(operation);
                        _answeredWrites.Add((block, operation.ValueAt(block)));
                        break;
                    case Ending.Refused:
                        _history[block].WriteIsRefused(operation);
                        break;
                    default:
                        _history[block].WriteIsUnknown(operation);
                        break;
                }
            }

            if (_answeredWrites.Count > 200)
            {
                _answeredWrites.RemoveRange(0, 100);
            }
        }
    }

    /// <summary>A command that waits for the handler alone is answered within its time limit, give or take the clock's steps.</summary>
    void CheckLimit(Operation operation)
    {
        int limit = _options.Lun.CommandTimeoutMs;
        if (limit > 0 && operation.Kind is OperationKind.Read or OperationKind.Write && _now - operation.LimitStartMs > limit + _mostLeapMs + 64)
        {
            throw new StormException($"{operation} was answered {_now - operation.LimitStartMs} ms after its limit of {limit} ms had begun");
        }
    }

    void CheckRead(Session session, Operation operation, ScsiTask task)
    {
        int blocks = Math.Min(task.DataInLength, operation.Blocks * StormOptions.BlockSize) / StormOptions.BlockSize;
        if (task.Status != ScsiStatus.Good)
        {
            return;
        }

        ulong[] values = Values(task, blocks);
        operation.Returned = values;
        if (operation.IsTainted)
        {
            return;
        }

        for (int i = 0; i < blocks; i++)
        {
            int block = operation.FirstBlock + i;
            if (operation.MetLazy)
            {
                // Filled by another handler, or not at all; at level all the initiator's parameter lists lie in the data area too.
                bool isOwn = session.Seen.Contains(values[i]) || (values[i] == Torn && _options.Level == PassLevel.All);
                if (!isOwn && !operation.Views![i].Exists(write => write.ValueAt(block) == values[i]))
                {
                    throw new StormException($"{operation}: the handler filled nothing, and block {block} shows {values[i]:X}, which another session had");
                }

                continue;
            }

            if (_history[block].ReadReturned(operation, operation.Views![i], block, values[i]) is { } possible)
            {
                throw new StormException($"{operation}: block {block} reads as {values[i]:X} (of #{(values[i] >> 16) & 0xFFFFFFFFFF}, medium {_medium.Read(block):X}); possible were {possible}");
            }

            session.Seen.Add(values[i]);
        }
    }

    /// <summary>The block held what it was to hold, and no other exchange has found the same there: every written value is one of its kind.</summary>
    void CheckExchange(Operation operation)
    {
        int block = operation.FirstBlock;
        if (_history[block].ReadReturned(operation, operation.Views![0], block, operation.Expected) is { } possible)
        {
            throw new StormException($"{operation}: block {block} compares equal to {operation.Expected:X}; possible were {possible}");
        }

        if (operation.Expected != Operation.Zero && !_exchanged.TryAdd((block, operation.Expected), operation))
        {
            throw new StormException($"{operation} and {_exchanged[(block, operation.Expected)]} have both found {operation.Expected:X} in block {block}");
        }
    }

    public void Aborted(Operation operation) => Guarded(() =>
    {
        if (operation.IsTold)
        {
            throw new StormException($"{operation} was aborted after it had been answered");
        }

        operation.IsTold = true;
        operation.IsDataWanted = false;
        operation.Session!.Open.Remove(operation);
        operation.Task = null;
        operation.AbortedBy.Add(_managing!);
        _limbo.Add(operation);
        NoteOf(operation, "aborted");
        Counts.Add("aborted");
    });

    // ---- task management, lost sessions ----

    void Manage()
    {
        Session session = _sessions[_random.Next(_sessions.Count)];
        TaskManagementFunction function = _random.Next(12) switch
        {
            < 8 => TaskManagementFunction.AbortTask,
            8 => TaskManagementFunction.AbortTaskSet,
            9 => TaskManagementFunction.ClearTaskSet,
            10 => TaskManagementFunction.LogicalUnitReset,
            _ => TaskManagementFunction.TargetWarmReset,
        };
        ScsiTask? referenced = session.Open.Count > 0 ? session.Open[_random.Next(session.Open.Count)].Task : null;
        _managing = new TaskManagementRequest { Nexus = session.Nexus, Transport = session, Function = function, Lun = LunAddress.Format(0), Referenced = referenced };
        _openManagement.Add(_managing);
        Note($"{function} of session {session.Number}");
        _target.Manage(_managing);
        _managing = null;
    }

    public void Managed(TaskManagementRequest request) => Guarded(() =>
    {
        if (!_openManagement.Remove(request))
        {
            throw new StormException($"{request.Function} was answered twice");
        }

        for (int i = _limbo.Count - 1; i >= 0; i--)
        {
            if (_limbo[i].AbortedBy.Contains(request))
            {
                End(_limbo[i], Ending.Unknown);
                _limbo.RemoveAt(i);
            }
        }
    });

    /// <summary>Its commands may go on at the handler until that has let go of them: nobody is told when. The initiator logs in again.</summary>
    void LoseSession(Session session)
    {
        Note($"session {session.Number} is lost with {session.Open.Count} commands");
        _sessions.Remove(session);
        foreach (Operation operation in session.Open.ToArray())
        {
            operation.IsTold = true;
            operation.Task = null;
            _limbo.Add(operation);
        }

        _target.Detach(session.Nexus);
        _openManagement.RemoveAll(request => request.Nexus == session.Nexus);
        while (session.Sending.Count > 0)
        {
            FinishSending(session, 0);
        }

        LogIn();
    }

    // ---- handlers and their supervisor ----

    void HandlersRun()
    {
        if (_random.Next(4) == 0)
        {
            _medium.WriteBack(_random.Next(StormOptions.Blocks));
        }

        foreach (HandlerProcess process in _processes)
        {
            if (process == _attached || _random.Next(3) == 0)
            {
                process.Run(all: false);
            }

            if (process != _attached && process.Link.Users == 0 && _random.Next(10) == 0)
            {
                process.WriteLate();
            }
        }

        if (_attached is { IsStopped: false, IsDead: false, IsHostile: false } current && current.Kept.Count > 0 && _random.Next(3) == 0)
        {
            ushort id = current.TakeKept();
            _reactor.Turn(0);
            if (id != 0 && _attached == current)
            {
                _backstore.FreeKept(current.Link, [id]);
            }
        }
    }

    /// <summary>As the supervisor does it: a next handler starts when the one before is dead, since its store is to be its own.</summary>
    void AttachNext()
    {
        if (_options.Fault != StormFault.StartBeforeKill && _processes.Exists(static process => !process.IsDead))
        {
            return;
        }

        if (_options.Fault == StormFault.RepeatOldWrite && _answeredWrites.Count > 20 && _random.Next(4) == 0)
        {
            (int block, ulong value) = _answeredWrites[^20];
            _medium.Write(block, value);
        }

        Attach();
    }

    void Attach()
    {
        _processes.RemoveAll(static process => process.IsDead);
        var link = new HandlerLink("storm", "storm", pid: 1, RingLayout.Create(_options.Lun.CommandRingBytes, _options.Lun.DataAreaBytes), _options.Abilities);
        var process = new HandlerProcess(link, _medium, _random, _options.Fault) { IsLazy = !_isQuiet && _options.CanBeLazy && _random.Next(6) == 0 };
        Note($"a handler attaches{(process.IsLazy ? ", a lazy one" : "")}");
        Counts.Attached++;
        _processes.Add(process);
        _attached = process;
        foreach (Operation operation in _sessions.SelectMany(static session => session.Open))
        {
            operation.MetLazy |= process.IsLazy;
        }

        BlockDeviceFeatures features = BlockDeviceFeatures.Flush | BlockDeviceFeatures.Unmap | (_options.Seed % 2 == 0 ? BlockDeviceFeatures.WriteZeroes : 0);
        _backstore.Attach(link, new BlockDeviceInfo { SizeBytes = StormOptions.Blocks * StormOptions.BlockSize, BlockSize = StormOptions.BlockSize, Serial = "STORM", Features = features }, _options.Level);
    }

    /// <summary>The engine has noticed that the process is gone.</summary>
    void Gone(HandlerProcess process, string reason)
    {
        if (_attached == process)
        {
            _backstore.Detach(process.Link, reason);
            if (_attached == process)
            {
                _attached = null;
            }
        }
    }

    /// <summary>The backstore gave the handler up: the supervisor ends the process, some time later.</summary>
    void Dropped(HandlerLink link, string reason)
    {
        Note($"the handler is given up: {reason}");
        Counts.Dropped++;
        HandlerProcess process = _processes.Find(process => process.Link == link)!;
        if (_attached == process)
        {
            _attached = null;
        }

        After(_random.Next(300), process.Kill);
        if (_options.Fault == StormFault.StartBeforeKill)
        {
            AttachNext();
        }
    }

    /// <summary>A next handler takes over; the old one ends when it has answered everything.</summary>
    void Replace(HandlerProcess old)
    {
        Note("the handler is to be replaced");
        _replacing = true;
        UserBackstore backstore = _backstore;
        bool isOver = false;
        backstore.Drain(() => After(0, () =>
        {
            if (isOver || backstore != _backstore)
            {
                return;
            }

            isOver = true;
            _replacing = false;
            if (_attached == old)
            {
                // It has answered everything and closes its store.
                old.Kill();
                _backstore.Detach(old.Link, "replaced", asPlanned: true);
                _attached = null;
                Attach();
                Counts.Replaced++;
            }
            else
            {
                backstore.Resume();
            }
        }));
        After(_random.Next(200, 3_000), () =>
        {
            if (!isOver && backstore == _backstore)
            {
                Note("the replacement is called off");
                isOver = true;
                _replacing = false;
                backstore.Resume();
            }
        });
    }

    /// <summary>The engine is killed, and its handlers with it or after they have finished what they had; or the machine loses power, and the disk its cache.</summary>
    void RestartEngine()
    {
        bool losesPower = _options.HasCache && _random.Next(2) == 0;
        Note(losesPower ? "the power fails" : "the engine is killed");
        Counts.Restarts++;
        foreach (Session session in _sessions.ToArray())
        {
            foreach (Operation operation in session.Open)
            {
                operation.IsTold = true;
                operation.Task = null;
                _limbo.Add(operation);
            }
        }

        _sessions.Clear();
        _later.Clear();
        _replacing = false;
        _openManagement.Clear();
        foreach (HandlerProcess process in _processes)
        {
            process.IsStopped = false;
            process.Run(all: !losesPower && _random.Next(2) == 0);
            process.Kill();
        }

        if (losesPower)
        {
            _medium.LoseCache();
            _exchanged.Clear(); // what was replaced may be there again
            Array.ForEach(_history, static history => history.CacheIsLost());
        }

        _processes.Clear();
        _attached = null;
        foreach (Operation operation in _limbo)
        {
            End(operation, Ending.Unknown);
        }

        _limbo.Clear();
        _reactor.Dispose();
        StartEngine();
    }

    // ---- fair weather ----

    /// <summary>Nothing goes wrong any more: everything under way is answered in bounded time, nothing stays in use, and every block reads as it must.</summary>
    void BecomeQuiet()
    {
        _isQuiet = true;
        Note("fair weather");
        _backstore.Unblock();
        foreach (HandlerProcess process in _processes)
        {
            process.IsStopped = false;
        }

        if (_attached is { } hostile && (hostile.IsHostile || hostile.IsLazy || hostile.IsDead))
        {
            hostile.Kill();
            Gone(hostile, "killed by the operator");
        }

        long deadline = _now + 30_000;
        while (IsBusy())
        {
            if (_now > deadline)
            {
                throw new StormException($"in fair weather this is left after 30 s: {Describe()}");
            }

            CalmStep();
        }

        // What was under way without anybody waiting for it is over too.
        foreach (Operation operation in _limbo)
        {
            End(operation, Ending.Unknown);
        }

        _limbo.Clear();
        CheckAtRest();
        ReadEverything();
        CheckAtRest();
        CheckThatMemoryIsGivenBack();
        Counts.Quiets++;
        _isQuiet = false;
    }

    void CalmStep()
    {
        foreach (Session session in _sessions)
        {
            foreach (Operation operation in session.Open.Where(static operation => operation.IsDataWanted).ToArray())
            {
                if (operation.IsDataWanted)
                {
                    BringData(operation, all: true);
                }
            }

            while (session.Sending.Count > 0)
            {
                FinishSending(session, 0);
            }
        }

        foreach (HandlerProcess process in _processes)
        {
            process.Run(all: true);
        }

        Turn();
        if (_attached is { } current && current.Kept.Count > 0)
        {
            ushort id = current.TakeKept();
            _reactor.Turn(0);
            if (id != 0 && _attached == current)
            {
                _backstore.FreeKept(current.Link, [id]);
            }
        }

        if (_attached is null)
        {
            AttachNext();
        }

        PassTime(10);
        Turn();
    }

    bool IsBusy() =>
        _attached is not { IsHostile: false, IsDead: false } || _attached.Link.Outstanding > 0 || _attached.HasWork || _attached.Kept.Count > 0 || _replacing
        || _later.Count > 0 || _backstore.Waiting > 0 || _backstore.Kept > 0 || _target.LogicalUnits.First().TaskCount > 0
        || _sessions.Exists(static session => session.Open.Count > 0 || session.Sending.Count > 0)
        || _processes.Exists(process => process != _attached && !process.IsDead);

    string Describe() =>
        $"{string.Join(", ", _sessions.SelectMany(static session => session.Open))}; attached {_attached is not null}, outstanding {_attached?.Link.Outstanding}, " +
        $"waiting {_backstore.Waiting}, kept {_backstore.Kept}, tasks {_target.LogicalUnits.First().TaskCount}, replacing {_replacing}, draining {_backstore.IsDraining}, " +
        $"blocked {_backstore.IsBlocked}, processes {_processes.Count(static process => !process.IsDead)}, later {_later.Count}; " +
        $"{string.Join(", ", _backstore.Commands.Where(static command => command.State != RingCommandState.Free).Select(command => $"{command.Sequence}: {command.State} {command.OutLength}/{command.InLength} {(command.Blocks.Link is null ? "without blocks" : command.Blocks.Link == _attached?.Link ? "in this region" : "in an old region")}"))}; " +
        $"memory {_memory.HeldBytes} of {_memory.LimitBytes}, {_memory.Waiting} wait, in use {_attached?.Link.Memory.InUseBytes}";

    void CheckAtRest()
    {
        string? wrong =
            _attached!.Link.DataArea.BlocksInUse != 0 ? $"{_attached.Link.DataArea.BlocksInUse} blocks of the data area are in use"
            : _attached.Link.Users != 0 ? $"{_attached.Link.Users} commands hold the region"
            : _attached.Link.Ring.CommandRingBytesInUse > _options.Lun.CommandRingBytes / 2 ? "half the ring is in use"
            : _backstore.Commands.Any(static command => command.State != RingCommandState.Free) ? $"commands are left: {string.Join(", ", _backstore.Commands.Where(static command => command.State != RingCommandState.Free).Select(static command => command.State))}"
            : _target.Timers.Count != 0 ? $"{_target.Timers.Count} timers are set"
            : _openManagement.Count != 0 ? $"{_openManagement.Count} task management functions were not answered"
            : _backstore.Commands.Count > _mostUnderWay + 16 ? $"there are {_backstore.Commands.Count} command records for {_mostUnderWay} commands at most"
            : null;
        if (wrong is not null)
        {
            throw new StormException($"when all is quiet, {wrong}");
        }
    }

    /// <summary>After some seconds of rest an idle disk holds no memory.</summary>
    void CheckThatMemoryIsGivenBack()
    {
        for (int i = 0; i < 60; i++)
        {
            PassTime(250);
            Turn();
        }

        if (_memory.HeldBytes > 2 * 4096)
        {
            throw new StormException($"{_memory.HeldBytes} bytes are held by nobody");
        }
    }

    void ReadEverything()
    {
        Session session = _sessions[0];
        ReadUntilGood(session, OperationKind.Flush, 0, 0);
        for (int block = 0; block < StormOptions.Blocks; block += 10)
        {
            ReadUntilGood(session, OperationKind.Read, block, 10);
        }
    }

    void ReadUntilGood(Session session, OperationKind kind, int block, int blocks)
    {
        for (int attempt = 0; ; attempt++)
        {
            if (attempt > 10)
            {
                throw new StormException($"{kind} fails again and again in fair weather");
            }

            Operation operation = Send(session, kind, block, blocks);
            for (int i = 0; i < 100 && !operation.IsTold; i++)
            {
                CalmStep();
            }

            if (!operation.IsTold)
            {
                throw new StormException($"{operation} is not answered in fair weather");
            }

            bool isGood = operation.Kind == OperationKind.Read ? operation.Returned is { } values && values.Length == blocks : operation.IsGood;
            while (session.Sending.Count > 0)
            {
                FinishSending(session, 0);
            }

            if (isGood)
            {
                return;
            }
        }
    }

    public void Dispose()
    {
        _isOver = true;
        _processes.ForEach(static process => process.Dispose());
        if (_attached is { } process)
        {
            _backstore.Detach(process.Link, "the storm is over");
        }

        _reactor.Dispose();
    }
}

/// <summary>What a storm was made of.</summary>
sealed class StormCounts
{
    readonly SortedDictionary<string, int> _outcomes = [];

    public int Sent { get; set; }

    public int Attached { get; set; }

    public int Dropped { get; set; }

    public int Replaced { get; set; }

    public int Restarts { get; set; }

    public int Quiets { get; set; }

    public IReadOnlyDictionary<string, int> Outcomes => _outcomes;

    public void Add(string outcome) => _outcomes[outcome] = _outcomes.GetValueOrDefault(outcome) + 1;

    public void Add(StormCounts other)
    {
        Sent += other.Sent;
        Attached += other.Attached;
        Dropped += other.Dropped;
        Replaced += other.Replaced;
        Restarts += other.Restarts;
        Quiets += other.Quiets;
        foreach ((string outcome, int count) in other._outcomes)
        {
            _outcomes[outcome] = _outcomes.GetValueOrDefault(outcome) + count;
        }
    }

    public override string ToString() =>
        $"{Sent} commands, {Attached} handlers attached, {Dropped} given up, {Replaced} replaced, {Restarts} engine restarts, {Quiets} times quiet; " +
        string.Join(", ", _outcomes.Select(static outcome => $"{outcome.Key}: {outcome.Value}"));
}
