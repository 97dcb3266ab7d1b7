using Scuse.Fuzz.Running;
using Scuse.Ring;

namespace Scuse.Fuzz.Targets;

/// <summary>
/// A handler that writes whatever it likes wherever it likes, against the target's end of the ring. A second account, kept here by the rules of docs/ring-abi.md, tells what
/// must come of each call: the very answer, nothing, or a violation.
/// </summary>
/// <remarks>
/// The first record: ring size, mailbox flags, most commands, blocks of the data area. Then what happens, one record each; see <see cref="Step"/>. While another thread writes to
/// the memory too, what is in a slot cannot be foreseen: then the account follows what was reaped, and what holds for every answer is checked.
/// </remarks>
sealed unsafe class RingAnswers : FuzzTarget
{
    const byte CheckCondition = 0x02;
    const int MaxEntries = 1024;
    const byte OwnMemory = RingAbi.ResponseFlagOwnMemory;

    static readonly int[] s_ringBytes = [256, 264, 392, 512, 1000, 2048, 3968, 8064];
    static readonly long[] s_ownBytes = [0, 64 << 10, 8192, 1];
    static readonly int[] s_mostCommands = [1, 2, 3, 5, 8, 16, 64, 200];

    readonly (RingLayout Layout, nint Region)[] _places = new (RingLayout, nint)[s_ringBytes.Length * 2];
    readonly RingView _handler = new();
    readonly byte[] _cdb = new byte[3 * 256];
    readonly byte[] _sense = new byte[RingAbi.SenseBytes];
    readonly byte[] _expectedSense = new byte[RingAbi.SenseBytes];
    readonly ExtentList _out = new();
    readonly ExtentList _in = new();
    readonly ushort[] _ids = new ushort[4];

    // The second account.
    readonly Entry[] _entries = new Entry[MaxEntries];
    readonly Command[] _commands = new Command[s_mostCommands[^1] + 1];
    readonly ushort[] _kept = new ushort[s_mostCommands[^1] + 1];
    TargetRing _ring = null!;
    DataArea _area = null!;
    RingLayout _layout = null!;
    byte* _region;
    nint _raced;
    volatile int _racedBytes;
    MailboxFlags _flags;
    long _ownBytes;
    bool _tellsServiceTimes;
    uint _ringSize;
    uint _head, _published, _cleaned, _tail, _used;
    int _first, _count;
    int _mostCommands, _outstanding, _keptCount, _blocks;
    bool _broken;
    string? _violation;
    ulong _reached;
    long _answers, _violations, _posts;

    public RingAnswers()
    {
        for (int i = 0; i < s_ringBytes.Length; i++)
        {
            for (int j = 0; j < 2; j++)
            {
                var layout = RingLayout.Create(s_ringBytes[i], (j == 0 ? 3 : 16) * Memory.PageBytes);
                _places[(i * 2) + j] = (layout, Memory.MapGuarded((int)layout.RegionBytes));
            }
        }
    }

    enum State : byte { Free, Outstanding, Kept }

    public override string Name => "ring-answers";

    public override bool HasRace => true;

    public override (nint Start, int Length) Raced => (Volatile.Read(ref _raced), _racedBytes);

    public override void Reset()
    {
        // Each input makes a ring of its own.
    }

    public override void Count()
    {
        Tally["posted"] = _posts;
        Tally["answers"] = _answers;
        Tally["violations"] = _violations;
    }

    public override ulong Execute(ReadOnlySpan<byte> input)
    {
        var script = new ScriptReader(input);
        script.Next();
        Start(script.What, script.A, script.B, script.C);
        while (script.Next())
        {
            Step(script.What, script.A, script.B, script.C);
        }

        ReapAll();
        End();
        return _reached;
    }

    void Start(byte size, byte flags, byte most, byte blocks)
    {
        (_layout, nint region) = _places[(size % s_ringBytes.Length * 2) + (blocks & 1)];
        _flags = (MailboxFlags)(flags & 0xF);
        _ownBytes = s_ownBytes[(flags >> 4) % s_ownBytes.Length];
        _tellsServiceTimes = (blocks & 2) != 0;
        _mostCommands = s_mostCommands[most % s_mostCommands.Length];
        _ringSize = (uint)_layout.CommandRingBytes;
        _head = _published = _cleaned = _tail = _used = 0;
        _first = _count = _outstanding = _keptCount = _blocks = 0;
        _broken = false;
        _violation = null;
        _reached = 0;
        for (int id = 1; id <= _mostCommands; id++)
        {
            _commands[id].State = State.Free;
        }

        // A handler has the memory only when the ring is made: a second thread keeps away until then.
        TargetRing.Format(region, _layout, _flags);
        _ring = new TargetRing(region, _layout, _flags, _mostCommands) { OwnMemoryBytes = _ownBytes, TellsServiceTimes = _tellsServiceTimes };
        _area = new DataArea(_layout);
        _handler.Start(region, _layout);
        _region = (byte*)region;
        Volatile.Write(ref _raced, region);
        _racedBytes = (int)_layout.DataOffset;
    }

    void Step(byte what, byte a, byte b, byte c)
    {
        switch (what % 16)
        {
            case 0 or 1:
                Post(a, b, c);
                break;
            case 2:
                PostNotice(a, b, c);
                break;
            case 3:
                Publish();
                break;
            case 5 when _ownBytes > 0:
                _handler.AnswerFromOwnMemory(a, b, c, _ownBytes);
                break;
            case 4 or 5:
                _handler.Answer(a, b, c, (uint)(a * 977), b);
                break;
            case 6:
                _handler.PassNotices();
                break;
            case 7 or 8:
                Reap();
                break;
            case 9:
                ReapAll();
                break;
            case 10:
                ReleaseKept(a, b);
                break;
            case 11:
                Sleep(a);
                break;
            default:
                _handler.Lie(a, b, c, (byte)(what / 16 * 17));
                break;
        }
    }

    // ---- the target's calls, and what must come of them ----

    void Post(byte a, byte b, byte c)
    {
        int cdbLength = (a & 0x80) != 0 ? a * 3 : (a % 32) + 1; // some are longer than 260
        _out.Clear();
        _in.Clear();
        int outBytes = (b & 0x0F) * 900, inBytes = (b >> 4) * 900;
        bool room = _area.TryAllocate(outBytes, _out);
        Check(room == (Blocks(outBytes) <= _layout.BlockCount - _blocks), "room in the data area that is not there, or the other way round");
        if (!room)
        {
            return;
        }

        if (!_area.TryAllocate(inBytes, _in))
        {
            _area.Free(_out.AsSpan());
            return;
        }

        // More pieces than the allocator makes: every number of iovecs is possible in a command.
        Split(_out, c & 0x0F);
        Split(_in, c >> 4);
        CheckExtents(_out, outBytes);
        CheckExtents(_in, inBytes);
        ReadOnlySpan<byte> cdb = _cdb.AsSpan(0, cdbLength);
        _cdb[0] = c;
        PostResult result = _ring.TryPost(cdb, _out.AsSpan(), _in.AsSpan(), out ushort id);
        uint bytes = (uint)Math.Max(48 + (16 * (_out.Count + _in.Count)), 112) + ((uint)(cdbLength + 7) & ~7u);
        PostResult expected = cdbLength > 260 || bytes > _ringSize / 2 ? PostResult.TooLarge
            : _outstanding + _keptCount == _mostCommands ? PostResult.NoFreeId
            : MakeRoom(bytes) ? PostResult.Posted
            : PostResult.RingFull;
        Check(result == expected, "a post had another result than the rules say");
        Reach((int)result);
        if (result != PostResult.Posted)
        {
            Check(id == 0, "an id although nothing was posted");
            _area.Free(_out.AsSpan());
            _area.Free(_in.AsSpan());
            return;
        }

        Check(id > 0 && id <= _mostCommands && _commands[id].State == State.Free, "an id that is in use already");
        ref Command command = ref _commands[id];
        command.State = State.Outstanding;
        command.Take(_out, _in);
        command.InBytes = inBytes;
        _blocks += Blocks(outBytes) + Blocks(inBytes);
        _outstanding++;
        _posts++;
        Append(bytes, RingAbi.OperationCommand, id);
        CheckCounts();
    }

    void PostNotice(byte type, byte ids, byte filler)
    {
        int count = ids % 5;
        _ids.AsSpan().Fill(filler);
        bool posted = _ring.TryPostTaskManagement(type, _ids.AsSpan(0, Math.Min(count, _ids.Length)));
        uint bytes = (uint)((32 + (2 * Math.Min(count, _ids.Length)) + 7) & ~7);
        bool expected = (_flags & MailboxFlags.TaskManagement) != 0 && bytes <= _ringSize / 2 && MakeRoom(bytes);
        Check(posted == expected, "a notice was posted, or was not, against the rules");
        if (posted)
        {
            Append(bytes, RingAbi.OperationTaskManagement, 0);
            Reach(4);
        }

        CheckCounts();
    }

    void Publish()
    {
        Check(_ring.Publish() == (_head != _published), "publishing did not tell whether there was anything");
        if (!IsRacing)
        {
            Check(_head == _published || _handler.Head == _head, "the published head is not what was posted");
        }

        _published = _head;
        _handler.Observe(_published);
        if (_ring.HandlerWantsDoorbell(waitFlagsInForce: true))
        {
            Reach(5);
        }
    }

    void ReapAll()
    {
        while (Reap())
        {
        }
    }

    bool Reap()
    {
        if (IsRacing)
        {
            return ReapRaced();
        }

        bool has = _ring.HasAnswers;
        Check(has == (!_broken && _handler.Tail != _cleaned), "whether there are answers is told wrongly");
        bool expected = Expect(out RingAnswer foreseen);
        bool reaped = _ring.TryReap(out RingAnswer answer);
        Check(reaped == expected, _broken ? "an answer after or instead of a violation" : "an answer out of nothing, or none although there is one");
        CheckViolation();
        if (reaped)
        {
            Check(answer == foreseen, "another answer than is in the ring");
            _ring.CopySense(_sense);
            Check(_sense.AsSpan().SequenceEqual(_expectedSense), "other sense data than is in the ring");
            Accept(answer);
        }

        CheckCounts();
        return reaped;
    }

    bool ReapRaced()
    {
        _ = _ring.HasAnswers;
        bool reaped = _ring.TryReap(out RingAnswer answer);
        _broken |= _ring.Violation is not null;
        CheckViolation();
        if (!reaped)
        {
            // Notices and padding before the tail, as it was just then, have been cleaned up.
            while (_used > (uint)_ring.CommandRingBytesInUse && _count > 0 && First.Operation != RingAbi.OperationCommand)
            {
                RemoveFirst();
            }

            CheckCounts();
            return false;
        }

        Check(!_broken, "an answer after a violation");
        while (_count > 0 && First.Operation != RingAbi.OperationCommand)
        {
            RemoveFirst();
        }

        Check(_count > 0, "more answers than commands");
        RemoveFirst();
        Check(answer.Id > 0 && answer.Id <= _mostCommands && _commands[answer.Id].State == State.Outstanding, "an answer to a command that is not outstanding");
        Check((answer.Flags & ~(ResponseFlags.UnknownOp | ResponseFlags.ReadLength | ResponseFlags.KeepBuffer | ResponseFlags.OwnMemory)) == 0, "unknown flags are passed on");
        Check((_flags & MailboxFlags.KeepBuffer) != 0 || (answer.Flags & ResponseFlags.KeepBuffer) == 0, "an id is kept although that is not offered");
        if ((answer.Flags & ResponseFlags.OwnMemory) != 0)
        {
            long bytes = DataBytesOf(answer.Id, answer.Flags, answer.ReadLength);
            Check(answer.Status == 0 && _commands[answer.Id].InBytes > 0, "data in the handler's own memory where there is none");
            Check(answer.Place >= 0 && answer.Place <= _ownBytes - bytes, "data beyond the handler's own memory");
        }

        _ring.CopySense(_sense);
        Accept(answer);
        CheckCounts();
        return true;
    }

    long DataBytesOf(ushort id, ResponseFlags flags, uint readLength) =>
        (flags & ResponseFlags.ReadLength) != 0 ? Math.Min(readLength, _commands[id].InBytes) : _commands[id].InBytes;

    void Accept(RingAnswer answer)
    {
        _answers++;
        ref Command command = ref _commands[answer.Id];
        _outstanding--;
        if ((answer.Flags & ResponseFlags.KeepBuffer) != 0)
        {
            command.State = State.Kept;
            _kept[_keptCount++] = answer.Id;
            Reach(6);
        }
        else
        {
            FreeBlocks(ref command);
        }

        Reach(8 + (answer.Status & 7));
        Reach(16 + ((int)answer.Flags & 7));
        Reach((answer.Flags & ResponseFlags.OwnMemory) != 0 ? 40 : 41);
    }

    void ReleaseKept(byte which, byte wrong)
    {
        if (wrong == 0xFF) // one in 256, since an exception is slow
        {
            ushort id = (ushort)(which * 3);
            if (id >= _commands.Length || _commands[id].State != State.Kept)
            {
                try
                {
                    _ring.ReleaseKept(id);
                    Check(false, "an id that is not kept was released");
                }
                catch (InvalidOperationException)
                {
                    Reach(7);
                }
            }

            return;
        }

        if (_keptCount > 0)
        {
            int index = which % _keptCount;
            ushort id = _kept[index];
            _kept[index] = _kept[--_keptCount];
            _ring.ReleaseKept(id);
            FreeBlocks(ref _commands[id]);
            CheckCounts();
            Reach(24);
        }
    }

    void Sleep(byte how)
    {
        _ring.AnnounceSleep();
        _ = _ring.HasAnswers;
        if ((how & 1) != 0)
        {
            _ring.EndSleep();
        }
    }

    // ---- the second account ----

    // What the next reaping must bring, by the memory as it is now.
    bool Expect(out RingAnswer answer)
    {
        answer = default;
        while (!_broken)
        {
            if (_cleaned == _tail)
            {
                uint tail = _handler.Tail;
                if (tail == _cleaned)
                {
                    return false;
                }

                if (tail >= _ringSize || Distance(_cleaned, tail) > Distance(_cleaned, _published))
                {
                    return Broken(32);
                }

                _tail = tail;
            }

            Entry entry = First;
            if (entry.Length > Distance(_cleaned, _tail))
            {
                return Broken(33);
            }

            if (entry.Operation == RingAbi.OperationCommand)
            {
                byte* slot = _region + _layout.CommandRingOffset + entry.Offset;
                ushort id = *(ushort*)(slot + 4);
                if (id == 0)
                {
                    return Broken(34);
                }

                if (id > _mostCommands || _commands[id].State != State.Outstanding)
                {
                    return Broken(id > _mostCommands ? 35 : 36 + (int)_commands[id].State);
                }

                if (id != entry.Id && (_flags & MailboxFlags.OutOfOrder) == 0)
                {
                    return Broken(39);
                }

                int known = (_flags & MailboxFlags.KeepBuffer) != 0 ? 7 : 3;
                var said = (ResponseFlags)(slot[7] & (known | OwnMemory));
                long place = 0;
                if ((said & ResponseFlags.OwnMemory) != 0)
                {
                    place = *(long*)(slot + 16);
                    long bytes = DataBytesOf(id, said, *(uint*)(slot + 12));
                    if (_ownBytes == 0 || slot[8] != 0 || (said & ResponseFlags.UnknownOp) != 0 || _commands[id].InBytes == 0)
                    {
                        return Broken(_ownBytes == 0 ? 42 : 43);
                    }

                    if (place < 0 || place > _ownBytes - bytes)
                    {
                        return Broken(44);
                    }
                }

                answer = new RingAnswer(id, slot[8], said, *(uint*)(slot + 12), place, _tellsServiceTimes && slot[8] == 0 ? *(uint*)(slot + 24) : 0);
                if (answer.Status == CheckCondition)
                {
                    new ReadOnlySpan<byte>(slot + 16, RingAbi.SenseBytes).CopyTo(_expectedSense);
                }
                else
                {
                    Array.Clear(_expectedSense);
                }

                RemoveFirst();
                return true;
            }

            RemoveFirst();
        }

        return false;
    }

    bool Broken(int how)
    {
        _broken = true;
        _violations++;
        Reach(how);
        return false;
    }

    void CheckViolation()
    {
        string? now = _ring.Violation;
        Check(now is not null == _broken, _broken ? "a rule was broken and that is not told" : "a violation although no rule was broken");
        Check(_violation is null || ReferenceEquals(_violation, now), "a violation changed afterwards");
        Check(now is null || now.Length > 0, "a violation without a word");
        if (_violation is null && now is not null && IsRacing)
        {
            _violations++;
        }

        _violation = now;
    }

    void CheckCounts()
    {
        Check(_ring.Outstanding == _outstanding, "the number of outstanding commands is wrong");
        Check(_ring.Kept == _keptCount, "the number of kept commands is wrong");
        Check((uint)_ring.CommandRingBytesInUse == _used, "the room in the ring is accounted wrongly");
        Check(_area.BlocksInUse == _blocks, "the blocks in use are accounted wrongly");
    }

    void CheckExtents(ExtentList list, int bytes)
    {
        long total = 0;
        foreach (DataExtent extent in list.AsSpan())
        {
            Check(extent.Length > 0 && extent.Offset >= _layout.DataOffset && extent.Offset + extent.Length <= _layout.RegionBytes, "an extent outside the data area");
            total += extent.Length;
        }

        Check(total == bytes, "extents of another length than was asked for");
    }

    // At the end everything is given back, and everything is free.
    void End()
    {
        for (int id = 1; id <= _mostCommands; id++)
        {
            if (_commands[id].State != State.Free)
            {
                FreeBlocks(ref _commands[id]);
            }
        }

        Check(_area.BlocksInUse == 0 && _blocks == 0, "blocks are left over");
        _racedBytes = 0; // the next input makes the region anew; by then nobody writes to it any more
    }

    void FreeBlocks(ref Command command)
    {
        int before = _area.BlocksInUse;
        command.Free(_area);
        command.State = State.Free;
        _blocks -= before - _area.BlocksInUse;
    }

    // Cuts the first extents into blocks of one page until there are so many more.
    static void Split(ExtentList list, int more)
    {
        Span<DataExtent> all = stackalloc DataExtent[64];
        int count = 0;
        foreach (DataExtent extent in list.AsSpan())
        {
            DataExtent rest = extent;
            while (more > 0 && rest.Length > Memory.PageBytes)
            {
                all[count++] = rest with { Length = Memory.PageBytes };
                rest = new DataExtent(rest.Offset + Memory.PageBytes, rest.Length - Memory.PageBytes);
                more--;
            }

            all[count++] = rest;
        }

        list.Clear();
        foreach (DataExtent extent in all[..count])
        {
            list.Add(extent);
        }
    }

    bool MakeRoom(uint bytes)
    {
        uint toEnd = _ringSize - _head;
        uint pad = bytes > toEnd ? toEnd : 0;
        if (pad + bytes > _ringSize - _used - 1)
        {
            return false;
        }

        if (pad > 0)
        {
            Append(pad, RingAbi.OperationPad, 0);
            Reach(25);
        }

        return true;
    }

    Entry First => _entries[_first];

    void Append(uint length, byte operation, ushort id)
    {
        _entries[(_first + _count++) % MaxEntries] = new Entry(_head, length, operation, id);
        _used += length;
        _head = _head + length == _ringSize ? 0 : _head + length;
    }

    void RemoveFirst()
    {
        uint length = First.Length;
        _first = (_first + 1) % MaxEntries;
        _count--;
        _used -= length;
        _cleaned = _cleaned + length == _ringSize ? 0 : _cleaned + length;
    }

    uint Distance(uint from, uint to) => to >= from ? to - from : to + _ringSize - from;

    static int Blocks(int bytes) => (bytes + Memory.PageBytes - 1) / Memory.PageBytes;

    void Reach(int bit) => _reached |= 1ul << (bit & 63);

    public override void Dispose()
    {
        foreach ((RingLayout layout, nint region) in _places)
        {
            Memory.UnmapGuarded(region, (int)layout.RegionBytes);
        }

        base.Dispose();
    }

    readonly record struct Entry(uint Offset, uint Length, byte Operation, ushort Id);

    /// <summary>A command posted, with the extents it holds: kept here without an allocation each.</summary>
    struct Command
    {
        const int MaxExtents = 16;

        Extents _extents;
        int _count;

        public State State { get; set; }

        public int InBytes { get; set; }

        public void Take(ExtentList first, ExtentList second)
        {
            _count = 0;
            foreach (DataExtent extent in first.AsSpan())
            {
                _extents[_count++] = extent;
            }

            foreach (DataExtent extent in second.AsSpan())
            {
                _extents[_count++] = extent;
            }
        }

        public void Free(DataArea area)
        {
            area.Free(((ReadOnlySpan<DataExtent>)_extents)[.._count]);
            _count = 0;
        }

        [System.Runtime.CompilerServices.InlineArray(MaxExtents)]
        struct Extents
        {
            DataExtent _first;
        }
    }
}
