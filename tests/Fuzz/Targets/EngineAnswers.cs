using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;
using Scuse.Device;
using Scuse.Engine;
using Scuse.Engine.Backstores;
using Scuse.Engine.Reactors;
using Scuse.Fuzz.Running;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Target;

namespace Scuse.Fuzz.Targets;

/// <summary>
/// A logical unit of the engine, an initiator that knows its business, and a handler that writes what it likes into the region: every command ends exactly once, and when the
/// handler is given up, that is told with a reason and the next one gets what is still wanted.
/// </summary>
/// <remarks>
/// Several inputs share an engine. After each of them an honest handler puts things right, if need be with a fresh region: then no command and no block may be left. What an input
/// says is in <see cref="Step"/>.
/// </remarks>
sealed class EngineAnswers : FuzzTarget, ITaskTransport
{
    const int MaxTasks = 96;
    const int BlockBytes = 512;
    const int DiskBytes = 64 << 10;
    const int SmallAreaBytes = 64 << 10;
    const int LargeAreaBytes = 1 << 20;
    const int TimeoutMs = 1000;
    const int OwnBytes = 128 << 10;
    const int IdleRounds = 3;

    static readonly string[][] s_abilities = [[], ["waitFlags"], ["tmr"], ["waitFlags", "tmr", "keepBuf", "ownMemory"], ["serviceTimes"], ["waitFlags", "ownMemory", "serviceTimes"]];
    static readonly int[] s_ringBytes = [512, 1000, 3968, 8064];

    readonly Record[] _records = [.. Enumerable.Range(0, MaxTasks).Select(static _ => new Record())];
    readonly RingView _handler = new();
    readonly byte[] _pattern = new byte[64 << 10];
    readonly MemFd _ownMemory = MemFd.Create("fuzz", OwnBytes);
    SafeFileHandle? _notPassed;
    RingLayout _layout = null!;

    // Mappings that a second thread may still be writing to; given back when it does not any more.
    readonly List<MappedRegion> _oldMaps = [];
    readonly List<(nint Start, long Bytes)> _oldGuards = [];
    Reactor? _reactor;
    UserBackstore _backstore = null!;
    ScsiTarget _target = null!;
    LogicalUnit _unit = null!;
    Nexus _nexus = null!;
    LunOptions _options = null!;
    HandlerLink? _link;
    MappedRegion? _map;
    bool _guards;
    nint _regionAt;
    int _active;
    long _moves;
    int _dropped;
    int _drainsOpen;
    string? _lastReason;
    long _nowMs;
    ulong _reached;
    ulong _resets;
    long _commands, _completed, _aborted, _violations, _attached, _guarded;

    public override string Name => "engine-answers";

    public override int InputsPerReset => 64;

    public override int MaxInputBytes => 192;

    public override bool HasRace => true;

    public override (nint Start, int Length) Raced => Volatile.Read(ref _map) is { } map ? (map.Address, (int)_layout.DataOffset) : default;

    public override string Remark => $"{_guarded:n0} of {_attached:n0} regions lay between guard pages";

    public override void Reset()
    {
        End();
        int ringBytes = s_ringBytes[(int)(_resets % (ulong)s_ringBytes.Length)];
        int areaBytes = (_resets++ & 4) == 0 ? SmallAreaBytes : LargeAreaBytes;
        _layout = RingLayout.Create(ringBytes, areaBytes);
        _options = new LunOptions
        {
            Number = 0,
            Spec = "fuzz",
            DeviceName = "fuzz",
            DataAreaBytes = areaBytes,
            CommandRingBytes = ringBytes,
            CommandTimeoutMs = TimeoutMs,
        };
        _reactor = new Reactor("fuzz", 0, NullLogger.Instance);
        _backstore = new UserBackstore(_options, _reactor, NullLogger.Instance, (_, reason) =>
        {
            _dropped++;
            _lastReason = reason;
        }, new DataMemory(_options.DataAreaBytes, _reactor.NowMs, _reactor.Post));
        _unit = new LogicalUnit(0, _backstore) { CommandTimeoutMs = TimeoutMs };
        _target = new ScsiTarget("iqn.2026-11.example:fuzz", [_unit]);
        _nexus = _target.Attach("iqn.2026-11.example:a,i,0x000000000001");
        _nowMs = 0;
        Attach(0, 3, 0);
    }

    public override void Count()
    {
        Tally["commands"] = _commands;
        Tally["completed"] = _completed;
        Tally["aborted"] = _aborted;
        Tally["violations"] = _violations;
        Tally["handlers"] = _attached;
    }

    public override ulong Execute(ReadOnlySpan<byte> input)
    {
        _reached = 0;
        var script = new ScriptReader(input);
        while (script.Next())
        {
            Step(script.What, script.A, script.B, script.C);
        }

        return _reached;
    }

    void Step(byte what, byte a, byte b, byte c)
    {
        switch (what % 24)
        {
            case 0 or 1:
                Send(0x28, a, b, isWrite: false, cut: c);
                break;
            case 2 or 3:
                Send(0x2A, a, b, isWrite: true, cut: c);
                break;
            case 4:
                SendOther(a, b);
                break;
            case 5:
                if (Pick(a, static record => record.IsWanted) is { } wanted)
                {
                    Deliver(wanted);
                }

                break;
            case 6:
                Publish();
                break;
            case 7 or 8:
                if (_link is { OwnMemory: not null } && what % 24 == 8)
                {
                    _handler.AnswerFromOwnMemory(a, b, c, OwnBytes);
                }
                else if (_link is not null)
                {
                    _handler.Answer(a, b, c, (uint)a * 977, b);
                }

                break;
            case 9 or 10:
                Reap();
                break;
            case 11:
                if (Pick(a, static record => record.IsCompleted) is { } completed)
                {
                    Release(completed);
                }

                break;
            case 12:
                Abort(a, b);
                break;
            case 13:
                Pass(a == 0xFF ? 2 * TimeoutMs : (a % 8) * 50);
                break;
            case 14:
                if ((a & 15) == 0) // a region is the dearest thing here
                {
                    Die("killed");
                }

                break;
            case 15:
                if (_link is null)
                {
                    Attach(a, b, c);
                }

                break;
            case 16:
                FreeKept(a, b);
                break;
            case 17 when (a & 1) == 0:
                _backstore.Block();
                break;
            case 17:
                _backstore.Unblock();
                break;
            case 18 when (a & 1) == 0:
                Drain();
                break;
            case 18:
                _backstore.Resume();
                _drainsOpen = 0;
                break;
            case 19:
                if ((a & 15) == 0)
                {
                    _backstore.ResetRing((b & 1) == 0 ? RingReset.Busy : RingReset.Fail);
                    AfterEngine();
                }

                break;
            default:
                if (_link is not null)
                {
                    _handler.Lie(a, b, c, (byte)(what / 24 * 25));
                }

                break;
        }
    }

    // ---- the initiator ----

    void Send(byte operation, byte lba, byte blocks, bool isWrite, byte cut)
    {
        int count = blocks % 40;
        Span<byte> cdb = [operation, (byte)(cut & 8), 0, 0, (byte)((cut & 0x80) == 0 ? 0 : 0xFF), lba, 0, 0, (byte)count, 0];
        int bytes = Math.Max(0, (count * BlockBytes) + ((cut & 7) switch { 1 => -1, 2 => 511, 3 => -BlockBytes, _ => 0 }));
        Begin(cdb, isWrite ? 0 : bytes, isWrite ? bytes : 0);
    }

    void SendOther(byte which, byte b)
    {
        switch (which % 8)
        {
            case 0:
                Begin([0, 0, 0, 0, 0, 0], 0, 0); // TEST UNIT READY
                break;
            case 1:
                Begin([0x12, 0, 0, 0, 255, 0], 255, 0); // INQUIRY
                break;
            case 2:
                Begin([0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0, 0); // SYNCHRONIZE CACHE(10)
                break;
            case 3:
                Begin([0x2F, 0x02, 0, 0, 0, b, 0, 0, 2, 0], 0, 1024); // VERIFY(10) with data
                break;
            case 4:
                Begin([0x41, 0, 0, 0, 0, b, 0, 0, 4, 0], 0, 512); // WRITE SAME(10)
                break;
            case 5:
                Begin([0x89, 0, 0, 0, 0, 0, 0, 0, 0, b, 0, 0, 0, 1, 0, 0], 0, 1024); // COMPARE AND WRITE
                break;
            case 6:
                Begin([b, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0], 4096, 0); // anything
                break;
            default:
                Begin([b, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0], 0, 4096); // anything
                break;
        }
    }

    void Begin(ReadOnlySpan<byte> cdb, int dataIn, int dataOut)
    {
        Record? record = null;
        foreach (Record candidate in _records)
        {
            if (candidate.Task is null)
            {
                record = candidate;
                break;
            }
        }

        if (record is null)
        {
            return;
        }

        ScsiTask task = _target.Rent();
        record.Start(task);
        _active++;
        _commands++;
        task.Transport = this;
        task.TransportState = record;
        task.Nexus = _nexus;
        task.Lun = LunAddress.Format(0);
        task.ExpectedDataIn = dataIn;
        task.ExpectedDataOut = dataOut;
        task.TakesDataInWhereItLies = (_commands & 1) == 0;
        task.Attribute = _commands % 16 == 7 ? TaskAttribute.Ordered : TaskAttribute.Simple;
        task.SetCdb(cdb);
        _target.Begin(task);
    }

    void Deliver(Record record)
    {
        _moves++;
        ScsiTask task = record.Task!;
        record.IsWanted = false;
        Check(task.DataOut.Length >= task.DataOutLength, "less room for the data than is wanted");
        task.DataOut.CopyFrom(_pattern.AsSpan(0, task.DataOutLength));
        _target.DataArrived(task);
    }

    void Release(Record record)
    {
        _moves++;
        ScsiTask task = record.Task!;

        // What is sent to the initiator is read here.
        int length = Math.Min(task.DataInLength, task.ExpectedDataIn);
        Check(length <= task.DataIn.Length, "more data for the initiator than there is");
        byte sum = 0;
        foreach (Memory<byte> piece in task.DataIn.Slice(0, length))
        {
            if (piece.Length > 0)
            {
                sum ^= (byte)(piece.Span[0] ^ piece.Span[^1]);
            }
        }

        _pattern[^1] = sum;
        record.End();
        _active--;
        task.Release();
    }

    void Abort(byte which, byte how)
    {
        if ((how & 15) == 0)
        {
            Manage(TaskManagementFunction.LogicalUnitReset, null);
        }
        else if (Pick(which, static record => !record.IsCompleted) is { } record)
        {
            Manage(TaskManagementFunction.AbortTask, record.Task);
        }
    }

    void Manage(TaskManagementFunction function, ScsiTask? task) => _target.Manage(new TaskManagementRequest
    {
        Nexus = _nexus,
        Transport = this,
        Function = function,
        Lun = LunAddress.Format(0),
        Referenced = task,
    });

    Record? Pick(byte which, Func<Record, bool> wanted)
    {
        for (int i = 0; i < MaxTasks; i++)
        {
            Record record = _records[(which + i) % MaxTasks];
            if (record.Task is not null && wanted(record))
            {
                return record;
            }
        }

        return null;
    }

    void ITaskTransport.OnDataOutWanted(ScsiTask task)
    {
        var record = (Record)task.TransportState!;
        Check(record.Task == task && !record.IsWanted && !record.IsCompleted, "data is wanted twice, or for a command that has ended");
        record.IsWanted = true;
    }

    void ITaskTransport.OnCompleted(ScsiTask task)
    {
        var record = (Record)task.TransportState!;
        Check(record.Task == task && !record.IsCompleted, "a command has ended twice");
        record.IsWanted = false;
        record.IsCompleted = true;
        _moves++;
        _completed++;
        Reach(1 + ((int)task.Status & 15));
        Reach(task.SenseLength > 2 ? 17 + (task.Sense[2] & 15) : 40);
    }

    void ITaskTransport.OnDataInMoved(ScsiTask task)
    {
        var record = (Record)task.TransportState!;
        Check(record.Task == task && record.IsCompleted && task.TakesDataInWhereItLies, "data has moved that nobody sends, or that may not move");
        Reach(52);
    }

    void ITaskTransport.OnAborted(ScsiTask task)
    {
        var record = (Record)task.TransportState!;
        Check(record.Task == task && !record.IsCompleted, "a command was aborted that has ended");
        record.End();
        _active--;
        _aborted++;
        Reach(41);
    }

    void ITaskTransport.OnTaskManagementCompleted(TaskManagementRequest request, TaskManagementResponse response) => Reach(42 + ((int)response & 3));

    // ---- the handler ----

    void Attach(byte level, byte abilities, byte sizes)
    {
        nint gap = Memory.ReserveGap(_layout.RegionBytes);
        string[] inForce = s_abilities[abilities % s_abilities.Length];
        var link = new HandlerLink("fuzz", "fuzz", pid: 1, _layout, inForce, PassMemory(inForce.Contains("ownMemory") && (level & 1) == 0));
        _guards = Memory.KeepGuards(gap, link.Region.Address, _layout.RegionBytes);
        _guarded += _guards ? 1 : 0;

        // A real handler writes through a mapping of its own, which outlives the engine's.
        MappedRegion map = MappedRegion.Map(link.Descriptors[0], link.Region.LengthBytes);
        _handler.Start(map.Address, _layout);
        _link = link;
        _regionAt = link.Region.Address;
        _attached++;
        int sizeBytes = (sizes & 7) == 7 ? DiskBytes / 2 : DiskBytes;
        _backstore.Attach(link, new BlockDeviceInfo { SizeBytes = sizeBytes, BlockSize = BlockBytes, Serial = "0123", Features = BlockDeviceFeatures.Flush | BlockDeviceFeatures.Unmap | BlockDeviceFeatures.WriteZeroes }, (level & 1) == 0 ? PassLevel.Io : PassLevel.All);
        Volatile.Write(ref _map, map);
        AfterEngine();
    }

    HandlerMemory? PassMemory(bool isWanted)
    {
        // Every handler costs as many descriptors as any other: they are counted.
        _notPassed?.Dispose();
        _notPassed = null;
        SafeFileHandle passed = File.OpenHandle($"/proc/self/fd/{_ownMemory.Handle.DangerousGetHandle()}", FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        if (isWanted)
        {
            return HandlerMemory.TryTake(passed, OwnBytes, out string? refusal) ?? throw new InvalidOperationException(refusal);
        }

        _notPassed = passed;
        return null;
    }

    void Publish()
    {
        if (_link is { } link)
        {
            link.Publish();
            _handler.Observe(_handler.Head);
        }
    }

    void Reap()
    {
        if (_link is { } link)
        {
            link.Reap();
            AfterEngine();
        }
    }

    void FreeKept(byte which, byte lie)
    {
        if (_link is not { } link)
        {
            return;
        }

        ushort id = (ushort)(lie == 0xFF ? which * 257 : 0);
        if (id == 0 && _backstore.Kept > 0)
        {
            RingCommand[] kept = [.. _backstore.Commands.Where(static command => command.IsKept)];
            id = kept[which % kept.Length].Id;
        }
        else if (id == 0)
        {
            return;
        }

        bool isKept = _backstore.Commands.Any(command => command.IsKept && command.Id == id);
        _dropped = 0;
        _backstore.FreeKept(link, [id]);
        Check(isKept == _backstore.IsAttached, "an id was freed that is not kept, or one that is kept was not");
        Reach(isKept ? 49 : 50);
        AfterEngine();
    }

    void Drain()
    {
        if (_drainsOpen == 0)
        {
            _drainsOpen = 1;
            if (_backstore.Waiting % 2 == 0)
            {
                _backstore.Settle(() => { });
            }

            _backstore.Drain(() =>
            {
                Check(_drainsOpen == 1, "a drain ended twice");
                Check(_backstore.Link is not { Outstanding: > 0 }, "a drain ended with commands at the handler");
                _drainsOpen = 0;
                Reach(51);
            });
        }
    }

    void Die(string how)
    {
        if (_link is { } link)
        {
            Forget();
            int dropped = _dropped;
            _backstore.Detach(link, how);
            Check(_dropped - dropped is 0 or 1 && !_backstore.IsAttached, "a handler that is gone is still attached");
            _reactor!.RunPosted();
            _dropped = 0;
            Reach(46);
        }
    }

    void Pass(int milliseconds)
    {
        _nowMs += milliseconds;
        _target.Tick(_nowMs);
        AfterEngine();
    }

    // The engine may have given the handler up.
    void AfterEngine()
    {
        _reactor!.RunPosted();
        if (_link is not { } link)
        {
            return;
        }

        if (_backstore.IsAttached)
        {
            Check(link.Ring.Violation is null, "a handler broke a rule and is kept");
            return;
        }

        Check(_dropped > 0 && _lastReason is { Length: > 0 }, "a handler was given up and nobody was told why");
        if (link.Ring.Violation is { } violation)
        {
            Check(_lastReason!.Length > 0 && violation.Length > 0, "a violation without a word");
            _violations++;
            Reach(47);
        }

        Reach(48);
        _dropped = 0;
        _lastReason = null;
        Forget();
    }

    // The handler's own end of it: nothing more is written there, except by a second thread that does not know yet.
    void Forget()
    {
        if (_map is { } map)
        {
            _oldMaps.Add(map);
        }

        if (_guards)
        {
            _oldGuards.Add((_regionAt, _link!.Region.LengthBytes)); // they stand as long as the engine may send from the region
        }

        Volatile.Write(ref _map, null);
        _link = null;
        _guards = false;
    }

    // ---- what must hold in the end ----

    public override void Settle()
    {
        foreach (MappedRegion map in _oldMaps)
        {
            map.Dispose();
        }

        _oldMaps.Clear();
        _backstore.Unblock();
        _backstore.Resume();
        _drainsOpen = 0;
        int idle = 0;
        long before = -1;
        while (_active > 0 || _unit.TaskCount > 0 || HasCalls)
        {
            // What the handler destroyed itself it cannot answer any more; the next one can.
            idle = _moves == before ? idle + 1 : 0;
            before = _moves;
            if (idle == IdleRounds)
            {
                Die("of no use any more");
            }
            else if (idle == 4 * IdleRounds)
            {
                Check(false, $"{_active} commands of {_unit.TaskCount} do not end although the handler answers everything: {Commands()}; {_link?.Outstanding} posted, {_backstore.Kept} kept, {_handler.Entries.Length} seen");
            }

            if (_link is null)
            {
                Attach(0, 3, 0);
            }

            foreach (Record record in _records)
            {
                if (record.Task is not null && record.IsCompleted)
                {
                    Release(record);
                }
                else if (record.Task is not null && record.IsWanted)
                {
                    Deliver(record);
                }
            }

            Publish();
            if (_link is not null)
            {
                _handler.PassNotices();
                while (_handler.Answer(0, 0, 0, 0))
                {
                    _moves++;
                }
            }

            Reap();
        }

        Check(_unit.TaskCount == 0, "the logical unit has commands that nobody sent");
        foreach ((nint start, long bytes) in _oldGuards)
        {
            Memory.RemoveGuards(start, bytes);
        }

        _oldGuards.Clear();
        Reap();
        while (_link is not null && _backstore.Kept > 0)
        {
            FreeKept(0, 0);
        }

        if (_link is { } link)
        {
            if (link.Outstanding != 0 || link.Users != 0 || link.DataArea.BlocksInUse != 0)
            {
                Check(false, $"left over: {link.Outstanding} ids, {link.DataArea.BlocksInUse} blocks, held by {link.Users} commands: {Commands()}");
            }
        }
    }

    /// <summary>Whether the device server still has the handler do something: a FORMAT UNIT or SANITIZE goes on when its command is over.</summary>
    bool HasCalls => _backstore.Commands.Any(static command => command.Call is not null);

    string Commands() => string.Join("; ", _backstore.Commands.Where(static command => command.State != RingCommandState.Free).Select(static command =>
        $"{command.State}, {command.OutLength} out, {command.InLength} in, of {(command.Task is not null ? "a task" : command.Call is not null ? "a call" : "nobody")}"));

    void End()
    {
        if (_reactor is not null)
        {
            Die("the end");
            Settle();
            Die("the end");
            _reactor.Dispose();
            _reactor = null;
        }
    }

    void Reach(int bit) => _reached |= 1ul << (bit & 63);

    public override void Dispose()
    {
        End();
        foreach (MappedRegion map in _oldMaps)
        {
            map.Dispose();
        }

        _notPassed?.Dispose();
        _ownMemory.Dispose();
        base.Dispose();
    }

    /// <summary>What the initiator knows of a command.</summary>
    sealed class Record
    {
        public ScsiTask? Task { get; private set; }

        public bool IsWanted { get; set; }

        public bool IsCompleted { get; set; }

        public void Start(ScsiTask task)
        {
            Task = task;
            IsWanted = IsCompleted = false;
        }

        public void End() => Task = null;
    }
}
