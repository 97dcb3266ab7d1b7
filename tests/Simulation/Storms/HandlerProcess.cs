using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Scuse.Engine.Backstores;
using Scuse.Linux;
using Scuse.Ring;
using Scuse.Scsi;

namespace Scuse.Simulation.Storms;

/// <summary>
/// A handler's process: it has a map of its own of each region, as real ones have, so that it can go on writing there whatever the engine does with its own.
/// What it does when is the storm's choice. With several rings there is one of these for each, which live and die together; the first speaks for all.
/// </summary>
sealed class HandlerProcess : IDisposable
{
    const byte CheckCondition = 0x02, Busy = 0x08;

    /// <summary>A command that it has taken.</summary>
    sealed class Work
    {
        public required HandlerCommand Command { get; init; }

        /// <summary>How many of its blocks are done.</summary>
        public int Done { get; set; }

        public bool IsExecuted { get; set; }
    }

    readonly Medium _medium;
    readonly Random _random;
    readonly StormFault _fault;
    readonly MappedRegion _map;
    readonly HandlerRing _ring;
    readonly List<Work> _work = [];
    readonly List<ushort> _kept = [];
    readonly List<ushort> _answered = [];
    readonly HandlerProcess[] _rings;

    public HandlerProcess(IReadOnlyList<HandlerLink> links, Medium medium, Random random, StormFault fault)
        : this(links[0], medium, random, fault) =>
        _rings = [this, .. links.Skip(1).Select(link => new HandlerProcess(link, medium, random, fault))];

    HandlerProcess(HandlerLink link, Medium medium, Random random, StormFault fault)
    {
        _rings = [this];
        Link = link;
        _medium = medium;
        _random = random;
        _fault = fault;
        _map = MappedRegion.Map(link.Descriptors[0], link.Region.LengthBytes);
        _ring = new HandlerRing(_map.Address, _map.LengthBytes);
    }

    public HandlerLink Link { get; }

    /// <summary>The regions of all its rings.</summary>
    public IEnumerable<HandlerLink> Links => _rings.Select(static ring => ring.Link);

    /// <summary>Stopped by a signal: it does nothing until it is continued, and does not know.</summary>
    public bool IsStopped { get; set; }

    /// <summary>The process has ended.</summary>
    public bool IsDead { get; private set; }

    /// <summary>It has broken the rules, so its answers prove nothing.</summary>
    public bool IsHostile { get; private set; }

    /// <summary>It answers reads without filling them.</summary>
    public bool IsLazy { get; init; }

    public bool HasWork => _rings.Any(static ring => ring._work.Count > 0);

    public bool HasKept => _rings.Any(static ring => ring._kept.Count > 0);

    /// <summary>Does something, as the storm's dice say. With <paramref name="all"/>: takes, executes and answers everything.</summary>
    public void Run(bool all)
    {
        if (IsDead || IsStopped || IsHostile)
        {
            return;
        }

        foreach (HandlerProcess ring in _rings)
        {
            ring.RunRing(all, IsLazy);
        }
    }

    void RunRing(bool all, bool isLazy)
    {
        if (all)
        {
            while (TryTake())
            {
            }

            while (_work.Count > 0)
            {
                Execute(_work[0], wholly: true, isLazy);
                Answer(0, wellBehaved: true);
            }

            _ring.Publish();
            return;
        }

        for (int takes = _random.Next(4); takes > 0 && TryTake(); takes--)
        {
        }

        for (int turns = _random.Next(1, 5); turns > 0 && _work.Count > 0; turns--)
        {
            int index = _random.Next(_work.Count);
            if (!_work[index].IsExecuted)
            {
                Execute(_work[index], wholly: _random.Next(4) != 0, isLazy);
            }
            else
            {
                Answer(index, wellBehaved: false);
            }
        }

        if (_random.Next(3) != 0)
        {
            _ring.Publish();
        }
    }

    bool TryTake()
    {
        var command = new HandlerCommand();
        while (_ring.TryTake(command))
        {
            if (command.Kind == HandlerCommandKind.Command)
            {
                _work.Add(new Work { Command = command });
                return true;
            }
        }

        return false;
    }

    // ---- what commands do ----

    void Execute(Work work, bool wholly, bool isLazy)
    {
        HandlerCommand command = work.Command;
        ReadOnlySpan<byte> cdb = command.Cdb;
        switch (cdb[0])
        {
            case OperationCode.Read10 or OperationCode.Read16:
                if (!isLazy)
                {
                    (int first, _) = RangeOf(cdb);
                    Blocks(work, wholly, block => FillBlock(command, block, IsStale(command)
                        ? _medium.ReadStale(first + block)
                        : _medium.Read(first + block)));
                }
                else
                {
                    work.IsExecuted = true;
                }

                break;
            case OperationCode.Write10 or OperationCode.Write16:
                {
                    (int first, _) = RangeOf(cdb);
                    bool loses = _fault == StormFault.LoseWrite && _random.Next(100) == 0;
                    Blocks(work, wholly, block =>
                    {
                        if (!loses)
                        {
                            _medium.Write(first + block, ValueOf(command, block));
                        }
                    });
                    break;
                }

            case OperationCode.SynchronizeCache10 or OperationCode.SynchronizeCache16:
                if (_fault != StormFault.LoseFlush)
                {
                    _medium.Flush();
                }

                work.IsExecuted = true;
                break;
            case OperationCode.Unmap:
                {
                    byte[] list = new byte[(int)command.Data[0].Length];
                    Slice(command, 0, list.Length).CopyTo(list);
                    if (UnmapParameterList.TryParse(list, out UnmapParameterList parsed))
                    {
                        for (int i = 0; i < parsed.Count; i++)
                        {
                            Zero((int)parsed[i].Lba, (int)parsed[i].BlockCount);
                        }
                    }

                    work.IsExecuted = true;
                    break;
                }

            case OperationCode.WriteSame16:
                (int from, int count) = RangeOf(cdb);
                Zero(from, count);
                work.IsExecuted = true;
                break;
            default:
                work.IsExecuted = true;
                break;
        }
    }

    /// <summary>The engine's own reads are READ(16), the storm's initiators' READ(10).</summary>
    bool IsStale(HandlerCommand command) =>
        (_fault == StormFault.StaleData && _random.Next(20) == 0)
        || (_fault == StormFault.StaleToCompare && command.Cdb[0] == OperationCode.Read16 && _random.Next(2) == 0);

    /// <summary>Goes on with the blocks of a command, one of them or all.</summary>
    static void Blocks(Work work, bool wholly, Action<int> each)
    {
        int blocks = (int)(LengthOf(work.Command) / StormOptions.BlockSize);
        do
        {
            if (work.Done < blocks)
            {
                each(work.Done++);
            }
        }
        while (wholly && work.Done < blocks);

        work.IsExecuted = work.Done >= blocks;
    }

    void Zero(int first, int count)
    {
        for (int i = 0; i < count; i++)
        {
            _medium.Write(first + i, Operation.Zero);
        }
    }

    void Answer(int index, bool wellBehaved)
    {
        Work work = _work[index];
        _work.RemoveAt(index);
        HandlerCommand command = work.Command;
        _answered.Add(command.Id);
        if (_answered.Count > 8)
        {
            _answered.RemoveAt(0);
        }

        bool isKnown = command.Cdb[0] is OperationCode.Read10 or OperationCode.Read16 or OperationCode.Write10 or OperationCode.Write16
            or OperationCode.SynchronizeCache10 or OperationCode.SynchronizeCache16 or OperationCode.Unmap or OperationCode.WriteSame16;
        if (!isKnown)
        {
            _ring.Answer(command.Id, 0, [], ResponseFlags.UnknownOp);
            return;
        }

        int dice = wellBehaved ? 100 : _random.Next(100);
        bool isRead = command.Cdb[0] is OperationCode.Read10 or OperationCode.Read16;
        switch (dice)
        {
            case 0:
                _ring.Answer(command.Id, CheckCondition, MediumError);
                break;
            case 1:
                _ring.Answer(command.Id, Busy, []);
                break;
            case 2:
                _ring.Answer(command.Id, 0x7E, []); // no status that anybody knows
                break;
            case 3 when isRead:
                // Some of the data, and sense that says so.
                _ring.Answer(command.Id, CheckCondition, MediumError, ResponseFlags.ReadLength, (uint)_random.Next((int)LengthOf(command) + 1));
                break;
            case 4 or 5 or 6 when isRead:
                _ring.Answer(command.Id, 0, [], ResponseFlags.ReadLength, (uint)(_random.Next((int)LengthOf(command) / StormOptions.BlockSize + 1) * StormOptions.BlockSize));
                break;
            case 7 when isRead:
                _ring.Answer(command.Id, 0, [], ResponseFlags.ReadLength, uint.MaxValue); // more than there is room for
                break;
            case >= 8 and < 14 when (_ring.Flags & MailboxFlags.KeepBuffer) != 0:
                _ring.Answer(command.Id, 0, [], ResponseFlags.KeepBuffer);
                _kept.Add(command.Id);
                break;
            default:
                _ring.Answer(command.Id, 0, []);
                break;
        }
    }

    static readonly byte[] MediumError = [0x70, 0, 0x03, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x11, 0, 0, 0, 0, 0];

    /// <summary>One of the buffers it keeps is to be freed, of a region; 0 if there is none. The id's message goes to the engine another way.</summary>
    public (HandlerLink Link, ushort Id) TakeKept()
    {
        HandlerProcess ring = _rings[_random.Next(_rings.Length)];
        return (ring.Link, ring.TakeKeptHere());
    }

    ushort TakeKeptHere()
    {
        // What it has not shown the target yet is not kept yet.
        _ring.Publish();
        if (_kept.Count == 0)
        {
            return 0;
        }

        int index = _random.Next(_kept.Count);
        ushort id = _kept[index];
        _kept.RemoveAt(index);
        return id;
    }

    // ---- crimes ----

    /// <summary>Writes into the region what no honest handler would.</summary>
    public void BreakTheRules()
    {
        if (IsDead)
        {
            return;
        }

        IsHostile = true;
        _rings[_random.Next(_rings.Length)].BreakRing();
    }

    void BreakRing()
    {
        uint tail = MemoryMarshal.Read<uint>(Bytes(RingAbi.CommandTailOffset, 4));
        uint head = MemoryMarshal.Read<uint>(Bytes(RingAbi.CommandHeadOffset, 4));
        int ringBytes = Link.Ring.Layout.CommandRingBytes; // what the mailbox says it may have destroyed itself
        switch (_random.Next(7))
        {
            case 0:
                SetTail((uint)_random.Next());
                break;
            case 1:
                SetTail((uint)(_random.Next(ringBytes / 8) * 8));
                break;
            case 2:
                SetTail(head);
                break;
            case 3 when head != tail:
                ForgeAnswer(tail, (ushort)_random.Next(4)); // 0, or some id
                SetTail(head);
                break;
            case 4 when head != tail && _answered.Count > 0:
                ForgeAnswer(tail, _answered[_random.Next(_answered.Count)]);
                SetTail(head);
                break;
            case 5:
                _random.NextBytes(Bytes(RingAbi.MailboxBytes, ringBytes));
                SetTail(head);
                break;
            default:
                _random.NextBytes(Bytes(0, RingAbi.MailboxBytes));
                break;
        }
    }

    void SetTail(uint tail) => MemoryMarshal.Write(Bytes(RingAbi.CommandTailOffset, 4), tail);

    void ForgeAnswer(uint slot, ushort id)
    {
        if (slot < (uint)Link.Ring.Layout.CommandRingBytes - RingAbi.HeaderBytes)
        {
            MemoryMarshal.Write(Bytes(RingAbi.MailboxBytes + slot + RingAbi.CommandIdOffset, 2), id);
        }
    }

    /// <summary>Late writes of a process that is no longer asked: over what it had, and over the whole data area.</summary>
    public void WriteLate()
    {
        if (!IsDead)
        {
            IsHostile = true; // it has lost its mind: what it has taken it does no more
            _rings[_random.Next(_rings.Length)].Scribble();
        }
    }

    void Scribble()
    {
        Span<byte> data = _map.Slice(_map.LengthBytes - StormOptions.DataAreaBytes, StormOptions.DataAreaBytes).Span;
        data.Slice(_random.Next(StormOptions.DataAreaBytes / 4096) * 4096, 4096).Fill(0xEE);
    }

    // ---- the region ----

    Span<byte> Bytes(long offset, int length) => _map.Slice(offset, length).Span;

    static (int First, int Count) RangeOf(ReadOnlySpan<byte> cdb) => cdb.Length == 16
        ? ((int)BinaryPrimitives.ReadUInt64BigEndian(cdb[2..]), (int)BinaryPrimitives.ReadUInt32BigEndian(cdb[10..]))
        : ((int)BinaryPrimitives.ReadUInt32BigEndian(cdb[2..]), BinaryPrimitives.ReadUInt16BigEndian(cdb[7..]));

    static long LengthOf(HandlerCommand command)
    {
        long length = 0;
        foreach (DataExtent extent in command.Data)
        {
            length += extent.Length;
        }

        return length;
    }

    /// <summary>A piece of a command's data that lies in one extent, as blocks do: extents start on 4 KiB.</summary>
    Span<byte> Slice(HandlerCommand command, int offset, int length)
    {
        foreach (DataExtent extent in command.Data)
        {
            if (offset < extent.Length)
            {
                return Bytes(extent.Offset + offset, length);
            }

            offset -= (int)extent.Length;
        }

        throw new StormException("the handler got fewer bytes than its command has");
    }

    void FillBlock(HandlerCommand command, int block, ulong value) =>
        MemoryMarshal.Cast<byte, ulong>(Slice(command, block * StormOptions.BlockSize, StormOptions.BlockSize)).Fill(value);

    ulong ValueOf(HandlerCommand command, int block)
    {
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(Slice(command, block * StormOptions.BlockSize, StormOptions.BlockSize));
        return words.IndexOfAnyExcept(words[0]) < 0 ? words[0] : throw new StormException($"the handler got a block to write that nobody sent: {words[0]:X} and {words[words.IndexOfAnyExcept(words[0])]:X}");
    }

    public void Kill()
    {
        if (!IsDead)
        {
            IsDead = true;
            Array.ForEach(_rings, static ring => ring._map.Dispose());
        }
    }

    public void Dispose() => Kill();
}
